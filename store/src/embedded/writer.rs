//! The one thread that writes: takes what waits, appends it to the journal in one transaction with
//! one fsync, shows it to the readers, then answers everyone. What the journal holds it folds into
//! the documents' table, a little beside commits and the rest when nobody asks for anything.
//!
//! After an I/O error redb refuses all further work until the file is opened again. The writer
//! does that by itself, and the time stamp of the last transaction in the file then tells whether
//! the failed one happened.

use super::apply::{Applied, Batch};
use super::error::{damaged, guarded, store_error};
use super::file::{self, Opened, Opening};
use super::fold::{Fold, JOURNAL_ROWS_PER_ROW};
use super::journal::{Journal, RowBuilder};
use super::layout::{JOURNAL, META, META_LAST_TIME};
use super::lock::DirLock;
use super::overlay::{Change, Folded};
use super::shared::{Base, Shared, Slot};
use crate::contract::{Commit, Committed, StoreError};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use lockkeeper_core::ResourceId;
use redb::{Durability, WriteTransaction};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Pause after a first failure, before the disk is tried again.
const RETRY_MIN: Duration = Duration::from_millis(50);
/// The longest pause; each failure doubles it up to here.
const RETRY_MAX: Duration = Duration::from_secs(1);
/// A store that closes folds no longer than this: what is left in the journal is safe there, and
/// only makes the next start read it.
const CLOSE_FOLD_BUDGET: Duration = Duration::from_millis(250);

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

/// What the writer knows of the file.
#[derive(Debug)]
pub(super) struct Known {
    /// The stamp of the last transaction that is known to be in the file, microseconds.
    pub(super) last_stamp: u64,
    /// Where its journal stands.
    pub(super) journal: Journal,
}

/// A transaction that is ready to be committed.
struct Prepared {
    txn: WriteTransaction,
    /// What it folds.
    folded: Vec<(ResourceId, Folded)>,
}

