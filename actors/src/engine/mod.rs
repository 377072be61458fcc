//! The logic of a queue actor, without an actor: what arrives goes in, what is to be done comes
//! out. No I/O and no clock, so that the simulation runs exactly what the server runs.
//!
//! It drains what waits, applies all of it to a copy of its document, asks for one commit, and
//! answers only when that is durable. One commit is in flight at a time.
//!
//! Delivery: every submission is answered once, or its client is dropped with the engine (then
//! whoever submitted it sends it again, marked as retried). A client that cannot be answered any
//! more is reported to the core as [`lockkeeper_core::command::ClientGone`].

mod answering;
mod following;
#[cfg(test)]
mod tests;
mod waiters;

use crate::answer::{Answer, Failure};
use crate::bound::Bound;
use answering::first_told;
use lockkeeper_core::command::ClientGone;
use lockkeeper_core::{
    Command, Context, Delta, Document, Effects, Note, Outcome, Presence, Refusal, Reply, ResourceId, Rules,
    Seq, Timestamp,
};
use lockkeeper_store::{Commit, Committed, Known, Loaded, StoreError};
use std::collections::VecDeque;
use std::sync::Arc;
use waiters::Waiters;

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
    /// From now on all that it waits for is its turn.
    fn waits(&mut self) {}
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
    /// What it becomes; `None`: there is none, and that is to be confirmed.
    document: Option<Document>,
    /// False when the commit only confirms.
    changes: bool,
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
    /// Others write to the store too: a copy alone confirms and denies nothing.
    shared: bool,
    /// Of the commands that wait, the first so many came before the load that is under way began.
    before_load: usize,
    /// Of the commands that wait, the first so many may rest on the copy: it was read after them.
    confirmed: usize,
    /// Changes that others committed and that came while something was under way.
    followed_later: VecDeque<Delta>,
    /// There were more of them than may wait.
    left_out: bool,
    /// The copy was replaced or moved by others since [`Engine::take_moved`] was called.
    moved: bool,
    /// When the store may last have lost data, in milliseconds, as last known; 0: never.
    lost_before: u64,
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
    /// The nonces of what is being decided or in flight, for whoever survives a panic.
    in_work: Vec<u64>,
    /// Nothing of it was given to the store.
    undecided: bool,
    /// The one command of it that is being applied.
    deciding: Option<u64>,
    one_by_one: bool,
    before_deciding: Option<Box<dyn Fn() + Send>>,
}

/// What an engine is at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InWork {
    /// The commands, by their nonces.
    pub nonces: Vec<u64>,
    /// Nothing of them was given to the store.
    pub undecided: bool,
}

