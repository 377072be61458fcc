//! The one thread that writes: takes what waits, writes it in one transaction with one fsync,
//! then answers everyone.
//!
//! After an I/O error redb refuses all further work until the file is opened again. The writer
//! does that by itself, and the time stamp of the last transaction in the file then tells whether
//! the failed one happened.

use super::apply::{Applied, Tables};
use super::error::{damaged, guarded, store_error};
use super::file::{self, Opened, Opening};
use super::lock::DirLock;
use super::shared::{Shared, Slot};
use crate::contract::{Commit, Committed, StoreError};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use redb::{Database, Durability};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Pause after a first failure, before the disk is tried again.
const RETRY_MIN: Duration = Duration::from_millis(50);
/// The longest pause; each failure doubles it up to here.
const RETRY_MAX: Duration = Duration::from_secs(1);

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer can be asked for.
#[derive(Debug)]
pub(super) enum Job {
    Commit(Commit, Reply<Committed>),
    /// A durable write of nothing but the time.
    Probe(Reply<()>),
    /// A reader met an I/O error: see whether the file must be opened again.
    Look,
    Close,
}

impl Job {
    /// Whether someone still waits for it. Work nobody waits for is dropped, so that a disk that
    /// stalled does not have to catch up with it.
    fn is_wanted(&self) -> bool {
        match self {
            Self::Commit(_, reply) => !reply.is_closed(),
            Self::Probe(reply) => !reply.is_closed(),
            Self::Look | Self::Close => true,
        }
    }

    fn refuse(self, cause: &StoreError) {
        // A failed send means that the caller went away: nobody to tell.
        match self {
            Self::Commit(_, reply) => drop(reply.send(Err(cause.clone()))),
            Self::Probe(reply) => drop(reply.send(Err(cause.clone()))),
            Self::Look | Self::Close => {}
        }
    }
}

/// How far a transaction came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing of it can be on the disk.
    Preparing,
    /// It may be on the disk.
    Committing {
        /// Its stamp.
        stamp: u64,
    },
}

/// After a failure the disk is left alone for a while.
#[derive(Debug)]
struct Pause {
    until: Instant,
    length: Duration,
    cause: StoreError,
}

