//! The tables of the file and the bytes in them. `docs/file-format.md` is the same in prose: keep
//! them in step, and raise [`FORMAT`] with every change that an older program would misread.

use lockkeeper_core::{Field, FieldKind, ResourceId, Version};
use redb::TableDefinition;

/// The format this program writes, and the newest it reads.
pub const FORMAT: u64 = 1;
/// The database's name in the data directory.
pub const DATA_FILE: &str = "lockkeeper.redb";

/// Resource id, kind, sequence number: all of a document lies together, its own row first.
pub(super) type RecordKey = [u8; 17];

/// Documents and their fields.
pub(super) const RECORDS: TableDefinition<'static, &RecordKey, &[u8]> = TableDefinition::new("records");
/// Changes that may not be in [`RECORDS`] yet, by transaction; see `journal.rs`.
pub(super) const JOURNAL: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("journal");
/// Token floors by partition.
pub(super) const FLOORS: TableDefinition<'static, u8, u64> = TableDefinition::new("floors");
/// Numbers about the file as a whole.
pub(super) const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");

/// `meta`: the format version.
pub(super) const META_FORMAT: &str = "format";
/// `meta`: the store's time of the last transaction, microseconds; grows with every transaction,
/// and so tells after a failed one whether it happened.
pub(super) const META_LAST_TIME: &str = "last_time";
/// `meta`: when the file was made, microseconds of wall time.
pub(super) const META_CREATED_AT: &str = "created_at";
/// `meta`: when it was last restored from a backup, microseconds of wall time.
pub(super) const META_RESTORED_AT: &str = "restored_at";

const DOCUMENT_HEAD_BYTES: usize = 24;
const FIELD_HEAD_BYTES: usize = 4;
/// The kind of a document's own row; fields have theirs from 1 on.
const KIND_DOCUMENT: u8 = 0;

/// A row whose checksum or shape is wrong.
#[derive(Debug)]
pub(super) struct BadRow(pub(super) String);

/// What a document row holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DocumentRow<'a> {
    pub(super) version: Version,
    /// How many field rows belong to it.
    pub(super) field_count: u32,
    pub(super) header: &'a [u8],
}

pub(super) fn document_key(id: ResourceId) -> RecordKey {
    raw_key(id, KIND_DOCUMENT, 0)
}

pub(super) fn field_key(id: ResourceId, field: Field) -> RecordKey {
    raw_key(id, field.kind as u8, field.seq)
}

/// The largest key a row of this document can have; the smallest is [`document_key`].
pub(super) fn last_key(id: ResourceId) -> RecordKey {
    raw_key(id, u8::MAX, u64::MAX)
}

fn raw_key(id: ResourceId, kind: u8, seq: u64) -> RecordKey {
    let mut key = [0; 17];
    key[..8].copy_from_slice(&id.0.to_be_bytes());
    key[8] = kind;
    key[9..].copy_from_slice(&seq.to_be_bytes());
    key
}

/// Whose row this is.
pub(super) fn key_id(key: &RecordKey) -> ResourceId {
    ResourceId(be_u64(&key[..8]))
}

/// Which field this row is.
pub(super) fn key_field(key: &RecordKey) -> Result<Field, BadRow> {
    let kind = FieldKind::from_u8(key[8]).ok_or_else(|| {
        BadRow(format!("document {} has a field of the unknown kind {}", key_id(key), key[8]))
    })?;
    Ok(Field { kind, seq: be_u64(&key[9..]) })
}

/// Writes a document row into `row`, replacing what was there.
pub(super) fn encode_document(row: &mut Vec<u8>, key: &RecordKey, document: &DocumentRow<'_>) {
    row.clear();
    row.extend_from_slice(&document.version.generation.to_be_bytes());
    row.extend_from_slice(&document.version.counter.to_be_bytes());
    row.extend_from_slice(&document.field_count.to_be_bytes());
    let sum = checksum(&[key, row, document.header]);
    row.extend_from_slice(&sum.to_be_bytes());
    row.extend_from_slice(document.header);
}

pub(super) fn decode_document<'a>(key: &RecordKey, row: &'a [u8]) -> Result<DocumentRow<'a>, BadRow> {
    let bad = |what| BadRow(format!("the row of document {} {what}", key_id(key)));
    let (head, header) = row.split_at_checked(DOCUMENT_HEAD_BYTES).ok_or_else(|| bad("is too short"))?;
    if checksum(&[key, &head[..20], header]) != be_u32(&head[20..]) {
        return Err(bad("does not match its checksum"));
    }
    let version = Version { generation: be_u64(&head[..8]), counter: be_u64(&head[8..16]) };
    Ok(DocumentRow { version, field_count: be_u32(&head[16..20]), header })
}

/// Writes a field row into `row`, replacing what was there.
pub(super) fn encode_field(row: &mut Vec<u8>, key: &RecordKey, bytes: &[u8]) {
    row.clear();
    row.extend_from_slice(&checksum(&[key, bytes]).to_be_bytes());
    row.extend_from_slice(bytes);
}

pub(super) fn decode_field<'a>(key: &RecordKey, row: &'a [u8]) -> Result<&'a [u8], BadRow> {
    match row.split_at_checked(FIELD_HEAD_BYTES) {
        Some((sum, bytes)) if checksum(&[key, bytes]) == be_u32(sum) => Ok(bytes),
        _ => Err(BadRow(format!("a field of document {} does not match its checksum", key_id(key)))),
    }
}

/// CRC-32 (IEEE) of the parts, one after another. redb checks its pages only while opening: this
/// is for what goes bad later. The key is part of it, so a row that strayed is noticed.
pub(super) fn checksum(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

pub(super) fn be_u64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

pub(super) fn be_u32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_read_back_and_every_flipped_bit_is_noticed() {
        let key = document_key(ResourceId(0x0102_0304_0506_0708));
        let document = DocumentRow {
            version: Version { generation: 7, counter: u64::MAX - 1 },
            field_count: 3,
            header: b"header",
        };
        let mut row = Vec::new();
        encode_document(&mut row, &key, &document);
        // The bytes are a promise to files already written.
        assert_eq!(row[..20], [0, 0, 0, 0, 0, 0, 0, 7, 255, 255, 255, 255, 255, 255, 255, 254, 0, 0, 0, 3]);
        assert_eq!(decode_document(&key, &row).unwrap(), document);
        for bit in 0..row.len() * 8 {
            row[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_document(&key, &row).is_err(), "bit {bit}");
            row[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(decode_document(&document_key(ResourceId(1)), &row).is_err());
        assert!(decode_document(&key, &row[..10]).is_err());
    }

    #[test]
    fn keys_sort_like_what_they_name() {
        let (low, high) = (ResourceId(0x00ff), ResourceId(0x0100));
        let field = Field { kind: FieldKind::Ticket, seq: 256 };
        let key = field_key(low, field);
        let (first, last) = (document_key(low), last_key(low));
        assert!(first < key && key < last && last < document_key(high));
        assert!(field_key(low, Field { seq: 255, ..field }) < key);
        assert_eq!((key_id(&key), key_field(&key).unwrap()), (low, field));
        assert!(key_field(&first).is_err() && key_field(&last).is_err());
        let mut row = Vec::new();
        encode_field(&mut row, &key, b"bytes");
        assert_eq!(decode_field(&key, &row).unwrap(), b"bytes");
        assert!(decode_field(&first, &row).is_err());
    }
}
