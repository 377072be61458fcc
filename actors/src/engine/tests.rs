//! The engine, command by command: what is answered when, and what becomes of clients that leave.

mod panics;
mod shared;

use super::*;
use crate::answer::{Answer, Failure};
use lockkeeper_core::command::{Acquire, Poll, Release};
use lockkeeper_core::rules::EMPTY_STAYS;
use lockkeeper_core::{
    EndReason, Field, Intent, Metadata, Mode, Owner, Priority, RequestKey, RequestRef, Resource,
    ResourceInput, Span, Version,
};
use lockkeeper_core::{Lock, Standing};
use lockkeeper_store::{Conflict, StoredDocument};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const MINUTE: Span = Span::from_secs(60);

fn resource() -> Arc<Resource> {
    let input = ResourceInput { namespace: Some("acme/infra"), ..ResourceInput::default() };
    Arc::new(Resource::parse(&input, "github.com").unwrap())
}

/// The client's end of a connection.
#[derive(Clone, Default)]
struct Caller(Arc<Connection>);

#[derive(Default)]
struct Connection {
    closed: AtomicBool,
    answer: Mutex<Option<Result<Answer, Failure>>>,
}

impl Client for Caller {
    fn is_connected(&self) -> bool {
        !self.0.closed.load(Ordering::Relaxed)
    }

    fn answer(self, answer: Result<Answer, Failure>) -> bool {
        let reached = self.is_connected();
        let before = self.0.answer.lock().unwrap().replace(answer);
        assert!(before.is_none(), "answered twice");
        reached
    }
}

impl Caller {
    fn leave(&self) {
        self.0.closed.store(true, Ordering::Relaxed);
    }

    fn is_answered(&self) -> bool {
        self.0.answer.lock().unwrap().is_some()
    }

    fn answer(&self) -> Result<Answer, Failure> {
        self.0.answer.lock().unwrap().clone().expect("no answer yet")
    }

    fn outcome(&self) -> Outcome {
        self.answer().expect("a failure").outcome
    }

    fn failure(&self) -> Failure {
        self.answer().expect_err("an answer")
    }

    fn lock(&self) -> Arc<Lock> {
        match self.outcome() {
            Ok(Reply::Standing(Standing::Acquired { lock, .. })) => lock,
            other => panic!("expected a lock, not {other:?}"),
        }
    }

    /// The number of the ticket it waits with.
    fn ticket(&self) -> Seq {
        match self.outcome() {
            Ok(Reply::Standing(Standing::Queued { ticket, .. })) => ticket.seq,
            other => panic!("expected a ticket, not {other:?}"),
        }
    }

    fn ended(&self) -> EndReason {
        match self.outcome() {
            Err(Refusal::Gone(ended)) => ended.reason,
            other => panic!("expected an end, not {other:?}"),
        }
    }
}

/// A store of one document.
#[derive(Default)]
struct Shelf {
    version: Option<Version>,
    header: Vec<u8>,
    fields: BTreeMap<Field, Vec<u8>>,
    floor: u64,
    commits: usize,
    confirmations: usize,
}

impl Shelf {
    fn load(&self) -> Loaded {
        let document = self.version.map(|version| StoredDocument {
            id: resource().id(),
            version,
            header: self.header.clone(),
            fields: self.fields.clone().into_iter().collect(),
        });
        Loaded { document, floor: self.floor }
    }

    fn commit(&mut self, commit: Commit) -> Committed {
        for (id, expected) in commit.checks {
            self.confirmations += 1;
            if expected != self.version {
                return Committed::Conflict(Conflict::of([(id, self.version)]));
            }
        }
        let Some(delta) = commit.deltas.into_iter().next() else { return Committed::Done };
        if delta.expected != self.version {
            return Committed::Conflict(Conflict::of([(delta.id, self.version)]));
        }
        self.commits += 1;
        self.floor = self.floor.max(commit.raise_floor.unwrap_or(0));
        match delta.next {
            Some(next) => (self.version, self.header) = (Some(next.version), next.bytes),
            None => (self.version, self.fields) = (None, BTreeMap::new()),
        }
        for (field, bytes) in delta.fields {
            match bytes {
                Some(bytes) => self.fields.insert(field, bytes),
                None => self.fields.remove(&field),
            };
        }
        Committed::Done
    }
}

