//! Releases that were accepted while the store was away: kept durably, carried out when it is back.
//!
//! A release is accepted (202 `pending`) only when it is durable here, with how often its lock had
//! been renewed and re-entered by then (`touch`). Later it is carried out like any release, unless
//! that count has changed: then its owner keeps the lock up through another instance, and it stays.
//! Carrying one out twice does no harm: it is recognised by its nonce, and an ended lock stays ended.
//!
//! | file | what |
//! | --- | --- |
//! | `record` | the file's format |
//! | `file` | the file: append, cut back, write anew |
//! | `writer` | the thread that writes |
//! | `actor` | carries out what is pending |

mod actor;
#[cfg(test)]
mod faults;
mod file;
mod record;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use actor::JournalActor;
pub use file::JournalError;
pub(crate) use record::Accepted;
pub(crate) use writer::NotAccepted;

use crossbeam_channel::{Sender, TrySendError};
use file::JournalFile;
use lockkeeper_core::{EntryId, Lock, Resource, Timestamp};
use lockkeeper_telemetry::metrics;
use parking_lot::Mutex;
use record::Record;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use tokio::sync::{Notify, oneshot};
use writer::{Asked, Job, Writer};

/// Jobs that may wait for the writer.
const JOBS_MAX: usize = 1024;

/// A release that waits to be carried out.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) accepted: Accepted,
    /// How often it was tried in vain while the store was trusted.
    pub(crate) tries: AtomicU32,
}

/// What is pending, as everybody sees it: durable, every bit of it.
#[derive(Default)]
pub(crate) struct Book {
    pending: Mutex<BTreeMap<EntryId, Arc<Pending>>>,
    /// How many, for those who must not wait.
    count: Arc<AtomicUsize>,
    news: Notify,
}

impl Book {
    pub(crate) fn get(&self, entry: EntryId) -> Option<Arc<Pending>> {
        self.pending.lock().get(&entry).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// All of them, in the order in which they were accepted.
    pub(crate) fn all(&self) -> Vec<Arc<Pending>> {
        let mut all: Vec<_> = self.pending.lock().values().cloned().collect();
        all.sort_unstable_by_key(|pending| pending.accepted.number);
        all
    }

    fn insert(&self, accepted: Accepted) {
        let mut pending = self.pending.lock();
        pending.insert(accepted.entry(), Arc::new(Pending { accepted, tries: AtomicU32::new(0) }));
        self.counted(pending.len());
        drop(pending);
        self.news.notify_one();
    }

    fn remove(&self, entry: EntryId) {
        let mut pending = self.pending.lock();
        pending.remove(&entry);
        self.counted(pending.len());
    }

    fn counted(&self, count: usize) {
        self.count.store(count, Ordering::Release);
        metrics().journal_pending(count);
    }
}

/// The journal of this instance.
pub(crate) struct Journal {
    book: Arc<Book>,
    jobs: Option<Sender<Job>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Opens it; without a path there is none, and every release is refused.
    ///
    /// # Errors
    /// See [`JournalError`]: what it held must not be forgotten.
    pub(crate) fn open(path: Option<&Path>, limit: usize) -> Result<Self, JournalError> {
        let book = Arc::new(Book::default());
        let Some(path) = path else { return Ok(Self { book, jobs: None, thread: Mutex::new(None) }) };
        let (file, records) = JournalFile::open(path)?;
        Self::with(file, records, book, limit)
            .map_err(|cause| JournalError::Io { path: path.to_path_buf(), cause })
    }

    fn with(file: JournalFile, records: Vec<Record>, book: Arc<Book>, limit: usize) -> std::io::Result<Self> {
        let (mut next_number, held) = (1, records.len());
        let mut accepted: BTreeMap<u64, Accepted> = BTreeMap::new();
        for record in records {
            match record {
                Record::Accepted(new) => {
                    next_number = next_number.max(new.number + 1);
                    accepted.insert(new.number, new);
                }
                Record::Done(number) => {
                    next_number = next_number.max(number + 1);
                    accepted.remove(&number);
                }
            }
        }
        if !accepted.is_empty() {
            tracing::info!(releases = accepted.len(), "releases of the last life are pending");
        }
        let untidy = held != accepted.len();
        accepted.into_values().for_each(|accepted| book.insert(accepted));
        let (sender, jobs) = crossbeam_channel::bounded(JOBS_MAX);
        let mut writer = Writer::new(file, Arc::clone(&book), jobs, limit, next_number);
        if untidy {
            writer.compact();
        }
        let thread = std::thread::Builder::new().name("journal".into()).spawn(move || writer.run())?;
        Ok(Self { book, jobs: Some(sender), thread: Mutex::new(Some(thread)) })
    }

    /// What is pending.
    pub(crate) fn book(&self) -> &Book {
        &self.book
    }

    /// Counts what is pending, for as long as it lives.
    pub(crate) fn counter(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.book.count)
    }

    /// Accepts the release of a lock as it is known here. If it is pending already, that one stands.
    ///
    /// # Errors
    /// See [`NotAccepted`].
    pub(crate) async fn accept(
        &self,
        entry: EntryId,
        resource: Arc<Resource>,
        lock: Arc<Lock>,
        nonce: u64,
        at: Timestamp,
    ) -> Result<(), NotAccepted> {
        let jobs = self.jobs.as_ref().ok_or(NotAccepted::None)?;
        let (reply, answer) = oneshot::channel();
        let job = Job::Accept(Asked { entry, resource, lock, nonce, at }, reply);
        jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => NotAccepted::Busy { limit: JOBS_MAX },
            TrySendError::Disconnected(_) => NotAccepted::Unwritten("the journal is closed".into()),
        })?;
        answer.await.unwrap_or_else(|_| Err(NotAccepted::Unknown("the journal was closed meanwhile".into())))
    }

    /// This one was carried out, or there is nothing to be done any more. False: it could not be
    /// noted now.
    pub(crate) async fn done(&self, entry: EntryId) -> bool {
        let Some(jobs) = &self.jobs else { return false };
        let (reply, answer) = oneshot::channel();
        jobs.try_send(Job::Done(entry, reply)).is_ok() && answer.await.is_ok()
    }

    /// Waits until something more is pending.
    pub(crate) async fn news(&self) {
        self.book.news.notified().await;
    }

    /// Writes what waits and lets go of the file.
    pub(crate) fn close(&self) {
        let Some(thread) = self.thread.lock().take() else { return };
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(Job::Close);
        }
        if thread.join().is_err() {
            tracing::error!("the thread of the journal ended with a panic");
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}
