//! Random commands at random times, given to the core and to the naive [`Model`]: both must answer
//! the same and be in the same state after every single one.

use super::invariants;
use super::kit::{Present, START, Shelf, ask, resource};
use super::model::Model;
use crate::command::{Cancel, ClientGone, ForceRelease, Poll, Release, ReleasePull, Renew};
use crate::rules::RETENTION;
use crate::{Command, Context, Document, Mode, Outcome, Priority, Refusal, Rules, Seq, Span, Timestamp};
use proptest::prelude::*;

/// How the clock moves before a command.
#[derive(Clone, Copy, Debug)]
enum Tick {
    Stand,
    Millis(u32),
    Back(u32),
    /// To the next deadline, or this many microseconds beside it.
    Deadline(i8),
    Retention,
    Days(u8),
}

#[derive(Clone, Copy, Debug)]
struct Wish {
    owner: u8,
    mode: u8,
    priority: u8,
    ttl_ms: u16,
    flags: u8,
    timeout_s: u16,
    wait_s: u8,
    request: Option<(u8, bool)>,
}

/// A command; entries are picked among those there were, counted from the latest.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Acquire(Wish),
    Poll(u8, u8),
    Renew(u8, bool, Option<u16>),
    Release(u8, bool),
    /// Releases whoever holds it now.
    ReleaseHolder(u8),
    /// As it was accepted earlier: with the touch count of then, which is that of now or not.
    ReleaseLate(u8, bool),
    Force(u8),
    Cancel(u8),
    CancelNext,
    Pull(u8, Option<u16>),
    /// Of this one, by the command that made it or another, of a lease or while it waited.
    Gone(u8, bool, bool),
    Show(u8),
    Settle,
    /// The last command once more, its answer was lost.
    Again,
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    tick: Tick,
    deed: Deed,
    /// Which tickets' clients are connected, by the low bits of their numbers.
    present: u8,
    /// Nothing may be granted, as with the kill switch.
    off: bool,
    /// The batch ends after this command.
    commit: bool,
    /// The copy is dropped and read from the store again.
    reload: bool,
}

fn tick() -> impl Strategy<Value = Tick> {
    prop_oneof![
        4 => Just(Tick::Stand),
        6 => (0u32..5_000).prop_map(Tick::Millis),
        1 => (0u32..90_000).prop_map(Tick::Millis),
        1 => (0u32..10_000).prop_map(Tick::Back),
        2 => (-1i8..=1).prop_map(Tick::Deadline),
        1 => Just(Tick::Retention),
        1 => (0u8..3).prop_map(Tick::Days),
    ]
}

fn wish() -> impl Strategy<Value = Wish> {
    let request = prop_oneof![3 => Just(None), 2 => (0u8..6, prop::bool::weighted(0.1)).prop_map(Some)];
    let ttl_ms = prop_oneof![1 => Just(0u16), 3 => 1u16..3000, 3 => Just(60_000)];
    (0u8..5, 0u8..16, 0u8..4, ttl_ms, any::<u8>(), 1u16..700, 0u8..60, request).prop_map(
        |(owner, mode, priority, ttl_ms, flags, timeout_s, wait_s, request)| Wish {
            owner,
            mode,
            priority,
            ttl_ms,
            flags,
            timeout_s,
            wait_s,
            request,
        },
    )
}