/// An engine with its store, a clock, and somebody who sends commands.
struct Desk {
    engine: Engine<Caller>,
    shelf: Shelf,
    now: Timestamp,
    granting: bool,
    rules: Rules,
    known: Known,
    lost_before: u64,
    nonces: u64,
}

impl Desk {
    fn new() -> Self {
        let engine = Engine::new(resource().id(), None);
        Self {
            engine,
            shelf: Shelf::default(),
            now: START,
            granting: true,
            rules: Rules::default(),
            known: Known::default(),
            lost_before: 0,
            nonces: 0,
        }
    }

    /// A desk whose engine has its copy, so that its next step is a commit.
    fn open() -> Self {
        let mut desk = Self::new();
        desk.poll(Seq(1));
        desk.run();
        desk
    }

    fn step(&mut self) -> Step {
        self.engine.step(Surroundings {
            now: self.now,
            opened_at: START,
            granting: self.granting,
            rules: &self.rules,
            known: self.known,
            lost_before: self.lost_before,
        })
    }

    /// The commit that the next step asks for.
    fn commit(&mut self) -> Commit {
        match self.step() {
            Step::Commit(commit) => *commit,
            other => panic!("expected a commit, not {other:?}"),
        }
    }

    fn carry_out(&mut self, commit: Commit) {
        let committed = self.shelf.commit(commit);
        self.committed(Ok(committed));
    }

    fn committed(&mut self, result: Result<Committed, StoreError>) {
        self.engine.committed(result, self.now);
    }

    fn load(&mut self) {
        let loaded = self.shelf.load();
        self.engine.loaded(Ok(loaded), self.now);
    }

    fn fail_load(&mut self) {
        self.engine.loaded(Err(StoreError::Unavailable("away".into())), self.now);
    }

    /// Carries out what there is to do.
    fn run(&mut self) {
        for _ in 0..100 {
            match self.step() {
                Step::Idle => return,
                Step::Load => self.load(),
                Step::Commit(commit) => self.carry_out(*commit),
            }
        }
        panic!("it never comes to rest");
    }

    fn nonce(&mut self) -> u64 {
        self.nonces += 1;
        self.nonces
    }

    fn submit(&mut self, command: Command, stays: bool, retried: bool, nonce: u64) -> Caller {
        let caller = Caller::default();
        let client = Some(caller.clone());
        self.engine.submit(Submission { command: Arc::new(command), nonce, retried, stays, client });
        caller
    }

    fn ask(&mut self, wish: Wish) -> Asked {
        let nonce = self.nonce();
        let caller = self.submit(wish.command(nonce), wish.stays, false, nonce);
        Asked { caller, nonce, command: wish.command(nonce) }
    }

    /// Somebody holds it, known and durable.
    fn held(&mut self) -> Arc<Lock> {
        let asked = self.ask(wish("holder"));
        self.run();
        asked.caller.lock()
    }

    /// Somebody waits, and its ticket is durable.
    fn waiting(&mut self, wish: Wish) -> (Asked, Seq) {
        let asked = self.ask(wish.stays());
        self.run();
        let newest = self.document().tickets().map(|ticket| ticket.seq).max().unwrap();
        assert!(!asked.caller.is_answered());
        (asked, newest)
    }

    fn release(&mut self, lock: &Lock) -> Caller {
        let nonce = self.nonce();
        let command = Command::Release(Release { seq: lock.seq, token: lock.token, touch: None, nonce });
        self.submit(command, false, false, nonce)
    }

    fn poll(&mut self, seq: Seq) -> Caller {
        let nonce = self.nonce();
        self.submit(Command::Poll(Poll { seq, wait: Span::ZERO }), false, false, nonce)
    }

    fn wait_by_poll(&mut self, seq: Seq) -> (Caller, u64) {
        let nonce = self.nonce();
        (self.submit(Command::Poll(Poll { seq, wait: MINUTE }), true, false, nonce), nonce)
    }

