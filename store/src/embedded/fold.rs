//! Folding: what the overlay holds is moved into the documents' table, in the order of ids, by a
//! cursor that goes round and round.
//!
//! Neighbours fold together, so that they share pages, and all changes of a document since its last
//! fold are one. When the cursor has been through everything, the journal up to the beginning of
//! that round is not needed any more.

use super::journal::{Journal, RowBuilder};
use super::layout::{
    DocumentRow, JOURNAL, META, META_LAST_TIME, RECORDS, RecordKey, decode_document, document_key,
    encode_document, encode_field, field_key, last_key,
};
use super::overlay::{Change, Folded, Overlay, Pending, field_bytes};
use lockkeeper_core::ResourceId;
use redb::{ReadableTable, Table, WriteTransaction};
use std::time::Duration;

/// Documents in the overlay from which on commits fold as well.
const OVERLAY_DOCUMENTS: usize = 4 * 1024;
/// Bytes of the overlay from which on commits fold as well.
const OVERLAY_BYTES: usize = 3 * 1024 * 1024;
/// Bytes of the journal, since the cursor's round began, from which on commits fold as well: the
/// same few documents may change for hours.
const JOURNAL_BYTES: usize = 4 * 1024 * 1024;
/// An overlay this many times over a limit is folded until rows *and* bytes are on the way down.
const HARD_FACTOR: usize = 4;
/// Rows folded for each two committed. A row committed is at most one more in the overlay, so this
/// shrinks it under any load; not much more, so that commits beside a fold are not much slower.
const ROWS_PER_TWO_ROWS: usize = 3;
/// Rows that every fold may take in any case.
const FOLD_MIN_ROWS: usize = 32;
/// Bytes that every fold may take in any case.
const FOLD_MIN_BYTES: usize = 16 * 1024;
/// Rows of one transaction that does nothing but fold: a commit that comes then waits for it.
const CHUNK_ROWS: usize = 1024;
/// Bytes of one transaction that does nothing but fold.
const CHUNK_BYTES: usize = 256 * 1024;
/// Journal rows such a transaction removes.
const CHUNK_JOURNAL_ROWS: usize = 64;
/// Journal rows that a transaction with commits removes, while it appends one.
pub(super) const JOURNAL_ROWS_PER_ROW: usize = 4;
/// The writer folds by itself when nothing was asked of it for so long.
const IDLE: Duration = Duration::from_millis(200);

/// When to fold. Tests make it smaller.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoldLimits {
    pub(super) documents: usize,
    pub(super) bytes: usize,
    pub(super) journal_bytes: usize,
    pub(super) chunk_rows: usize,
    pub(super) idle: Duration,
}

impl Default for FoldLimits {
    fn default() -> Self {
        Self {
            documents: OVERLAY_DOCUMENTS,
            bytes: OVERLAY_BYTES,
            journal_bytes: JOURNAL_BYTES,
            chunk_rows: CHUNK_ROWS,
            idle: IDLE,
        }
    }
}

/// How much one transaction folds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    rows: usize,
    bytes: usize,
    /// Whether to go on until both are used up; otherwise one is enough.
    both: bool,
}

impl Budget {
    fn is_left(&self) -> bool {
        if self.both { self.rows > 0 || self.bytes > 0 } else { self.rows > 0 && self.bytes > 0 }
    }

