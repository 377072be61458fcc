//! What the tests of the rules work with: a document, its store, a clock that a test moves.
//!
//! Every command that goes through a [`Room`] is checked against the invariants that hold for all
//! commands, and its change is carried to a [`Shelf`] and read back. So each test, whatever it is
//! about, also tests those.

use super::invariants;
use crate::command::{Acquire, Cancel, ClientGone, ForceRelease, Poll, Release, ReleasePull, Renew};
use crate::{
    Command, Context, Delta, Document, Effects, Field, Followed, Intent, Lock, Mode, Outcome, Owner,
    Presence, Priority, Pull, Refusal, Reply, RequestKey, RequestRef, Resource, ResourceInput, Rules, Seq,
    Span, Standing, Ticket, Timestamp, Version,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) const SECOND: Span = Span::from_secs(1);
pub(super) const MINUTE: Span = Span::from_secs(60);
pub(super) const INSTANT: Span = Span::from_micros(1);
pub(super) const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

pub(super) fn resource() -> Arc<Resource> {
    let input = ResourceInput { namespace: Some("acme/infra"), ..ResourceInput::default() };
    Arc::new(Resource::parse(&input, "github.com").unwrap())
}

/// The tickets whose clients are connected.
#[derive(Default)]
pub(super) struct Present(pub(super) BTreeSet<Seq>);

impl Presence for Present {
    fn is_waiting(&self, seq: Seq) -> bool {
        self.0.contains(&seq)
    }
}

/// One document as a store would keep it.
#[derive(Clone, Default)]
pub(super) struct Shelf {
    pub(super) version: Option<Version>,
    pub(super) header: Vec<u8>,
    pub(super) fields: BTreeMap<Field, Vec<u8>>,
    pub(super) floor: u64,
    /// What another instance makes of the same changes.
    pub(super) follower: Option<Document>,
}

impl Shelf {
    pub(super) fn apply(&mut self, delta: Delta, raise_floor: Option<u64>) {
        assert_eq!(delta.expected, self.version, "a delta expects the version before it");
        self.floor = self.floor.max(raise_floor.unwrap_or(0));
        self.follow(&delta);
        let Some(next) = delta.next else {
            assert!(delta.fields.is_empty(), "a deleted document has no fields");
            *self = Self { floor: self.floor, ..Self::default() };
            return;
        };
        assert!(Some(next.version) > self.version, "versions grow");
        self.version = Some(next.version);
        self.header = next.bytes;
        for (field, bytes) in delta.fields {
            match bytes {
                Some(bytes) => self.fields.insert(field, bytes),
                None => self.fields.remove(&field),
            };
        }
    }

    fn follow(&mut self, delta: &Delta) {
        self.follower = match Document::followed(self.follower.as_ref(), delta, self.floor).unwrap() {
            Followed::Changed(document, _) => Some(*document),
            Followed::Deleted => None,
            other => panic!("a follower that missed nothing: {other:?}"),
        };
        let again = Document::followed(self.follower.as_ref(), delta, self.floor).unwrap();
        assert!(matches!(again, Followed::Known), "a change told twice: {again:?}");
    }

    /// What is stored, what was followed, and what a copy would write back are the same.
    fn compare(&self, loaded: &Document) {
        let follower = self.follower.as_ref().unwrap();
        invariants::equal(follower, loaded);
        let (header, fields) = follower.to_records();
        assert_eq!(header, self.header);
        assert_eq!(fields, self.fields.clone().into_iter().collect::<Vec<_>>());
    }

    pub(super) fn load(&self) -> Option<Document> {
        let fields = self.fields.iter().map(|(field, bytes)| (*field, bytes.as_slice()));
        let version = self.version?;
        let loaded =
            Document::from_records(resource().id(), version, &self.header, fields, self.floor).unwrap();
        self.compare(&loaded);
        Some(loaded)
    }
}

/// A document with all that its decisions depend on.
pub(super) struct Room {
    pub(super) document: Document,
    pub(super) shelf: Shelf,
    pub(super) rules: Rules,
    pub(super) now: Timestamp,
    pub(super) opened_at: Timestamp,
    pub(super) present: Present,
    /// May anything be granted?
    pub(super) granting: bool,
    pub(super) effects: Effects,
    nonces: u64,
}

impl Room {
    pub(super) fn new() -> Self {
        Self::with(Rules::default())
    }