    fn leave(&mut self, caller: &Caller, nonce: u64) {
        caller.leave();
        self.engine.forget(nonce);
    }

    fn document(&self) -> Document {
        let loaded = self.shelf.load();
        let stored = loaded.document.expect("no document");
        let fields = stored.fields.iter().map(|(field, bytes)| (*field, bytes.as_slice()));
        Document::from_records(stored.id, stored.version, &stored.header, fields, loaded.floor).unwrap()
    }

    fn owners(&self) -> Vec<String> {
        self.document().locks().map(|lock| lock.intent.owner.id.to_string()).collect()
    }
}

struct Asked {
    caller: Caller,
    nonce: u64,
    command: Command,
}

#[derive(Clone)]
struct Wish {
    owner: String,
    request: Option<u64>,
    queue: bool,
    stays: bool,
    mode: Mode,
}

fn wish(owner: &str) -> Wish {
    Wish { owner: owner.into(), request: None, queue: false, stays: false, mode: Mode::Exclusive }
}

impl Wish {
    fn request(mut self, id: u64) -> Self {
        self.request = Some(id);
        self
    }

    fn queue(mut self) -> Self {
        self.queue = true;
        self
    }

    fn stays(mut self) -> Self {
        self.stays = true;
        self.queue()
    }

    fn shared(mut self) -> Self {
        self.mode = Mode::Shared;
        self
    }

