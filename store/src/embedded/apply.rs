//! Applying commits inside one write transaction: each all or none, each seeing those before it.

use super::layout::{
    BadRow, DOCUMENTS, DocumentKey, DocumentRow, FIELDS, FLOORS, FieldKey, META, META_LAST_TIME,
    decode_document, document_key, encode_document, encode_field, field_bounds, field_key,
};
use crate::contract::{Commit, Committed, StoreError};
use lockkeeper_core::{Delta, ResourceId, Version};
use redb::{ReadableTable, Table, WriteTransaction};

/// The tables of a write transaction.
pub(super) struct Tables<'txn> {
    documents: Table<'txn, &'static DocumentKey, &'static [u8]>,
    fields: Table<'txn, &'static FieldKey, &'static [u8]>,
    floors: Table<'txn, u8, u64>,
    meta: Table<'txn, &'static str, u64>,
    /// Rows are put together here.
    row: Vec<u8>,
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
            Self::Conflict(actual) => Ok(Committed::Conflict(actual)),
            Self::Damaged(row) => Err(row),
        }
    }
}

/// Refuses a commit that breaks the contract, before it is queued.
pub(super) fn validate(commit: &Commit) -> Result<(), StoreError> {
    let mut ids: Vec<ResourceId> = commit.deltas.iter().map(|delta| delta.id).collect();
    ids.sort_unstable();
    if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(StoreError::Refused(format!("a commit names document {} twice", twice[0])));
    }
    if let Some(stranger) = ids.iter().find(|id| id.partition() != commit.partition) {
        return Err(StoreError::Refused(format!(
            "a commit of partition {} names document {stranger} of partition {}",
            commit.partition.0,
            stranger.partition().0
        )));
    }
    match commit.deltas.iter().find(|delta| delta.next.is_none() && !delta.fields.is_empty()) {
        Some(delta) => {
            Err(StoreError::Refused(format!("a commit deletes document {} but names its fields", delta.id)))
        }
        None => Ok(()),
    }
}

impl<'txn> Tables<'txn> {
    pub(super) fn open(txn: &'txn WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            documents: txn.open_table(DOCUMENTS)?,
            fields: txn.open_table(FIELDS)?,
            floors: txn.open_table(FLOORS)?,
            meta: txn.open_table(META)?,
            row: Vec::new(),
        })
    }

    /// Notes the time of this transaction.
    pub(super) fn stamp(&mut self, micros: u64) -> Result<(), redb::Error> {
        self.meta.insert(META_LAST_TIME, micros)?;
        Ok(())
    }

    /// Applies one commit.
    ///
    /// # Errors
    /// Of redb: the whole transaction must be given up.
    pub(super) fn apply(&mut self, commit: &Commit) -> Result<Applied, redb::Error> {
        let mut conflicts = Vec::new();
        let mut field_counts = Vec::with_capacity(commit.deltas.len());
        for delta in &commit.deltas {
            let key = document_key(delta.id);
            let row = self.documents.get(&key)?;
            let found = match row.as_ref().map(|row| decode_document(&key, row.value())).transpose() {
                Ok(row) => row.map(|row| (row.version, row.field_count)),
                Err(bad) => return Ok(Applied::Damaged(bad)),
            };
            let version = found.map(|(version, _)| version);
            if version != delta.expected {
                conflicts.push((delta.id, version));
            }
            field_counts.push(found.map_or(0, |(_, count)| count));
        }
        if !conflicts.is_empty() {
            return Ok(Applied::Conflict(conflicts));
        }
        let mut written = false;
        for (delta, field_count) in commit.deltas.iter().zip(field_counts) {
            written |= self.write(delta, field_count)?;
        }
        if let Some(floor) = commit.raise_floor {
            written |= self.raise_floor(commit.partition.0, floor)?;
        }
        Ok(if written { Applied::Written } else { Applied::Confirmed })
    }

    /// Whether there was something to write.
    fn write(&mut self, delta: &Delta, mut field_count: u32) -> Result<bool, redb::Error> {
        let key = document_key(delta.id);
        let Some(next) = &delta.next else {
            if delta.expected.is_none() {
                return Ok(false);
            }
            self.documents.remove(&key)?;
            if field_count > 0 {
                let (first, last) = field_bounds(delta.id);
                self.fields.retain_in::<&FieldKey, _>(&first..=&last, |_, _| false)?;
            }
            return Ok(true);
        };
        for (field, bytes) in &delta.fields {
            let key = field_key(delta.id, *field);
            match bytes {
                Some(bytes) => {
                    encode_field(&mut self.row, &key, bytes);
                    if self.fields.insert(&key, self.row.as_slice())?.is_none() {
                        field_count += 1;
                    }
                }
                None => {
                    if self.fields.remove(&key)?.is_some() {
                        field_count = field_count.saturating_sub(1);
                    }
                }
            }
        }
        let row = DocumentRow { version: next.version, field_count, header: &next.bytes };
        encode_document(&mut self.row, &key, &row);
        self.documents.insert(&key, self.row.as_slice())?;
        Ok(true)
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