fn deed() -> impl Strategy<Value = Deed> {
    let pick = || 0u8..8;
    prop_oneof![
        10 => wish().prop_map(Deed::Acquire),
        3 => (pick(), 0u8..60).prop_map(|(pick, wait)| Deed::Poll(pick, wait)),
        2 => (pick(), prop::bool::weighted(0.8), prop::option::of(0u16..5000))
            .prop_map(|(pick, right, ttl)| Deed::Renew(pick, right, ttl)),
        2 => (pick(), prop::bool::weighted(0.8)).prop_map(|(pick, right)| Deed::Release(pick, right)),
        3 => (0u8..3).prop_map(Deed::ReleaseHolder),
        1 => (0u8..3, prop::bool::weighted(0.7))
            .prop_map(|(place, untouched)| Deed::ReleaseLate(place, untouched)),
        1 => pick().prop_map(Deed::Force),
        2 => pick().prop_map(Deed::Cancel),
        1 => Just(Deed::CancelNext),
        1 => (0u8..3, prop::option::of(0u16..20)).prop_map(|(pull, before)| Deed::Pull(pull, before)),
        2 => (pick(), any::<bool>(), any::<bool>())
            .prop_map(|(pick, own, untold)| Deed::Gone(pick, own, untold)),
        1 => pick().prop_map(Deed::Show),
        2 => Just(Deed::Settle),
        2 => Just(Deed::Again),
    ]
}

fn turns(
    tick: impl Strategy<Value = Tick>,
    deed: impl Strategy<Value = Deed>,
    count: usize,
) -> impl Strategy<Value = Vec<Turn>> {
    let off = prop::bool::weighted(0.15);
    let turn = (tick, deed, any::<u8>(), off, prop::bool::weighted(0.7), prop::bool::weighted(0.05));
    let turn = turn.prop_map(|(tick, deed, present, off, commit, reload)| Turn {
        tick,
        deed,
        present,
        off,
        commit,
        reload,
    });
    prop::collection::vec(turn, 1..count)
}

fn rules() -> impl Strategy<Value = Rules> {
    let delay = prop_oneof![2 => Just(0u64), 1 => 1u64..5000];
    let grace = prop_oneof![2 => Just(0u64), 1 => 1u64..2000];
    (delay, grace, prop_oneof![Just(3usize), Just(100)]).prop_map(|(delay, grace, queue_max)| Rules {
        lock_delay: Span::from_millis(delay),
        lease_grace: Span::from_millis(grace),
        queue_max,
        ..Rules::default()
    })
}

/// Core and model side by side.
struct Pair {
    document: Document,
    model: Model,
    shelf: Shelf,
    rules: Rules,
    opened_at: Timestamp,
    now: Timestamp,
    nonces: u64,
    last: Option<Command>,
    /// Entries there were, with the nonce of the command that made them and their last token.
    entries: Vec<(Seq, u64, u64)>,
    /// The oldest ticket, and how many grants passed it since it is that.
    oldest: Option<(Seq, u32)>,
    greatest_token: u64,
}

impl Pair {
    fn new(rules: Rules) -> Self {
        Self {
            document: Document::new(resource(), 0),
            model: Model::default(),
            shelf: Shelf::default(),
            rules,
            opened_at: START,
            now: START,
            nonces: 0,
            last: None,
            entries: Vec::new(),
            oldest: None,
            greatest_token: 0,
        }
    }

    fn run(mut self, turns: &[Turn]) -> Self {
        for turn in turns {
            self.turn(turn);
        }
        self
    }

    fn turn(&mut self, turn: &Turn) {
        self.tick(turn.tick);
        let (command, retried) = match turn.deed {
            Deed::Again => match self.last.clone() {
                Some(command) => (command, true),
                None => return,
            },
            deed => (self.command(deed), false),
        };
        let mut present = Present::default();
        let tickets = self.document.tickets().map(|ticket| ticket.seq);
        present.0 = tickets.filter(|seq| turn.present >> (seq.0 % 8) & 1 == 1).collect();
        let ctx = Context {
            now: self.now,
            opened_at: self.opened_at,
            retried,
            granting: !turn.off,
            rules: &self.rules,
            presence: &present,
        };
        let before = self.document.clone();
        let real = self.document.apply(&command, &ctx);
        let expected = self.model.apply(&command, &ctx);
        assert_eq!(essence(&real), essence(&expected), "{command:?} at {:?}", self.now);
        invariants::after_command(&before, &self.document, &ctx);
        // Whoever looks at an old copy sees it as it was.
        self.note_entries(&before);
        self.compare();
        self.count_overtakes(&before);
        self.last = Some(command);
        if turn.commit || turn.reload {
            let old = self.document.clone();
            let seen = format!("{old:?}");
            self.commit();
            assert_eq!(format!("{old:?}"), seen, "a copy changed with its successor");
        }
        if turn.reload {
            self.document = self.shelf.load().unwrap_or_else(|| Document::new(resource(), self.shelf.floor));
        }
    }