    pub(super) fn with(rules: Rules) -> Self {
        Self {
            document: Document::new(resource(), 0),
            shelf: Shelf::default(),
            rules,
            now: START,
            opened_at: Timestamp::ZERO,
            present: Present::default(),
            granting: true,
            effects: Effects::default(),
            nonces: 0,
        }
    }

    pub(super) fn nonce(&mut self) -> u64 {
        self.nonces += 1;
        self.nonces
    }

    pub(super) fn pass(&mut self, span: Span) {
        self.now = self.now + span;
    }

    /// All of it but the last instant.
    pub(super) fn pass_almost(&mut self, span: Span) {
        self.now = (self.now + span) - INSTANT;
    }

    pub(super) fn apply(&mut self, command: Command) -> Outcome {
        self.apply_as(&command, false)
    }

    /// The same command once more, because its answer was lost.
    pub(super) fn again(&mut self, command: &Command) -> Outcome {
        self.apply_as(command, true)
    }

    pub(super) fn apply_as(&mut self, command: &Command, retried: bool) -> Outcome {
        let ctx = Context {
            now: self.now,
            opened_at: self.opened_at,
            retried,
            granting: self.granting,
            rules: &self.rules,
            presence: &self.present,
        };
        let before = self.document.clone();
        let outcome = self.document.apply(command, &ctx);
        invariants::after_command(&before, &self.document, &ctx);
        self.commit();
        outcome
    }

    /// Carries the change to the shelf; what is read back must be what was written.
    pub(super) fn commit(&mut self) {
        self.effects = self.document.take_effects();
        if let Some((delta, raise_floor)) = self.document.finish(0) {
            self.shelf.apply(delta, raise_floor);
        }
        assert!(self.document.finish(0).is_none(), "a change is committed once");
        if let Some(loaded) = self.shelf.load() {
            invariants::equal(&self.document, &loaded);
        }
    }

    pub(super) fn ask(&mut self, ask: &Ask) -> Outcome {
        let command = self.command(ask);
        self.apply(command)
    }

    pub(super) fn command(&mut self, ask: &Ask) -> Command {
        let nonce = self.nonce();
        ask.command(nonce)
    }

    /// Asks for what must be granted at once.
    pub(super) fn lock(&mut self, ask: &Ask) -> Arc<Lock> {
        match self.ask(ask) {
            Ok(Reply::Standing(Standing::Acquired { lock, .. })) => lock,
            other => panic!("expected a lock, not {other:?}"),
        }
    }

    /// Asks for what must wait.
    pub(super) fn queue(&mut self, ask: &Ask) -> Arc<Ticket> {
        match self.ask(&ask.clone().queue()) {
            Ok(Reply::Standing(Standing::Queued { ticket, .. })) => ticket,
            other => panic!("expected a ticket, not {other:?}"),
        }
    }

    pub(super) fn release(&mut self, lock: &Lock) -> Outcome {
        let nonce = self.nonce();
        self.apply(Command::Release(Release { seq: lock.seq, token: lock.token, touch: None, nonce }))
    }

    /// Releases what must be held; the one who has it now.
    pub(super) fn hand_on(&mut self, lock: &Lock) -> Option<Arc<Lock>> {
        match self.release(lock) {
            Ok(Reply::Released { granted_to, .. }) => granted_to,
            other => panic!("expected a release, not {other:?}"),
        }
    }

    pub(super) fn force(&mut self, lock: &Lock) -> Outcome {
        let nonce = self.nonce();
        self.apply(Command::ForceRelease(ForceRelease { seq: lock.seq, note: "for a test".into(), nonce }))
    }

    pub(super) fn renew(&mut self, lock: &Lock, ttl: Option<Span>) -> Outcome {
        self.apply(Command::Renew(Renew { seq: lock.seq, token: lock.token, ttl }))
    }

    pub(super) fn poll(&mut self, seq: Seq) -> Outcome {
        self.apply(Command::Poll(Poll { seq, wait: Span::ZERO }))
    }

    pub(super) fn cancel(&mut self, seq: Seq) -> Outcome {
        let nonce = self.nonce();
        self.apply(Command::Cancel(Cancel { seq, nonce }))
    }

    pub(super) fn pull(&mut self, pull: u64, before: Option<Timestamp>) -> (Vec<Seq>, Vec<Seq>) {
        let nonce = self.nonce();
        match self.apply(Command::ReleasePull(ReleasePull { pull, before, nonce })) {
            Ok(Reply::Pull { released, cancelled }) => {
                (released.iter().map(|lock| lock.seq).collect(), cancelled.iter().map(|t| t.seq).collect())
            }
            other => panic!("expected the ends of a pull request, not {other:?}"),
        }
    }