    fn command(&self, nonce: u64) -> Command {
        let requests = self.request.map(|id| RequestRef { key: RequestKey(id, id), digest: 1 });
        Command::Acquire(Acquire {
            resource: resource(),
            intent: Arc::new(Intent {
                owner: Owner { id: self.owner.as_str().into(), ..Owner::default() },
                created_by: "tests".into(),
                mode: self.mode,
                priority: Priority::Normal,
                ttl: Span::from_secs(1800),
                protected: false,
                attended: true,
                metadata: None::<Box<Metadata>>,
                nonce,
                requests: Arc::new(requests.into_iter().collect()),
            }),
            reentrant: true,
            queue: self.queue,
            queue_timeout: Span::from_secs(600),
            wait: if self.stays { MINUTE } else { Span::ZERO },
        })
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("away".into())
}

fn unknown() -> StoreError {
    StoreError::OutcomeUnknown("no reply".into())
}

// --- commits ---------------------------------------------------------------------------------------

#[test]
fn what_waits_goes_into_one_commit() {
    let mut desk = Desk::open();
    let callers: Vec<Asked> = (0..10).map(|n| desk.ask(wish(&format!("s-{n}")).shared())).collect();
    let commit = desk.commit();
    let later = desk.ask(wish("later").shared());
    assert_eq!(desk.step(), Step::Idle, "one commit at a time");
    desk.carry_out(commit);
    assert_eq!(desk.shelf.commits, 1);
    assert!(callers.iter().all(|asked| asked.caller.is_answered()));
    assert!(!later.caller.is_answered());
    desk.run();
    assert_eq!((later.caller.lock().seq > callers[9].caller.lock().seq, desk.shelf.commits), (true, 2));
}

#[test]
fn a_batch_has_a_bound() {
    let mut desk = Desk::open();
    for number in 0..=BATCH_MAX {
        desk.ask(wish(&format!("s-{number}")).shared());
    }
    desk.run();
    assert_eq!(desk.shelf.commits, 2);
}

#[test]
fn durability_nobody_is_answered_before_the_commit_is_durable() {
    let mut desk = Desk::open();
    let asked = desk.ask(wish("a"));
    let commit = desk.commit();
    assert!(!asked.caller.is_answered());
    assert!(desk.engine.document().is_none(), "nor does anyone see it");
    desk.carry_out(commit);
    assert_eq!(asked.caller.lock().intent.owner.id.as_ref(), "a");
    assert_eq!(desk.owners(), ["a"]);
}

#[test]
fn a_look_writes_nothing() {
    let mut desk = Desk::open();
    let lock = desk.held();
    let (nonce, commits) = (desk.nonce(), desk.shelf.commits);
    let shown = desk.submit(Command::Show(lock.seq), false, false, nonce);
    desk.run();
    assert_eq!((shown.outcome(), desk.shelf.commits), (Ok(Reply::Lock(lock)), commits));
}

#[test]
fn where_there_is_no_document_there_is_nothing_to_find() {
    let mut desk = Desk::new();
    let nonce = desk.nonce();
    let show = desk.submit(Command::Show(Seq(5)), false, false, nonce);
    let poll = desk.poll(Seq(5));
    desk.run();
    assert_eq!(show.outcome(), Err(Refusal::NotFound));
    assert_eq!(poll.outcome(), Err(Refusal::NotFound));
    assert_eq!(desk.shelf.commits, 0);
}

#[test]
fn after_a_conflict_the_same_commands_are_applied_to_what_is_there() {
    let mut desk = Desk::open();
    let asked = desk.ask(wish("a").queue());
    let commit = desk.commit();
    // Another instance was faster.
    let mut other = Desk { shelf: std::mem::take(&mut desk.shelf), ..Desk::new() };
    other.held();
    desk.shelf = other.shelf;
    desk.carry_out(commit);
    assert!(!asked.caller.is_answered());
    desk.run();
    asked.caller.ticket();
    assert_eq!(desk.owners(), ["holder"]);
}

#[test]
fn sixteen_conflicts_in_a_row_are_borne_and_no_more() {
    let mut desk = Desk::open();
    let asked = desk.ask(wish("a"));
    for conflict in 0..=CONFLICTS_MAX {
        assert!(!asked.caller.is_answered(), "after {conflict}");
        desk.commit();
        let version = Some(Version { generation: 0, counter: u64::MAX });
        desk.committed(Ok(Committed::Conflict(Conflict::of([(resource().id(), version)]))));
        if conflict < CONFLICTS_MAX {
            assert_eq!(desk.step(), Step::Load);
            desk.load();
        }
    }
    assert!(matches!(asked.caller.failure(), Failure::Overloaded { limit: 16, .. }));
    assert_eq!(desk.step(), Step::Idle);
    // The next one starts counting anew.
    assert_eq!(&*desk.held().intent.owner.id, "holder");
}

#[test]
fn the_inbox_has_a_bound() {
    let mut desk = Desk::new();
    assert_eq!(desk.step(), Step::Idle);
    for number in 0..INBOX_MAX {
        assert!(!desk.ask(wish(&format!("s-{number}")).shared()).caller.is_answered());
    }
    let refused = desk.ask(wish("one-too-many")).caller.failure();
    assert!(matches!(refused, Failure::Overloaded { limit: INBOX_MAX, .. }), "{refused:?}");
}

#[test]
fn a_document_that_is_deleted_and_made_again_goes_on_with_greater_tokens() {
    let mut desk = Desk::open();
    let lock = desk.held();
    desk.release(&lock);
    desk.run();
    desk.now = desk.now + EMPTY_STAYS;
    let settle = Submission {
        command: Arc::new(Command::Settle),
        nonce: 0,
        retried: false,
        stays: false,
        client: None::<Caller>,
    };
    desk.engine.submit(settle);
    desk.run();
    assert!(desk.shelf.version.is_none() && desk.engine.document().is_none());
    // The floor alone carries the tokens on, whatever the clock says.
    desk.now = START - Span::from_secs(60);
    assert!(desk.held().token > lock.token);
}

// --- a store that fails ----------------------------------------------------------------------------

#[test]
fn fail_closed_while_the_store_is_away_nothing_is_granted() {
    let mut desk = Desk::open();
    let (one, two) = (desk.ask(wish("a")), desk.ask(wish("b").queue()));
    desk.commit();
    desk.committed(Err(away()));
    for asked in [one, two] {
        assert!(matches!(asked.caller.failure(), Failure::Unavailable(_)));
    }
    let third = desk.ask(wish("c"));
    assert_eq!(desk.step(), Step::Load, "the copy is not trusted");
    desk.fail_load();
    assert!(matches!(third.caller.failure(), Failure::Unavailable(_)));
    assert_eq!(desk.step(), Step::Idle);
    assert_eq!(&*desk.held().intent.owner.id, "holder", "and it recovers");
}

#[test]
fn a_damaged_document_is_said_to_be_damaged() {
    let mut desk = Desk::open();
    desk.held();
    desk.shelf.header.truncate(1);
    desk.engine = Engine::new(resource().id(), None);
    let asked = desk.ask(wish("a"));
    desk.run();
    assert!(matches!(asked.caller.failure(), Failure::Damaged(what) if what.contains("header")));
}

#[test]
fn an_unknown_outcome_is_said_to_be_unknown_and_asking_again_tells() {
    let mut desk = Desk::open();
    let asked = desk.ask(wish("a").request(1));
    let commit = desk.commit();
    desk.shelf.commit(commit);
    desk.committed(Err(unknown()));
    assert!(matches!(asked.caller.failure(), Failure::OutcomeUnknown(_)));
    let again = desk.ask(wish("a").request(1));
    desk.run();
    assert_eq!(again.caller.lock().intent.nonce, asked.nonce, "the first one made it");
    assert_eq!(desk.owners(), ["a"]);
}

#[test]
fn after_an_unknown_outcome_waiting_clients_hear_of_what_happened() {
    let mut desk = Desk::open();
    let lock = desk.held();
    let (waiting, seq) = desk.waiting(wish("b"));
    desk.release(&lock);
    let commit = desk.commit();
    desk.shelf.commit(commit);
    desk.committed(Err(unknown()));
    assert!(!waiting.caller.is_answered());
    // Nobody asks for anything, and still it is looked up.
    desk.run();
    assert_eq!(waiting.caller.lock().seq, seq);
    assert!(!desk.document().lock(seq).unwrap().is_reserved());
}

#[test]
fn waiting_clients_stay_while_the_store_is_away_and_are_served_when_it_is_back() {
    let mut desk = Desk::open();
    let lock = desk.held();
    let (waiting, _) = desk.waiting(wish("b"));
    desk.release(&lock);
    desk.commit();
    desk.committed(Err(away()));
    assert_eq!(desk.step(), Step::Load);
    desk.fail_load();
    assert_eq!(desk.step(), Step::Idle, "it does not hammer");
    assert!(desk.engine.wants_reload());
    desk.run();
    desk.release(&lock);
    desk.run();
    assert_eq!(&*waiting.caller.lock().intent.owner.id, "b");
}

/// "Nothing was granted" is said only of what was never carried out.
#[test]
fn a_command_sent_again_that_fails_is_of_unknown_outcome() {
    let mut desk = Desk::open();
    let asked = desk.ask(wish("a"));
    let retried = desk.submit(asked.command.clone(), false, true, asked.nonce);
    desk.commit();
    desk.committed(Err(away()));
    assert!(matches!(asked.caller.failure(), Failure::Unavailable(_)));
    assert!(matches!(retried.failure(), Failure::OutcomeUnknown(_)));
}

#[test]
fn a_ticket_that_cannot_be_looked_up_at_the_end_of_its_wait_is_of_unknown_outcome() {
    let mut desk = Desk::open();
    desk.held();
    let (waiting, _) = desk.waiting(wish("b"));
    let look = desk.ask(wish("c"));
    desk.now = desk.now + Span::from_secs(31);
    desk.ask(wish("d").queue());
    desk.commit();
    desk.committed(Err(away()));
    assert_eq!(desk.step(), Step::Load);
    desk.fail_load();
    desk.engine.end_wait(waiting.nonce, desk.now);
    // Its ticket is in the store: it is not true that nothing was granted, or will be.
    assert!(matches!(waiting.caller.failure(), Failure::OutcomeUnknown(_)));
    assert!(look.caller.is_answered());
}

// --- waiting ---------------------------------------------------------------------------------------

#[test]
fn a_waiting_client_is_answered_when_its_turn_comes() {
    let mut desk = Desk::open();
    let lock = desk.held();
    let (waiting, seq) = desk.waiting(wish("b"));
    assert_eq!(desk.engine.waiting_clients(), 1);
    assert!(!desk.engine.is_idle());
    let released = desk.release(&lock);
    let commit = desk.commit();
    assert!(!waiting.caller.is_answered());
    desk.carry_out(commit);
    let granted = waiting.caller.lock();
    assert_eq!((granted.seq, granted.is_reserved()), (seq, false), "told with the commit: no claim");
    assert!(matches!(released.outcome(), Ok(Reply::Released { granted_to: Some(to), .. }) if to.seq == seq));
    assert_eq!(desk.engine.waiting_clients(), 0);
}

#[test]
fn a_waiting_client_is_told_when_its_ticket_ends() {
    let mut desk = Desk::open();
    desk.held();
    let (waiting, seq) = desk.waiting(wish("b"));
    let nonce = desk.nonce();
    let cancel = Command::Cancel(lockkeeper_core::command::Cancel { seq, nonce });
    desk.submit(cancel, false, false, nonce);
    desk.run();
    assert_eq!(waiting.caller.ended(), EndReason::Cancelled);
}

#[test]
fn a_wait_that_is_over_ends_with_the_place_in_the_queue() {
    let mut desk = Desk::open();
    desk.held();
    let (waiting, seq) = desk.waiting(wish("b"));
    desk.engine.end_wait(waiting.nonce, desk.now);
    assert_eq!(waiting.caller.ticket(), seq);
    assert!(desk.engine.is_idle());
}

#[test]
fn a_wait_that_ends_during_a_commit_hears_of_the_grant_in_it() {
    let mut desk = Desk::open();
    let lock = desk.held();
    let (waiting, seq) = desk.waiting(wish("b"));
    desk.release(&lock);
    let commit = desk.commit();
    desk.engine.end_wait(waiting.nonce, desk.now);
    assert!(!waiting.caller.is_answered());
    desk.carry_out(commit);
    assert_eq!(waiting.caller.lock().seq, seq);
}

#[test]
fn a_wait_that_ends_during_a_commit_that_does_not_concern_it_ends_all_the_same() {
    let mut desk = Desk::open();
    desk.held();
    let (waiting, seq) = desk.waiting(wish("b"));
    desk.ask(wish("c").queue());
    let commit = desk.commit();
    desk.engine.end_wait(waiting.nonce, desk.now);
    desk.carry_out(commit);
    assert_eq!(waiting.caller.ticket(), seq);
}

#[test]
fn a_wait_that_ends_before_its_command_was_applied_ends_all_the_same() {
    let mut desk = Desk::open();
    desk.held();
    let ticket = desk.ask(wish("b").queue());
    desk.run();
    desk.engine = Engine::new(resource().id(), None);
    // The poll writes nothing, so there is no commit after which to look.
    let (caller, nonce) = {
        let nonce = desk.nonce();
        let poll = Command::Poll(Poll { seq: ticket.caller.ticket(), wait: Span::ZERO });
        (desk.submit(poll, true, false, nonce), nonce)
    };
    assert_eq!(desk.step(), Step::Load);
    desk.engine.end_wait(nonce, desk.now);
    desk.load();
    desk.run();
    assert_eq!(caller.ticket(), ticket.caller.ticket());
}

#[test]
fn two_connections_may_wait_for_one_ticket() {
    let mut desk = Desk::open();
    let lock = desk.held();
    let (first, seq) = desk.waiting(wish("b"));
    let (second, _) = desk.wait_by_poll(seq);
    desk.run();
    desk.release(&lock);
    desk.run();
    assert_eq!(first.caller.lock(), second.lock());
}

#[test]
fn of_two_connections_one_may_go_without_harm() {
    // Whether the one that goes made the ticket or not, whether it is noticed or found out.
    for (maker_goes, noticed) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut desk = Desk::open();
        let lock = desk.held();
        let (maker, seq) = desk.waiting(wish("b"));
        let (other, nonce) = desk.wait_by_poll(seq);
        desk.run();
        let (goes, nonce, stays) =
            if maker_goes { (&maker.caller, maker.nonce, &other) } else { (&other, nonce, &maker.caller) };
        goes.leave();
        if noticed {
            desk.engine.forget(nonce);
        }
        desk.release(&lock);
        desk.run();
        assert_eq!(stays.lock().seq, seq, "{maker_goes} {noticed}");
        let known = desk.document().lock(seq).cloned().unwrap();
        assert!(!known.is_reserved(), "{maker_goes} {noticed}: it was told of a lock that it holds");
    }
}

