//! What the journal holds and the documents' table not yet, in memory: shared by the writer, which
//! alone changes it, and the readers, which look through it at the table.
//!
//! Values are absolute. So an entry may stay or go at any time after its fold is durable: a reader
//! sees the same either way.

use lockkeeper_core::{Delta, Field, Header, ResourceId, Version};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What an entry costs beside its records: map slot, counters, header and list of fields.
const ENTRY_BYTES: usize = 176;
/// What a field costs beside its record.
const FIELD_BYTES: usize = size_of::<FieldChange>();
/// From this many on, fields are sorted in together, not one by one.
const SORT_FROM: usize = 8;

type FieldChange = (Field, Option<Vec<u8>>);

/// A document's change, as the journal has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Whether it describes the document wholly: the document was made or deleted.
    pub(super) whole: bool,
    /// The new header; `None`: deleted.
    pub(super) next: Option<Header>,
    /// Fields put (`Some`) or removed.
    pub(super) fields: Vec<FieldChange>,
}

impl From<Delta> for Change {
    fn from(delta: Delta) -> Self {
        let whole = is_whole(&delta);
        Self { whole, next: delta.next, fields: delta.fields }
    }
}

/// Whether after this change nothing is left of what was stored before.
pub(super) fn is_whole(delta: &Delta) -> bool {
    delta.expected.is_none() || delta.next.is_none()
}

/// All changes of one document that are not folded yet, as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    /// Whether what the table has of the document is void.
    pub(super) whole: bool,
    /// Version and header; `None`: deleted.
    pub(super) next: Option<Header>,
    /// Fields put (`Some`) or removed, in their order, each once.
    pub(super) fields: Vec<FieldChange>,
}

impl Pending {
    fn new(change: Change) -> Self {
        let mut pending = Self { whole: change.whole, next: change.next, fields: Vec::new() };
        pending.put(change.fields);
        pending
    }

    fn put(&mut self, fields: Vec<FieldChange>) {
        if fields.len() < SORT_FROM {
            fields.into_iter().for_each(|field| self.put_one(field));
        } else {
            self.fields.extend(fields);
            self.fields.sort_by_key(|(field, _)| *field);
            // The sort is stable, so of several the last counts. `dedup_by` gives the later first
            // and removes it.
            self.fields.dedup_by(|later, kept| {
                let same = later.0 == kept.0;
                if same {
                    std::mem::swap(later, kept);
                }
                same
            });
        }
        if self.whole {
            // Where nothing shines through, a removed field need not be remembered.
            self.fields.retain(|(_, record)| record.is_some());
        }
    }

    fn put_one(&mut self, change: FieldChange) {
        // Sequence numbers grow, so most belong at the end.
        if self.fields.last().is_none_or(|(last, _)| *last < change.0) {
            self.fields.push(change);
            return;
        }
        match self.fields.binary_search_by_key(&change.0, |(field, _)| *field) {
            Ok(at) => self.fields[at] = change,
            Err(at) => self.fields.insert(at, change),
        }
    }

    pub(super) fn version(&self) -> Option<Version> {
        self.next.as_ref().map(|next| next.version)
    }

    /// Rows of the table that this changes.
    pub(super) fn rows(&self) -> usize {
        1 + self.fields.len()
    }

    /// Memory it takes, about.
    fn bytes(&self) -> usize {
        let header = self.next.as_ref().map_or(0, |next| next.bytes.capacity());
        ENTRY_BYTES + header + self.fields.iter().map(field_bytes).sum::<usize>()
    }
}

pub(super) fn field_bytes((_, record): &FieldChange) -> usize {
    FIELD_BYTES + record.as_ref().map_or(0, Vec::capacity)
}

/// How much of a document has been folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folded {
    /// Everything.
    All,
    /// Its header and this many fields from the front.
    Fields(usize),
}

/// All that is not folded yet.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    documents: BTreeMap<ResourceId, Arc<Pending>>,
    bytes: usize,
}

impl Overlay {
    pub(super) fn get(&self, id: ResourceId) -> Option<&Arc<Pending>> {
        self.documents.get(&id)
    }

