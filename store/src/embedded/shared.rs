//! What the callers and the writer share: the open database, or why there is none.

use super::clock::Clock;
use super::error::{damaged, guarded, store_error};
use super::file::{Opened, Opening};
use super::read::ReadError;
use crate::contract::StoreError;
use parking_lot::RwLock;
use redb::{Database, ReadTransaction, ReadableDatabase};
use std::path::PathBuf;

/// The state of the file.
#[derive(Debug)]
pub(super) enum Slot {
    /// It can be read and written.
    Open(Database),
    /// It could not be opened again; the writer keeps trying.
    Failed(StoreError),
    /// The store was closed.
    Closed,
}

/// Only the writer replaces the slot; everyone else reads it.
#[derive(Debug)]
pub(super) struct Shared {
    /// The database file.
    pub(super) path: PathBuf,
    pub(super) opening: Opening,
    pub(super) clock: Clock,
    pub(super) slot: RwLock<Slot>,
}

impl Shared {
    pub(super) fn new(path: PathBuf, opening: Opening, opened: Opened) -> Self {
        let Opened { db, last_time } = opened;
        Self { path, opening, clock: Clock::start(last_time), slot: RwLock::new(Slot::Open(db)) }
    }

    /// A consistent view of the file as it is now.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn snapshot(&self) -> Result<ReadTransaction, StoreError> {
        // The lock is held only for the start: a long read must not keep the writer from opening
        // the file again. A reader that is overtaken by that gets an error from redb.
        match &*self.slot.read() {
            Slot::Open(db) => guarded(|| db.begin_read())
                .map_err(|panic| damaged(&self.path, &panic))?
                .map_err(|error| store_error(&self.path, error)),
            Slot::Failed(cause) => Err(cause.clone()),
            Slot::Closed => Err(StoreError::Closed),
        }
    }

    /// Reads from a snapshot; what is damaged becomes an error that names the file.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, ReadError>,
    ) -> Result<T, StoreError> {
        let txn = self.snapshot()?;
        match guarded(|| work(&txn)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(ReadError::Redb(error))) => Err(store_error(&self.path, error)),
            Ok(Err(ReadError::Row(row))) => Err(damaged(&self.path, &row.0)),
            Err(panic) => Err(damaged(&self.path, &panic)),
        }
    }
}
