//! The one thread that writes the journal: takes what waits, makes it durable at once, notes it in
//! the book, and only then answers.

use super::Book;
use super::file::{JournalFile, Unwritten};
use super::record::{Accepted, Record};
use crossbeam_channel::Receiver;
use lockkeeper_core::{EntryId, Lock, Resource, Timestamp};
use lockkeeper_telemetry::metrics;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Jobs that are written at once.
const BATCH_MAX: usize = 256;

/// Why a release was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotAccepted {
    /// There is no journal.
    None,
    /// As many are pending as may be.
    Full { limit: usize },
    /// So many wait to be written already.
    Busy { limit: usize },
    /// It could not be written, and will never be read.
    Unwritten(String),
    /// It could not be written, or it could: only a restart would tell.
    Unknown(String),
}

/// A release that is to be accepted.
pub(super) struct Asked {
    pub(super) entry: EntryId,
    pub(super) resource: Arc<Resource>,
    pub(super) lock: Arc<Lock>,
    pub(super) nonce: u64,
    pub(super) at: Timestamp,
}

/// What the writer can be asked for.
pub(super) enum Job {
    Accept(Asked, oneshot::Sender<Result<(), NotAccepted>>),
    /// This one needs no more work.
    Done(EntryId, oneshot::Sender<()>),
    Close,
}

/// The writer's state; lives on its thread.
pub(super) struct Writer {
    file: JournalFile,
    book: Arc<Book>,
    jobs: Receiver<Job>,
    limit: usize,
    next_number: u64,
    /// Accepted releases that the file holds, those that are done with included.
    held: usize,
    /// It was said that it cannot be written: clients try again and again.
    failing: bool,
}

impl Writer {
    pub(super) fn new(
        file: JournalFile,
        book: Arc<Book>,
        jobs: Receiver<Job>,
        limit: usize,
        next_number: u64,
    ) -> Self {
        let held = book.len();
        Self { file, book, jobs, limit, next_number, held, failing: false }
    }

    /// Works until it is told to close or nobody can ask any more.
    pub(super) fn run(mut self) {
        while let Ok(first) = self.jobs.recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH_MAX
                && let Ok(job) = self.jobs.try_recv()
            {
                batch.push(job);
            }
            let closing = batch.iter().any(|job| matches!(job, Job::Close));
            self.work(batch);
            if closing {
                break;
            }
        }
    }

    fn work(&mut self, batch: Vec<Job>) {
        // After a failure the file is made sure of before anything is added to it.
        if self.file.is_doubtful() {
            self.compact();
        }
        let (mut records, mut accepted, mut waiting, mut done) =
            (Vec::new(), Vec::<Accepted>::new(), Vec::new(), Vec::new());
        for job in batch {
            match job {
                Job::Accept(asked, reply) => {
                    if self.book.get(asked.entry).is_some() {
                        let _ = reply.send(Ok(()));
                    } else if accepted.iter().any(|new| new.entry() == asked.entry) {
                        waiting.push(reply);
                    } else if self.book.len() + accepted.len() >= self.limit {
                        let _ = reply.send(Err(NotAccepted::Full { limit: self.limit }));
                    } else {
                        let new = Accepted {
                            number: self.next_number,
                            id: asked.entry.resource,
                            resource: asked.resource,
                            lock: asked.lock,
                            nonce: asked.nonce,
                            accepted_at: asked.at,
                        };
                        self.next_number += 1;
                        records.push(Record::Accepted(new.clone()));
                        accepted.push(new);
                        waiting.push(reply);
                    }
                }
                Job::Done(entry, reply) => {
                    if let Some(pending) = self.book.get(entry) {
                        records.push(Record::Done(pending.accepted.number));
                    }
                    done.push((entry, reply));
                }
                Job::Close => {}
            }
        }
        let result = self.write(&records);
        if result.is_ok() {
            self.held += accepted.len();
            for accepted in accepted {
                metrics().journal_accepted();
                self.book.insert(accepted);
            }
        }
        for reply in waiting {
            // A failed send means that the caller went away: it may ask again.
            let _ = reply.send(result.clone());
        }
        for (entry, reply) in done {
            // If that could not be written, a restart finds it again, carries it out once more, and
            // finds that it was carried out.
            self.book.remove(entry);
            let _ = reply.send(());
        }
        if self.file.wants_compaction(self.book.len(), self.held) {
            self.compact();
        }
    }

    fn write(&mut self, records: &[Record]) -> Result<(), NotAccepted> {
        if records.is_empty() {
            return Ok(());
        }
        let failure = match self.file.append(records) {
            Ok(()) => {
                self.failing = false;
                return Ok(());
            }
            Err(failure) => failure,
        };
        let (Unwritten::Nothing(cause) | Unwritten::Unknown(cause)) = &failure;
        if std::mem::replace(&mut self.failing, true) {
            tracing::debug!(error = %cause, "the journal of releases still cannot be written");
        } else {
            tracing::error!(error = %cause, "the journal of releases cannot be written");
        }
        let cause = cause.to_string();
        if matches!(failure, Unwritten::Unknown(_)) && !self.compact() {
            return Err(NotAccepted::Unknown(cause));
        }
        Err(NotAccepted::Unwritten(cause))
    }

    /// True when the file holds what the book holds, and nothing else.
    pub(super) fn compact(&mut self) -> bool {
        let pending: Vec<Accepted> = self.book.all().iter().map(|pending| pending.accepted.clone()).collect();
        match self.file.compact(&pending) {
            Ok(()) => {
                self.held = pending.len();
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the journal of releases could not be written anew; it is tried again");
                false
            }
        }
    }
}
