//! Measures the embedded store: durable commits per second by callers in flight, and how long a
//! start takes after a kill and after an orderly end.
//!
//! `cargo run --release -p lockkeeper-store --example commit_rate [DIRECTORY]`

use lockkeeper_core::{Delta, Field, FieldKind, Header, ResourceId, Version};
use lockkeeper_store::{Commit, Committed, EmbeddedOptions, EmbeddedStore, Store};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const RUN: Duration = Duration::from_secs(3);
const DOCUMENTS: u64 = 100_000;
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| "target/commit-rate".into());
    match args.next().as_deref() {
        Some("fill") => return fill(Path::new(&dir)),
        Some("open") => return open(&dir, "asked for"),
        _ => {}
    }
    for callers in [1, 16, 64, 256] {
        let _ = std::fs::remove_dir_all(&dir);
        println!("{callers:4} callers: {:8.0} commits/s", rate(Path::new(&dir), callers)?);
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
    Commit { partition: id.partition(), deltas: vec![delta], raise_floor: None, now: store.now() }
}

fn rate(dir: &Path, callers: u64) -> Result<f64> {
    let store = EmbeddedStore::open(EmbeddedOptions::new(dir))?;
    let done = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    runtime()?.block_on(async {
        let tasks: Vec<_> = (0..callers)
            .map(|caller| {
                let (store, done) = (Arc::clone(&store), Arc::clone(&done));
                tokio::spawn(async move {
                    let mut counter = None;
                    while start.elapsed() < RUN {
                        let outcome = store.commit(commit(&store, caller, counter)).await;
                        assert_eq!(outcome, Ok(Committed::Done));
                        counter = Some(counter.unwrap_or(0) + 1);
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await?;
        }
        Ok::<_, tokio::task::JoinError>(())
    })?;
    Ok(done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64())
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
