//! The handle through which doors ask for locks.
//!
//! It keeps a command until it is answered: an actor that dies takes nothing with it, since its
//! successor is sent the same command, marked as retried. A caller that goes away (its future is
//! dropped) is reported, so that no grant is left to nobody.

use crate::answer::{Answer, Failure};
use crate::coordinator::{Coordinator, Route};
use crate::engine::{Client, Submission};
use crate::events::{EventHub, EventLog, LoggedEvent, Subscribe, SubscribeError, Subscription};
use crate::health::Health;
use crate::queue_actor::{EndWait, Forget, QueueActor, Submit};
use crate::replica::ReplicaStatus;
use crate::resident::{Kill, Resident};
use crate::responder::Responder;
use crate::shared::Shared;
use crate::statistics::Statistics;
use crate::view::View;
use actix::prelude::*;
use futures_util::TryStreamExt;
use lockkeeper_core::command::{Acquire, Cancel, ForceRelease, Poll, Release, ReleasePull, Renew};
use lockkeeper_core::{
    Command, Document, EntryId, Intent, Partition, Reply, Resource, ResourceId, Seq, Span, Standing,
    Timestamp,
};
use lockkeeper_store::shared::InstanceRecord;
use lockkeeper_telemetry::{Retry, metrics};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// The pause before a command is sent again whose actor died; it doubles with each resend.
const RESEND_PAUSE: Duration = Duration::from_millis(1);
/// The longest such pause.
const RESEND_PAUSE_MAX: Duration = Duration::from_millis(16);
/// How often an answer that grew too old is confirmed before the server counts as overloaded.
const CONFIRMATIONS_MAX: u32 = 3;
/// Documents read from the store at once.
const PAGE: usize = 1000;
/// Partitions that are compared with a shared store at once.
const CATCH_UPS_MAX: usize = 16;

/// What an acquire asks for.
#[derive(Clone, Debug)]
pub struct AcquireRequest {
    /// Which resource.
    pub resource: Arc<Resource>,
    /// For whom and how.
    pub intent: Intent,
    /// Return what the owner already has.
    pub reentrant: bool,
    /// Wait in the queue if it is not free.
    pub queue: bool,
    /// How long the ticket waits at most.
    pub queue_timeout: Span,
    /// How long the caller stays for the answer.
    pub wait: Duration,
}

/// The actors, as the rest of the server sees them. Cheap to clone.
#[derive(Clone)]
pub struct Locks {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    coordinators: Vec<Arc<Resident<Coordinator>>>,
    hub: Arc<Resident<EventHub>>,
    waiting: AtomicUsize,
}

impl Locks {
    pub(crate) fn new(
        shared: Arc<Shared>,
        coordinators: Vec<Arc<Resident<Coordinator>>>,
        hub: Arc<Resident<EventHub>>,
    ) -> Self {
        Self { inner: Arc::new(Inner { shared, coordinators, hub, waiting: AtomicUsize::new(0) }) }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    // --- commands ------------------------------------------------------------------------------

    /// Asks for a lock; see [`lockkeeper_core::command::Acquire`].
    ///
    /// # Errors
    /// [`Failure`]: nothing was decided, or it is not known. Refusals are answers.
    pub async fn acquire(&self, request: AcquireRequest) -> Result<Answer, Failure> {
        if self.shared().is_draining() {
            return Err(Failure::ShuttingDown);
        }
        let health = self.health();
        if health.unfit {
            // It would take the commit, and might forget it.
            return Err(Failure::Unavailable(health.reason.unwrap_or_default()));
        }
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

    // --- looking -------------------------------------------------------------------------------

    /// The local view.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.shared().view
    }

    /// The store's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared().store.now()
    }

