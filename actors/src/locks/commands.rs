//! What may be asked for, one method each.

use super::gating::{STORE_RETRY_MIN, Until};
use super::{AcquireRequest, Locks, fresh_nonce, span};
use crate::answer::{Answer, Failure, Released, Sight};
use lockkeeper_core::command::{Acquire, Cancel, ForceRelease, Poll, Release, ReleasePull, Renew};
use lockkeeper_core::{Command, Document, EntryId, Intent, Partition, Span, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

impl Locks {
    /// Asks for a lock; see [`lockkeeper_core::command::Acquire`].
    ///
    /// # Errors
    /// [`Failure`]: nothing was decided, or it is not known. Refusals are answers.
    pub async fn acquire(&self, request: AcquireRequest) -> Result<Answer, Failure> {
        if let Some(closed) = self.closed_for_grants() {
            return Err(closed);
        }
        let id = request.resource.id();
        let nonce = request.intent.nonce;
        let intent = Arc::new(request.intent.clone());
        let stays = !request.wait.is_zero();
        let _place = if stays { Some(self.take_waiting_place()?) } else { None };
        let until = Instant::now() + request.wait;
        let (mut pause, mut was_parked) = (STORE_RETRY_MIN, false);
        loop {
            if !self.shared().service.may_grant() {
                if !(stays && request.queue) {
                    let closed = self.closed_for_grants();
                    return Err(closed.unwrap_or_else(|| self.hold_only(Some(id.partition()), None, None)));
                }
                self.parked(id.partition(), Until::Granting, until).await?;
                was_parked = true;
            }
            self.room_for(&request)?;
            let wait = until.saturating_duration_since(Instant::now());
            let command = Command::Acquire(Acquire {
                resource: Arc::clone(&request.resource),
                intent: Arc::clone(&intent),
                reentrant: request.reentrant,
                queue: request.queue,
                queue_timeout: request.queue_timeout,
                wait: span(wait),
            });
            let failure = match self.execute(id, command, nonce, stays.then_some(wait)).await {
                Ok(answer) => return self.confirmed(id, answer).await,
                Err(failure) => failure,
            };
            // In both cases nothing was granted, and no ticket made.
            let may_pass = match &failure {
                Failure::Unavailable(_) => true,
                Failure::Overloaded { .. } => was_parked,
                _ => false,
            };
            if !(may_pass && stays && request.queue) || Instant::now() >= until {
                return Err(self.told(Some(id.partition()), failure, None));
            }
            pause = self.pause_before_retry(id.partition(), pause, until).await;
            if let Some(closed) = self.closed_for_grants() {
                return Err(closed);
            }
            if Instant::now() >= until {
                return Err(self.told(Some(id.partition()), failure, None));
            }
        }
    }

    /// Asks what became of a ticket, and waits up to `wait` for a change. While the store cannot be
    /// asked that long, a ticket is told of as the view has it.
    ///
    /// # Errors
    /// As [`Locks::acquire`]. What the view has as a lock is not given, and what it lacks is not
    /// denied.
    pub async fn poll(&self, ticket: EntryId, wait: Duration) -> Result<Sight, Failure> {
        let (partition, nonce) = (ticket.resource.partition(), fresh_nonce());
        let stays = !wait.is_zero();
        let _place = if stays { Some(self.take_waiting_place()?) } else { None };
        let until = Instant::now() + wait;
        let mut pause = STORE_RETRY_MIN;
        loop {
            let trusted = &self.shared().service;
            if !trusted.is_store_trusted() && stays && !self.is_draining() {
                // Whatever ends the wait: the next look says how it stands.
                drop(self.parked(partition, Until::Trusted, until).await);
            }
            if !trusted.is_store_trusted() {
                return self.ticket_from_view(ticket, None).map(Sight::Unconfirmed);
            }
            let left = until.saturating_duration_since(Instant::now());
            let command = Command::Poll(Poll { seq: ticket.seq, wait: span(left) });
            let cause = match self.execute(ticket.resource, command, nonce, stays.then_some(left)).await {
                Ok(answer) => return self.confirmed(ticket.resource, answer).await.map(Sight::Confirmed),
                Err(Failure::Unavailable(cause)) => cause,
                // Its claim may have landed. That it was seen in the queue stays true.
                Err(Failure::OutcomeUnknown(cause)) if !trusted.is_store_trusted() => {
                    let seen = self.ticket_from_view(ticket, None).map(Sight::Unconfirmed);
                    return seen.map_err(|_| Failure::OutcomeUnknown(cause));
                }
                Err(failure) => return Err(failure),
            };
            if stays && Instant::now() < until && !self.is_draining() {
                pause = self.pause_before_retry(partition, pause, until).await;
            } else {
                return self.ticket_from_view(ticket, Some(cause)).map(Sight::Unconfirmed);
            }
        }
    }

    /// Begins a lease anew.
    ///
    /// # Errors
    /// As [`Locks::acquire`]. While the store cannot be asked no lease is begun: a renewal of which only
    /// this instance knows would let two hold the lock.
    pub async fn renew(&self, lock: EntryId, token: u64, ttl: Option<Span>) -> Result<Answer, Failure> {
        let partition = Some(lock.resource.partition());
        if !self.shared().service.is_store_trusted() {
            return Err(self.hold_only(partition, None, self.last_lease(lock)));
        }
        let command = Command::Renew(Renew { seq: lock.seq, token, ttl });
        match self.execute(lock.resource, command, fresh_nonce(), None).await {
            Ok(answer) => self.confirmed(lock.resource, answer).await,
            Err(failure) => Err(self.told(partition, failure, self.last_lease(lock))),
        }
    }

    /// Gives a lock back. While the store cannot be asked, or has not answered, the release is kept
    /// and carried out later.
    ///
    /// # Errors
    /// As [`Locks::acquire`].
    pub async fn release(&self, lock: EntryId, token: u64, nonce: u64) -> Result<Released, Failure> {
        if !self.shared().service.is_store_trusted() {
            return self.put_off(lock, token, nonce, None).await;
        }
        let command = Command::Release(Release { seq: lock.seq, token, touch: None, nonce });
        match self.execute(lock.resource, command, nonce, None).await {
            Ok(answer) => Ok(Released::Now(answer)),
            Err(Failure::Unavailable(cause)) => self.put_off(lock, token, nonce, Some(cause)).await,
            // It has happened, or it will: the nonce tells that it is the same release.
            Err(unknown @ Failure::OutcomeUnknown(_)) => {
                self.put_off(lock, token, nonce, None).await.map_err(|_| unknown)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Ends a lock whoever holds it. `note` says who does it and why.
    ///
    /// # Errors
    /// As [`Locks::acquire`].
    pub async fn force_release(&self, lock: EntryId, note: &str, nonce: u64) -> Result<Answer, Failure> {
        let partition = lock.resource.partition();
        self.store_trusted(partition)?;
        let command = Command::ForceRelease(ForceRelease { seq: lock.seq, note: note.into(), nonce });
        let result = self.execute(lock.resource, command, nonce, None).await;
        result.map_err(|failure| self.told(Some(partition), failure, None))
    }

    /// Gives a place in the queue back.
    ///
    /// # Errors
    /// As [`Locks::acquire`].
    pub async fn cancel(&self, ticket: EntryId, nonce: u64) -> Result<Answer, Failure> {
        let partition = ticket.resource.partition();
        self.store_trusted(partition)?;
        let command = Command::Cancel(Cancel { seq: ticket.seq, nonce });
        let result = self.execute(ticket.resource, command, nonce, None).await;
        result.map_err(|failure| self.told(Some(partition), failure, None))
    }

    /// Shows a lock, or why it ended.
    ///
    /// # Errors
    /// As [`Locks::acquire`].
    pub async fn show(&self, lock: EntryId) -> Result<Answer, Failure> {
        let partition = lock.resource.partition();
        self.store_trusted(partition)?;
        match self.execute(lock.resource, Command::Show(lock.seq), fresh_nonce(), None).await {
            Ok(answer) => self.confirmed(lock.resource, answer).await,
            Err(failure) => Err(self.told(Some(partition), failure, None)),
        }
    }

    /// As [`Locks::show`]; while the store cannot be asked, a lock is shown as the view has it.
    ///
    /// # Errors
    /// As [`Locks::acquire`]. What the view lacks is not denied.
    pub async fn sight(&self, lock: EntryId) -> Result<Sight, Failure> {
        if !self.shared().service.is_store_trusted() {
            return self.lock_from_view(lock, None).map(Sight::Unconfirmed);
        }
        match self.execute(lock.resource, Command::Show(lock.seq), fresh_nonce(), None).await {
            Ok(answer) => self.confirmed(lock.resource, answer).await.map(Sight::Confirmed),
            Err(Failure::Unavailable(cause)) => {
                self.lock_from_view(lock, Some(cause)).map(Sight::Unconfirmed)
            }
            Err(failure) => Err(failure),
        }
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
        self.store_trusted(partition)?;
        // What another instance granted just now belongs to it too.
        self.catch_up(Some(partition)).await?;
        let documents = self.view().documents(Some(partition));
        let mut answers = Vec::new();
        for document in documents.iter().filter(|document| concerned(document)) {
            let nonce = fresh_nonce();
            let command = Command::ReleasePull(ReleasePull { pull, before, nonce });
            let answer = self.execute(document.id(), command, nonce, None).await;
            answers.push(answer.map_err(|failure| self.told(Some(partition), failure, None))?);
        }
        Ok(answers)
    }
}
