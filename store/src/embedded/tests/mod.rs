//! The embedded store against its conformance suite, bad files, bad disks and operators.

mod backups;
mod damage;
mod failing_disk;
mod folding;
mod full_disk;
mod journal;
mod model;
mod opening;
mod writing;

use super::disk::Faults;
use super::disk_faults::{DiskCall, DiskFaults};
use super::fold::FoldLimits;
use super::{DATA_FILE, EmbeddedOptions, EmbeddedStore};
use crate::conformance::{self, make};
use crate::contract::{Committed, Store, StoreFuture};
use lockkeeper_core::ResourceId;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Long enough that only a hang reaches it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A data directory that is removed at the end.
#[derive(Debug)]
pub(crate) struct Place {
    dir: tempfile::TempDir,
    /// The disk of those stores that are opened with limits.
    faults: Arc<DiskFaults>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), faults: Arc::default() }
    }

    /// The data directory; not made yet.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.data_dir().join(DATA_FILE)
    }

    /// A path beside the data directory.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn options(&self) -> EmbeddedOptions {
        options(&self.data_dir())
    }

    pub(crate) fn open(&self) -> Arc<EmbeddedStore> {
        EmbeddedStore::open(self.options()).unwrap()
    }

    /// Opens a store that folds all the time, in tiny steps.
    fn open_folding(&self) -> Arc<EmbeddedStore> {
        self.open_with(TINY)
    }

    fn open_with(&self, limits: FoldLimits) -> Arc<EmbeddedStore> {
        let faults = Faults { plan: Some(Arc::clone(&self.faults)) };
        EmbeddedStore::open_with(self.options(), faults, limits).unwrap()
    }

    /// What a kill of the process that has this place open (with limits) would leave.
    fn killed(&self) -> Self {
        let after = Self::new();
        fs::create_dir(after.data_dir()).unwrap();
        // It folds by itself: a file that changes while it is copied would be no moment of it.
        let stall = self.faults.stall(DiskCall::Write);
        fs::copy(self.file(), after.file()).unwrap();
        stall.end();
        after
    }

    pub(crate) fn open_on(&self, faults: &Arc<DiskFaults>) -> Arc<EmbeddedStore> {
        EmbeddedStore::open_with_faults(self.options(), Arc::clone(faults)).unwrap()
    }
}

/// So little that whatever can happen happens soon.
const TINY: FoldLimits = FoldLimits {
    documents: 3,
    bytes: 1_500,
    journal_bytes: 2_000,
    chunk_rows: 2,
    idle: Duration::from_millis(1),
};
/// No fold but at the end.
const NEVER: FoldLimits = FoldLimits {
    documents: usize::MAX,
    bytes: usize::MAX,
    journal_bytes: usize::MAX,
    chunk_rows: 1_000,
    idle: DEADLINE,
};

/// A small generator, so that every run does the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A slow machine must not turn a good outcome into an unknown one.
pub(crate) fn options(data_dir: &Path) -> EmbeddedOptions {
    EmbeddedOptions { call_timeout: DEADLINE, ..EmbeddedOptions::new(data_dir) }
}

/// Makes documents `numbers` of partition 1, each with some fields.
pub(crate) async fn fill(store: &dyn Store, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let fields = (0..3).map(|seq| (make::ticket(seq), Some(content(number, seq)))).collect();
        let commit = make::changed(make::id(1, number), None, 1, fields);
        assert_eq!(store.commit(commit).await, Ok(Committed::Done));
    }
}

pub(crate) fn content(number: u64, seq: u64) -> Vec<u8> {
    format!("document {number}, field {seq}").repeat(4).into_bytes()
}

/// Repeats a probe until the store is well.
pub(crate) async fn until_well(store: &dyn Store) {
    let start = Instant::now();
    while let Err(error) = store.probe().await {
        assert!(start.elapsed() < DEADLINE, "still {error}");
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn exists(store: &dyn Store, id: ResourceId) -> bool {
    make::stored(store, id).await.is_some()
}

impl conformance::Place for Place {
    fn open(&self) -> StoreFuture<'_, Arc<dyn Store>> {
        Box::pin(async { Place::open(self) as Arc<dyn Store> })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_conforms() {
    conformance::run_all(Place::new).await;
}

/// A place whose stores fold all the time.
struct Folding(Place);

impl conformance::Place for Folding {
    fn open(&self) -> StoreFuture<'_, Arc<dyn Store>> {
        Box::pin(async { self.0.open_folding() as Arc<dyn Store> })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_conforms_while_it_folds() {
    conformance::run_all(|| Folding(Place::new())).await;
}