    fn tick(&mut self, tick: Tick) {
        self.now = match tick {
            Tick::Stand => self.now,
            Tick::Millis(millis) => self.now + Span::from_millis(u64::from(millis)),
            Tick::Back(millis) => self.now - Span::from_millis(u64::from(millis)),
            Tick::Deadline(beside) => {
                let at = self.document.next_deadline().filter(|at| *at != Timestamp::NEVER);
                let at = at.unwrap_or(self.now).as_micros();
                Timestamp::from_micros(at.saturating_add_signed(i64::from(beside)))
            }
            Tick::Retention => self.now + RETENTION,
            Tick::Days(days) => {
                // Once in a while the service itself was away that long.
                let now = self.now + Span::from_secs(86_400 * u64::from(days));
                if days % 2 == 1 {
                    self.opened_at = now;
                }
                now
            }
        };
    }

    fn command(&mut self, deed: Deed) -> Command {
        self.nonces += 1;
        let nonce = self.nonces;
        let (seq, made_by, token) = self.pick(deed);
        match deed {
            Deed::Acquire(wish) => wish.command(nonce),
            Deed::Poll(_, wait) => Command::Poll(Poll { seq, wait: Span::from_secs(u64::from(wait)) }),
            Deed::Renew(_, right, ttl) => Command::Renew(Renew {
                seq,
                token: if right { token } else { token + 1 },
                ttl: ttl.map(|ttl| Span::from_millis(u64::from(ttl))),
            }),
            Deed::Release(_, right) => {
                let token = if right { token } else { token - 1 };
                Command::Release(Release { seq, token, touch: None, nonce })
            }
            Deed::ReleaseLate(_, untouched) => {
                let touch = self.document.lock(seq).map_or(0, |lock| lock.touch);
                let touch = Some(if untouched { touch } else { touch.wrapping_sub(1) });
                Command::Release(Release { seq, token, touch, nonce })
            }
            Deed::ReleaseHolder(_) => Command::Release(Release { seq, token, touch: None, nonce }),
            Deed::Force(_) => Command::ForceRelease(ForceRelease { seq, note: "by hand".into(), nonce }),
            Deed::Cancel(_) | Deed::CancelNext => Command::Cancel(Cancel { seq, nonce }),
            Deed::Pull(pull, before) => {
                let before = before.map(|back| self.now - Span::from_secs(u64::from(back)));
                Command::ReleasePull(ReleasePull { pull: u64::from(pull), before, nonce })
            }
            Deed::Gone(_, own, untold) => {
                let nonce = if own { made_by } else { nonce };
                let lock = self.document.lock(seq).filter(|_| untold);
                Command::ClientGone(ClientGone { seq, nonce, untold: lock.map(|lock| lock.renewed_at) })
            }
            Deed::Show(_) => Command::Show(seq),
            Deed::Settle | Deed::Again => Command::Settle,
        }
    }

