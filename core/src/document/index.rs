//! The indexes of a document: they repeat what its entries say, so that every look-up is O(log n).
//! They are rebuilt from the records and never stored.

use super::{Document, owner_hash};
use crate::entry::{Ended, Lock, Ticket};
use crate::id::Seq;
use crate::intent::{Intent, Mode};
use std::sync::Arc;

impl Document {
    pub(super) fn index_intent(&mut self, seq: Seq, intent: &Intent) {
        self.owners.insert((owner_hash(&intent.owner.id), seq), ());
        if let Mode::Counted { limit } = intent.mode {
            let count = self.counted.map_or(0, |(_, count)| count);
            self.counted = Some((limit, count + 1));
        }
        for request in intent.requests.iter() {
            self.requests.insert(request.key, seq);
        }
    }

    pub(super) fn unindex_intent(&mut self, seq: Seq, intent: &Intent) {
        self.owners.remove(&(owner_hash(&intent.owner.id), seq));
        if let (Mode::Counted { .. }, Some((limit, count))) = (intent.mode, self.counted) {
            self.counted = (count > 1).then_some((limit, count - 1));
        }
    }

    /// Nobody may ask any more what became of these requests, unless another entry answers for them.
    pub(super) fn forget_requests(&mut self, seq: Seq, intent: &Intent) {
        for request in intent.requests.iter() {
            if self.requests.get(&request.key) == Some(&seq) {
                self.requests.remove(&request.key);
            }
        }
    }

    pub(super) fn index_lock(&mut self, lock: Arc<Lock>) {
        self.index_intent(lock.seq, &lock.intent);
        if let Some(at) = lock.expires_at {
            self.deadlines.insert((at, lock.seq), ());
        }
        self.locks.insert(lock.seq, lock);
    }

    pub(super) fn unindex_lock(&mut self, seq: Seq) -> Option<Arc<Lock>> {
        let lock = self.locks.remove(&seq)?;
        self.unindex_intent(seq, &lock.intent);
        if let Some(at) = lock.expires_at {
            self.deadlines.remove(&(at, seq));
        }
        Some(lock)
    }

    pub(super) fn index_ticket(&mut self, ticket: Arc<Ticket>) {
        self.index_intent(ticket.seq, &ticket.intent);
        self.deadlines.insert((ticket.deadline.min(ticket.seen_until), ticket.seq), ());
        self.queue[ticket.intent.priority as usize].insert(ticket.seq, ticket);
    }

    pub(super) fn unindex_ticket(&mut self, seq: Seq) -> Option<Arc<Ticket>> {
        let ticket = Arc::clone(self.ticket(seq)?);
        self.queue[ticket.intent.priority as usize].remove(&seq);
        self.unindex_intent(seq, &ticket.intent);
        self.deadlines.remove(&(ticket.deadline.min(ticket.seen_until), seq));
        Some(ticket)
    }

    pub(super) fn index_ended(&mut self, seq: Seq, ended: Arc<Ended>) {
        for request in ended.former.intent().requests.iter() {
            self.requests.insert(request.key, seq);
        }
        self.ended_by_time.insert((ended.at, seq), ());
        self.ended.insert(seq, ended);
    }
}
