//! Changes: the only place that writes entries, and with them their indexes and the journal of what
//! is to be stored and told.

use super::Document;
use crate::delta::{Field, FieldKind};
use crate::entry::{EndReason, Ended, Former, Lock, Ticket};
use crate::event::{Event, EventKind};
use crate::id::Seq;
use crate::rules::{EMPTY_STAYS, ENDED_MAX, RETENTION, TOKEN_LIMIT};
use crate::time::Timestamp;
use std::sync::Arc;

impl Document {
    /// Per document, time never runs backwards.
    pub(crate) fn advance(&self, now: Timestamp) -> Timestamp {
        now.max(self.header.clock)
    }

    pub(crate) fn next_seq(&mut self, now: Timestamp) -> Seq {
        self.header.last_seq = self.header.last_seq.next(now.as_millis());
        self.touch_header(now);
        self.header.last_seq
    }

    pub(crate) fn next_token(&mut self, now: Timestamp) -> u64 {
        let fresh = if self.header.last_token == 0 { now.as_micros() } else { 0 };
        let token = (self.header.last_token + 1).max(self.floor).max(fresh);
        debug_assert!(token < TOKEN_LIMIT);
        self.header.last_token = token;
        self.touch_header(now);
        token
    }

    pub(crate) fn touch_header(&mut self, now: Timestamp) {
        self.header.clock = self.header.clock.max(now);
        self.header_touched = true;
        // Whatever happens after the clean-up in the same batch, the document lives on.
        self.delete = false;
    }

    pub(crate) fn put_lock(&mut self, lock: Lock) -> Arc<Lock> {
        let (seq, lock) = (lock.seq, Arc::new(lock));
        self.unindex_lock(seq);
        self.index_lock(Arc::clone(&lock));
        self.touched.push(Field { kind: FieldKind::Lock, seq: seq.0 });
        lock
    }

    pub(crate) fn put_ticket(&mut self, ticket: Ticket) -> Arc<Ticket> {
        let (seq, ticket) = (ticket.seq, Arc::new(ticket));
        self.unindex_ticket(seq);
        self.index_ticket(Arc::clone(&ticket));
        self.touched.push(Field { kind: FieldKind::Ticket, seq: seq.0 });
        ticket
    }

    /// Takes a ticket out of the queue; its class's oldest ticket starts counting anew if it was it.
    pub(crate) fn take_ticket(&mut self, seq: Seq, now: Timestamp) -> Option<Arc<Ticket>> {
        let ticket = Arc::clone(self.ticket(seq)?);
        let class = ticket.intent.priority as usize;
        if self.queue[class].first().is_some_and(|(head, _)| *head == seq) {
            self.header.passed[class] = 0;
        }
        self.unindex_ticket(seq);
        self.touched.push(Field { kind: FieldKind::Ticket, seq: seq.0 });
        self.touch_header(now);
        Some(ticket)
    }

    pub(crate) fn end_lock(
        &mut self,
        seq: Seq,
        reason: EndReason,
        nonce: u64,
        note: Option<Box<str>>,
        now: Timestamp,
    ) -> Option<Arc<Lock>> {
        let lock = self.unindex_lock(seq)?;
        self.touched.push(Field { kind: FieldKind::Lock, seq: seq.0 });
        let kind = match reason {
            EndReason::Expired => EventKind::LockExpired,
            EndReason::Forced => EventKind::LockForced,
            EndReason::Unclaimed => EventKind::TicketUnclaimed,
            EndReason::Released | EndReason::Cancelled | EndReason::Abandoned | EndReason::QueueTimeout => {
                EventKind::LockReleased
            }
        };
        self.end(seq, Former::Lock(Arc::clone(&lock)), kind, reason, nonce, note, now);
        Some(lock)
    }

    pub(crate) fn end_ticket(
        &mut self,
        seq: Seq,
        reason: EndReason,
        nonce: u64,
        note: Option<Box<str>>,
        now: Timestamp,
    ) -> Option<Arc<Ticket>> {
        let ticket = self.take_ticket(seq, now)?;
        let kind = match reason {
            EndReason::QueueTimeout => EventKind::TicketTimedOut,
            _ => EventKind::TicketCancelled,
        };
        self.end(seq, Former::Ticket(Arc::clone(&ticket)), kind, reason, nonce, note, now);
        Some(ticket)
    }

    #[allow(clippy::too_many_arguments, reason = "the one place where an ended record is made")]
    fn end(
        &mut self,
        seq: Seq,
        former: Former,
        kind: EventKind,
        reason: EndReason,
        nonce: u64,
        note: Option<Box<str>>,
        now: Timestamp,
    ) {
        self.emit(kind, former.clone(), Some(reason), note.clone(), now);
        self.effects.changed.push(seq);
        let ended = Ended { former, reason, at: now, nonce, granted_to: None, note };
        self.index_ended(seq, Arc::new(ended));
        self.touched.push(Field { kind: FieldKind::Ended, seq: seq.0 });
        self.touch_header(now);
    }

    /// Notes whom the release of a lock handed it to.
    pub(crate) fn note_handoff(&mut self, released: Seq, granted: Seq) {
        if let Some(ended) = self.ended.get(&released) {
            let ended = Ended { granted_to: Some(granted), ..(**ended).clone() };
            self.ended.insert(released, Arc::new(ended));
            self.touched.push(Field { kind: FieldKind::Ended, seq: released.0 });
        }
    }

    /// Clears away at most `max` ended entries that are older than anyone may ask for.
    pub(crate) fn purge_ended(&mut self, now: Timestamp, max: usize) {
        for _ in 0..max {
            let Some(((at, seq), ())) = self.ended_by_time.first() else { return };
            let (at, seq) = (*at, *seq);
            if at + RETENTION > now && self.ended.len() <= ENDED_MAX {
                return;
            }
            self.ended_by_time.remove(&(at, seq));
            if let Some(ended) = self.ended.remove(&seq) {
                self.forget_requests(seq, ended.former.intent());
            }
            self.touched.push(Field { kind: FieldKind::Ended, seq: seq.0 });
            // Clearing away is no change that anyone waits for: the clock stays, so that a
            // document's end does not move while it is cleaned.
            self.header_touched = true;
        }
    }

    /// Deletes the document at the next commit if its time has come. After an opening everyone has as
    /// long again to come back with what they know: an older copy of a document that is gone already
    /// would be taken for what the store had lost.
    pub(crate) fn delete_if_old(&mut self, now: Timestamp, opened_at: Timestamp) {
        let earliest = opened_at + EMPTY_STAYS;
        if self.ended.is_empty() && self.delete_at().is_some_and(|at| at.max(earliest) <= now) {
            self.delete = true;
        }
    }

    pub(crate) fn emit(
        &mut self,
        kind: EventKind,
        subject: Former,
        reason: Option<EndReason>,
        note: Option<Box<str>>,
        at: Timestamp,
    ) {
        let resource = Arc::clone(&self.resource);
        self.effects.events.push(Event { kind, at, resource, subject, reason, note });
    }

    pub(crate) fn changed(&mut self, seq: Seq) {
        self.effects.changed.push(seq);
    }
}
