//! Whole documents in the order of their ids: the table's, seen through the overlay.

use super::layout::{
    BadRow, RECORDS, RecordKey, decode_document, decode_field, document_key, key_field, key_id, last_key,
};
use super::overlay::Pending;
use super::read::{PAGE_MAX_DOCUMENTS, ReadError};
use crate::contract::StoredDocument;
use lockkeeper_core::{Field, ResourceId, Version};
use redb::{AccessGuard, Range, ReadTransaction};
use std::cmp::Ordering;
use std::iter::Peekable;
use std::sync::Arc;

type PendingDocument = (ResourceId, Arc<Pending>);

/// Walks over documents.
pub(super) struct Documents<P: Iterator<Item = PendingDocument>> {
    rows: Rows,
    pending: Peekable<P>,
}

/// A document whose fields have not been read.
pub(super) struct Head {
    pub(super) id: ResourceId,
    /// Its row in the table; `None` if there is none, or if it is void.
    stored: Option<StoredHead>,
    pending: Option<Arc<Pending>>,
}

struct StoredHead {
    version: Version,
    header: Vec<u8>,
    field_count: usize,
}

impl<P: Iterator<Item = PendingDocument>> Documents<P> {
    /// Those from `from` to `to`; `pending` is what the overlay has of them, in its order.
    pub(super) fn new(
        txn: &ReadTransaction,
        from: ResourceId,
        to: ResourceId,
        pending: P,
    ) -> Result<Self, ReadError> {
        let range = txn.open_table(RECORDS)?.range::<&RecordKey>(&document_key(from)..=&last_key(to))?;
        Ok(Self { rows: Rows { range, next: None }, pending: pending.peekable() })
    }

    /// The next document.
    pub(super) fn next(&mut self) -> Result<Option<StoredDocument>, ReadError> {
        self.next_head()?.map(|head| self.complete(head)).transpose()
    }

    /// The next document without its fields; [`Self::complete`] must follow, or nothing.
    pub(super) fn next_head(&mut self) -> Result<Option<Head>, ReadError> {
        loop {
            let stored = self.rows.peek_id()?;
            let waiting = self.pending.peek().map(|(id, _)| *id);
            let id = match (stored, waiting) {
                (None, None) => return Ok(None),
                (Some(stored), Some(waiting)) => stored.min(waiting),
                (Some(id), None) | (None, Some(id)) => id,
            };
            let pending = self.pending.next_if(|(other, _)| *other == id).map(|(_, pending)| pending);
            let whole = pending.as_ref().is_some_and(|pending| pending.whole);
            let stored = match stored {
                Some(there) if there == id && whole => {
                    self.rows.skip(id)?;
                    None
                }
                Some(there) if there == id => Some(self.rows.head(id)?),
                _ if pending.is_some() && !whole => {
                    return Err(bad(format!("the journal changes document {id}, which is not there")));
                }
                _ => None,
            };
            if pending.as_ref().is_none_or(|pending| pending.next.is_some()) {
                return Ok(Some(Head { id, stored, pending }));
            }
        }
    }

    /// Reads the fields of a document.
    pub(super) fn complete(&mut self, head: Head) -> Result<StoredDocument, ReadError> {
        let Head { id, stored, pending } = head;
        let (mut version, mut header, mut fields) = (Version::default(), Vec::new(), Vec::new());
        if let Some(stored) = stored {
            fields = self.rows.fields(id, stored.field_count)?;
            (version, header) = (stored.version, stored.header);
        }
        if let Some(pending) = pending {
            if let Some(next) = &pending.next {
                (version, header) = (next.version, next.bytes.clone());
            }
            fields = merge(fields, &pending.fields);
        }
        Ok(StoredDocument { id, version, header, fields })
    }
}

/// Puts changed fields over stored ones; both are in order.
fn merge(stored: Vec<(Field, Vec<u8>)>, changes: &[(Field, Option<Vec<u8>>)]) -> Vec<(Field, Vec<u8>)> {
    let mut merged = Vec::with_capacity(stored.len() + changes.len());
    let mut stored = stored.into_iter().peekable();
    for (field, record) in changes {
        while let Some(before) = stored.next_if(|(stored, _)| stored < field) {
            merged.push(before);
        }
        // What is changed hides what is stored.
        let _ = stored.next_if(|(stored, _)| stored == field);
        merged.extend(record.as_ref().map(|record| (*field, record.clone())));
    }
    merged.extend(stored);
    merged
}

fn bad(text: String) -> ReadError {
    ReadError::Row(BadRow(text))
}

type Row = (AccessGuard<'static, &'static RecordKey>, AccessGuard<'static, &'static [u8]>);

/// The table's rows.
struct Rows {
    range: Range<'static, &'static RecordKey, &'static [u8]>,
    /// Read, but not used yet.
    next: Option<Row>,
}

impl Rows {
    fn peek(&mut self) -> Result<Option<&Row>, ReadError> {
        if self.next.is_none() {
            self.next = self.range.next().transpose()?;
        }
        Ok(self.next.as_ref())
    }

    fn peek_id(&mut self) -> Result<Option<ResourceId>, ReadError> {
        Ok(self.peek()?.map(|(key, _)| key_id(key.value())))
    }

    /// Takes a document's own row, which must come next.
    fn head(&mut self, id: ResourceId) -> Result<StoredHead, ReadError> {
        let expected = document_key(id);
        let Some((key, row)) = self.next.take_if(|(key, _)| *key.value() == expected) else {
            return Err(bad(format!("a field belongs to no document ({id})")));
        };
        let row = decode_document(key.value(), row.value()).map_err(ReadError::Row)?;
        let (version, header) = (row.version, row.header.to_vec());
        Ok(StoredHead { version, header, field_count: row.field_count as usize })
    }

    /// Takes a document's fields, which must be exactly as many as it has.
    fn fields(&mut self, id: ResourceId, count: usize) -> Result<Vec<(Field, Vec<u8>)>, ReadError> {
        let mut fields = Vec::with_capacity(count.min(PAGE_MAX_DOCUMENTS));
        while self.peek_id()? == Some(id)
            && let Some((key, row)) = self.next.take()
        {
            let field = key_field(key.value()).map_err(ReadError::Row)?;
            fields.push((field, decode_field(key.value(), row.value()).map_err(ReadError::Row)?.to_vec()));
        }
        match fields.len().cmp(&count) {
            Ordering::Less => Err(bad(format!("document {id} has fewer fields than its row says"))),
            Ordering::Greater => Err(bad(format!("document {id} has more fields than its row says"))),
            Ordering::Equal => Ok(fields),
        }
    }

    fn skip(&mut self, id: ResourceId) -> Result<(), ReadError> {
        while self.peek_id()? == Some(id) {
            self.next = None;
        }
        Ok(())
    }
}
