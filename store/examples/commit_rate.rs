//! Measures the embedded store: durable commits per second by callers in flight and their
//! latencies, for documents that are updated again and again and for ever-new ones (made, updated
//! once, left), and how long a start takes after a kill and after an orderly end.
//!
//! `cargo run --release -p lockkeeper-store --example commit_rate [DIRECTORY]`, or after the
//! directory one part of it: `rate CALLERS same|new`, `fill`, `open`

use lockkeeper_core::{Delta, Field, FieldKind, Header, ResourceId, Version};
use lockkeeper_store::{Commit, Committed, EmbeddedOptions, EmbeddedStore, Store};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

const RUN: Duration = Duration::from_secs(4);
const DOCUMENTS: u64 = 100_000;
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| "target/commit-rate".into());
    match args.next().as_deref() {
        Some("fill") => return fill(Path::new(&dir)),
        Some("open") => return open(&dir, "asked for"),
        Some("rate") => {
            let callers = args.next().ok_or("how many callers?")?.parse()?;
            let pattern = if args.next().as_deref() == Some("same") { Pattern::Same } else { Pattern::New };
            let _ = std::fs::remove_dir_all(&dir);
            println!(
                "{pattern:?} documents, {callers:4} callers: {}",
                rate(Path::new(&dir), callers, pattern)?
            );
            return Ok(());
        }
        _ => {}
    }
    for pattern in [Pattern::Same, Pattern::New] {
        for callers in [1, 16, 64, 256] {
            let _ = std::fs::remove_dir_all(&dir);
            println!(
                "{pattern:?} documents, {callers:4} callers: {}",
                rate(Path::new(&dir), callers, pattern)?
            );
        }
    }
    let _ = std::fs::remove_dir_all(&dir);
    let status = Command::new(std::env::current_exe()?).args([&dir, "fill"]).status()?;
    let file = Path::new(&dir).join("lockkeeper.redb");
    println!("{DOCUMENTS} documents: {} bytes, writer ended with {status}", std::fs::metadata(&file)?.len());
    open(&dir, "after kill -9")?;
    open(&dir, "after an orderly end")?;
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

fn open(dir: &str, how: &str) -> Result<()> {
    let start = Instant::now();
    let store = EmbeddedStore::open(EmbeddedOptions::new(dir))?;
    let opened = start.elapsed();
    let (mut from, mut documents) = (None, 0);
    loop {
        let page = runtime()?.block_on(store.list(from, 4096))?;
        documents += page.documents.len();
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let resident = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    println!("{how}: open {opened:?}, open and list {documents} documents {:?}; {resident}", start.elapsed());
    Ok(())
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()
}

fn commit(store: &EmbeddedStore, id: u64, old: Option<u64>) -> Commit {
    let id = ResourceId(id.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let version = |counter| Version { generation: 0, counter };
    let next = Header { version: version(old.unwrap_or(0) + 1), bytes: vec![7; 120] };
    let lock = Field { kind: FieldKind::Lock, seq: old.unwrap_or(0) };
    let mut fields = vec![(lock, Some(vec![9; 200]))];
    match old {
        Some(seq) if seq > 0 => fields.push((Field { seq: seq - 1, ..lock }, None)),
        _ => fields.push((Field { kind: FieldKind::Identity, seq: 0 }, Some(vec![1; 80]))),
    }
    let delta = Delta { id, expected: old.map(version), next: Some(next), fields };
    Commit::of(id.partition(), vec![delta], store.now())
}

/// Which documents the callers write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern {
    /// Each its own one, over and over.
    Same,
    /// Each time a new one: an acquire, then a release.
    New,
}

/// The acquire (`old` is none) or the release of a lock on a resource that nobody used before.
fn visit(store: &EmbeddedStore, id: u64, old: Option<u64>) -> Commit {
    let id = ResourceId(id.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let version = |counter| Version { generation: 0, counter };
    let next = Header { version: version(old.unwrap_or(0) + 1), bytes: vec![7; 70] };
    let field = |kind, seq| Field { kind, seq };
    let fields = match old {
        None => vec![
            (field(FieldKind::Identity, 0), Some(vec![1; 60])),
            (field(FieldKind::Lock, id.0), Some(vec![9; 300])),
        ],
        Some(_) => {
            vec![(field(FieldKind::Lock, id.0), None), (field(FieldKind::Ended, id.0), Some(vec![8; 300]))]
        }
    };
    let delta = Delta { id, expected: old.map(version), next: Some(next), fields };
    Commit::of(id.partition(), vec![delta], store.now())
}

fn rate(dir: &Path, callers: u64, pattern: Pattern) -> Result<String> {
    let store = EmbeddedStore::open(EmbeddedOptions::new(dir))?;
    let start = Instant::now();
    let mut latencies = runtime()?.block_on(async {
        let tasks: Vec<_> = (0..callers)
            .map(|caller| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let mut latencies = Vec::new();
                    for round in 0.. {
                        if start.elapsed() >= RUN {
                            break;
                        }
                        let change = match pattern {
                            Pattern::Same => commit(&store, caller, (round > 0).then_some(round)),
                            Pattern::New => {
                                let id = round / 2 * callers + caller;
                                visit(&store, id, (round % 2 == 1).then_some(1))
                            }
                        };
                        let asked = Instant::now();
                        assert_eq!(store.commit(change).await, Ok(Committed::Done));
                        latencies.push(asked.elapsed());
                    }
                    latencies
                })
            })
            .collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await?);
        }
        Ok::<_, tokio::task::JoinError>(latencies)
    })?;
    let rate = latencies.len() as f64 / start.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize];
    Ok(format!(
        "{rate:8.0} commits/s; p50 {:.1?}, p99 {:.1?}, p99.9 {:.1?}, worst {:.1?}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    ))
}

/// Writes all documents with 256 callers, then dies as by a kill: nothing is closed.
fn fill(dir: &Path) -> Result<()> {
    let store = EmbeddedStore::open(EmbeddedOptions::new(dir))?;
    runtime()?.block_on(async {
        let tasks: Vec<_> = (0..256)
            .map(|caller| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    for id in (caller..DOCUMENTS).step_by(256) {
                        let outcome = store.commit(commit(&store, id, None)).await;
                        assert_eq!(outcome, Ok(Committed::Done));
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await?;
        }
        Ok::<_, tokio::task::JoinError>(())
    })?;
    std::process::abort()
}