/// The writer's state; lives on its thread.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    jobs: Receiver<Job>,
    batch_limit: usize,
    known: Known,
    fold: Fold,
    /// The journal's next row is put together here.
    row: RowBuilder,
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
        known: Known,
        fold: Fold,
        lock: DirLock,
    ) -> Self {
        Self {
            shared,
            jobs,
            batch_limit: batch_limit.max(1),
            known,
            fold,
            row: RowBuilder::default(),
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
                    if self.reopen_if_needed().is_ok() {
                        self.fold_while_idle();
                    }
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
        let deadline = Instant::now() + CLOSE_FOLD_BUDGET;
        while self.can_fold() && Instant::now() < deadline {
            self.fold_alone();
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

    /// The next job. While the file is not open, no longer than until the next attempt; while there
    /// is something to fold, no longer than until that shall begin.
    fn wait(&self) -> Result<Job, RecvTimeoutError> {
        match &self.pause {
            Some(pause) if !matches!(*self.shared.slot.read(), Slot::Open(_)) => {
                self.jobs.recv_deadline(pause.until)
            }
            _ if self.can_fold() => self.jobs.recv_timeout(self.fold.limits.idle),
            _ => self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// Whether there is something to fold and the disk is well. After a failure it is left to the
    /// commits and probes to find out that it is well again.
    fn can_fold(&self) -> bool {
        match &*self.shared.slot.read() {
            Slot::Open(base) => {
                self.pause.is_none() && !self.fold.is_done(&base.overlay, &self.known.journal)
            }
            Slot::Failed(_) | Slot::Closed => false,
        }
    }

    /// Folds chunk after chunk until someone asks for something.
    fn fold_while_idle(&mut self) {
        while self.jobs.is_empty() && self.can_fold() {
            self.fold_alone();
        }
    }

    /// One transaction that does nothing but fold.
    fn fold_alone(&mut self) {
        let outcome =
            guarded(|| self.write_fold()).unwrap_or_else(|panic| Err(damaged(&self.shared.path, &panic)));
        match outcome {
            Ok(()) => self.committed(),
            Err(cause) => self.recover(&mut Vec::new(), cause),
        }
    }

    fn write_fold(&mut self) -> Result<(), StoreError> {
        self.stage = Stage::Preparing;
        self.applied.clear();
        let shared = Arc::clone(&self.shared);
        let failed = |error: redb::Error| store_error(&shared.path, error);
        let prepared = self.with_base(Self::prepare_fold)?.map_err(failed)?;
        self.finish(prepared, &mut []).map_err(failed)
    }

    fn prepare_fold(&mut self, base: &Base) -> Result<Prepared, redb::Error> {
        let mut txn = base.db.begin_write()?;
        txn.set_durability(Durability::Immediate)?;
        let stamp = self.next_stamp();
        let journal = &mut self.known.journal;
        let folded = self.fold.alone(&txn, &base.overlay, journal, &mut self.row, stamp)?;
        self.stage = Stage::Committing { stamp };
        Ok(Prepared { txn, folded })
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
                if matches!(self.stage, Stage::Committing { .. }) {
                    self.committed();
                    lockkeeper_telemetry::metrics().store_commit_batch(batch.len());
                }
                self.answer(batch);
            }
            Err(cause) => self.recover(batch, cause),
        }
    }

    /// Notes that a transaction succeeded.
    fn committed(&mut self) {
        if let Stage::Committing { stamp } = self.stage {
            self.known.last_stamp = stamp;
        }
        if self.pause.take().is_some() {
            tracing::info!(path = %self.shared.path.display(), "the store can write again");
        }
    }

    /// Writes a batch in one transaction and shows it to the readers; what became of each job is
    /// then in `applied`.
    fn write(&mut self, batch: &mut [Job]) -> Result<(), StoreError> {
        self.stage = Stage::Preparing;
        self.applied.clear();
        let shared = Arc::clone(&self.shared);
        let failed = |error: redb::Error| store_error(&shared.path, error);
        match self.with_base(|writer, base| writer.prepare(base, batch))?.map_err(failed)? {
            Some(prepared) => self.finish(prepared, batch).map_err(failed),
            None => Ok(()),
        }
    }

    /// Works with the open database; readers may read meanwhile.
    fn with_base<T>(&mut self, work: impl FnOnce(&mut Self, &Base) -> T) -> Result<T, StoreError> {
        let shared = Arc::clone(&self.shared);
        match &*shared.slot.read() {
            Slot::Open(base) => Ok(work(self, base)),
            Slot::Failed(cause) => Err(cause.clone()),
            Slot::Closed => Err(StoreError::Closed),
        }
    }

    /// Strictly greater than every stamp before, so that it names its transaction.
    fn next_stamp(&self) -> u64 {
        self.shared.clock.now().as_micros().max(self.known.last_stamp + 1)
    }

    /// Puts a batch into a transaction; `None` if there is nothing to write.
    fn prepare(&mut self, base: &Base, batch: &[Job]) -> Result<Option<Prepared>, redb::Error> {
        let Base { db, overlay } = base;
        let mut txn = db.begin_write()?;
        txn.set_durability(Durability::Immediate)?;
        self.row.clear();
        let mut written = false;
        let mut checked = Batch::open(&txn, overlay, &mut self.row)?;
        for job in batch {
            let applied = match job {
                Job::Commit(commit, _) => checked.apply(commit)?,
                Job::Probe(_) => Applied::Written,
                Job::Look | Job::Close => Applied::Confirmed,
            };
            written |= matches!(applied, Applied::Written);
            self.applied.push(applied);
        }
        let (rows, mut records) = checked.into_rows();
        if !written {
            drop(records);
            txn.abort()?;
            return Ok(None);
        }
        let journal = &mut self.known.journal;
        let budget = self.fold.beside(overlay, journal, rows, self.row.len());
        // A disk that just failed may be full: then only what was asked for.
        let budget = budget.filter(|_| self.pause.is_none());
        let folded = match budget {
            Some(budget) => self.fold.run(overlay, journal, &mut records, &mut self.row, budget)?,
            None => Vec::new(),
        };
        drop(records);
        if !self.row.is_empty() {
            let mut table = txn.open_table(JOURNAL)?;
            journal.append(&mut table, &mut self.row)?;
            journal.truncate(&mut table, JOURNAL_ROWS_PER_ROW)?;
        }
        let stamp = self.next_stamp();
        txn.open_table(META)?.insert(META_LAST_TIME, stamp)?;
        self.stage = Stage::Committing { stamp };
        Ok(Some(Prepared { txn, folded }))
    }

    /// Makes a transaction durable, then shows it to the readers, before anyone is answered.
    fn finish(&mut self, prepared: Prepared, batch: &mut [Job]) -> Result<(), redb::Error> {
        let Prepared { txn, folded } = prepared;
        txn.commit()?;
        let applied = self.applied.iter().map(|applied| matches!(applied, Applied::Written));
        let changes = batch.iter_mut().zip(applied).filter(|(_, written)| *written).flat_map(changes_of);
        if let Slot::Open(Base { overlay, .. }) = &mut *self.shared.slot.write() {
            self.fold.publish(overlay, &mut self.known.journal, folded, changes);
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
        let path = self.shared.path.display();
        if self.pause.is_none() {
            tracing::error!(%path, error = %cause, ?failed_at, "a batch of commits failed");
        } else {
            // A disk that is full stays so for a while: that was said.
            tracing::debug!(%path, error = %cause, ?failed_at, "a batch of commits failed again");
        }
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
            Ok(Opened { db, last_time, overlay, journal }) => {
                self.known = Known { last_stamp: last_time, journal };
                self.fold = Fold::new(self.fold.limits);
                *shared.slot.write() = Slot::Open(Base { db, overlay });
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

/// Takes the changes out of a job that was written.
fn changes_of((job, _): (&mut Job, bool)) -> impl Iterator<Item = (ResourceId, Change)> {
    let deltas = match job {
        Job::Commit(commit, _) => std::mem::take(&mut commit.deltas),
        Job::Probe(_) | Job::Look | Job::Close => Vec::new(),
    };
    let changed = deltas.into_iter().filter(|delta| delta.expected.is_some() || delta.next.is_some());
    changed.map(|delta| (delta.id, Change::from(delta)))
}