#[test]
fn a_ticket_that_is_granted_in_the_batch_that_made_it_is_claimed_for_its_client() {
    let mut desk = Desk::open();
    let lock = desk.held();
    let waiting = desk.ask(wish("b").stays());
    desk.release(&lock);
    desk.run();
    let granted = waiting.caller.lock();
    assert!(!granted.is_reserved(), "whoever is told holds it");
    assert_eq!(desk.document().lock(granted.seq).map(|lock| &**lock), Some(&*granted));
}

// --- clients that go away --------------------------------------------------------------------------

#[test]
fn a_client_that_goes_before_its_command_was_applied_leaves_no_trace() {
    let mut desk = Desk::open();
    let commits = desk.shelf.commits;
    let asked = desk.ask(wish("a"));
    desk.leave(&asked.caller, asked.nonce);
    desk.run();
    assert_eq!(desk.shelf.commits, commits);
}

#[test]
fn a_command_sent_again_is_carried_out_even_if_its_client_goes() {
    let mut desk = Desk::open();
    let asked = desk.ask(wish("a"));
    desk.run();
    // Its actor died, and with it the answer; then the client goes.
    let again = desk.submit(asked.command.clone(), false, true, asked.nonce);
    desk.leave(&again, asked.nonce);
    desk.run();
    assert_eq!(desk.owners(), [""; 0], "what the first sending made is undone");
}

