//! The logic of a queue actor, without an actor: what arrives goes in, what is to be done comes
//! out. No I/O and no clock, so that the simulation runs exactly what the server runs.
//!
//! It drains what waits, applies all of it to a copy of its document, asks for one commit, and
//! answers only when that is durable. One commit is in flight at a time.
//!
//! Delivery: every submission is answered once, or its client is dropped with the engine (then
//! whoever submitted it sends it again, marked as retried). A client that cannot be answered any
//! more is reported to the core as [`lockkeeper_core::command::ClientGone`].

#[cfg(test)]
mod tests;
mod waiters;

use crate::answer::{Answer, Failure};
use lockkeeper_core::command::{ClientGone, Poll};
use lockkeeper_core::{
    Command, Context, Document, Effects, Lock, Outcome, Presence, Refusal, Reply, ResourceId, Rules, Seq,
    Span, Standing, Timestamp,
};
use lockkeeper_store::{Commit, Committed, Loaded, StoreError};
use std::collections::VecDeque;
use std::sync::Arc;
use waiters::{Waiter, Waiters};

/// Commands applied in one commit.
pub const BATCH_MAX: usize = 512;
/// Commands that may wait for one queue actor's commit.
pub const INBOX_MAX: usize = 4096;
/// Conflicts in a row after which the waiting commands are refused as overload.
pub const CONFLICTS_MAX: u32 = 16;

/// Whoever waits for an answer.
pub trait Client {
    /// Could an answer still reach it?
    fn is_connected(&self) -> bool;
    /// Gives it its answer; false if it went away.
    fn answer(self, answer: Result<Answer, Failure>) -> bool;
}

/// A command with the client that waits for its answer.
#[derive(Debug)]
pub struct Submission<C> {
    /// What is asked.
    pub command: Arc<Command>,
    /// Identifies the command, also when it is sent again.
    pub nonce: u64,
    /// It may have been carried out before.
    pub retried: bool,
    /// While its ticket is queued the client stays, until [`Engine::end_wait`].
    pub stays: bool,
    /// Who asks; `None`: nobody waits for the answer.
    pub client: Option<C>,
}

/// What the carrier of an engine must do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: wait for the next submission.
    Idle,
    /// Load the document and call [`Engine::loaded`].
    Load,
    /// Commit this and call [`Engine::committed`].
    Commit(Box<Commit>),
}

/// The engine's copy of its document.
#[derive(Clone, Debug)]
enum Copy {
    /// Not loaded, or not to be trusted.
    Unknown,
    /// There is none in the store.
    Absent { floor: u64 },
    /// As it was last seen in the store.
    Present(Box<Document>),
}

/// A batch whose commit is under way.
struct Flight<C> {
    document: Document,
    effects: Effects,
    batch: Vec<(Submission<C>, Outcome)>,
    decided_at: Timestamp,
}

/// What became durable, to be published by the carrier.
#[derive(Debug, Default)]
pub struct Published {
    /// What happened, in order.
    pub effects: Effects,
    /// The document is another one now (see [`Engine::document`]).
    pub changed: bool,
}

/// The logic of one resource's queue actor.
pub struct Engine<C> {
    id: ResourceId,
    copy: Copy,
    inbox: VecDeque<Submission<C>>,
    flight: Option<Flight<C>>,
    loading: bool,
    waiters: Waiters<C>,
    /// Clients that stopped waiting while a commit was in flight or their command not yet applied.
    ended_waits: Vec<u64>,
    /// Clients that may have gone while a commit was in flight.
    gone_in_flight: Vec<u64>,
    /// What was decided in a commit of unknown outcome.
    doubt: Option<Document>,
    /// Reports of clients that went away which could not be carried out: nobody sends them again.
    owed: Vec<Submission<C>>,
    /// Waiting clients may have missed their turn: load even if nobody asks.
    reload: bool,
    conflicts: u32,
}

/// What an engine's decisions depend on besides its document.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The store's clock.
    pub now: Timestamp,
    /// Since when clients can reach the service.
    pub opened_at: Timestamp,
    /// The settings.
    pub rules: &'a Rules,
}

