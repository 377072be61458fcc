//! What the callers and the writer share: the open database, or why there is none.

use super::clock::Clock;
use super::error::{damaged, guarded, store_error};
use super::file::Opening;
use super::overlay::Overlay;
use super::read::{ReadError, View};
use crate::contract::StoreError;
use parking_lot::RwLock;
use redb::{Database, ReadableDatabase};
use std::path::PathBuf;

/// The state of the file.
#[derive(Debug)]
pub(super) enum Slot {
    /// It can be read and written.
    Open(Base),
    /// It could not be opened again; the writer keeps trying.
    Failed(StoreError),
    /// The store was closed.
    Closed,
}

/// The open database, and what its journal holds beyond its documents' table.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) db: Database,
    pub(super) overlay: Overlay,
}

/// Only the writer changes the slot and what is in it; everyone else reads it.
#[derive(Debug)]
pub(super) struct Shared {
    /// The database file.
    pub(super) path: PathBuf,
    pub(super) opening: Opening,
    pub(super) clock: Clock,
    pub(super) slot: RwLock<Slot>,
}

impl Shared {
    pub(super) fn new(path: PathBuf, opening: Opening, last_time: u64, base: Base) -> Self {
        Self { path, opening, clock: Clock::start(last_time), slot: RwLock::new(Slot::Open(base)) }
    }

    /// A consistent view of the store as it is now: the tables, and what `pending` takes from the
    /// overlay.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn view<P>(&self, pending: impl FnOnce(&Overlay) -> P) -> Result<View<P>, StoreError> {
        // The lock is held only for the start: a long read must not keep the writer from publishing
        // or from opening the file again. A reader that is overtaken by the latter gets an error
        // from redb. One lock for both halves: the writer takes nothing out of the overlay that a
        // transaction begun here does not see in the table.
        match &*self.slot.read() {
            Slot::Open(base) => {
                let txn = guarded(|| base.db.begin_read())
                    .map_err(|panic| damaged(&self.path, &panic))?
                    .map_err(|error| store_error(&self.path, error))?;
                Ok(View { txn, pending: pending(&base.overlay) })
            }
            Slot::Failed(cause) => Err(cause.clone()),
            Slot::Closed => Err(StoreError::Closed),
        }
    }

    /// Reads from a view; what is damaged becomes an error that names the file.
    pub(super) fn read<P, T>(
        &self,
        pending: impl FnOnce(&Overlay) -> P,
        work: impl FnOnce(View<P>) -> Result<T, ReadError>,
    ) -> Result<T, StoreError> {
        let view = self.view(pending)?;
        match guarded(|| work(view)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(ReadError::Redb(error))) => Err(store_error(&self.path, error)),
            Ok(Err(ReadError::Row(row))) => Err(damaged(&self.path, &row.0)),
            Err(panic) => Err(damaged(&self.path, &panic)),
        }
    }
}