#[test]
fn a_client_that_goes_during_the_commit_leaves_no_grant_to_nobody() {
    for noticed in [true, false] {
        let mut desk = Desk::open();
        let asked = desk.ask(wish("a"));
        let commit = desk.commit();
        asked.caller.leave();
        if noticed {
            desk.engine.forget(asked.nonce);
        }
        desk.carry_out(commit);
        assert_eq!(desk.owners(), ["a"]);
        desk.run();
        assert_eq!(desk.owners(), [""; 0], "{noticed}");
    }
}

#[test]
fn with_a_request_id_the_grant_waits_to_be_fetched() {
    let mut desk = Desk::open();
    let asked = desk.ask(wish("a").request(1));
    let commit = desk.commit();
    asked.caller.leave();
    desk.carry_out(commit);
    desk.run();
    assert!(desk.document().locks().all(|lock| lock.is_reserved()));
    let again = desk.ask(wish("a").request(1));
    desk.run();
    assert!(!again.caller.lock().is_reserved());
}

#[test]
fn a_claim_whose_answer_is_lost_can_be_made_again() {
    let mut desk = Desk::open();
    let lock = desk.held();
    let ticket = desk.ask(wish("b").queue());
    desk.run();
    desk.release(&lock);
    desk.run();
    let seq = ticket.caller.ticket();
    let poll = desk.poll(seq);
    let commit = desk.commit();
    poll.leave();
    desk.carry_out(commit);
    desk.run();
    assert!(desk.document().lock(seq).unwrap().is_reserved());
}

