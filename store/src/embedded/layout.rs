//! The tables of the file and the bytes in them. `docs/file-format.md` is the same in prose: keep
//! them in step, and raise [`FORMAT`] with every change that an older program would misread.

use lockkeeper_core::{Field, FieldKind, ResourceId, Version};
use redb::TableDefinition;

/// The format this program writes, and the newest it reads.
pub const FORMAT: u64 = 1;
/// The database's name in the data directory.
pub const DATA_FILE: &str = "lockkeeper.redb";

pub(super) type DocumentKey = [u8; 8];
pub(super) type FieldKey = [u8; 17];

/// Document rows by resource id, so the order of keys is the order of ids.
pub(super) const DOCUMENTS: TableDefinition<'static, &DocumentKey, &[u8]> = TableDefinition::new("documents");
/// Field rows by resource id, kind, sequence number.
pub(super) const FIELDS: TableDefinition<'static, &FieldKey, &[u8]> = TableDefinition::new("fields");
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

pub(super) const fn document_key(id: ResourceId) -> DocumentKey {
    id.0.to_be_bytes()
}

pub(super) const fn document_id(key: &DocumentKey) -> ResourceId {
    ResourceId(u64::from_be_bytes(*key))
}

pub(super) fn field_key(id: ResourceId, field: Field) -> FieldKey {
    raw_field_key(id, field.kind as u8, field.seq)
}

/// The smallest and largest key a field of this document can have.
pub(super) fn field_bounds(id: ResourceId) -> (FieldKey, FieldKey) {
    (raw_field_key(id, 0, 0), raw_field_key(id, u8::MAX, u64::MAX))
}

fn raw_field_key(id: ResourceId, kind: u8, seq: u64) -> FieldKey {
    let mut key = [0; 17];
    key[..8].copy_from_slice(&id.0.to_be_bytes());
    key[8] = kind;
    key[9..].copy_from_slice(&seq.to_be_bytes());
    key
}

pub(super) fn split_field_key(key: &FieldKey) -> Result<(ResourceId, Field), BadRow> {
    let id = ResourceId(be_u64(&key[..8]));
    let kind = FieldKind::from_u8(key[8])
        .ok_or_else(|| BadRow(format!("document {id} has a field of the unknown kind {}", key[8])))?;
    Ok((id, Field { kind, seq: be_u64(&key[9..]) }))
}

/// Writes a document row into `row`, replacing what was there.
pub(super) fn encode_document(row: &mut Vec<u8>, key: &DocumentKey, document: &DocumentRow<'_>) {
    row.clear();
    row.extend_from_slice(&document.version.generation.to_be_bytes());
    row.extend_from_slice(&document.version.counter.to_be_bytes());
    row.extend_from_slice(&document.field_count.to_be_bytes());
    let sum = checksum(&[key, row, document.header]);
    row.extend_from_slice(&sum.to_be_bytes());
    row.extend_from_slice(document.header);
}

pub(super) fn decode_document<'a>(key: &DocumentKey, row: &'a [u8]) -> Result<DocumentRow<'a>, BadRow> {
    let bad = |what| BadRow(format!("the row of document {} {what}", document_id(key)));
    let (head, header) = row.split_at_checked(DOCUMENT_HEAD_BYTES).ok_or_else(|| bad("is too short"))?;
    if checksum(&[key, &head[..20], header]) != be_u32(&head[20..]) {
        return Err(bad("does not match its checksum"));
    }
    let version = Version { generation: be_u64(&head[..8]), counter: be_u64(&head[8..16]) };
    Ok(DocumentRow { version, field_count: be_u32(&head[16..20]), header })
}

/// Writes a field row into `row`, replacing what was there.
pub(super) fn encode_field(row: &mut Vec<u8>, key: &FieldKey, bytes: &[u8]) {
    row.clear();
    row.extend_from_slice(&checksum(&[key, bytes]).to_be_bytes());
    row.extend_from_slice(bytes);
}

pub(super) fn decode_field<'a>(key: &FieldKey, row: &'a [u8]) -> Result<&'a [u8], BadRow> {
    match row.split_at_checked(FIELD_HEAD_BYTES) {
        Some((sum, bytes)) if checksum(&[key, bytes]) == be_u32(sum) => Ok(bytes),
        _ => Err(BadRow(format!(
            "a field of document {} does not match its checksum",
            ResourceId(be_u64(&key[..8]))
        ))),
    }
}

/// CRC-32 (IEEE) of the parts, one after another. redb checks its pages only while opening: this
/// is for what goes bad later. The key is part of it, so a row that strayed is noticed.
fn checksum(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

fn be_u64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn be_u32(bytes: &[u8]) -> u32 {
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
        assert!(document_key(low) < document_key(high));
        let field = Field { kind: FieldKind::Ticket, seq: 256 };
        let key = field_key(low, field);
        let (first, last) = field_bounds(low);
        assert!(first < key && key < last && last < field_bounds(high).0);
        assert!(field_key(low, Field { seq: 255, ..field }) < key);
        assert_eq!(split_field_key(&key).unwrap(), (low, field));
        let mut row = Vec::new();
        encode_field(&mut row, &key, b"bytes");
        assert_eq!(decode_field(&key, &row).unwrap(), b"bytes");
        assert!(decode_field(&first, &row).is_err());
    }
}
