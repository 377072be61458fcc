//! Checking commits inside one write transaction, each all or none, each seeing those before it,
//! and collecting them for the journal.

use super::journal::RowBuilder;
use super::layout::{BadRow, FLOORS, RECORDS, RecordKey, decode_document, document_key};
use super::overlay::{Overlay, is_whole};
use crate::contract::{Commit, Committed, Conflict};
use lockkeeper_core::{ResourceId, Version};
use redb::{ReadableTable, Table, WriteTransaction};
use std::collections::HashMap;

/// What commits are checked against, and where they go.
pub(super) struct Batch<'txn, 'a> {
    records: Table<'txn, &'static RecordKey, &'static [u8]>,
    floors: Table<'txn, u8, u64>,
    overlay: &'a Overlay,
    /// Versions that earlier commits of this transaction have made.
    made: HashMap<ResourceId, Option<Version>>,
    row: &'a mut RowBuilder,
    /// Rows of the documents' table that the commits change.
    rows: usize,
}

/// How one commit of a transaction went.
#[derive(Debug)]
pub(super) enum Applied {
    /// It wrote something.
    Written,
    /// It is fulfilled without a write: all it asked was that versions are as expected.
    Confirmed,
    /// Nothing was written.
    Conflict(Vec<(ResourceId, Option<Version>)>),
    /// Nothing was written, since a row it needs is damaged.
    Damaged(BadRow),
}

impl Applied {
    pub(super) fn into_committed(self) -> Result<Committed, BadRow> {
        match self {
            Self::Written | Self::Confirmed => Ok(Committed::Done),
            Self::Conflict(actual) => Ok(Committed::Conflict(Conflict::of(actual))),
            Self::Damaged(row) => Err(row),
        }
    }
}

impl<'txn, 'a> Batch<'txn, 'a> {
    pub(super) fn open(
        txn: &'txn WriteTransaction,
        overlay: &'a Overlay,
        row: &'a mut RowBuilder,
    ) -> Result<Self, redb::Error> {
        let (records, floors) = (txn.open_table(RECORDS)?, txn.open_table(FLOORS)?);
        Ok(Self { records, floors, overlay, made: HashMap::new(), row, rows: 0 })
    }

    /// Rows that were committed, and the table they will be folded into.
    pub(super) fn into_rows(self) -> (usize, Table<'txn, &'static RecordKey, &'static [u8]>) {
        (self.rows, self.records)
    }

    /// Applies one commit.
    ///
    /// # Errors
    /// Of redb: the whole transaction must be given up.
    pub(super) fn apply(&mut self, commit: &Commit) -> Result<Applied, redb::Error> {
        let mut conflicts = Vec::new();
        let deltas = commit.deltas.iter().map(|delta| (delta.id, delta.expected));
        for (id, expected) in deltas.chain(commit.checks.iter().copied()) {
            match self.version(id)? {
                Ok(version) if version == expected => {}
                Ok(version) => conflicts.push((id, version)),
                Err(bad) => return Ok(Applied::Damaged(bad)),
            }
        }
        if !conflicts.is_empty() {
            return Ok(Applied::Conflict(conflicts));
        }
        let mut written = false;
        for delta in &commit.deltas {
            if delta.expected.is_none() && delta.next.is_none() {
                // It asked only that the document is not there.
                continue;
            }
            let next = delta.next.as_ref().map(|next| (next.version, next.bytes.as_slice()));
            let fields = delta.fields.iter().map(|(field, record)| (*field, record.as_deref()));
            self.row.push(delta.id, is_whole(delta), next, fields);
            self.made.insert(delta.id, next.map(|(version, _)| version));
            self.rows += 1 + delta.fields.len();
            written = true;
        }
        if let Some(floor) = commit.raise_floor {
            written |= self.raise_floor(commit.partition.0, floor)?;
        }
        Ok(if written { Applied::Written } else { Applied::Confirmed })
    }

    /// The version a document has now: in this transaction, in the overlay, in the table.
    fn version(&self, id: ResourceId) -> Result<Result<Option<Version>, BadRow>, redb::Error> {
        if let Some(version) = self.made.get(&id) {
            return Ok(Ok(*version));
        }
        if let Some(pending) = self.overlay.get(id) {
            return Ok(Ok(pending.version()));
        }
        let key = document_key(id);
        let row = self.records.get(&key)?;
        let document = row.as_ref().map(|row| decode_document(&key, row.value())).transpose();
        Ok(document.map(|document| document.map(|document| document.version)))
    }

    fn raise_floor(&mut self, partition: u8, floor: u64) -> Result<bool, redb::Error> {
        let old = self.floors.get(partition)?.map_or(0, |guard| guard.value());
        if floor <= old {
            return Ok(false);
        }
        self.floors.insert(partition, floor)?;
        Ok(true)
    }
}
