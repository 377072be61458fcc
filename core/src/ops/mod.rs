//! One file per operation; this is the dispatch.

mod acquire;
mod cancel;
mod client_gone;
mod poll;
mod release;
mod release_pull;
mod renew;

use crate::command::{Command, Outcome, Reply, Standing};
use crate::document::Document;
use crate::id::Seq;
use crate::refusal::Refusal;
use crate::rules::{Context, PURGE_PER_COMMAND, PURGE_PER_SETTLE};
use crate::time::Timestamp;
use std::sync::Arc;

impl Document {
    /// Carries out a command. The document holds the result; [`Document::finish`] gives the change
    /// to commit, [`Document::take_effects`] what to tell others once it is durable.
    ///
    /// # Errors
    /// Why the command was refused. Time may have done its work even then.
    pub fn apply(&mut self, command: &Command, ctx: &Context<'_>) -> Outcome {
        let now = self.advance(ctx.now);
        self.settle(ctx, now);
        let outcome = self.dispatch(command, ctx, now);
        // Whoever writes anyway takes some old records along; a mere look writes nothing.
        if self.is_changed() {
            self.purge_ended(now, PURGE_PER_COMMAND);
        }
        outcome
    }

    fn dispatch(&mut self, command: &Command, ctx: &Context<'_>, now: Timestamp) -> Outcome {
        match command {
            Command::Acquire(acquire) => self.acquire(acquire, ctx, now),
            Command::Poll(poll) => self.poll(poll, ctx, now),
            Command::Renew(renew) => self.renew(renew, now),
            Command::Release(release) => self.release(release, ctx, now),
            Command::ForceRelease(force) => self.force_release(force, ctx, now),
            Command::Cancel(cancel) => self.cancel(cancel, ctx, now),
            Command::ReleasePull(release) => self.release_pull(release, ctx, now),
            Command::ClientGone(gone) => self.client_gone(gone, ctx, now),
            Command::Show(seq) => self.show(*seq),
            Command::Settle => {
                self.purge_ended(now, PURGE_PER_SETTLE);
                self.delete_if_old(now, ctx.opened_at);
                Ok(Reply::Done)
            }
        }
    }

    fn show(&self, seq: Seq) -> Outcome {
        match self.locks.get(&seq) {
            Some(lock) => Ok(Reply::Lock(Arc::clone(lock))),
            None => Err(self.gone(seq)),
        }
    }

    /// Where an entry stands.
    ///
    /// # Errors
    /// [`Refusal::Gone`] when it has ended, [`Refusal::NotFound`] when nobody remembers it.
    pub fn standing(&self, seq: Seq) -> Result<Standing, Refusal> {
        if let Some(lock) = self.locks.get(&seq) {
            return Ok(Standing::Acquired { lock: Arc::clone(lock), reentrant: false, news: false });
        }
        match self.ticket(seq) {
            Some(ticket) => Ok(Standing::Queued {
                ticket: Arc::clone(ticket),
                position: self.position(ticket),
                holders: self.holders_shown(),
            }),
            None => Err(self.gone(seq)),
        }
    }

    /// Why an entry is not there.
    pub(crate) fn gone(&self, seq: Seq) -> Refusal {
        self.ended.get(&seq).map_or(Refusal::NotFound, |ended| Refusal::Gone(Arc::clone(ended)))
    }
}
