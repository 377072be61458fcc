//! Release: the lock ends and goes to whoever is next, in one change.

use crate::command::{ForceRelease, Outcome, Release, Reply};
use crate::document::Document;
use crate::entry::{EndReason, Former};
use crate::id::Seq;
use crate::refusal::Refusal;
use crate::rules::Context;
use crate::time::Timestamp;
use std::sync::Arc;

impl Document {
    pub(super) fn release(&mut self, release: &Release, ctx: &Context<'_>, now: Timestamp) -> Outcome {
        match self.locks.get(&release.seq) {
            Some(lock) if lock.token != release.token => Err(Refusal::StaleToken),
            Some(lock) if release.touch.is_some_and(|touch| touch != lock.touch) => Err(Refusal::Superseded),
            Some(_) => self.hand_on(release.seq, EndReason::Released, release.nonce, None, ctx, now),
            None => self.released_before(release.seq, release.nonce),
        }
    }

    pub(super) fn force_release(
        &mut self,
        force: &ForceRelease,
        ctx: &Context<'_>,
        now: Timestamp,
    ) -> Outcome {
        if self.locks.get(&force.seq).is_none() {
            return self.released_before(force.seq, force.nonce);
        }
        // Its holder may not know and still be at work.
        if !ctx.rules.lock_delay.is_zero() {
            self.rest_until(now + ctx.rules.lock_delay);
        }
        self.hand_on(force.seq, EndReason::Forced, force.nonce, Some(force.note.clone()), ctx, now)
    }

    fn hand_on(
        &mut self,
        seq: Seq,
        reason: EndReason,
        nonce: u64,
        note: Option<Box<str>>,
        ctx: &Context<'_>,
        now: Timestamp,
    ) -> Outcome {
        let lock = self.end_lock(seq, reason, nonce, note, now).ok_or(Refusal::NotFound)?;
        let granted_to = self.grant_ready(ctx, now).into_iter().next();
        if let Some(next) = &granted_to {
            self.note_handoff(seq, next.seq);
        }
        Ok(Reply::Released { lock, granted_to })
    }

    /// The same command sent again gets the same answer; anyone else hears why the lock is gone.
    fn released_before(&self, seq: Seq, nonce: u64) -> Outcome {
        if let Some(ended) = self.ended.get(&seq)
            && ended.nonce == nonce
            && let Former::Lock(lock) = &ended.former
        {
            let granted_to = ended.granted_to.and_then(|seq| self.locks.get(&seq)).cloned();
            return Ok(Reply::Released { lock: Arc::clone(lock), granted_to });
        }
        Err(self.gone(seq))
    }
}