    /// The entry that a deed is about: its number, the nonce that made it, its token.
    fn pick(&self, deed: Deed) -> (Seq, u64, u64) {
        let back = match deed {
            Deed::ReleaseHolder(place) | Deed::ReleaseLate(place, _) => {
                let holders: Vec<_> = self.document.locks().collect();
                let lock = holders.get(usize::from(place) % holders.len().max(1));
                return lock.map_or((Seq(7), 0, 7), |lock| (lock.seq, lock.intent.nonce, lock.token));
            }
            Deed::CancelNext => {
                return self.document.next_ticket().map_or((Seq(7), 0, 7), |t| (t.seq, t.intent.nonce, 0));
            }
            Deed::Poll(pick, _)
            | Deed::Renew(pick, ..)
            | Deed::Release(pick, _)
            | Deed::Force(pick)
            | Deed::Cancel(pick)
            | Deed::Gone(pick, ..)
            | Deed::Show(pick) => usize::from(pick),
            _ => 0,
        };
        let place = self.entries.len().checked_sub(back + 1);
        // Nobody ever heard of this one.
        place.map_or((Seq(7), 0, 7), |place| self.entries[place])
    }

    fn note_entries(&mut self, before: &Document) {
        let locks = self.document.locks().map(|lock| (lock.seq, lock.intent.nonce, lock.token));
        let tickets = self.document.tickets().map(|ticket| (ticket.seq, ticket.intent.nonce, 7));
        for (seq, nonce, token) in locks.chain(tickets) {
            match self.entries.iter_mut().find(|(known, ..)| *known == seq) {
                Some(known) => known.2 = token,
                None => {
                    let later = self.entries.iter().all(|(known, ..)| *known < seq);
                    assert!(later, "{seq:?} was given before");
                    self.entries.push((seq, nonce, token));
                }
            }
        }
        let mut fresh: Vec<u64> =
            self.document.locks().filter(|l| before.lock(l.seq).is_none()).map(|l| l.token).collect();
        fresh.sort_unstable();
        for token in fresh {
            assert!(token > self.greatest_token, "token {token} after {}", self.greatest_token);
            self.greatest_token = token;
        }
    }

    fn compare(&self) {
        let (document, model) = (&self.document, &self.model);
        assert!(document.locks().map(|lock| &**lock).eq(model.locks.iter()), "the holders differ");
        let order = model.order();
        assert_eq!(document.waiting(), order.len());
        assert!(document.tickets().map(|t| &**t).eq(order.iter().copied()), "the queue differs");
        assert_eq!(document.header.last_token, model.last_token);
        assert_eq!(document.header.clock, model.clock);
        assert_eq!(document.holders_shown(), model.holders());
        assert_eq!(document.ended.len(), model.ended.len());
        for (seq, ended) in document.ended.iter() {
            assert_eq!(Some(&**ended), model.ended(*seq));
        }
    }

    /// Of any 17 successive grants one goes to the oldest ticket.
    fn count_overtakes(&mut self, before: &Document) {
        let oldest = self.document.oldest_ticket().map(|ticket| ticket.seq);
        let grants = self.document.locks().filter(|lock| before.lock(lock.seq).is_none()).count() as u32;
        self.oldest = match (self.oldest, oldest) {
            (Some((known, count)), Some(oldest)) if known == oldest => Some((known, count + grants)),
            (_, oldest) => oldest.map(|oldest| (oldest, 0)),
        };
        if let Some((seq, count)) = self.oldest {
            assert!(count <= 16, "{count} grants passed the oldest ticket {seq:?}");
        }
    }

    fn commit(&mut self) {
        self.document.take_effects();
        let delta = self.document.finish(0);
        self.model.finish();
        if let Some((delta, raise_floor)) = delta {
            self.shelf.apply(delta, raise_floor);
        }
        match self.shelf.load() {
            Some(loaded) => invariants::equal(&self.document, &loaded),
            None => assert_eq!(self.document.version(), None),
        }
        self.compare();
    }
}

