//! Poll: a client asks after its ticket. That shows it is there, and claims what was granted.

use crate::command::{Outcome, Poll, Reply, Standing};
use crate::document::Document;
use crate::entry::{Lock, Ticket};
use crate::id::Seq;
use crate::refusal::Refusal;
use crate::rules::Context;
use crate::time::{Span, Timestamp};
use std::sync::Arc;

impl Document {
    pub(super) fn poll(&mut self, poll: &Poll, ctx: &Context<'_>, now: Timestamp) -> Outcome {
        self.look_after(poll.seq, poll.wait, ctx, now).map(Reply::Standing)
    }

    /// An entry's client is here, and stays for `wait`.
    pub(super) fn look_after(
        &mut self,
        seq: Seq,
        wait: Span,
        ctx: &Context<'_>,
        now: Timestamp,
    ) -> Result<Standing, Refusal> {
        if let Some(lock) = self.locks.get(&seq).cloned() {
            let news = lock.is_reserved();
            let lock = if news { self.claim(&lock, now) } else { self.told_again(lock, now) };
            return Ok(Standing::Acquired { lock, reentrant: false, news });
        }
        if let Some(ticket) = self.ticket(seq).cloned()
            && ticket.intent.attended
        {
            // A write for every poll would be waste: half of the patience may pass unwritten.
            let until = now + wait + ctx.rules.abandon_after;
            if until.since(ticket.seen_until) > ctx.rules.abandon_after.half() {
                self.put_ticket(Ticket { seen_until: until, ..Arc::unwrap_or_clone(ticket) });
                self.touch_header(now);
            }
        }
        self.standing(seq)
    }

    /// A held lock was told of once more. From now on it counts as known, even if the first answer
    /// turns out to be lost.
    fn told_again(&mut self, lock: Arc<Lock>, now: Timestamp) -> Arc<Lock> {
        if lock.touch > 0 {
            return lock;
        }
        self.touch_header(now);
        self.put_lock(Lock { touch: 1, ..Arc::unwrap_or_clone(lock) })
    }
}
