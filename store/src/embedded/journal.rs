//! The journal: one row for each transaction with commits, appended at the end, so that a commit
//! dirties no page of the documents' tree. Rows hold absolute values; reading them again on top of
//! documents that have them already changes nothing.

use super::layout::{BadRow, be_u32, be_u64, checksum};
use super::overlay::{Change, Overlay};
use lockkeeper_core::{Field, FieldKind, Header, ResourceId, Version};
use redb::{ReadableTable, Table};

/// The length of a field's record that stands for "removed".
const REMOVED: u32 = u32::MAX;
/// The flag of a change that describes its document wholly: whatever was there before is void.
const WHOLE: u8 = 1;
/// The flag of a change that deletes its document.
const DELETED: u8 = 2;
/// The buffer for rows is given back to the system when one row needed more than this.
const ROW_KEEP_BYTES: usize = 1024 * 1024;

/// Which rows there are, and which are still needed. Only the writer has it; after a failed
/// transaction it is read from the file again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Journal {
    /// The first row that is there; `next` if there is none.
    pub(super) first: u64,
    /// The row the next transaction appends.
    pub(super) next: u64,
    /// All that rows before this one hold has been folded: they may go.
    pub(super) folded: u64,
    /// Where the current cycle of the fold began.
    cycle_start: u64,
    /// Bytes of the rows appended since then.
    pub(super) cycle_bytes: usize,
}

impl Journal {
    /// Reads all rows in their order into an overlay.
    pub(super) fn replay(
        table: &impl ReadableTable<u64, &'static [u8]>,
    ) -> Result<Result<(Self, Overlay), BadRow>, redb::Error> {
        let mut overlay = Overlay::default();
        let mut journal = Self::default();
        for row in table.range::<u64>(..)? {
            let (key, row) = row?;
            let (key, row) = (key.value(), row.value());
            if journal.first == journal.next {
                (journal.first, journal.next) = (key, key);
            }
            if key != journal.next || key == u64::MAX {
                return Ok(Err(BadRow(format!("row {} of the journal is missing", journal.next))));
            }
            journal.next += 1;
            journal.cycle_bytes += row.len();
            match decode(key, row) {
                Ok(changes) => changes.into_iter().for_each(|(id, change)| overlay.apply(id, change)),
                Err(bad) => return Ok(Err(bad)),
            }
        }
        journal.folded = journal.first;
        journal.cycle_start = journal.next;
        Ok(Ok((journal, overlay)))
    }

    /// Appends a row with the changes that `row` has collected.
    pub(super) fn append(
        &mut self,
        table: &mut Table<'_, u64, &'static [u8]>,
        row: &mut RowBuilder,
    ) -> Result<(), redb::Error> {
        let bytes = row.finish(self.next);
        table.insert(self.next, bytes)?;
        self.cycle_bytes += bytes.len();
        self.next += 1;
        Ok(())
    }

    /// The fold has gone through the whole overlay: what was there when it began is folded. The row
    /// of the present transaction is not appended yet.
    pub(super) fn cycle_completed(&mut self) {
        self.folded = self.cycle_start;
        self.cycle_start = self.next;
        self.cycle_bytes = 0;
    }

    /// The overlay is empty: every row is folded.
    pub(super) fn all_folded(&mut self) {
        self.folded = self.next;
        self.cycle_start = self.next;
        self.cycle_bytes = 0;
    }

    /// Removes folded rows, at most `limit`: each is a page to read and to free, so they go a few
    /// at a time.
    pub(super) fn truncate(
        &mut self,
        table: &mut Table<'_, u64, &'static [u8]>,
        limit: usize,
    ) -> Result<(), redb::Error> {
        for _ in 0..limit {
            if self.first >= self.folded {
                break;
            }
            table.remove(self.first)?;
            self.first += 1;
        }
        Ok(())
    }
}

/// Puts a row together.
#[derive(Debug, Default)]
pub(super) struct RowBuilder {
    bytes: Vec<u8>,
}

