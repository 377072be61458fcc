//! What time alone does: leases end, tickets give up, grants that nobody fetched go on.

use crate::document::Document;
use crate::entry::{EndReason, Lock, Ticket};
use crate::id::Seq;
use crate::rules::Context;
use crate::time::Timestamp;
use std::sync::Arc;

/// The nonce of what no command ended.
pub(crate) const BY_TIME: u64 = 0;

impl Document {
    /// Does everything that is due, then grants what became free.
    pub(crate) fn settle(&mut self, ctx: &Context<'_>, now: Timestamp) {
        while let Some(((at, seq), ())) = self.deadlines.first() {
            if *at > now {
                break;
            }
            let seq = *seq;
            match self.locks.get(&seq) {
                Some(lock) => self.lock_is_due(Arc::clone(lock), ctx, now),
                None => self.ticket_is_due(seq, ctx, now),
            }
        }
        // A resource may also become free because its rest is over; then nothing ended now.
        self.grant_ready(ctx, now);
    }

    fn lock_is_due(&mut self, lock: Arc<Lock>, ctx: &Context<'_>, now: Timestamp) {
        let reason = if lock.is_reserved() { EndReason::Unclaimed } else { EndReason::Expired };
        let earliest = ctx.opened_at + ctx.rules.abandon_after;
        if lock.is_reserved() && earliest > now {
            // Its client could not have come while the service was away.
            self.put_lock(Lock { expires_at: Some(earliest), ..(*lock).clone() });
            self.touch_header(now);
            return;
        }
        let over = lock.expires_at.unwrap_or(now);
        self.end_lock(lock.seq, reason, BY_TIME, None, now);
        if reason == EndReason::Expired {
            self.rest_until(over + ctx.rules.lease_grace + ctx.rules.lock_delay);
        }
    }

    fn ticket_is_due(&mut self, seq: Seq, ctx: &Context<'_>, now: Timestamp) {
        let Some(ticket) = self.ticket(seq).cloned() else { return };
        let earliest = ctx.opened_at + ctx.rules.abandon_after;
        if ticket.deadline <= now {
            self.end_ticket(seq, EndReason::QueueTimeout, BY_TIME, None, now);
        } else if earliest > now {
            self.put_ticket(Ticket { seen_until: earliest, ..(*ticket).clone() });
            self.touch_header(now);
        } else {
            self.end_ticket(seq, EndReason::Abandoned, BY_TIME, None, now);
        }
    }

    /// No grants before this instant.
    pub(crate) fn rest_until(&mut self, until: Timestamp) {
        self.header.free_from = self.header.free_from.max(until);
    }
}
