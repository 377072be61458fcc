//! From records and back: what a store gives and takes.

use super::{Damaged, Document, Effects, HeaderRecord};
use crate::cbor;
use crate::delta::{Delta, Field, FieldKind, Header, Version};
use crate::entry::{Ended, Lock, Ticket};
use crate::id::Seq;
use crate::resource::{Resource, ResourceId};
use std::sync::Arc;

impl Document {
    /// A document from its stored records.
    ///
    /// # Errors
    /// When a record cannot be read or contradicts another.
    pub fn from_records<'b>(
        id: ResourceId,
        version: Version,
        header: &'b [u8],
        fields: impl IntoIterator<Item = (Field, &'b [u8])>,
        floor: u64,
    ) -> Result<Self, Damaged> {
        let damaged = |what: String| Damaged { id, what };
        let mut resource: Option<Resource> = None;
        let (mut locks, mut tickets, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for (field, bytes) in fields {
            let context = |what: String| damaged(format!("{:?} {}: {what}", field.kind, field.seq));
            let seq = Seq(field.seq);
            match field.kind {
                FieldKind::Identity => resource = Some(cbor::from_bytes(bytes).map_err(context)?),
                FieldKind::Lock => locks.push((seq, cbor::from_bytes::<Lock>(bytes).map_err(context)?)),
                FieldKind::Ticket => tickets.push((seq, cbor::from_bytes::<Ticket>(bytes).map_err(context)?)),
                FieldKind::Ended => ended.push((seq, cbor::from_bytes::<Ended>(bytes).map_err(context)?)),
            }
        }
        let resource = resource.ok_or_else(|| damaged("its identity is missing".into()))?;
        if resource.id() != id {
            return Err(damaged("its identity belongs to another id".into()));
        }
        let mut document = Self::new(Arc::new(resource), floor);
        document.version = Some(version);
        document.header = cbor::from_bytes(header).map_err(|what| damaged(format!("header: {what}")))?;
        for (seq, lock) in locks {
            if lock.seq != seq {
                return Err(damaged(format!("Lock {} says it is {}", seq.0, lock.seq.0)));
            }
            document.index_lock(Arc::new(lock));
        }
        for (seq, ticket) in tickets {
            if ticket.seq != seq {
                return Err(damaged(format!("Ticket {} says it is {}", seq.0, ticket.seq.0)));
            }
            document.index_ticket(Arc::new(ticket));
        }
        for (seq, ended) in ended {
            document.index_ended(seq, Arc::new(ended));
        }
        Ok(document)
    }

    /// What happened since this was last asked.
    pub fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    /// True when there is something to commit.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.header_touched || self.delete || !self.touched.is_empty()
    }

    /// Closes the batch: the change since the last one, and the token floor that a deleted
    /// document leaves behind. `None` when nothing changed.
    ///
    /// The document takes on its next version; whoever cannot commit the delta drops the copy.
    /// `generation` is the store's: versions take it on with their first change after it grew.
    pub fn finish(&mut self, generation: u64) -> Option<(Delta, Option<u64>)> {
        if !self.is_changed() {
            return None;
        }
        self.header_touched = false;
        let mut touched = std::mem::take(&mut self.touched);
        let expected = self.version;
        if std::mem::take(&mut self.delete) {
            let floor = self.header.last_token + 1;
            self.version = None;
            self.header = HeaderRecord::default();
            self.floor = self.floor.max(floor);
            return Some((Delta { id: self.id, expected, next: None, fields: Vec::new() }, Some(floor)));
        }
        let version = match expected {
            Some(version) => {
                Version { generation: version.generation.max(generation), counter: version.counter + 1 }
            }
            None => Version { generation, counter: self.header.clock.as_micros() },
        };
        self.version = Some(version);
        touched.sort_unstable();
        touched.dedup();
        let mut fields = Vec::with_capacity(touched.len() + 1);
        if expected.is_none() {
            let identity = Field { kind: FieldKind::Identity, seq: 0 };
            fields.push((identity, Some(cbor::to_bytes(&*self.resource))));
        }
        for field in touched {
            let seq = Seq(field.seq);
            let bytes = match field.kind {
                FieldKind::Identity => continue,
                FieldKind::Lock => self.locks.get(&seq).map(|lock| cbor::to_bytes(&**lock)),
                FieldKind::Ticket => self.ticket(seq).map(|ticket| cbor::to_bytes(&**ticket)),
                FieldKind::Ended => self.ended.get(&seq).map(|ended| cbor::to_bytes(&**ended)),
            };
            fields.push((field, bytes));
        }
        let header = Header { version, bytes: cbor::to_bytes(&self.header) };
        Some((Delta { id: self.id, expected, next: Some(header), fields }, None))
    }
}
