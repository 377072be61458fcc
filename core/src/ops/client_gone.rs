//! Client gone: a connection closed before its answer could be given.

use crate::command::{ClientGone, Outcome, Reply};
use crate::document::Document;
use crate::entry::EndReason;
use crate::rules::Context;
use crate::time::Timestamp;

impl Document {
    /// Without a request id nobody can come back for what this command made: it is undone. With
    /// one, or if another command made it, the entry stays; a grant must then be claimed, since its
    /// client may never have heard of it.
    pub(super) fn client_gone(&mut self, gone: &ClientGone, ctx: &Context<'_>, now: Timestamp) -> Outcome {
        let Some(intent) = self.intent(gone.seq).cloned() else { return Ok(Reply::Done) };
        let orphan = intent.nonce == gone.nonce && intent.requests.is_empty();
        let note = Some("its client went away before it was answered".into());
        match self.locks.get(&gone.seq).cloned() {
            None if orphan => {
                self.end_ticket(gone.seq, EndReason::Cancelled, gone.nonce, note, now);
                self.grant_ready(ctx, now);
            }
            // Somebody else knows it: it was renewed or told of again, or is held by another's claim.
            Some(lock) if lock.touch > 0 => {}
            Some(lock) if !lock.is_reserved() && gone.untold != Some(lock.renewed_at) => {}
            Some(_) if orphan => {
                self.end_lock(gone.seq, EndReason::Abandoned, gone.nonce, note, now);
                self.grant_ready(ctx, now);
            }
            Some(lock) if !lock.is_reserved() => self.unclaim(&lock, ctx, now),
            _ => {}
        }
        Ok(Reply::Done)
    }
}