/// What an engine's decisions depend on besides its document.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The store's clock.
    pub now: Timestamp,
    /// Since when clients can reach the service.
    pub opened_at: Timestamp,
    /// May anything be granted by this instance?
    pub granting: bool,
    /// The settings.
    pub rules: &'a Rules,
    /// What the store knows of the partition.
    pub known: Known,
    /// When the partition may last have lost data, in milliseconds; 0: never.
    pub lost_before: u64,
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
            shared: false,
            before_load: 0,
            confirmed: 0,
            followed_later: VecDeque::new(),
            left_out: false,
            moved: false,
            lost_before: 0,
            waiters: Waiters::default(),
            ended_waits: Vec::new(),
            gone_in_flight: Vec::new(),
            doubt: None,
            owed: Vec::new(),
            reload: false,
            conflicts: 0,
            in_work: Vec::new(),
            undecided: false,
            deciding: None,
            one_by_one: false,
            before_deciding: None,
        }
    }

    /// Calls this before it decides a command: where a test has it panic.
    #[must_use]
    pub fn before_deciding(mut self, call: impl Fn() + Send + 'static) -> Self {
        self.before_deciding = Some(Box::new(call));
        self
    }

    /// From now on each command has a commit of its own, or not: after a panic it is found that way
    /// which of them was the cause.
    pub fn decide_one_by_one(&mut self, one_by_one: bool) {
        self.one_by_one = one_by_one;
    }

    /// The commands that are in work now; after a panic, those that may have caused it.
    #[must_use]
    pub fn in_work(&self) -> InWork {
        match self.deciding {
            Some(nonce) => InWork { nonces: vec![nonce], undecided: true },
            None => InWork { nonces: self.in_work.clone(), undecided: self.undecided },
        }
    }

    /// Others write to the same store.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Takes it that the store has no such document: a commit that rests on it finds out, and the
    /// usual case (a resource that nobody uses) costs one round trip instead of two.
    #[must_use]
    pub fn assuming_absent(mut self) -> Self {
        if self.shared && matches!(self.copy, Copy::Unknown) {
            self.copy = Copy::Absent { floor: 0 };
        }
        self
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
            let what = Bound::ResourceInbox;
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
            if self.shared {
                // Its ticket may have been granted or ended elsewhere: the store is asked.
                self.ask_again(seq, waiter);
            } else {
                self.answer_waiter(seq, waiter, now);
            }
        }
    }

    /// A client's connection may be gone.
    pub fn forget(&mut self, nonce: u64) {
        // Not applied yet: then it is as if it had never come. What is sent again may have been
        // applied before: its answer must be tried, so that what it made is undone.
        let before = self.inbox.len();
        self.inbox.retain(|waiting| {
            waiting.nonce != nonce
                || waiting.retried
                || waiting.client.as_ref().is_none_or(Client::is_connected)
        });
        if self.inbox.len() < before {
            // Which of them came before the load is no longer known: then none did.
            (self.before_load, self.confirmed) = (0, 0);
        }
        if self.flight.is_some() {
            // Its ticket may be granted by what is in flight, and others may wait for it too.
            self.gone_in_flight.push(nonce);
            return;
        }
        if let Some((seq, waiter)) = self.waiters.remove_by_nonce(nonce) {
            if waiter.client.is_connected() {
                self.waiters.insert(seq, waiter);
            } else if !self.waiters.is_waiting(seq) {
                // Granted, perhaps, by a commit of unknown outcome: then it would have been told.
                let doubted = self.doubt.as_ref().and_then(|document| document.lock(seq));
                let untold = doubted.map(|lock| lock.renewed_at);
                self.report_gone(seq, nonce, untold);
            }
        }
    }

    /// `untold`: the lease of which it would have been the first to hear.
    fn report_gone(&mut self, seq: Seq, nonce: u64, untold: Option<Timestamp>) {
        lockkeeper_telemetry::metrics().client_gone();
        let command = Arc::new(Command::ClientGone(ClientGone { seq, nonce, untold }));
        self.put_first(Submission { command, nonce, retried: false, stays: false, client: None });
    }

    fn put_first(&mut self, submission: Submission<C>) {
        // It moves those behind it; what confirmed the first confirms it no longer.
        (self.before_load, self.confirmed) = (0, 0);
        self.inbox.push_front(submission);
    }

    /// Begins what can be begun. Call it whenever something came in.
    pub fn step(&mut self, around: Surroundings<'_>) -> Step {
        self.lost_before = around.lost_before;
        loop {
            let wanted = !self.inbox.is_empty() || (self.reload && self.is_awaited());
            if self.flight.is_some() || self.loading || !wanted {
                return Step::Idle;
            }
            let work = match &self.copy {
                Copy::Unknown => {
                    self.loading = true;
                    self.reload = false;
                    self.confirmed = 0;
                    self.before_load = self.inbox.len();
                    return Step::Load;
                }
                _ if self.inbox.is_empty() => {
                    self.reload = false;
                    return Step::Idle;
                }
                Copy::Absent { floor } => Err((*floor).max(around.known.floor)),
                Copy::Present(document) => {
                    let mut document = (**document).clone();
                    document.raise_floor(around.known.floor);
                    Ok(document)
                }
            };
            if let Some(commit) = self.apply_batch(work, around) {
                return Step::Commit(Box::new(commit));
            }
            self.catch_up(around.now);
        }
    }

    /// Applies what waits to a copy. `None`: nothing changed, and all is answered.
    fn apply_batch(&mut self, work: Result<Document, u64>, around: Surroundings<'_>) -> Option<Commit> {
        let confirmed = std::mem::take(&mut self.confirmed);
        let mut count = self.inbox.len().min(BATCH_MAX);
        if confirmed > 0 {
            count = count.min(confirmed);
        }
        if self.one_by_one {
            count = count.min(1);
        }
        self.in_work.clear();
        self.in_work.extend(self.inbox.iter().take(count).map(|submission| submission.nonce));
        self.undecided = true;
        let (mut work, floor) = match work {
            Ok(document) => (Some(document), around.known.floor),
            Err(floor) => (None, floor),
        };
        let mut certain = !self.shared || confirmed > 0;
        let mut outcomes = Vec::with_capacity(count);
        // They stay where they are until all is decided: a panic leaves them to be dropped last.
        for submission in self.inbox.iter().take(count) {
            self.deciding = Some(submission.nonce);
            if let Some(call) = &self.before_deciding {
                call();
            }
            let ctx = Context {
                now: around.now,
                opened_at: around.opened_at,
                retried: submission.retried,
                granting: around.granting,
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
            let outcome = match (outcome, submission.command.subject()) {
                (Err(Refusal::NotFound), Some(seq)) => {
                    Err(Refusal::of_unknown(seq, around.lost_before, around.now))
                }
                (outcome, _) => outcome,
            };
            outcomes.push(outcome);
        }
        self.deciding = None;
        // That time has nothing to say yet may be said of a copy: another look follows.
        let mut waiting = self.inbox.iter().take(count);
        let unanswered = waiting.all(|submission| matches!(*submission.command, Command::Settle));
        certain |= unanswered;
        if let (Some(document), true, false) = (&mut work, self.shared, unanswered) {
            document.take_on(around.known.generation);
        }
        let decided_at = around.now;
        let before = match &self.copy {
            Copy::Present(document) => document.version(),
            Copy::Absent { .. } | Copy::Unknown => None,
        };
        let delta = work.as_mut().and_then(|document| document.finish(around.known.generation));
        let effects = work.as_mut().map(Document::take_effects).unwrap_or_default();
        let partition = self.id.partition();
        let mut commit = Commit { floor, ..Commit::of(partition, Vec::new(), decided_at) };
        let changes = delta.is_some();
        let batch: Vec<_> = self.inbox.drain(..count).zip(outcomes).collect();
        match delta {
            Some((delta, raise_floor)) => {
                commit.deltas.push(delta);
                commit.raise_floor = raise_floor;
                if self.shared {
                    commit.note = Note { events: effects.events.clone() }.to_bytes();
                }
            }
            None if certain => {
                self.answer_batch(work, effects, batch, decided_at);
                self.in_work.clear();
                return None;
            }
            None => commit.checks.push((self.id, before)),
        }
        self.undecided = false;
        self.flight = Some(Flight { document: work, changes, effects, batch, decided_at });
        Some(commit)
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
        self.moved = true;
        let before_load = std::mem::take(&mut self.before_load);
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
                self.confirmed = before_load;
                // First of all: what others are told of comes after what is undone.
                for report in std::mem::take(&mut self.owed) {
                    self.put_first(report);
                }
                self.follow_what_waited(now);
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
                if let (true, Some(document)) = (flight.changes, &flight.document) {
                    self.copy = if document.version().is_some() {
                        Copy::Present(Box::new(document.clone()))
                    } else {
                        Copy::Absent { floor: document.floor() }
                    };
                    publish(self.document(), &flight.effects);
                }
                self.answer_batch(flight.document, flight.effects, flight.batch, flight.decided_at);
                self.follow_what_waited(now);
            }
            Ok(Committed::Conflict(conflict)) => {
                lockkeeper_telemetry::metrics().retry(lockkeeper_telemetry::Retry::Conflict);
                self.decide_again(flight.batch, conflict.unsure);
                self.learn(&conflict, now);
                self.follow_what_waited(now);
            }
            Ok(Committed::Late) => {
                lockkeeper_telemetry::metrics().retry(lockkeeper_telemetry::Retry::Late);
                self.decide_again(flight.batch, false);
                self.follow_what_waited(now);
            }
            Err(error) => {
                // Whatever happened, the copy cannot be trusted until it was loaded again.
                self.copy = Copy::Unknown;
                self.reload = true;
                self.followed_later.clear();
                self.doubt = flight.document.filter(|_| flight.changes);
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
        self.in_work.clear();
        self.catch_up(now);
    }

    /// The same commands are applied once more, unless that happened too often.
    fn decide_again(&mut self, batch: Vec<(Submission<C>, Outcome)>, unsure: bool) {
        for (mut submission, _) in batch.into_iter().rev() {
            submission.retried |= unsure;
            self.put_first(submission);
        }
        self.conflicts += 1;
        if self.conflicts > CONFLICTS_MAX {
            self.conflicts = 0;
            self.reload = true;
            self.fail_inbox(&Failure::Overloaded { what: Bound::Conflicts, limit: CONFLICTS_MAX as usize });
        }
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
}
