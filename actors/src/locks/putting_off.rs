//! Releases while the store cannot be asked: kept durably, to be carried out when it is back.

use super::Locks;
use crate::answer::{Failure, Released, Unconfirmed};
use crate::bound::Bound;
use crate::faults::FaultPoint;
use crate::journal::NotAccepted;
use lockkeeper_core::{EntryId, Reply};
use std::sync::Arc;

impl Locks {
    /// Accepts a release that is carried out later.
    ///
    /// # Errors
    /// It is not known here that there is such a lock; or it cannot be written down.
    pub(super) async fn put_off(
        &self,
        lock: EntryId,
        token: u64,
        nonce: u64,
        cause: Option<String>,
    ) -> Result<Released, Failure> {
        let (shared, partition) = (self.shared(), lock.resource.partition());
        let now = shared.store.now_in(partition);
        let pending = shared.journal.book().get(lock);
        let (resource, copy) = match pending.filter(|pending| pending.accepted.lock.token == token) {
            Some(pending) => (Arc::clone(&pending.accepted.resource), Arc::clone(&pending.accepted.lock)),
            None => {
                // A lease that is over may have been renewed elsewhere, or the lock be another's.
                let known = self.copy_of(lock).filter(|(_, copy)| copy.token == token && !copy.is_over(now));
                let Some((document, copy)) = known else {
                    return Err(self.hold_only(Some(partition), cause, None));
                };
                let resource = Arc::clone(document.resource());
                if let Err(planned) = shared.faults.pass(FaultPoint::JournalAppend, None).await {
                    return Err(self.not_accepted(lock, NotAccepted::Unwritten(planned.to_string())));
                }
                let accepted =
                    shared.journal.accept(lock, Arc::clone(&resource), Arc::clone(&copy), nonce, now).await;
                accepted.map_err(|refused| self.not_accepted(lock, refused))?;
                shared.service.releases_pend(now);
                (resource, copy)
            }
        };
        let as_of = self.as_of_in(partition, now);
        Ok(Released::Pending(Unconfirmed { resource, reply: Reply::Lock(copy), now, as_of }))
    }

    fn not_accepted(&self, lock: EntryId, refused: NotAccepted) -> Failure {
        let partition = Some(lock.resource.partition());
        match refused {
            NotAccepted::None => {
                self.hold_only(partition, Some("releases are not kept while the store is away".into()), None)
            }
            NotAccepted::Full { limit } => Failure::Overloaded { what: Bound::PendingReleases, limit },
            NotAccepted::Busy { limit } => Failure::Overloaded { what: Bound::UnwrittenReleases, limit },
            NotAccepted::Unwritten(cause) => {
                let cause = format!("the release could not be written down: {cause}");
                self.hold_only(partition, Some(cause), None)
            }
            NotAccepted::Unknown(cause) => {
                Failure::OutcomeUnknown(format!("the release may have been written down: {cause}"))
            }
        }
    }
}