    /// The client of a waiting ticket went away.
    pub(super) fn gone(&mut self, seq: Seq, nonce: u64) {
        let gone = ClientGone { seq, nonce, untold: None };
        assert_eq!(self.apply(Command::ClientGone(gone)), Ok(Reply::Done));
    }

    /// The client that should have been the first to hear of this lease went away.
    pub(super) fn untold(&mut self, lock: &Lock, nonce: u64) {
        let gone = ClientGone { seq: lock.seq, nonce, untold: Some(lock.renewed_at) };
        assert_eq!(self.apply(Command::ClientGone(gone)), Ok(Reply::Done));
    }

    pub(super) fn settle(&mut self) {
        assert_eq!(self.apply(Command::Settle), Ok(Reply::Done));
    }

    pub(super) fn owners(&self) -> Vec<String> {
        self.document.locks().map(|lock| lock.intent.owner.id.to_string()).collect()
    }

    pub(super) fn queued(&self) -> Vec<String> {
        self.document.tickets().map(|ticket| ticket.intent.owner.id.to_string()).collect()
    }

    pub(super) fn reason(&self, seq: Seq) -> Option<crate::EndReason> {
        self.document.ended(seq).map(|ended| ended.reason)
    }
}

/// What is asked for, with defaults.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) intent: Intent,
    pub(super) reentrant: bool,
    pub(super) queue: bool,
    pub(super) timeout: Span,
    pub(super) wait: Span,
}

pub(super) fn ask(owner: &str) -> Ask {
    Ask {
        intent: Intent {
            owner: Owner { id: owner.into(), ..Owner::default() },
            created_by: "tests".into(),
            mode: Mode::Exclusive,
            priority: Priority::Normal,
            ttl: Span::from_secs(1800),
            protected: false,
            attended: true,
            metadata: None,
            nonce: 0,
            requests: Arc::default(),
        },
        reentrant: true,
        queue: false,
        timeout: Span::from_secs(600),
        wait: Span::ZERO,
    }
}

impl Ask {
    pub(super) fn mode(mut self, mode: Mode) -> Self {
        self.intent.mode = mode;
        self
    }

    pub(super) fn shared(self) -> Self {
        self.mode(Mode::Shared)
    }

    pub(super) fn counted(self, limit: u16) -> Self {
        self.mode(Mode::Counted { limit })
    }

    pub(super) fn priority(mut self, priority: Priority) -> Self {
        self.intent.priority = priority;
        self
    }

    pub(super) fn ttl(mut self, ttl: Span) -> Self {
        self.intent.ttl = ttl;
        self
    }

    pub(super) fn hold(self) -> Self {
        self.ttl(Span::ZERO)
    }

    pub(super) fn queue(mut self) -> Self {
        self.queue = true;
        self
    }

    pub(super) fn timeout(mut self, timeout: Span) -> Self {
        self.timeout = timeout;
        self
    }

    pub(super) fn wait(mut self, wait: Span) -> Self {
        self.wait = wait;
        self
    }

    pub(super) fn unattended(mut self) -> Self {
        self.intent.attended = false;
        self
    }

    /// Wants a lock of its own, whatever the owner has.
    pub(super) fn anew(mut self) -> Self {
        self.reentrant = false;
        self
    }

    pub(super) fn request(self, id: u64) -> Self {
        self.request_with(id, 7)
    }

    pub(super) fn request_with(mut self, id: u64, digest: u64) -> Self {
        self.intent.requests = Arc::new(vec![RequestRef { key: RequestKey(id, id), digest }]);
        self
    }

    pub(super) fn of_pull(mut self, num: u64) -> Self {
        self.intent.owner.pull = Some(Box::new(Pull { num, ..Pull::default() }));
        self
    }

    pub(super) fn command(&self, nonce: u64) -> Command {
        Command::Acquire(Acquire {
            resource: resource(),
            intent: Arc::new(Intent { nonce, ..self.intent.clone() }),
            reentrant: self.reentrant,
            queue: self.queue,
            queue_timeout: self.timeout,
            wait: self.wait,
        })
    }
}

/// Why an entry ended, from the refusal that says so.
pub(super) fn gone_because(outcome: &Outcome) -> Option<crate::EndReason> {
    match outcome {
        Err(Refusal::Gone(ended)) => Some(ended.reason),
        _ => None,
    }
}
