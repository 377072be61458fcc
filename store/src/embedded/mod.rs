//! The embedded store: one redb file in a data directory that one process owns.
//!
//! Reads run in the calling thread on a snapshot. Writes go through a bounded channel to one
//! writer thread, which puts what waits into one transaction with one fsync: see `writer.rs`.
//!
//! A commit appends to the journal and touches no other page (`journal.rs`); what the journal
//! holds is in memory as well, the overlay (`overlay.rs`), through which readers look at the
//! documents' table (`documents.rs`). The writer moves it there bit by bit (`fold.rs`).

mod apply;
mod clock;
mod copy;
mod disk;
#[cfg(any(test, feature = "testing"))]
pub mod disk_faults;
mod documents;
mod error;
mod file;
mod fold;
mod journal;
mod layout;
mod lock;
mod options;
mod overlay;
mod read;
mod shared;
#[cfg(test)]
pub(crate) mod tests;
mod tools;
mod writer;

pub use error::OpenError;
pub use layout::{DATA_FILE, FORMAT};
pub use lock::LOCK_FILE;
pub use options::{
    DEFAULT_BATCH_LIMIT, DEFAULT_CACHE_BYTES, DEFAULT_CALL_TIMEOUT, DEFAULT_QUEUE_LIMIT, EmbeddedOptions,
};
pub use read::{PAGE_MAX_BYTES, PAGE_MAX_DOCUMENTS};
pub use tools::{
    BackupReport, CompactReport, RestoreOptions, RestoreReport, ToolError, backup, compact, restore,
};

use crate::contract::{Commit, Committed, Loaded, Page, Store, StoreError, StoreFuture};
use crate::validate::validate;
use crossbeam_channel::{Sender, TrySendError};
use disk::Faults;
use file::{Opened, Opening};
use fold::{Fold, FoldLimits};
use lock::DirLock;
use lockkeeper_core::{ResourceId, Timestamp};
use overlay::Overlay;
use parking_lot::Mutex;
use read::{ReadError, View};
use shared::{Base, Shared};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;
use writer::{Job, Known, Writer};

/// A store in one file. Dropping it closes it: what waits is written first.
#[derive(Debug)]
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    jobs: Sender<Job>,
    queue_limit: usize,
    call_timeout: Duration,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedStore {
    /// Opens the data directory, making it and its database if they are missing, and checks every
    /// page. Blocks meanwhile.
    ///
    /// # Errors
    /// See [`OpenError`]; a file that was refused is left as it was.
    pub fn open(options: EmbeddedOptions) -> Result<Arc<Self>, OpenError> {
        Self::open_with(options, Faults::default(), FoldLimits::default())
    }

    /// Like [`Self::open`], on a disk that fails when the test says so.
    ///
    /// # Errors
    /// See [`OpenError`].
    #[cfg(any(test, feature = "testing"))]
    pub fn open_with_faults(
        options: EmbeddedOptions,
        faults: Arc<disk_faults::DiskFaults>,
    ) -> Result<Arc<Self>, OpenError> {
        Self::open_with(options, Faults { plan: Some(faults) }, FoldLimits::default())
    }

    fn open_with(
        options: EmbeddedOptions,
        faults: Faults,
        limits: FoldLimits,
    ) -> Result<Arc<Self>, OpenError> {
        let data_dir = &options.data_dir;
        let lock = DirLock::acquire(data_dir)?;
        let opening =
            Opening { cache_bytes: options.cache_bytes, faults, distrust_cache: false, writable: true };
        let Opened { db, last_time, overlay, journal } = file::open_or_create(data_dir, &opening)?;
        let base = Base { db, overlay };
        let shared = Arc::new(Shared::new(data_dir.join(DATA_FILE), opening, last_time, base));
        let queue_limit = options.queue_limit.max(1);
        let (jobs, waiting) = crossbeam_channel::bounded(queue_limit);
        let known = Known { last_stamp: last_time, journal };
        let writer =
            Writer::new(Arc::clone(&shared), waiting, options.batch_limit, known, Fold::new(limits), lock);
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run())
            .map_err(OpenError::io(data_dir))?;
        let call_timeout = options.call_timeout;
        Ok(Arc::new(Self { shared, jobs, queue_limit, call_timeout, writer: Mutex::new(Some(writer)) }))
    }

    /// Writes what waits, then closes the file and frees the directory; blocks until that is
    /// done. Later calls are answered [`StoreError::Closed`].
    pub fn close(&self) {
        let Some(writer) = self.writer.lock().take() else { return };
        // Fails only if the writer has ended already.
        let _ = self.jobs.send(Job::Close);
        if writer.join().is_err() {
            tracing::error!(path = %self.shared.path.display(), "the writer thread panicked");
        }
    }

    /// Writes a consistent copy to `dest` while the store works on; blocks until it is durable.
    ///
    /// # Errors
    /// See [`ToolError`]; `dest` then does not exist (or is what it was).
    pub fn backup_to(&self, dest: &Path) -> Result<BackupReport, ToolError> {
        let view = self.shared.view(read::pending_all)?;
        copy::backup(&self.shared.path, view, dest)
    }

    /// Hands a job to the writer and waits for its answer, at most as long as a caller waits.
    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.try_send(job(reply)).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Overloaded { limit: self.queue_limit },
            TrySendError::Disconnected(_) => StoreError::Closed,
        })?;
        match tokio::time::timeout(self.call_timeout, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => {
                Err(StoreError::OutcomeUnknown("the store's writer ended before it answered".into()))
            }
            Err(_) => Err(StoreError::OutcomeUnknown(format!(
                "no answer of the disk within {}",
                humantime::format_duration(self.call_timeout)
            ))),
        }
    }

    fn read<P, T>(
        &self,
        pending: impl FnOnce(&Overlay) -> P,
        work: impl FnOnce(View<P>) -> Result<T, ReadError>,
    ) -> Result<T, StoreError> {
        let result = self.shared.read(pending, work);
        if result.as_ref().is_err_and(|error| *error != StoreError::Closed) {
            // redb may have locked itself after this: the writer sees to it. A full queue is as
            // good, since any write shows the same.
            let _ = self.jobs.try_send(Job::Look);
        }
        result
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl Store for EmbeddedStore {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    fn load(&self, id: ResourceId) -> StoreFuture<'_, Result<Loaded, StoreError>> {
        Box::pin(async move { self.read(|overlay| overlay.get(id).cloned(), |view| read::load(view, id)) })
    }

    fn commit(&self, commit: Commit) -> StoreFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async move {
            validate(&commit)?;
            self.ask(|reply| Job::Commit(commit, reply)).await
        })
    }

    fn list(&self, from: Option<ResourceId>, limit: usize) -> StoreFuture<'_, Result<Page, StoreError>> {
        Box::pin(async move {
            self.read(
                |overlay| read::pending_page(overlay, from, limit),
                |view| read::list(view, from, limit),
            )
        })
    }

    fn probe(&self) -> StoreFuture<'_, Result<(), StoreError>> {
        Box::pin(self.ask(Job::Probe))
    }
}