#[test]
fn a_waiting_client_that_goes_gives_its_place_back_at_once() {
    let mut desk = Desk::open();
    desk.held();
    let (waiting, seq) = desk.waiting(wish("b"));
    desk.leave(&waiting.caller, waiting.nonce);
    desk.run();
    assert_eq!(desk.document().ended(seq).unwrap().reason, EndReason::Cancelled);
    // With a request id it may come back.
    let (waiting, seq) = desk.waiting(wish("c").request(1));
    desk.leave(&waiting.caller, waiting.nonce);
    desk.run();
    assert!(desk.document().ticket(seq).is_some());
    assert!(desk.engine.is_idle());
}

#[test]
fn a_waiting_client_that_goes_during_a_commit_gives_its_place_back_after_it() {
    let mut desk = Desk::open();
    desk.held();
    let (waiting, seq) = desk.waiting(wish("b"));
    desk.ask(wish("c").queue());
    let commit = desk.commit();
    desk.leave(&waiting.caller, waiting.nonce);
    desk.carry_out(commit);
    desk.run();
    assert_eq!(desk.document().ended(seq).map(|ended| ended.reason), Some(EndReason::Cancelled));
}

#[test]
fn a_grant_to_a_client_that_went_during_the_commit_goes_on_to_the_next() {
    let mut desk = Desk::open();
    let lock = desk.held();
    let (gone, _) = desk.waiting(wish("b"));
    let (next, _) = desk.waiting(wish("c"));
    desk.release(&lock);
    let commit = desk.commit();
    desk.leave(&gone.caller, gone.nonce);
    desk.carry_out(commit);
    assert_eq!(desk.owners(), ["b"]);
    desk.run();
    assert_eq!(&*next.caller.lock().intent.owner.id, "c");
}

