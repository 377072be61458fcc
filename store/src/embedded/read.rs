//! Reading documents from a snapshot.

use super::layout::{
    BadRow, DOCUMENTS, FIELDS, FLOORS, decode_document, decode_field, document_id, document_key,
    field_bounds, split_field_key,
};
use crate::contract::{Loaded, Page, StoredDocument};
use lockkeeper_core::ResourceId;
use redb::ReadTransaction;

/// Documents of one page at most; a caller that asks for more gets a shorter page.
pub const PAGE_MAX_DOCUMENTS: usize = 4096;
/// A page that reached this many bytes of records ends.
pub const PAGE_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Why a snapshot could not be read.
#[derive(Debug)]
pub(super) enum ReadError {
    Redb(redb::Error),
    Row(BadRow),
}

impl<E: Into<redb::Error>> From<E> for ReadError {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

pub(super) fn load(txn: &ReadTransaction, id: ResourceId) -> Result<Loaded, ReadError> {
    let floor = txn.open_table(FLOORS)?.get(id.partition().0)?.map_or(0, |guard| guard.value());
    let documents = txn.open_table(DOCUMENTS)?;
    let key = document_key(id);
    let Some(row) = documents.get(&key)? else {
        return Ok(Loaded { document: None, floor });
    };
    let row = decode_document(&key, row.value()).map_err(ReadError::Row)?.into_owned(id);
    let (first, last) = field_bounds(id);
    let fields = txn.open_table(FIELDS)?;
    let mut reader = FieldReader { rows: fields.range::<&[u8; 17]>(&first..=&last)?, next: None };
    Ok(Loaded { document: Some(reader.complete(row)?), floor })
}

pub(super) fn list(txn: &ReadTransaction, from: Option<ResourceId>, limit: usize) -> Result<Page, ReadError> {
    let limit = limit.clamp(1, PAGE_MAX_DOCUMENTS);
    let from = from.unwrap_or(ResourceId(0));
    let documents = txn.open_table(DOCUMENTS)?;
    let fields = txn.open_table(FIELDS)?;
    // Both tables are in the order of ids, so one pass over each is enough.
    let mut reader = FieldReader { rows: fields.range::<&[u8; 17]>(&field_bounds(from).0..)?, next: None };
    let mut page = Page::default();
    let mut bytes = 0;
    for row in documents.range::<&[u8; 8]>(&document_key(from)..)? {
        let (key, row) = row?;
        let id = document_id(key.value());
        if page.documents.len() == limit || bytes >= PAGE_MAX_BYTES {
            page.next = Some(id);
            break;
        }
        let row = decode_document(key.value(), row.value()).map_err(ReadError::Row)?.into_owned(id);
        let document = reader.complete(row)?;
        bytes += document.header.len() + document.fields.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        page.documents.push(document);
    }
    Ok(page)
}

/// A document whose fields have not been read.
struct Headed {
    document: StoredDocument,
    field_count: u32,
}

impl super::layout::DocumentRow<'_> {
    fn into_owned(self, id: ResourceId) -> Headed {
        let document =
            StoredDocument { id, version: self.version, header: self.header.to_vec(), fields: Vec::new() };
        Headed { document, field_count: self.field_count }
    }
}

type FieldRow = (lockkeeper_core::Field, Vec<u8>);

/// Walks over the fields of one document after another.
struct FieldReader<'a> {
    rows: redb::Range<'a, &'static [u8; 17], &'static [u8]>,
    /// The first row that belongs to a later document.
    next: Option<(ResourceId, FieldRow)>,
}

impl FieldReader<'_> {
    /// Reads the fields of a document, which must be exactly as many as it has.
    fn complete(&mut self, headed: Headed) -> Result<StoredDocument, ReadError> {
        let Headed { mut document, field_count } = headed;
        let wrong = |what: &str| {
            ReadError::Row(BadRow(format!("document {} has {what} than its row says", document.id)))
        };
        document.fields.reserve_exact((field_count as usize).min(PAGE_MAX_DOCUMENTS));
        while let Some((id, field)) = self.take()? {
            match id.cmp(&document.id) {
                std::cmp::Ordering::Less => {
                    return Err(ReadError::Row(BadRow(format!("a field belongs to no document ({id})"))));
                }
                std::cmp::Ordering::Equal if document.fields.len() == field_count as usize => {
                    return Err(wrong("more fields"));
                }
                std::cmp::Ordering::Equal => document.fields.push(field),
                std::cmp::Ordering::Greater => {
                    self.next = Some((id, field));
                    break;
                }
            }
        }
        if document.fields.len() < field_count as usize {
            return Err(wrong("fewer fields"));
        }
        Ok(document)
    }

    fn take(&mut self) -> Result<Option<(ResourceId, FieldRow)>, ReadError> {
        if let Some(next) = self.next.take() {
            return Ok(Some(next));
        }
        let Some(row) = self.rows.next() else { return Ok(None) };
        let (key, row) = row?;
        let (id, field) = split_field_key(key.value()).map_err(ReadError::Row)?;
        let bytes = decode_field(key.value(), row.value()).map_err(ReadError::Row)?.to_vec();
        Ok(Some((id, (field, bytes))))
    }
}