/// The writer's state; lives on its thread.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    jobs: Receiver<Job>,
    batch_limit: usize,
    /// The stamp of the last transaction that is known to be in the file, microseconds.
    last_stamp: u64,
    stage: Stage,
    /// What became of the jobs of the current batch, in their order.
    applied: Vec<Applied>,
    pause: Option<Pause>,
    /// Freed when this is dropped, after the database was closed.
    _lock: DirLock,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        jobs: Receiver<Job>,
        batch_limit: usize,
        last_stamp: u64,
        lock: DirLock,
    ) -> Self {
        Self {
            shared,
            jobs,
            batch_limit: batch_limit.max(1),
            last_stamp,
            stage: Stage::Preparing,
            applied: Vec::new(),
            pause: None,
            _lock: lock,
        }
    }

    /// Works until it is told to close or all senders are gone.
    pub(super) fn run(mut self) {
        let mut batch = Vec::with_capacity(self.batch_limit);
        loop {
            match self.wait() {
                Ok(job) => batch.push(job),
                Err(RecvTimeoutError::Timeout) => {
                    // A failure has set the next pause, and readers are told the cause.
                    let _ = self.reopen_if_needed();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
            while batch.len() < self.batch_limit
                && let Ok(job) = self.jobs.try_recv()
            {
                batch.push(job);
            }
            let closing = batch.iter().any(|job| matches!(job, Job::Close));
            batch.retain(Job::is_wanted);
            self.work(&mut batch);
            batch.clear();
            if closing {
                break;
            }
        }
        let slot = std::mem::replace(&mut *self.shared.slot.write(), Slot::Closed);
        if let Err(panic) = guarded(|| drop(slot)) {
            tracing::error!(path = %self.shared.path.display(), %panic, "closing the database");
        }
        // Those that came too late; from here on the channel is closed.
        while let Ok(job) = self.jobs.try_recv() {
            job.refuse(&StoreError::Closed);
        }
    }

    /// The next job; while the file is not open, no longer than until the next attempt.
    fn wait(&self) -> Result<Job, RecvTimeoutError> {
        match &self.pause {
            Some(pause) if !matches!(*self.shared.slot.read(), Slot::Open(_)) => {
                self.jobs.recv_deadline(pause.until)
            }
            _ => self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn work(&mut self, batch: &mut Vec<Job>) {
        if batch.is_empty() {
            return;
        }
        if let Some(pause) = &self.pause
            && Instant::now() < pause.until
        {
            batch.drain(..).for_each(|job| job.refuse(&pause.cause));
            return;
        }
        if let Err(cause) = self.reopen_if_needed() {
            batch.drain(..).for_each(|job| job.refuse(&cause));
            return;
        }
        let outcome =
            guarded(|| self.write(batch)).unwrap_or_else(|panic| Err(damaged(&self.shared.path, &panic)));
        match outcome {
            Ok(()) => {
                if let Stage::Committing { stamp } = self.stage {
                    self.last_stamp = stamp;
                    if self.pause.take().is_some() {
                        tracing::info!(path = %self.shared.path.display(), "the store can write again");
                    }
                    lockkeeper_telemetry::metrics().store_commit_batch(batch.len());
                }
                self.answer(batch);
            }
            Err(cause) => self.recover(batch, cause),
        }
    }

    /// Writes a batch in one transaction; what became of each job is then in `applied`.
    fn write(&mut self, batch: &[Job]) -> Result<(), StoreError> {
        self.stage = Stage::Preparing;
        self.applied.clear();
        let shared = Arc::clone(&self.shared);
        let slot = shared.slot.read();
        let db = match &*slot {
            Slot::Open(db) => db,
            Slot::Failed(cause) => return Err(cause.clone()),
            Slot::Closed => return Err(StoreError::Closed),
        };
        self.write_to(db, batch).map_err(|error| store_error(&shared.path, error))
    }

    fn write_to(&mut self, db: &Database, batch: &[Job]) -> Result<(), redb::Error> {
        let mut txn = db.begin_write()?;
        txn.set_durability(Durability::Immediate)?;
        let mut written = false;
        {
            let mut tables = Tables::open(&txn)?;
            for job in batch {
                let applied = match job {
                    Job::Commit(commit, _) => tables.apply(commit)?,
                    Job::Probe(_) => Applied::Written,
                    Job::Look | Job::Close => Applied::Confirmed,
                };
                written |= matches!(applied, Applied::Written);
                self.applied.push(applied);
            }
            if written {
                // Strictly greater than every stamp before, so that it names this transaction.
                let stamp = self.shared.clock.now().as_micros().max(self.last_stamp + 1);
                tables.stamp(stamp)?;
                drop(tables);
                self.stage = Stage::Committing { stamp };
            }
        }
        if written {
            txn.commit()?
        } else {
            txn.abort()?
        }
        Ok(())
    }

    fn answer(&mut self, batch: &mut Vec<Job>) {
        for (job, applied) in batch.drain(..).zip(self.applied.drain(..)) {
            // A failed send means that the caller went away: nobody to tell.
            match job {
                Job::Commit(_, reply) => {
                    let path = &self.shared.path;
                    drop(reply.send(applied.into_committed().map_err(|row| damaged(path, &row.0))));
                }
                Job::Probe(reply) => drop(reply.send(Ok(()))),
                Job::Look | Job::Close => {}
            }
        }
    }

    /// Opens the file again after a failed batch, finds out what became of the batch, answers it.
    fn recover(&mut self, batch: &mut Vec<Job>, cause: StoreError) {
        let failed_at = self.stage;
        tracing::error!(path = %self.shared.path.display(), error = %cause, ?failed_at, "a batch of commits failed");
        let reopened = self.reopen();
        match (&reopened, failed_at) {
            (Ok(last_stamp), Stage::Committing { stamp }) if *last_stamp == stamp => self.answer(batch),
            (Err(again), Stage::Committing { .. }) => {
                let text = format!("{cause}; the file could not be opened again yet: {again}");
                let unknown = StoreError::OutcomeUnknown(text);
                batch.drain(..).for_each(|job| job.refuse(&unknown));
            }
            _ => batch.drain(..).for_each(|job| job.refuse(&cause)),
        }
        self.pause(reopened.err().unwrap_or(cause));
    }

    /// Opens the file again if it is not open.
    fn reopen_if_needed(&mut self) -> Result<(), StoreError> {
        if matches!(*self.shared.slot.read(), Slot::Open(_)) {
            return Ok(());
        }
        match self.reopen() {
            Ok(_) => {
                tracing::info!(path = %self.shared.path.display(), "the database is open again");
                Ok(())
            }
            Err(cause) => {
                self.pause(cause.clone());
                Err(cause)
            }
        }
    }

    /// Closes the file and opens it anew; returns the stamp found in it.
    fn reopen(&mut self) -> Result<u64, StoreError> {
        let shared = Arc::clone(&self.shared);
        let reopening = StoreError::Unavailable(format!("{} is being opened again", shared.path.display()));
        let old = std::mem::replace(&mut *shared.slot.write(), Slot::Failed(reopening));
        // Closing a database that failed may fail as well: the new opening shows what is there.
        let _ = guarded(|| drop(old));
        let opening = Opening { distrust_cache: true, ..shared.opening.clone() };
        match file::open(&shared.path, &opening) {
            Ok(Opened { db, last_time }) => {
                self.last_stamp = last_time;
                *shared.slot.write() = Slot::Open(db);
                Ok(last_time)
            }
            Err(error) => {
                let error = error.as_store_error();
                *shared.slot.write() = Slot::Failed(error.clone());
                Err(error)
            }
        }
    }

    fn pause(&mut self, cause: StoreError) {
        let length = self.pause.as_ref().map_or(RETRY_MIN, |pause| (pause.length * 2).min(RETRY_MAX));
        self.pause = Some(Pause { until: Instant::now() + length, length, cause });
    }
}