impl Wish {
    fn command(self, nonce: u64) -> Command {
        let mut wish = ask(&format!("owner-{}", self.owner)).ttl(Span::from_millis(u64::from(self.ttl_ms)));
        wish.intent.mode = match self.mode {
            0..8 => Mode::Exclusive,
            8..12 => Mode::Shared,
            12..15 => Mode::Counted { limit: 2 },
            _ => Mode::Counted { limit: 3 },
        };
        wish.intent.priority = Priority::ALL[usize::from(self.priority)];
        wish.reentrant = self.flags & 3 == 0;
        wish.queue = self.flags & 12 != 0;
        wish.intent.attended = self.flags & 16 == 0;
        if self.flags & 32 == 0 {
            wish = wish.of_pull(u64::from(self.owner % 3));
        }
        if let Some((id, other)) = self.request {
            // Request ids are scoped to their owner.
            wish = wish.request_with(u64::from(self.owner) * 100 + u64::from(id), u64::from(other));
        }
        let wish = wish.timeout(Span::from_secs(u64::from(self.timeout_s)));
        wish.wait(Span::from_secs(u64::from(self.wait_s))).command(nonce)
    }
}

/// An outcome without the words for people.
fn essence(outcome: &Outcome) -> Outcome {
    match outcome {
        Err(Refusal::ModeConflict(_)) => Err(Refusal::ModeConflict(String::new())),
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, max_shrink_iters: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_core_does_what_the_model_does(rules in rules(), turns in turns(tick(), deed(), 60)) {
        Pair::new(rules).run(&turns);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Long enough, and full enough, for tickets to be overtaken as often as they may be.
    #[test]
    fn aging_does_what_the_model_does(turns in turns(moments(), contention(), 300)) {
        Pair::new(patient()).run(&turns);
    }
}

fn patient() -> Rules {
    Rules { abandon_after: Span::from_secs(1_000_000), ..Rules::default() }
}

fn moments() -> impl Strategy<Value = Tick> {
    (0u32..50).prop_map(Tick::Millis)
}

fn contention() -> impl Strategy<Value = Deed> {
    // Urgent ones come as fast as they are served, and others among them.
    let urgent = (0u8..4, 0u8..16).prop_map(|(priority, mode)| Wish {
        owner: 0,
        mode: if mode < 12 { 0 } else { mode - 4 },
        priority: priority.max(2),
        ttl_ms: 0,
        flags: 0b1_0111,
        timeout_s: u16::MAX,
        wait_s: 0,
        request: None,
    });
    let any = (0u8..4, 0u8..12).prop_map(|(priority, mode)| Wish {
        owner: 1,
        mode,
        priority,
        ttl_ms: 0,
        flags: 0b1_0111,
        timeout_s: u16::MAX,
        wait_s: 0,
        request: None,
    });
    prop_oneof![
        5 => urgent.prop_map(Deed::Acquire),
        1 => any.prop_map(Deed::Acquire),
        6 => (0u8..3).prop_map(Deed::ReleaseHolder),
    ]
}

/// The random commands reach what they are meant to test.
#[test]
fn the_random_commands_reach_every_corner() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut ends, mut dues, mut deletions) = (std::collections::HashSet::new(), 0, 0);
    for round in 0..640 {
        let (strategy, rules) = if round % 8 == 0 {
            (turns(moments(), contention(), 300).boxed(), patient())
        } else {
            (turns(tick(), deed(), 60).boxed(), rules().new_tree(&mut runner).unwrap().current())
        };
        let mut pair = Pair::new(rules);
        for turn in strategy.new_tree(&mut runner).unwrap().current() {
            let stored = pair.shelf.version.is_some();
            pair.turn(&turn);
            ends.extend(pair.document.ended.iter().map(|(_, ended)| ended.reason));
            let overtaken = pair.document.header.passed.iter().filter(|passed| **passed >= 16).count();
            dues += usize::from(overtaken > 0);
            deletions += usize::from(stored && pair.shelf.version.is_none());
        }
    }
    assert_eq!(ends.len(), 7, "{ends:?}");
    assert!(dues > 50, "a class was due {dues} times");
    assert!(deletions > 10, "{deletions} documents were deleted");
}