    fn use_up(&mut self, rows: usize, bytes: usize) {
        self.rows = self.rows.saturating_sub(rows);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

type Records<'txn> = Table<'txn, &'static RecordKey, &'static [u8]>;

/// The cursor and its rules; the writer's.
#[derive(Debug)]
pub(super) struct Fold {
    pub(super) limits: FoldLimits,
    /// Where to go on.
    cursor: ResourceId,
    /// The last document that was there when the round began. Without it ids that only grow would
    /// keep the cursor from ever coming round.
    last: ResourceId,
    /// Whether the last run could fold nothing of what is there.
    pub(super) stuck: bool,
    /// Rows are put together here.
    row: Vec<u8>,
}

impl Fold {
    pub(super) fn new(limits: FoldLimits) -> Self {
        Self { limits, cursor: ResourceId(0), last: ResourceId(0), stuck: false, row: Vec::new() }
    }

    /// What a transaction folds beside committing this many rows and bytes; `None` while there is
    /// room.
    pub(super) fn beside(
        &self,
        overlay: &Overlay,
        journal: &Journal,
        rows: usize,
        bytes: usize,
    ) -> Option<Budget> {
        let FoldLimits { documents, bytes: most, journal_bytes, .. } = self.limits;
        let over = |factor: usize| {
            overlay.len() > documents.saturating_mul(factor) || overlay.bytes() > most.saturating_mul(factor)
        };
        (over(1) || journal.cycle_bytes > journal_bytes).then(|| Budget {
            rows: rows * ROWS_PER_TWO_ROWS / 2 + FOLD_MIN_ROWS,
            bytes: bytes * ROWS_PER_TWO_ROWS / 2 + FOLD_MIN_BYTES,
            both: over(HARD_FACTOR),
        })
    }

    /// Folds as much as the budget allows. When the transaction is durable, what is returned must
    /// be taken out of the overlay.
    pub(super) fn run(
        &mut self,
        overlay: &Overlay,
        journal: &mut Journal,
        records: &mut Records<'_>,
        carried: &mut RowBuilder,
        mut budget: Budget,
    ) -> Result<Vec<(ResourceId, Folded)>, redb::Error> {
        let mut folded = Vec::new();
        let whole_round = self.cursor == ResourceId(0);
        if whole_round {
            self.last = overlay.last().unwrap_or(ResourceId(0));
        }
        let last = self.last;
        for (id, pending) in overlay.from(self.cursor).take_while(|(id, _)| *id <= last) {
            if !budget.is_left() {
                self.cursor = id;
                return Ok(folded);
            }
            match self.document(records, id, pending, &mut budget)? {
                Some(Folded::All) => folded.push((id, Folded::All)),
                Some(part) => {
                    folded.push((id, part));
                    self.cursor = id;
                    return Ok(folded);
                }
                // It stays in the overlay, where it can be read no less than before. Written anew,
                // it does not keep the rest of the journal from being removed.
                None => {
                    tracing::error!(document = %id, "a stored document is damaged: its changes stay in the journal");
                    let fields = pending.fields.iter().map(|(field, record)| (*field, record.as_deref()));
                    let next = pending.next.as_ref().map(|next| (next.version, next.bytes.as_slice()));
                    carried.push(id, pending.whole, next, fields);
                    budget.use_up(pending.rows(), 0);
                }
            }
        }
        self.cursor = ResourceId(0);
        self.stuck = whole_round && folded.is_empty() && !overlay.is_empty();
        journal.cycle_completed();
        Ok(folded)
    }

    /// A transaction that does nothing but fold a chunk and shorten the journal; the caller commits
    /// it.
    pub(super) fn alone(
        &mut self,
        txn: &WriteTransaction,
        overlay: &Overlay,
        journal: &mut Journal,
        row: &mut RowBuilder,
        stamp: u64,
    ) -> Result<Vec<(ResourceId, Folded)>, redb::Error> {
        row.clear();
        let budget = Budget { rows: self.limits.chunk_rows, bytes: CHUNK_BYTES, both: false };
        let folded = self.run(overlay, journal, &mut txn.open_table(RECORDS)?, row, budget)?;
        let mut table = txn.open_table(JOURNAL)?;
        if !row.is_empty() {
            journal.append(&mut table, row)?;
        }
        journal.truncate(&mut table, CHUNK_JOURNAL_ROWS)?;
        txn.open_table(META)?.insert(META_LAST_TIME, stamp)?;
        Ok(folded)
    }

    /// After a transaction became durable: takes what it folded out of the overlay, then puts in
    /// what it appended to the journal. In this order, since what was folded was older.
    pub(super) fn publish(
        &mut self,
        overlay: &mut Overlay,
        journal: &mut Journal,
        folded: Vec<(ResourceId, Folded)>,
        changes: impl Iterator<Item = (ResourceId, Change)>,
    ) {
        folded.into_iter().for_each(|(id, folded)| overlay.forget(id, folded));
        for (id, change) in changes {
            overlay.apply(id, change);
            self.stuck = false;
        }
        if overlay.is_empty() {
            self.cursor = ResourceId(0);
            journal.all_folded();
        }
    }

    /// Whether nothing is left to fold or to remove.
    pub(super) fn is_done(&self, overlay: &Overlay, journal: &Journal) -> bool {
        (overlay.is_empty() || self.stuck) && journal.first >= journal.folded
    }

    /// Folds one document or a part of it; `None`: what is stored of it is damaged.
    fn document(
        &mut self,
        records: &mut Records<'_>,
        id: ResourceId,
        pending: &Pending,
        budget: &mut Budget,
    ) -> Result<Option<Folded>, redb::Error> {
        let key = document_key(id);
        let stored = records
            .get(&key)?
            .map(|row| decode_document(&key, row.value()).map(|document| document.field_count));
        if pending.whole && stored.is_some() {
            records.retain_in::<&RecordKey, _>(&key..=&last_key(id), |_, _| false)?;
        }
        let Some(next) = &pending.next else {
            budget.use_up(1, 0);
            return Ok(Some(Folded::All));
        };
        let mut field_count = match stored {
            _ if pending.whole => 0,
            Some(Ok(field_count)) => field_count,
            Some(Err(_)) | None => return Ok(None),
        };
        budget.use_up(1, next.bytes.len());
        let mut done = 0;
        for change in &pending.fields {
            // At least one, so that a cursor that stays here comes to an end.
            if done > 0 && !budget.is_left() {
                break;
            }
            let (field, record) = change;
            let key = field_key(id, *field);
            match record {
                Some(record) => {
                    encode_field(&mut self.row, &key, record);
                    field_count += u32::from(records.insert(&key, self.row.as_slice())?.is_none());
                }
                None => field_count -= u32::from(records.remove(&key)?.is_some()).min(field_count),
            }
            budget.use_up(1, field_bytes(change));
            done += 1;
        }
        let row = DocumentRow { version: next.version, field_count, header: &next.bytes };
        encode_document(&mut self.row, &key, &row);
        records.insert(&key, self.row.as_slice())?;
        Ok(Some(if done == pending.fields.len() { Folded::All } else { Folded::Fields(done) }))
    }
}