impl<C: Client> Engine<C> {
    /// An engine for one resource; `copy` is a published copy to start from, if there is one.
    #[must_use]
    pub fn new(id: ResourceId, copy: Option<Document>) -> Self {
        Self {
            id,
            copy: copy.map_or(Copy::Unknown, |document| Copy::Present(Box::new(document))),
            inbox: VecDeque::new(),
            flight: None,
            loading: false,
            waiters: Waiters::default(),
            ended_waits: Vec::new(),
            gone_in_flight: Vec::new(),
            doubt: None,
            owed: Vec::new(),
            reload: false,
            conflicts: 0,
        }
    }

    /// The document as it was last seen in the store.
    #[must_use]
    pub fn document(&self) -> Option<&Document> {
        match &self.copy {
            Copy::Present(document) => Some(document),
            Copy::Unknown | Copy::Absent { .. } => None,
        }
    }

    /// Is it known what the store has? If not, [`Engine::document`] says nothing.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !matches!(self.copy, Copy::Unknown)
    }

    /// True when nothing would be lost with it but its copy.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.inbox.is_empty() && self.flight.is_none() && !self.loading && !self.is_awaited()
    }

    /// Somebody relies on the copy being read again, even if nobody asks.
    fn is_awaited(&self) -> bool {
        !self.waiters.is_empty() || !self.owed.is_empty()
    }

    /// How many clients wait for a grant.
    #[must_use]
    pub fn waiting_clients(&self) -> usize {
        self.waiters.len()
    }

    /// Takes a command in. Call [`Engine::step`] afterwards.
    pub fn submit(&mut self, submission: Submission<C>) {
        if self.inbox.len() >= INBOX_MAX {
            let what = "commands waiting for one resource";
            self.refuse(submission, &Failure::Overloaded { what, limit: INBOX_MAX });
            return;
        }
        self.inbox.push_back(submission);
    }

    /// A client has waited as long as it wanted to: it is told where its ticket stands.
    pub fn end_wait(&mut self, nonce: u64, now: Timestamp) {
        if self.flight.is_some() || self.inbox.iter().any(|submission| submission.nonce == nonce) {
            // Its ticket may be granted by what is in flight: it must hear that, not the old state.
            self.ended_waits.push(nonce);
            return;
        }
        if let Some((seq, waiter)) = self.waiters.remove_by_nonce(nonce) {
            self.answer_waiter(seq, waiter, now);
        }
    }

    /// A client's connection may be gone.
    pub fn forget(&mut self, nonce: u64) {
        // Not applied yet: then it is as if it had never come. What is sent again may have been
        // applied before: its answer must be tried, so that what it made is undone.
        self.inbox.retain(|waiting| {
            waiting.nonce != nonce
                || waiting.retried
                || waiting.client.as_ref().is_none_or(Client::is_connected)
        });
        if self.flight.is_some() {
            // Its ticket may be granted by what is in flight, and others may wait for it too.
            self.gone_in_flight.push(nonce);
            return;
        }
        if let Some((seq, waiter)) = self.waiters.remove_by_nonce(nonce) {
            if waiter.client.is_connected() {
                self.waiters.insert(seq, waiter);
            } else if !self.waiters.is_waiting(seq) {
                self.report_gone(seq, nonce, None);
            }
        }
    }

    /// `untold`: the lease of which it would have been the first to hear.
    fn report_gone(&mut self, seq: Seq, nonce: u64, untold: Option<Timestamp>) {
        lockkeeper_telemetry::metrics().client_gone();
        let command = Arc::new(Command::ClientGone(ClientGone { seq, nonce, untold }));
        self.inbox.push_front(Submission { command, nonce, retried: false, stays: false, client: None });
    }

    /// Begins what can be begun. Call it whenever something came in.
    pub fn step(&mut self, around: Surroundings<'_>) -> Step {
        loop {
            let wanted = !self.inbox.is_empty() || (self.reload && self.is_awaited());
            if self.flight.is_some() || self.loading || !wanted {
                return Step::Idle;
            }
            let work = match &self.copy {
                Copy::Unknown => {
                    self.loading = true;
                    self.reload = false;
                    return Step::Load;
                }
                _ if self.inbox.is_empty() => {
                    self.reload = false;
                    return Step::Idle;
                }
                Copy::Absent { floor } => Err(*floor),
                Copy::Present(document) => Ok((**document).clone()),
            };
            if let Some(commit) = self.apply_batch(work, around) {
                return Step::Commit(Box::new(commit));
            }
            self.catch_up(around.now);
        }
    }

    /// Applies what waits to a copy. `None`: nothing changed, and all is answered.
    fn apply_batch(&mut self, work: Result<Document, u64>, around: Surroundings<'_>) -> Option<Commit> {
        let count = self.inbox.len().min(BATCH_MAX);
        let (mut work, floor) = match work {
            Ok(document) => (Some(document), 0),
            Err(floor) => (None, floor),
        };
        let mut batch = Vec::with_capacity(count);
        for submission in self.inbox.drain(..count) {
            let ctx = Context {
                now: around.now,
                opened_at: around.opened_at,
                retried: submission.retried,
                rules: around.rules,
                presence: &self.waiters,
            };
            let outcome = match (&mut work, &*submission.command) {
                (Some(document), command) => document.apply(command, &ctx),
                (None, command @ Command::Acquire(acquire)) => {
                    work.insert(Document::new(Arc::clone(&acquire.resource), floor)).apply(command, &ctx)
                }
                (None, Command::ReleasePull(_)) => {
                    Ok(Reply::Pull { released: Vec::new(), cancelled: Vec::new() })
                }
                (None, Command::Settle | Command::ClientGone(_)) => Ok(Reply::Done),
                (None, _) => Err(Refusal::NotFound),
            };
            batch.push((submission, outcome));
        }
        let decided_at = around.now;
        let Some(mut document) = work else {
            self.answer_batch(None, Effects::default(), batch, decided_at);
            return None;
        };
        let delta = document.finish();
        let effects = document.take_effects();
        let Some((delta, raise_floor)) = delta else {
            self.answer_batch(Some(document), effects, batch, decided_at);
            return None;
        };
        self.flight = Some(Flight { document, effects, batch, decided_at });
        Some(Commit { partition: self.id.partition(), deltas: vec![delta], raise_floor, now: around.now })
    }

    /// Clients wait on a copy that could not be read again: try once more at the next step.
    /// False when there is no need.
    pub fn wants_reload(&mut self) -> bool {
        self.reload = matches!(self.copy, Copy::Unknown) && self.is_awaited();
        self.reload && self.flight.is_none() && !self.loading
    }

    /// The store has answered the load. Call [`Engine::step`] afterwards.
    pub fn loaded(&mut self, result: Result<Loaded, StoreError>, now: Timestamp) {
        self.loading = false;
        let copy = result.map_err(Failure::from).and_then(|loaded| {
            let floor = loaded.floor;
            let Some(stored) = loaded.document else { return Ok(Copy::Absent { floor }) };
            let fields = stored.fields.iter().map(|(field, bytes)| (*field, bytes.as_slice()));
            Document::from_records(stored.id, stored.version, &stored.header, fields, floor)
                .map(|document| Copy::Present(Box::new(document)))
                .map_err(|damaged| Failure::Damaged(damaged.to_string()))
        });
        match copy {
            Ok(copy) => {
                self.copy = copy;
                // First of all: what others are told of comes after what is undone.
                for report in self.owed.drain(..) {
                    self.inbox.push_front(report);
                }
                self.answer_all_changed(now);
            }
            Err(failure) => {
                self.copy = Copy::Unknown;
                self.fail_inbox(&failure);
                self.catch_up(now);
            }
        }
    }

    /// Does what clients wanted while it could not be done.
    fn catch_up(&mut self, now: Timestamp) {
        for nonce in std::mem::take(&mut self.gone_in_flight) {
            self.forget(nonce);
        }
        for nonce in std::mem::take(&mut self.ended_waits) {
            self.end_wait(nonce, now);
        }
    }

    /// The store has answered the commit. Call [`Engine::step`] afterwards.
    pub fn committed(&mut self, result: Result<Committed, StoreError>, now: Timestamp) -> Published {
        let mut published = Published::default();
        self.committed_then(result, now, |_, effects| {
            published = Published { effects: effects.clone(), changed: true };
        });
        published
    }

    /// As [`Engine::committed`]; what became durable is given to `publish` before anyone is
    /// answered, so that whoever has an answer finds it in what was published.
    pub fn committed_then(
        &mut self,
        result: Result<Committed, StoreError>,
        now: Timestamp,
        publish: impl FnOnce(Option<&Document>, &Effects),
    ) {
        let Some(flight) = self.flight.take() else { return };
        match result {
            Ok(Committed::Done) => {
                self.conflicts = 0;
                self.copy = if flight.document.version().is_some() {
                    Copy::Present(Box::new(flight.document.clone()))
                } else {
                    Copy::Absent { floor: flight.document.floor() }
                };
                publish(self.document(), &flight.effects);
                self.answer_batch(Some(flight.document), flight.effects, flight.batch, flight.decided_at);
            }
            Ok(Committed::Conflict(_)) => {
                lockkeeper_telemetry::metrics().retry(lockkeeper_telemetry::Retry::Conflict);
                self.copy = Copy::Unknown;
                self.conflicts += 1;
                for (submission, _) in flight.batch.into_iter().rev() {
                    self.inbox.push_front(submission);
                }
                if self.conflicts > CONFLICTS_MAX {
                    self.conflicts = 0;
                    self.reload = true;
                    self.fail_inbox(&Failure::Overloaded {
                        what: "conflicting commits of one resource",
                        limit: CONFLICTS_MAX as usize,
                    });
                }
            }
            Err(error) => {
                // Whatever happened, the copy cannot be trusted until it was loaded again.
                self.copy = Copy::Unknown;
                self.reload = true;
                self.doubt = Some(flight.document);
                let failure = Failure::from(error);
                for (submission, outcome) in flight.batch {
                    // It may have been done for a client that is gone: then it must be undone.
                    let gone = submission.client.as_ref().is_some_and(|client| !client.is_connected());
                    if gone
                        && matches!(failure, Failure::OutcomeUnknown(_))
                        && let Some((seq, untold)) = first_told(&outcome)
                    {
                        self.report_gone(seq, submission.nonce, untold);
                    }
                    self.refuse(submission, &failure);
                }
            }
        }
        self.catch_up(now);
    }

    fn fail_inbox(&mut self, failure: &Failure) {
        for submission in std::mem::take(&mut self.inbox) {
            self.refuse(submission, failure);
        }
    }

    /// A command was not carried out.
    fn refuse(&mut self, submission: Submission<C>, failure: &Failure) {
        let Some(client) = submission.client else {
            if matches!(*submission.command, Command::ClientGone(_)) {
                self.owed.push(submission);
            }
            return;
        };
        let failure = failure.clone();
        // Of the sending before this one nobody knows.
        let failure = if submission.retried { failure.of_repetition() } else { failure };
        client.answer(Err(failure));
    }

    /// Gives every command of a durable (or empty) batch its answer.
    fn answer_batch(
        &mut self,
        document: Option<Document>,
        effects: Effects,
        batch: Vec<(Submission<C>, Outcome)>,
        decided_at: Timestamp,
    ) {
        let resource = document.as_ref().map(|document| Arc::clone(document.resource()));
        // Locks that somebody heard of by a command of this batch.
        let mut told = Vec::new();
        for (submission, outcome) in batch {
            let Some(client) = submission.client else { continue };
            let first = first_told(&outcome);
            if let Some((seq, None)) = first
                && submission.stays
                && client.is_connected()
            {
                self.waiters.insert(seq, Waiter { nonce: submission.nonce, client });
                continue;
            }
            let delivered = client.answer(Ok(Answer { resource: resource.clone(), decided_at, outcome }));
            match first {
                Some((seq, Some(_))) if delivered => told.push(seq),
                Some((seq, untold)) if !delivered && !self.waiters.is_waiting(seq) => {
                    self.report_gone(seq, submission.nonce, untold);
                }
                _ => {}
            }
        }
        if let Some(document) = document {
            for seq in effects.changed {
                let decided = (!told.contains(&seq)).then_some(&document);
                self.answer_changed(&document, decided, seq, decided_at);
            }
        }
    }

    /// An entry may have been granted or ended: then whoever waits for it hears of it.
    /// `decided` is what this engine decided and told nobody of yet: of the rest others may know.
    fn answer_changed(
        &mut self,
        document: &Document,
        decided: Option<&Document>,
        seq: Seq,
        decided_at: Timestamp,
    ) {
        if !self.waiters.has(seq) || document.ticket(seq).is_some() {
            return;
        }
        let lock = document.lock(seq);
        let ours = |lock: &Lock| {
            let same = |own: &Arc<Lock>| own.token == lock.token && own.renewed_at == lock.renewed_at;
            decided.and_then(|decided| decided.lock(seq)).is_some_and(same)
        };
        let untold = lock.is_some_and(|lock| lock.is_reserved() || (lock.touch == 0 && !ours(lock)));
        if untold && self.waiters.is_waiting(seq) {
            // Granted while nobody was known to wait here: it is claimed, or noted that one more
            // knows it, before anybody is told.
            for Waiter { nonce, client } in self.waiters.remove(seq) {
                let command = Arc::new(Command::Poll(Poll { seq, wait: Span::ZERO }));
                let client = Some(client);
                self.inbox.push_back(Submission { command, nonce, retried: true, stays: false, client });
            }
            return;
        }
        let mut unreached = None;
        let mut reached = false;
        for waiter in self.waiters.remove(seq) {
            let outcome = document.standing(seq).map(Reply::Standing);
            let resource = Some(Arc::clone(document.resource()));
            if waiter.client.answer(Ok(Answer { resource, decided_at, outcome })) {
                reached = true;
            } else {
                // A client that came by the ticket's id can come again: its nonce undoes nothing.
                let made_it = document.lock(seq).is_some_and(|lock| lock.intent.nonce == waiter.nonce);
                unreached = match unreached {
                    Some(other) if made_it => Some(other),
                    _ => Some(waiter.nonce),
                };
            }
        }
        if let (false, Some(nonce), Some(lock)) = (reached, unreached, lock) {
            let untold = ours(lock).then_some(lock.renewed_at);
            self.report_gone(seq, nonce, untold);
        }
    }

    /// The copy was replaced by what the store has: waiting clients may have missed their turn.
    fn answer_all_changed(&mut self, now: Timestamp) {
        let seqs: Vec<Seq> = self.waiters.seqs().collect();
        let doubt = self.doubt.take();
        match &self.copy {
            Copy::Present(document) => {
                let document = (**document).clone();
                for seq in seqs {
                    self.answer_changed(&document, doubt.as_ref(), seq, now);
                }
            }
            Copy::Absent { .. } => {
                for seq in seqs {
                    for waiter in self.waiters.remove(seq) {
                        self.answer_waiter(seq, waiter, now);
                    }
                }
            }
            Copy::Unknown => {}
        }
    }

    /// Tells a client that does not wait any more where its ticket stands.
    fn answer_waiter(&mut self, seq: Seq, waiter: Waiter<C>, now: Timestamp) {
        let (resource, outcome) = match &self.copy {
            Copy::Present(document) => {
                (Some(Arc::clone(document.resource())), document.standing(seq).map(Reply::Standing))
            }
            Copy::Absent { .. } => (None, Err(Refusal::NotFound)),
            Copy::Unknown => {
                // Its ticket is in the store, or was: nobody can say now that it was not granted.
                let what = "the resource could not be read again".into();
                waiter.client.answer(Err(Failure::OutcomeUnknown(what)));
                return;
            }
        };
        let delivered = waiter.client.answer(Ok(Answer { resource, decided_at: now, outcome }));
        if !delivered && !self.waiters.is_waiting(seq) {
            self.report_gone(seq, waiter.nonce, None);
        }
    }
}

/// The entry that an answer is the first to tell of, and, if it is a lock, when its lease began.
fn first_told(outcome: &Outcome) -> Option<(Seq, Option<Timestamp>)> {
    match outcome {
        Ok(Reply::Standing(Standing::Queued { ticket, .. })) => Some((ticket.seq, None)),
        Ok(Reply::Standing(Standing::Acquired { lock, news: true, .. })) => {
            Some((lock.seq, Some(lock.renewed_at)))
        }
        _ => None,
    }
}
