//! Actors on an embedded store with planned faults, for tests that look inside.

use crate::options::Options;
use crate::shared::Shared;
use crate::system::System;
use lockkeeper_core::{Partition, ResourceId};
use lockkeeper_store::embedded::{EmbeddedOptions, EmbeddedStore};
use lockkeeper_store::faulty::FaultyStore;
use lockkeeper_store::{Commit, StoreError};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(20);

/// Running actors.
pub(crate) struct Bench {
    pub(crate) store: Arc<FaultyStore<EmbeddedStore>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) system: System,
}

impl Bench {
    /// Runs a test on actors of its own.
    pub(crate) fn run<F: Future<Output = Self>>(options: Options, test: impl FnOnce(Self) -> F) {
        Self::prepared(options, |_| {}, test);
    }

    /// The same, on a store that was prepared before the actors start.
    pub(crate) fn prepared<F: Future<Output = Self>>(
        options: Options,
        prepare: impl FnOnce(&FaultyStore<EmbeddedStore>),
        test: impl FnOnce(Self) -> F,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(EmbeddedOptions::new(directory.path())).unwrap();
        actix_rt::System::new().block_on(async {
            let faulty = Arc::new(FaultyStore::new(Arc::clone(&store)));
            prepare(&faulty);
            let system = System::start(Arc::clone(&faulty) as _, options).await.unwrap();
            let shared = Arc::clone(system.locks().shared());
            let bench = test(Self { store: faulty, shared, system }).await;
            bench.system.stop();
        });
        store.close();
    }

    /// Calls that the store heard of, probes aside.
    pub(crate) fn calls(&self) -> u64 {
        self.store.commits() + self.store.loads()
    }

    /// One call of the store, as everybody here makes them.
    pub(crate) async fn call(&self) -> Result<(), StoreError> {
        self.shared.store.load(ResourceId(1)).await.map(|_| ())
    }

    /// One commit that changes nothing.
    pub(crate) async fn commit(&self) -> Result<(), StoreError> {
        let commit = Commit::of(Partition(0), Vec::new(), self.shared.store.now());
        self.shared.store.commit(commit).await.map(|_| ())
    }

    /// The kinds of all events so far.
    pub(crate) fn events(&self) -> Vec<&'static str> {
        let events = self.shared.log.read_after(0, usize::MAX).unwrap();
        events.iter().map(|event| event.what.kind()).collect()
    }
}

/// The cause of planned trouble.
pub(crate) fn cut_off() -> StoreError {
    StoreError::Unavailable("cut off".into())
}

/// Waits until it is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "not so after {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
