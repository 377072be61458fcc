//! Release by pull request: all its locks and tickets on this resource end.

use crate::command::{Outcome, ReleasePull, Reply};
use crate::document::Document;
use crate::entry::{EndReason, Former};
use crate::id::Seq;
use crate::intent::Intent;
use crate::rules::Context;
use crate::time::Timestamp;
use std::sync::Arc;

impl Document {
    pub(super) fn release_pull(
        &mut self,
        release: &ReleasePull,
        ctx: &Context<'_>,
        now: Timestamp,
    ) -> Outcome {
        let of_pull = |intent: &Intent| intent.owner.pull.as_ref().is_some_and(|p| p.num == release.pull);
        let in_time = |at: Timestamp| release.before.is_none_or(|before| at < before);
        let (mut released, mut cancelled) = (Vec::new(), Vec::new());
        if ctx.retried {
            for (_, ended) in self.ended.iter().filter(|(_, ended)| ended.nonce == release.nonce) {
                match &ended.former {
                    Former::Lock(lock) => released.push(Arc::clone(lock)),
                    Former::Ticket(ticket) => cancelled.push(Arc::clone(ticket)),
                }
            }
        }
        let tickets: Vec<Seq> = self
            .tickets()
            .filter(|ticket| of_pull(&ticket.intent) && in_time(ticket.enqueued_at))
            .map(|ticket| ticket.seq)
            .collect();
        let locks: Vec<Seq> = self
            .locks()
            // What was enqueued in time ends, even if it was granted since.
            .filter(|lock| of_pull(&lock.intent) && in_time(lock.enqueued_at.unwrap_or(lock.acquired_at)))
            .map(|lock| lock.seq)
            .collect();
        let note: Box<str> = format!("pull request {} was released", release.pull).into();
        // Tickets first, so that a lock that ends is not handed to a ticket that ends too.
        for seq in tickets {
            cancelled.extend(self.end_ticket(
                seq,
                EndReason::Cancelled,
                release.nonce,
                Some(note.clone()),
                now,
            ));
        }
        for seq in locks {
            released.extend(self.end_lock(seq, EndReason::Released, release.nonce, Some(note.clone()), now));
        }
        self.grant_ready(ctx, now);
        Ok(Reply::Pull { released, cancelled })
    }
}
