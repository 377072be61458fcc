//! Taking over what another instance has committed, and giving back all that a copy knows.

use super::{Damaged, Document};
use crate::cbor;
use crate::delta::{Delta, Field, FieldKind};
use crate::entry::{Ended, Lock, Ticket};
use crate::id::Seq;
use crate::resource::Resource;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What became of a copy that was given a change.
#[derive(Debug)]
pub enum Followed {
    /// It is what the store had after the change. These entries are other ones now.
    Changed(Box<Document>, Vec<Seq>),
    /// The change deleted the document.
    Deleted,
    /// The copy has this change already, or a later one.
    Known,
    /// Changes in between are missing: the copy is behind.
    Gap,
}

impl Document {
    /// A copy (`None`: there was no document) with a change that was committed elsewhere.
    ///
    /// # Errors
    /// When the change cannot be read: the document must be loaded.
    pub fn followed(copy: Option<&Self>, delta: &Delta, floor: u64) -> Result<Followed, Damaged> {
        let version = copy.and_then(|copy| copy.version);
        if version != delta.expected {
            let next = delta.next.as_ref().map(|next| next.version);
            return Ok(match (version, next) {
                (Some(version), Some(next)) if version >= next => Followed::Known,
                (None, None) => Followed::Known,
                _ => Followed::Gap,
            });
        }
        let Some(next) = &delta.next else { return Ok(Followed::Deleted) };
        let Some(copy) = copy.filter(|_| delta.expected.is_some()) else {
            let fields = delta.fields.iter().filter_map(|(field, bytes)| Some((*field, bytes.as_deref()?)));
            let document = Self::from_records(delta.id, next.version, &next.bytes, fields, floor)?;
            let changed = entries_of(delta);
            return Ok(Followed::Changed(Box::new(document), changed));
        };
        let damaged = |what: String| Damaged { id: copy.id, what };
        let mut document = copy.clone();
        document.version = Some(next.version);
        document.floor = document.floor.max(floor);
        document.header = cbor::from_bytes(&next.bytes).map_err(|what| damaged(format!("header: {what}")))?;
        // What goes first: a ticket that became a lock keeps its number and its owner's index.
        for (field, bytes) in &delta.fields {
            document.forget(*field, bytes.is_some());
        }
        for (field, bytes) in &delta.fields {
            if let Some(bytes) = bytes {
                document.remember(*field, bytes).map_err(damaged)?;
            }
        }
        Ok(Followed::Changed(Box::new(document), entries_of(delta)))
    }

    /// Takes a record out; `replaced`: another one with this name follows.
    fn forget(&mut self, field: Field, replaced: bool) {
        let seq = Seq(field.seq);
        match field.kind {
            FieldKind::Identity => {}
            FieldKind::Lock => drop(self.unindex_lock(seq)),
            FieldKind::Ticket => drop(self.unindex_ticket(seq)),
            FieldKind::Ended => {
                let Some(ended) = self.ended.remove(&seq) else { return };
                self.ended_by_time.remove(&(ended.at, seq));
                if !replaced {
                    self.forget_requests(seq, ended.former.intent());
                }
            }
        }
    }

    fn remember(&mut self, field: Field, bytes: &[u8]) -> Result<(), String> {
        let seq = Seq(field.seq);
        match field.kind {
            FieldKind::Identity => {
                let resource: Resource = cbor::from_bytes(bytes)?;
                if resource != *self.resource {
                    return Err("its identity belongs to another resource".into());
                }
            }
            FieldKind::Lock => self.index_lock(Arc::new(cbor::from_bytes::<Lock>(bytes)?)),
            FieldKind::Ticket => self.index_ticket(Arc::new(cbor::from_bytes::<Ticket>(bytes)?)),
            FieldKind::Ended => self.index_ended(seq, Arc::new(cbor::from_bytes::<Ended>(bytes)?)),
        }
        Ok(())
    }

    /// Everything a store keeps of this document: its header record and its fields, in order.
    #[must_use]
    pub fn to_records(&self) -> (Vec<u8>, Vec<(Field, Vec<u8>)>) {
        let identity = Field { kind: FieldKind::Identity, seq: 0 };
        let mut fields = vec![(identity, cbor::to_bytes(&*self.resource))];
        let named = |kind, seq: &Seq| Field { kind, seq: seq.0 };
        for (seq, lock) in self.locks.iter() {
            fields.push((named(FieldKind::Lock, seq), cbor::to_bytes(&**lock)));
        }
        for (seq, ticket) in self.queue.iter().flat_map(|class| class.iter()) {
            fields.push((named(FieldKind::Ticket, seq), cbor::to_bytes(&**ticket)));
        }
        for (seq, ended) in self.ended.iter() {
            fields.push((named(FieldKind::Ended, seq), cbor::to_bytes(&**ended)));
        }
        fields.sort_unstable_by_key(|(field, _)| *field);
        (cbor::to_bytes(&self.header), fields)
    }

    /// A document that was last changed before the store's present generation is written once more,
    /// as it is. Until then an instance that comes late may still write back what it knew, over a
    /// state that has been confirmed to somebody.
    pub fn take_on(&mut self, generation: u64) {
        if self.version.is_some_and(|version| version.generation < generation) {
            self.touch_header(self.header.clock);
        }
    }

    /// The greatest token this document has granted; 0 before the first grant.
    #[must_use]
    pub fn last_token(&self) -> u64 {
        self.header.last_token
    }
}

/// The entries that a change touches.
fn entries_of(delta: &Delta) -> Vec<Seq> {
    let touched = delta.fields.iter().filter(|(field, _)| field.kind != FieldKind::Identity);
    touched.map(|(field, _)| Seq(field.seq)).collect::<BTreeSet<_>>().into_iter().collect()
}