    /// The store's name.
    #[must_use]
    pub fn store_name(&self) -> &'static str {
        self.shared().store.name()
    }

    /// Live documents of one partition, or of all, read from the store itself.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn documents_from_store(
        &self,
        partition: Option<Partition>,
    ) -> Result<Vec<Arc<Document>>, Failure> {
        if self.shared().store.shared().is_some() {
            self.catch_up(partition).await?;
            return Ok(self.view().documents(partition));
        }
        let mut documents = Vec::new();
        let mut from = partition.map(|partition| ResourceId(u64::from(partition.0) << 56));
        loop {
            let page = self.shared().store.list(from, PAGE).await?;
            for stored in page.documents {
                if partition.is_some_and(|partition| stored.id.partition() != partition) {
                    return Ok(documents);
                }
                let document =
                    crate::system::read(&stored, 0).map_err(|e| Failure::Damaged(e.to_string()))?;
                if document.is_live() {
                    documents.push(Arc::new(document));
                }
            }
            from = page.next;
            if from.is_none() {
                return Ok(documents);
            }
        }
    }

    /// Brings the view of one partition, or of all, up to what a shared store has now. On a store
    /// of this process's own it always is.
    async fn catch_up(&self, partition: Option<Partition>) -> Result<(), Failure> {
        let shared = self.shared();
        let Some(store) = shared.store.shared() else { return Ok(()) };
        let partitions = match partition {
            Some(partition) => vec![partition],
            None => crate::replica::all().collect(),
        };
        futures_util::stream::iter(
            partitions.into_iter().map(|partition| Ok(crate::replica::catch_up(shared, store, partition))),
        )
        .try_buffer_unordered(CATCH_UPS_MAX)
        .try_collect::<()>()
        .await
        .map_err(Failure::from)
    }

    /// How the view of a shared store stands; `None` on a store of this process's own.
    #[must_use]
    pub fn replica(&self) -> Option<ReplicaStatus> {
        self.shared().store.shared().map(|_| self.shared().replica.status())
    }

    /// As of when the view is, at least: what a shared store had then is in it.
    #[must_use]
    pub fn as_of(&self, now: Timestamp) -> Timestamp {
        match self.replica() {
            None => now,
            Some(ReplicaStatus { age: Some(age), .. }) => now - span(age),
            Some(ReplicaStatus { age: None, .. }) => Timestamp::ZERO,
        }
    }

    /// Who shares the store, as this instance heard last.
    #[must_use]
    pub fn instances(&self) -> Vec<InstanceRecord> {
        self.shared().replica.instances()
    }

    /// What there is to warn of though the store can be used.
    #[must_use]
    pub fn store_warnings(&self) -> Vec<String> {
        self.shared().store.shared().map(|store| store.warnings()).unwrap_or_default()
    }

    /// What is known of the store's health.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared().health.get()
    }

    /// The event log.
    #[must_use]
    pub fn events(&self) -> &Arc<EventLog> {
        &self.shared().log
    }

    /// Follows the events after number `after` that the filter takes.
    ///
    /// # Errors
    /// See [`SubscribeError`]; `Ok(Err(_))` never: failures of the hub itself are [`Failure`]s.
    pub async fn subscribe(
        &self,
        after: u64,
        filter: impl Fn(&LoggedEvent) -> bool + Send + 'static,
    ) -> Result<Result<Subscription, SubscribeError>, Failure> {
        let hub = &self.inner.hub;
        hub.revive();
        let overloaded = || Failure::Overloaded {
            what: "messages waiting for the event hub",
            limit: self.shared().options.mailbox,
        };
        let address = hub.address().ok_or_else(overloaded)?;
        address.send(Subscribe { after, filter: Box::new(filter) }).await.map_err(|_| overloaded())
    }

    // --- ending --------------------------------------------------------------------------------

    /// No new grants from now on; waiting callers are answered soon.
    pub fn begin_drain(&self) {
        self.shared().begin_drain();
        metrics().ready(false);
    }

    /// Waits until the server is about to stop.
    pub async fn drained(&self) {
        self.shared().drained().await;
    }

    /// How many clients wait for a grant.
    #[must_use]
    pub fn waiting_clients(&self) -> usize {
        self.inner.waiting.load(Ordering::Relaxed)
    }

    /// Has [`Locks::begin_drain`] been called?
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared().is_draining()
    }

    /// Kills actors, for tests: the queue actor of a resource, or a resident by its kind.
    /// False when there is none.
    pub fn kill_queue_actor(&self, id: ResourceId, how: Kill) -> bool {
        let address = self.shared().registry(id).actors.lock().get(&id).cloned();
        address.is_some_and(|address| address.try_send(how).is_ok())
    }

    /// Kills all coordinators, for tests.
    pub fn kill_coordinators(&self, how: Kill) {
        for coordinator in &self.inner.coordinators {
            let _ = coordinator.try_send(how);
        }
    }

    /// Kills the event hub, for tests.
    pub fn kill_event_hub(&self, how: Kill) {
        let _ = self.inner.hub.try_send(how);
    }

    /// How many queue actors there are.
    #[must_use]
    pub fn queue_actors(&self) -> usize {
        self.shared().registries.iter().map(|registry| registry.actors.lock().len()).sum()
    }

    /// What this server did lately, and since its start.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.shared().tally.read()
    }

    // --- carrying ------------------------------------------------------------------------------

    /// Sends a command until it is answered.
    async fn execute(
        &self,
        id: ResourceId,
        command: Command,
        nonce: u64,
        wait: Option<Duration>,
    ) -> Result<Answer, Failure> {
        metrics().operations(command.name()).increment(1);
        let command = Arc::new(command);
        let stays = wait.is_some_and(|wait| !wait.is_zero());
        let _place = if stays { Some(self.take_waiting_place()?) } else { None };
        let begun = tokio::time::Instant::now();
        let wait_until = wait.filter(|wait| !wait.is_zero()).map(|wait| begun + wait);
        // Actors may die as often as they like: what is bounded is the time.
        let give_up_at = wait_until.unwrap_or(begun) + self.shared().options.answer_timeout;
        let mut pause = RESEND_PAUSE;
        let mut retried = false;
        loop {
            let (sender, receiver) = oneshot::channel();
            let submission = Submission {
                command: Arc::clone(&command),
                nonce,
                retried,
                stays,
                client: Some(Responder(sender)),
            };
            let guard = ForgetGuard { locks: self, id, nonce, armed: true };
            self.send(id, submission);
            let received = self.receive(id, nonce, receiver, wait_until).await;
            guard.disarm();
            if let Some(answer) = received {
                return if retried { answer.map_err(Failure::of_repetition) } else { answer };
            }
            if tokio::time::Instant::now() >= give_up_at {
                return Err(Failure::OutcomeUnknown("its actors died before they could answer".into()));
            }
            retried = true;
            metrics().retry(Retry::Resend);
            let absent = AbsentGuard { locks: self, id, command: &command, nonce, armed: true };
            tokio::time::sleep(pause).await;
            absent.disarm();
            pause = (pause * 2).min(RESEND_PAUSE_MAX);
        }
    }

    /// Waits for the answer; `None`: the actor died and took the channel with it.
    async fn receive(
        &self,
        id: ResourceId,
        nonce: u64,
        mut receiver: oneshot::Receiver<Result<Answer, Failure>>,
        wait_until: Option<tokio::time::Instant>,
    ) -> Option<Result<Answer, Failure>> {
        let shared = self.shared();
        if let Some(until) = wait_until {
            let over = async {
                tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    () = async {
                        shared.drained().await;
                        let spread = shared.options.drain_spread;
                        tokio::time::sleep(spread.mul_f64(rand::random::<f64>())).await;
                    } => {}
                }
            };
            tokio::select! {
                biased;
                answer = &mut receiver => return answer.ok(),
                () = over => {}
            }
            // The actor alone answers, so a grant that is on its way is not overlooked.
            if let Some(actor) = self.actor_of(id) {
                let _ = actor.try_send(EndWait { nonce });
            }
        }
        match tokio::time::timeout(shared.options.answer_timeout, receiver).await {
            Ok(answer) => answer.ok(),
            Err(_) => Some(Err(Failure::OutcomeUnknown("the answer took too long".into()))),
        }
    }

    fn actor_of(&self, id: ResourceId) -> Option<Addr<QueueActor>> {
        self.shared().registry(id).actors.lock().get(&id).cloned()
    }

    /// Brings a command to its actor; a client is told when that cannot be done.
    fn send(&self, id: ResourceId, submission: Submission<Responder>) {
        if let Err((submission, failure)) = self.try_send(id, submission)
            && let Some(client) = submission.client
        {
            client.answer(Err(failure));
        }
    }

    /// Sends a command whose answer nobody waits for. False when it could not be taken.
    pub(crate) fn submit_unattended(&self, id: ResourceId, command: Arc<Command>) -> bool {
        let submission = Submission { command, nonce: 0, retried: false, stays: false, client: None };
        self.try_send(id, submission).is_ok()
    }

    fn try_send(&self, id: ResourceId, submission: Submission<Responder>) -> Result<(), Unsent> {
        let limit = self.shared().options.mailbox;
        let overloaded = |what| Failure::Overloaded { what, limit };
        let submission = match self.actor_of(id) {
            None => submission,
            Some(actor) => match actor.try_send(Submit(submission)) {
                Ok(()) => return Ok(()),
                Err(SendError::Closed(Submit(submission))) => submission,
                Err(SendError::Full(Submit(submission))) => {
                    metrics().mailbox_full("queue");
                    return Err((submission, overloaded("messages waiting for one resource")));
                }
            },
        };
        let coordinator = &self.inner.coordinators[self.shared().shard_of(id)];
        coordinator.try_send(Route { id, submission }).map_err(|(Route { submission, .. }, full)| {
            let failure =
                if full { overloaded("messages waiting for a coordinator") } else { Failure::ShuttingDown };
            (submission, failure)
        })
    }

    fn take_waiting_place(&self) -> Result<WaitingPlace<'_>, Failure> {
        let limit = self.shared().options.max_waiting;
        let waiting = &self.inner.waiting;
        if waiting.fetch_add(1, Ordering::Relaxed) >= limit {
            waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Failure::Overloaded { what: "clients waiting for a grant", limit });
        }
        Ok(WaitingPlace { waiting, _counted: metrics().waiting_client() })
    }

    /// An answer that waited too long, or whose lock's lease is over, is asked for again.
    async fn confirmed(&self, id: ResourceId, mut answer: Answer) -> Result<Answer, Failure> {
        let shared = self.shared();
        let max_age = span(shared.options.answer_max_age);
        for _ in 0..CONFIRMATIONS_MAX {
            let now = shared.store.now_in(id.partition());
            let lock = match &answer.outcome {
                Ok(Reply::Standing(Standing::Acquired { lock, .. }) | Reply::Lock(lock)) => lock,
                _ => return Ok(answer),
            };
            if now.since(answer.decided_at) <= max_age && !lock.is_over(now) {
                return Ok(answer);
            }
            let seq: Seq = lock.seq;
            let before = answer.outcome.clone();
            let again = self.execute(id, Command::Show(seq), fresh_nonce(), None).await;
            // It was granted, or renewed: that much is known, whatever becomes of the confirmation.
            let mut again = again.map_err(Failure::of_repetition)?;
            // It is the same lock still: the answer keeps its form.
            if let (Ok(Reply::Standing(Standing::Acquired { reentrant, news, .. })), Ok(Reply::Lock(lock))) =
                (&before, &again.outcome)
            {
                let lock = Arc::clone(lock);
                let standing = Standing::Acquired { lock, reentrant: *reentrant, news: *news };
                again.outcome = Ok(Reply::Standing(standing));
            }
            answer = again;
        }
        let limit = CONFIRMATIONS_MAX as usize;
        Err(Failure::Overloaded { what: "confirmations of one answer", limit }.of_repetition())
    }
}