    pub(super) fn from(&self, id: ResourceId) -> impl Iterator<Item = (ResourceId, &Arc<Pending>)> {
        self.documents.range(id..).map(|(id, pending)| (*id, pending))
    }

    pub(super) fn last(&self) -> Option<ResourceId> {
        self.documents.last_key_value().map(|(id, _)| *id)
    }

    pub(super) fn len(&self) -> usize {
        self.documents.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a change that is durable in the journal.
    pub(super) fn apply(&mut self, id: ResourceId, change: Change) {
        use std::collections::btree_map::Entry;
        match self.documents.entry(id) {
            Entry::Vacant(entry) => {
                let pending = Pending::new(change);
                self.bytes += pending.bytes();
                entry.insert(Arc::new(pending));
            }
            Entry::Occupied(mut entry) => {
                let pending = Arc::make_mut(entry.get_mut());
                self.bytes -= pending.bytes();
                if change.whole {
                    *pending = Pending::new(change);
                } else {
                    pending.next = change.next;
                    pending.put(change.fields);
                }
                self.bytes += pending.bytes();
            }
        }
    }

    /// Lets go of what is durable in the table.
    pub(super) fn forget(&mut self, id: ResourceId, folded: Folded) {
        let Some(pending) = self.documents.get_mut(&id) else { return };
        self.bytes -= pending.bytes();
        match folded {
            Folded::All => drop(self.documents.remove(&id)),
            Folded::Fields(count) => {
                let pending = Arc::make_mut(pending);
                pending.fields.drain(..count);
                // The table now has what was made void and made anew.
                pending.whole = false;
                self.bytes += pending.bytes();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_core::FieldKind;

    const ID: ResourceId = ResourceId(1);

    fn field(seq: u64, record: Option<&[u8]>) -> FieldChange {
        (Field { kind: FieldKind::Ticket, seq }, record.map(<[u8]>::to_vec))
    }

    fn change(whole: bool, counter: u64, fields: Vec<FieldChange>) -> Change {
        let version = Version { generation: 0, counter };
        Change { whole, next: Some(Header { version, bytes: vec![1] }), fields }
    }

    #[test]
    fn changes_of_a_document_become_one() {
        let mut overlay = Overlay::default();
        overlay.apply(ID, change(true, 1, vec![field(2, Some(b"a")), field(1, Some(b"b"))]));
        overlay.apply(ID, change(false, 2, vec![field(2, None), field(3, Some(b"c"))]));
        let pending = overlay.get(ID).unwrap();
        assert_eq!(pending.fields, [field(1, Some(b"b")), field(3, Some(b"c"))]);
        assert_eq!(pending.version().unwrap().counter, 2);
        overlay.apply(ID, Change { whole: true, next: None, fields: vec![] });
        let pending = overlay.get(ID).unwrap();
        assert_eq!((pending.version(), pending.fields.len(), pending.rows()), (None, 0, 1));
        overlay.forget(ID, Folded::All);
        assert_eq!((overlay.len(), overlay.bytes()), (0, 0));
    }

    #[test]
    fn a_change_on_top_of_the_table_remembers_removals() {
        let mut overlay = Overlay::default();
        overlay.apply(ID, change(false, 2, vec![field(9, None)]));
        assert_eq!(overlay.get(ID).unwrap().fields, [field(9, None)]);
        overlay.forget(ID, Folded::Fields(1));
        assert_eq!(overlay.get(ID).unwrap().fields, []);
    }

    #[test]
    fn many_fields_at_once_are_as_one_by_one() {
        let numbers: Vec<u64> = (0..100).map(|number| number * 37 % 61).collect();
        let record = |at: usize| [at as u8];
        let all: Vec<_> =
            numbers.iter().enumerate().map(|(at, seq)| field(*seq, Some(&record(at)))).collect();
        let (mut together, mut singly) = (Overlay::default(), Overlay::default());
        together.apply(ID, change(true, 1, all.clone()));
        singly.apply(ID, change(true, 1, vec![]));
        for one in all {
            singly.apply(ID, change(false, 1, vec![one]));
        }
        assert_eq!(together.get(ID), singly.get(ID));
        assert_eq!(together.bytes(), singly.bytes());
    }
}
