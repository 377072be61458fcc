//! Granting: a lock for whoever is next, in the same change that made room for it.

use crate::document::Document;
use crate::entry::{Former, Lock, LockState};
use crate::event::EventKind;
use crate::id::Seq;
use crate::intent::Intent;
use crate::rules::Context;
use crate::time::{Span, Timestamp};
use std::sync::Arc;

impl Document {
    /// Grants whatever can be granted now, and says to whom. Nothing, where nothing may be granted.
    pub(crate) fn grant_ready(&mut self, ctx: &Context<'_>, now: Timestamp) -> Vec<Arc<Lock>> {
        let mut granted = Vec::new();
        if !ctx.granting {
            return granted;
        }
        while let Some(next) = self.next_ticket() {
            if !self.has_room_for(next.intent.mode, now) {
                break;
            }
            let seq = next.seq;
            let Some(ticket) = self.take_ticket(seq, now) else { break };
            let present = ctx.presence.is_waiting(seq);
            let lock =
                self.make_lock(seq, Arc::clone(&ticket.intent), Some(ticket.enqueued_at), present, ctx, now);
            self.changed(seq);
            granted.push(lock);
        }
        granted
    }

    /// Makes the lock of an entry that was chosen. `told`: its client hears of it with this commit.
    pub(crate) fn make_lock(
        &mut self,
        seq: Seq,
        intent: Arc<Intent>,
        enqueued_at: Option<Timestamp>,
        told: bool,
        ctx: &Context<'_>,
        now: Timestamp,
    ) -> Arc<Lock> {
        self.count_overtakes(seq);
        let token = self.next_token(now);
        let ttl = intent.ttl;
        let (state, expires_at) = if told {
            (LockState::Held, lease_end(now, ttl))
        } else {
            (LockState::Reserved, Some(claim_deadline(&intent, ctx, now)))
        };
        let lock = self.put_lock(Lock {
            seq,
            intent,
            token,
            state,
            acquired_at: now,
            renewed_at: now,
            expires_at,
            ttl,
            touch: 0,
            enqueued_at,
        });
        let kind = if told { EventKind::LockAcquired } else { EventKind::LockReserved };
        self.emit(kind, Former::Lock(Arc::clone(&lock)), None, None, now);
        lock
    }

    /// The client of a reserved lock has come: the lease starts now.
    pub(crate) fn claim(&mut self, lock: &Lock, now: Timestamp) -> Arc<Lock> {
        let lock = self.put_lock(Lock {
            state: LockState::Held,
            renewed_at: now,
            expires_at: lease_end(now, lock.ttl),
            ..lock.clone()
        });
        self.touch_header(now);
        self.emit(EventKind::LockAcquired, Former::Lock(Arc::clone(&lock)), None, None, now);
        lock
    }

    /// The client of a lock may not have heard of it: it must be claimed.
    pub(crate) fn unclaim(&mut self, lock: &Lock, ctx: &Context<'_>, now: Timestamp) {
        let lock = self.put_lock(Lock {
            state: LockState::Reserved,
            expires_at: Some(claim_deadline(&lock.intent, ctx, now)),
            ..lock.clone()
        });
        self.touch_header(now);
        self.emit(EventKind::LockReserved, Former::Lock(lock), None, None, now);
    }
}

/// When a lease that starts now ends; `None` for a hold.
pub(crate) fn lease_end(now: Timestamp, ttl: Span) -> Option<Timestamp> {
    (!ttl.is_zero()).then(|| now + ttl)
}

fn claim_deadline(intent: &Intent, ctx: &Context<'_>, now: Timestamp) -> Timestamp {
    now + if intent.attended { ctx.rules.abandon_after } else { ctx.rules.claim_within }
}