impl RowBuilder {
    /// Forgets what was collected.
    pub(super) fn clear(&mut self) {
        if self.bytes.capacity() > ROW_KEEP_BYTES {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        // Room for the checksum.
        self.bytes.extend_from_slice(&[0; 4]);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.len() <= 4
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a document's change: its new header (`None`: it is deleted) and fields.
    pub(super) fn push<'a>(
        &mut self,
        id: ResourceId,
        whole: bool,
        next: Option<(Version, &[u8])>,
        fields: impl ExactSizeIterator<Item = (Field, Option<&'a [u8]>)>,
    ) {
        let out = &mut self.bytes;
        out.extend_from_slice(&id.0.to_be_bytes());
        let Some((version, header)) = next else {
            out.push(WHOLE | DELETED);
            return;
        };
        out.push(if whole { WHOLE } else { 0 });
        out.extend_from_slice(&version.generation.to_be_bytes());
        out.extend_from_slice(&version.counter.to_be_bytes());
        out.extend_from_slice(&(header.len() as u32).to_be_bytes());
        out.extend_from_slice(header);
        out.extend_from_slice(&(fields.len() as u32).to_be_bytes());
        for (field, record) in fields {
            out.push(field.kind as u8);
            out.extend_from_slice(&field.seq.to_be_bytes());
            match record {
                Some(record) => {
                    out.extend_from_slice(&(record.len() as u32).to_be_bytes());
                    out.extend_from_slice(record);
                }
                None => out.extend_from_slice(&REMOVED.to_be_bytes()),
            }
        }
    }

    fn finish(&mut self, key: u64) -> &[u8] {
        let sum = checksum(&[&key.to_be_bytes(), &self.bytes[4..]]);
        self.bytes[..4].copy_from_slice(&sum.to_be_bytes());
        &self.bytes
    }
}

/// Reads a row back.
fn decode(key: u64, row: &[u8]) -> Result<Vec<(ResourceId, Change)>, BadRow> {
    let bad = |what| BadRow(format!("row {key} of the journal {what}"));
    let (sum, body) = row.split_at_checked(4).ok_or_else(|| bad("is too short"))?;
    if checksum(&[&key.to_be_bytes(), body]) != be_u32(sum) {
        return Err(bad("does not match its checksum"));
    }
    let mut reader = Reader { rest: body };
    let mut changes = Vec::new();
    while !reader.rest.is_empty() {
        changes.push(reader.change().ok_or_else(|| bad("cannot be understood"))?);
    }
    Ok(changes)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8).map(be_u64)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4).map(be_u32)
    }

    fn change(&mut self) -> Option<(ResourceId, Change)> {
        let id = ResourceId(self.u64()?);
        let flags = self.take(1)?[0];
        if flags == WHOLE | DELETED {
            return Some((id, Change { whole: true, next: None, fields: Vec::new() }));
        }
        if flags & !WHOLE != 0 {
            return None;
        }
        let version = Version { generation: self.u64()?, counter: self.u64()? };
        let header = self.u32()? as usize;
        let bytes = self.take(header)?.to_vec();
        let count = self.u32()? as usize;
        // Not reserved by a number that may be nonsense; 13 bytes are the least a field takes.
        let mut fields = Vec::with_capacity(count.min(self.rest.len() / 13));
        for _ in 0..count {
            let kind = FieldKind::from_u8(self.take(1)?[0])?;
            let seq = self.u64()?;
            let record = match self.u32()? {
                REMOVED => None,
                bytes => Some(self.take(bytes as usize)?.to_vec()),
            };
            fields.push((Field { kind, seq }, record));
        }
        let next = Some(Header { version, bytes });
        Some((id, Change { whole: flags == WHOLE, next, fields }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_back_and_every_flipped_bit_is_noticed() {
        let version = Version { generation: 3, counter: 9 };
        let field = |seq| Field { kind: FieldKind::Ticket, seq };
        let mut row = RowBuilder::default();
        row.clear();
        assert!(row.is_empty());
        let fields = [(field(1), Some(&b"one"[..])), (field(2), None), (field(3), Some(&b""[..]))];
        row.push(ResourceId(7), false, Some((version, b"header")), fields.into_iter());
        row.push(ResourceId(8), true, Some((version, b"")), std::iter::empty());
        row.push(ResourceId(9), false, None, std::iter::empty());
        let mut bytes = row.finish(5).to_vec();
        let changes = decode(5, &bytes).unwrap();
        let header = |bytes: &[u8]| Some(Header { version, bytes: bytes.to_vec() });
        let fields = vec![(field(1), Some(b"one".to_vec())), (field(2), None), (field(3), Some(Vec::new()))];
        assert_eq!(
            changes,
            [
                (ResourceId(7), Change { whole: false, next: header(b"header"), fields }),
                (ResourceId(8), Change { whole: true, next: header(b""), fields: vec![] }),
                (ResourceId(9), Change { whole: true, next: None, fields: vec![] }),
            ]
        );
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(5, &bytes).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(decode(6, &bytes).is_err(), "a row that strayed");
        for length in 0..bytes.len() {
            assert!(decode(5, &bytes[..length]).is_err(), "cut to {length}");
        }
    }
}