type Unsent = (Submission<Responder>, Failure);

struct WaitingPlace<'a> {
    waiting: &'a AtomicUsize,
    _counted: lockkeeper_telemetry::Occupied,
}

impl Drop for WaitingPlace<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Dropped while armed, it tells the actor that its client went away.
struct ForgetGuard<'a> {
    locks: &'a Locks,
    id: ResourceId,
    nonce: u64,
    armed: bool,
}

impl ForgetGuard<'_> {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for ForgetGuard<'_> {
    fn drop(&mut self) {
        if self.armed
            && let Some(actor) = self.locks.actor_of(self.id)
        {
            // If its mailbox is full, the closed channel is found when the turn comes.
            let _ = actor.try_send(Forget { nonce: self.nonce });
        }
    }
}

/// Dropped while armed, it sends the command once more for a client that left while its actor was
/// dead: the successor finds that nobody can be answered, and undoes what the dead actor made.
struct AbsentGuard<'a> {
    locks: &'a Locks,
    id: ResourceId,
    command: &'a Arc<Command>,
    nonce: u64,
    armed: bool,
}

impl AbsentGuard<'_> {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for AbsentGuard<'_> {
    fn drop(&mut self) {
        if self.armed && matches!(**self.command, Command::Acquire(_)) {
            let (sender, _) = oneshot::channel();
            self.locks.send(
                self.id,
                Submission {
                    command: Arc::clone(self.command),
                    nonce: self.nonce,
                    retried: true,
                    stays: false,
                    client: Some(Responder(sender)),
                },
            );
        }
    }
}

fn span(duration: Duration) -> Span {
    Span::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

/// A number that identifies a command that has no request id.
#[must_use]
pub fn fresh_nonce() -> u64 {
    // 0 stands for what time ended.
    rand::random::<u64>().max(1)
}
