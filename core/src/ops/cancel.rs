//! Cancel: a place in the queue is given back.

use crate::command::{Cancel, Outcome, Reply};
use crate::document::Document;
use crate::entry::EndReason;
use crate::refusal::Refusal;
use crate::rules::Context;
use crate::time::Timestamp;
use std::sync::Arc;

impl Document {
    pub(super) fn cancel(&mut self, cancel: &Cancel, ctx: &Context<'_>, now: Timestamp) -> Outcome {
        if let Some(lock) = self.locks.get(&cancel.seq) {
            return Err(Refusal::AlreadyGranted(Arc::clone(lock)));
        }
        if self.end_ticket(cancel.seq, EndReason::Cancelled, cancel.nonce, None, now).is_some() {
            // It may have been the one that the others had to wait for.
            self.grant_ready(ctx, now);
            return Ok(Reply::Done);
        }
        match self.ended.get(&cancel.seq) {
            Some(ended) if ended.nonce == cancel.nonce => Ok(Reply::Done),
            _ => Err(self.gone(cancel.seq)),
        }
    }
}
