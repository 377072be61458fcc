//! What the view tells of one lock or ticket while the store cannot be asked.

use super::Locks;
use crate::answer::{Failure, LastLease, Unconfirmed};
use lockkeeper_core::{Document, EntryId, Lock, Partition, Reply, Standing, Timestamp};
use std::sync::Arc;

impl Locks {
    /// The view's copy of a lock, if it has one.
    pub(super) fn copy_of(&self, lock: EntryId) -> Option<(Arc<Document>, Arc<Lock>)> {
        let document = self.view().get(lock.resource)?;
        let copy = Arc::clone(document.lock(lock.seq)?);
        Some((document, copy))
    }

    /// As of when the view of this partition is: what the store had then is in it.
    pub(super) fn as_of_in(&self, partition: Partition, now: Timestamp) -> Timestamp {
        let shared = self.shared();
        if shared.store.shared().is_none() {
            return self.as_of(now);
        }
        match shared.replica.get(partition).compared_at {
            Some(at) => now - super::span(at.elapsed()),
            None => Timestamp::ZERO,
        }
    }

    /// The lease of a lock as it was last known. A lock that nobody had fetched yet had none: what
    /// stood there was until when it could be fetched, and its lease, if it was since, may end before.
    pub(super) fn last_lease(&self, lock: EntryId) -> Option<LastLease> {
        let (_, copy) = self.copy_of(lock).filter(|(_, copy)| !copy.is_reserved())?;
        let partition = lock.resource.partition();
        let now = self.shared().store.now_in(partition);
        Some(LastLease { expires_at: copy.expires_at, as_of: self.as_of_in(partition, now) })
    }

    /// A lock as the view has it.
    ///
    /// # Errors
    /// The view lacks it, or its lease is over: what became of it only the store knows.
    pub(super) fn lock_from_view(
        &self,
        lock: EntryId,
        cause: Option<String>,
    ) -> Result<Unconfirmed, Failure> {
        let partition = lock.resource.partition();
        let now = self.shared().store.now_in(partition);
        match self.copy_of(lock).filter(|(_, copy)| !copy.is_over(now)) {
            Some((document, copy)) => Ok(Unconfirmed {
                resource: Arc::clone(document.resource()),
                reply: Reply::Lock(copy),
                now,
                as_of: self.as_of_in(partition, now),
            }),
            None => Err(self.hold_only(Some(partition), cause, None)),
        }
    }

    /// Where a ticket stands, as the view has it.
    ///
    /// # Errors
    /// The view lacks it, or has it as a lock: only the store can tell, and give it.
    pub(super) fn ticket_from_view(
        &self,
        ticket: EntryId,
        cause: Option<String>,
    ) -> Result<Unconfirmed, Failure> {
        let partition = ticket.resource.partition();
        let now = self.shared().store.now_in(partition);
        let document = self.view().get(ticket.resource);
        let standing = document.as_ref().and_then(|document| document.standing(ticket.seq).ok());
        match (document, standing) {
            (Some(document), Some(standing @ Standing::Queued { .. })) => Ok(Unconfirmed {
                resource: Arc::clone(document.resource()),
                reply: Reply::Standing(standing),
                now,
                as_of: self.as_of_in(partition, now),
            }),
            _ => Err(self.hold_only(Some(partition), cause, self.last_lease(ticket))),
        }
    }
}