#[test]
fn a_notice_about_a_client_that_is_there_changes_nothing() {
    let mut desk = Desk::open();
    let lock = desk.held();
    let (waiting, _) = desk.waiting(wish("b"));
    desk.engine.forget(waiting.nonce);
    desk.release(&lock);
    desk.run();
    assert_eq!(&*waiting.caller.lock().intent.owner.id, "b");
}

#[test]
fn that_a_client_is_gone_is_not_forgotten_while_the_store_is_away() {
    for error in [away(), unknown()] {
        let mut desk = Desk::open();
        let asked = desk.ask(wish("a"));
        let commit = desk.commit();
        asked.caller.leave();
        desk.carry_out(commit);
        // The undoing fails, and so does the look after it.
        desk.commit();
        desk.committed(Err(error.clone()));
        assert_eq!(desk.step(), Step::Load);
        desk.fail_load();
        assert_eq!(desk.step(), Step::Idle);
        assert!(!desk.engine.is_idle() && desk.engine.wants_reload());
        desk.run();
        assert_eq!(desk.owners(), [""; 0], "{error}");
        assert!(desk.engine.is_idle());
    }
}

#[test]
fn a_grant_of_unknown_outcome_to_a_client_that_went_is_undone() {
    let mut desk = Desk::open();
    let lock = desk.held();
    let (waiting, _) = desk.waiting(wish("b"));
    desk.release(&lock);
    let commit = desk.commit();
    desk.shelf.commit(commit);
    waiting.caller.leave();
    desk.committed(Err(unknown()));
    desk.run();
    assert_eq!(desk.owners(), [""; 0]);
}

/// Found by simulation: the batch that grants a ticket to a client whose connection is dead may also
/// tell the same client of it over another.
#[test]
fn a_lock_that_another_connection_heard_of_in_the_same_batch_is_left_alone() {
    let mut desk = Desk::open();
    let lock = desk.held();
    let (gone, seq) = desk.waiting(wish("b"));
    gone.caller.leave();
    desk.release(&lock);
    let again = desk.ask(wish("b"));
    desk.run();
    assert_eq!(again.caller.lock().seq, seq);
    assert_eq!(desk.owners(), ["b"]);
    assert!(desk.document().locks().all(|lock| !lock.is_reserved()));
}

/// Found by simulation: the client left while its commit was under way, and the reply was lost.
#[test]
fn what_a_commit_of_unknown_outcome_made_for_a_client_that_went_is_undone() {
    for request in [false, true] {
        let mut desk = Desk::open();
        let asked = desk.ask(if request { wish("a").request(1) } else { wish("a") });
        let commit = desk.commit();
        desk.shelf.commit(commit);
        asked.caller.leave();
        desk.committed(Err(unknown()));
        desk.run();
        assert!(desk.document().locks().all(|lock| lock.is_reserved()), "nobody knows of a held lock");
        assert_eq!(desk.owners().len(), usize::from(request));
    }
}

#[test]
fn a_copy_from_before_an_opening_gives_no_token_below_its_floor() {
    let mut desk = Desk::open();
    desk.engine = Engine::new(resource().id(), None).shared();
    let first = desk.held();
    desk.release(&first);
    desk.run();
    // What the store lost is not in the copy; the floor of the opening is above all that was.
    desk.known = Known { generation: 5, floor: first.token + 1000 };
    let next = desk.held();
    assert!(next.token >= desk.known.floor, "{} is below {}", next.token, desk.known.floor);
}
