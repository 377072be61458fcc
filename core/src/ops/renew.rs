//! Renew: the lease begins anew.

use crate::command::{Outcome, Renew, Reply};
use crate::document::Document;
use crate::entry::{Former, Lock, LockState};
use crate::event::EventKind;
use crate::grant::lease_end;
use crate::refusal::Refusal;
use crate::time::Timestamp;
use std::sync::Arc;

impl Document {
    pub(super) fn renew(&mut self, renew: &Renew, now: Timestamp) -> Outcome {
        let Some(lock) = self.locks.get(&renew.seq).cloned() else { return Err(self.gone(renew.seq)) };
        if lock.token != renew.token {
            return Err(Refusal::StaleToken);
        }
        let ttl = renew.ttl.unwrap_or(lock.ttl);
        let lock = self.put_lock(Lock {
            // Whoever knows the token has been told, whatever the connection looked like.
            state: LockState::Held,
            renewed_at: now,
            expires_at: lease_end(now, ttl),
            ttl,
            touch: lock.touch + 1,
            ..(*lock).clone()
        });
        self.touch_header(now);
        self.emit(EventKind::LockRenewed, Former::Lock(Arc::clone(&lock)), None, None, now);
        Ok(Reply::Lock(lock))
    }
}
