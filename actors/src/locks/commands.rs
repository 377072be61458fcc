//! What may be asked for, one method each.

use super::{AcquireRequest, Locks, fresh_nonce, span};
use crate::answer::{Answer, Failure};
use lockkeeper_core::command::{Acquire, Cancel, ForceRelease, Poll, Release, ReleasePull, Renew};
use lockkeeper_core::{Command, Document, EntryId, Intent, Partition, Span, Timestamp};
use std::sync::Arc;
use std::time::Duration;

impl Locks {
    /// Asks for a lock; see [`lockkeeper_core::command::Acquire`].
    ///
    /// # Errors
    /// [`Failure`]: nothing was decided, or it is not known. Refusals are answers.
    pub async fn acquire(&self, request: AcquireRequest) -> Result<Answer, Failure> {
        if self.shared().is_draining() {
            return Err(Failure::ShuttingDown);
        }
        if let Some(by) = self.shared().switched_off() {
            return Err(Failure::SwitchedOff(by.as_ref().into()));
        }
        let health = self.health();
        if health.unfit {
            // It would take the commit, and might forget it.
            return Err(Failure::Unavailable(health.reason.unwrap_or_default()));
        }
        self.room_for(&request)?;
        let id = request.resource.id();
        let nonce = request.intent.nonce;
        let command = Command::Acquire(Acquire {
            resource: request.resource,
            intent: Arc::new(request.intent),
            reentrant: request.reentrant,
            queue: request.queue,
            queue_timeout: request.queue_timeout,
            wait: span(request.wait),
        });
        let answer = self.execute(id, command, nonce, Some(request.wait)).await?;
        self.confirmed(id, answer).await
    }

    /// Asks what became of a ticket, and waits up to `wait` for a change.
    ///
    /// # Errors
    /// As [`Locks::acquire`].
    pub async fn poll(&self, ticket: EntryId, wait: Duration) -> Result<Answer, Failure> {
        let command = Command::Poll(Poll { seq: ticket.seq, wait: span(wait) });
        let answer = self.execute(ticket.resource, command, fresh_nonce(), Some(wait)).await?;
        self.confirmed(ticket.resource, answer).await
    }

    /// Begins a lease anew.
    ///
    /// # Errors
    /// As [`Locks::acquire`].
    pub async fn renew(&self, lock: EntryId, token: u64, ttl: Option<Span>) -> Result<Answer, Failure> {
        let command = Command::Renew(Renew { seq: lock.seq, token, ttl });
        let answer = self.execute(lock.resource, command, fresh_nonce(), None).await?;
        self.confirmed(lock.resource, answer).await
    }

    /// Gives a lock back.
    ///
    /// # Errors
    /// As [`Locks::acquire`].
    pub async fn release(&self, lock: EntryId, token: u64, nonce: u64) -> Result<Answer, Failure> {
        let command = Command::Release(Release { seq: lock.seq, token, nonce });
        self.execute(lock.resource, command, nonce, None).await
    }

    /// Ends a lock whoever holds it. `note` says who does it and why.
    ///
    /// # Errors
    /// As [`Locks::acquire`].
    pub async fn force_release(&self, lock: EntryId, note: &str, nonce: u64) -> Result<Answer, Failure> {
        let command = Command::ForceRelease(ForceRelease { seq: lock.seq, note: note.into(), nonce });
        self.execute(lock.resource, command, nonce, None).await
    }

    /// Gives a place in the queue back.
    ///
    /// # Errors
    /// As [`Locks::acquire`].
    pub async fn cancel(&self, ticket: EntryId, nonce: u64) -> Result<Answer, Failure> {
        let command = Command::Cancel(Cancel { seq: ticket.seq, nonce });
        self.execute(ticket.resource, command, nonce, None).await
    }

    /// Shows a lock, or why it ended.
    ///
    /// # Errors
    /// As [`Locks::acquire`].
    pub async fn show(&self, lock: EntryId) -> Result<Answer, Failure> {
        let answer = self.execute(lock.resource, Command::Show(lock.seq), fresh_nonce(), None).await?;
        self.confirmed(lock.resource, answer).await
    }

    /// Ends all locks and tickets of one pull request, resource by resource.
    ///
    /// # Errors
    /// As [`Locks::acquire`]; what was released before the failure stays released, and asking again
    /// releases the rest.
    pub async fn release_pull(
        &self,
        host: &str,
        namespace: &str,
        pull: u64,
        before: Option<Timestamp>,
    ) -> Result<Vec<Answer>, Failure> {
        let concerned = |document: &Arc<Document>| {
            let resource = document.resource();
            let of_pull = |intent: &Intent| intent.owner.pull.as_ref().is_some_and(|p| p.num == pull);
            &*resource.namespace == namespace
                && &*resource.host == host
                && (document.locks().any(|lock| of_pull(&lock.intent))
                    || document.tickets().any(|ticket| of_pull(&ticket.intent)))
        };
        let partition = Partition::of(host, namespace);
        // What another instance granted just now belongs to it too.
        self.catch_up(Some(partition)).await?;
        let documents = self.view().documents(Some(partition));
        let mut answers = Vec::new();
        for document in documents.iter().filter(|document| concerned(document)) {
            let nonce = fresh_nonce();
            let command = Command::ReleasePull(ReleasePull { pull, before, nonce });
            answers.push(self.execute(document.id(), command, nonce, None).await?);
        }
        Ok(answers)
    }
}
