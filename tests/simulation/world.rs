//! The world around the engines: a store that fails, instances that die, time that jumps.
//!
//! Everything happens in events at instants of one virtual clock, which is the store's. What the
//! server's actors do around an engine (carry commits, send commands again to the successor of an
//! engine that died, confirm answers that grew old) is done here as they do it.

use super::checker::{Checker, Verdict};
use super::clients::{Person, Purpose};
use super::dice::Dice;
use super::line::Line;
use super::shelf::Shelf;
use lockkeeper_actors::engine::Engine;
use lockkeeper_actors::{Answer, Failure};
use lockkeeper_core::{
    Command, Delta, Document, Outcome, Resource, ResourceId, ResourceInput, Rules, Seq, Span, Timestamp,
};
use lockkeeper_store::contract::{Commit, Committed, Loaded, StoreError};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

pub(super) const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);
pub(super) const MILLI: u64 = 1000;
pub(super) const SECOND: u64 = 1_000_000;
/// How long clients do what they like, and everything fails that can.
pub(super) const STORM: u64 = 40 * SECOND;
/// How long it may take until all that was begun has ended.
pub(super) const CALM: u64 = 80 * SECOND;
/// Longer than any fault lasts: a call that takes this long was forgotten.
pub(super) const CALL_MAX: u64 = 30 * SECOND;
pub(super) const RESENDS_MAX: u32 = 8;
pub(super) const ANSWER_MAX_AGE: Span = Span::from_secs(1);
pub(super) const HISTORY_MAX: usize = 150;

/// What an engine is told by its store.
pub(super) enum News {
    Committed(Result<Committed, StoreError>),
    Loaded(Result<Loaded, StoreError>),
}

pub(super) enum Event {
    /// A commit arrives at the store; then its reply, if there is one, sets out.
    Execute {
        from: Place,
        commit: Box<Commit>,
        reply: Option<Result<(), StoreError>>,
    },
    /// A load arrives at the store.
    Read {
        from: Place,
    },
    /// The store's answer arrives at its engine.
    News {
        to: Place,
        news: News,
    },
    /// A call goes to the successor of the engine that died.
    Resend {
        call: u64,
    },
    /// A change of one instance is told to another.
    Hint {
        instance: usize,
        resource: usize,
        delta: Box<Delta>,
    },
    /// A call's wait is over.
    EndWait {
        call: u64,
    },
    /// An answer arrives at its client.
    Deliver {
        call: u64,
        answer: Box<Result<Answer, Failure>>,
    },
    /// Something came in for this engine.
    Poke {
        place: Place,
    },
    /// A call should long have been answered.
    Overdue {
        call: u64,
    },
    Turn {
        person: usize,
    },
    Reap {
        instance: usize,
    },
    Sweep {
        instance: usize,
    },
    Accident,
    Restart {
        instance: usize,
    },
}

/// One engine in its life: a successor has another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) instance: usize,
    pub(super) resource: usize,
    pub(super) life: u64,
}

pub(super) struct Seat {
    /// Callers that hung up on this engine: it must undo what nobody hears of, unless it dies.
    pub(super) left: Vec<(u64, Purpose)>,
    pub(super) engine: Engine<Line>,
    pub(super) life: u64,
}

pub(super) struct Instance {
    pub(super) up: bool,
    /// How far the store's clock had jumped when it was heard last.
    pub(super) jumped: i64,
    pub(super) opened_at: Timestamp,
    pub(super) seats: BTreeMap<usize, Seat>,
    /// The copies that its engines published.
    pub(super) view: BTreeMap<usize, Document>,
}

/// A command on its way, until it is answered.
pub(super) struct Call {
    pub(super) person: usize,
    pub(super) purpose: Purpose,
    pub(super) instance: usize,
    pub(super) resource: usize,
    pub(super) command: Arc<Command>,
    pub(super) nonce: u64,
    pub(super) stays: bool,
    pub(super) line: Line,
    pub(super) attempts: u32,
    /// It is with its engine, and dies with it.
    pub(super) arrived: bool,
    /// The engine has answered; the answer is on its way.
    pub(super) answered: bool,
    /// When its client sent it.
    pub(super) begun: u64,
    /// An answer about a lock that grew old and is confirmed: this is what it was.
    pub(super) confirming: Option<Outcome>,
}

/// A whole simulation.
pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) now: u64,
    pub(super) rules: Rules,
    pub(super) shelf: Shelf,
    pub(super) instances: Vec<Instance>,
    pub(super) calls: BTreeMap<u64, Call>,
    pub(super) people: Vec<Person>,
    pub(super) events: BTreeMap<(u64, u64), Event>,
    pub(super) checker: Checker,
    pub(super) history: VecDeque<String>,
    pub(super) resources: Vec<Arc<Resource>>,
    pub(super) numbers: u64,
    /// When the end of a lock became durable.
    pub(super) ended: BTreeMap<(ResourceId, Seq), u64>,
    pub(super) storm: bool,
    /// The store's clock jumps in this world.
    pub(super) jumps: bool,
    /// How far it has jumped altogether, in microseconds.
    pub(super) jumped: i64,
    /// How far back it has jumped altogether: so much longer does everything take.
    pub(super) set_back: u64,
    /// A measure of all that happened, to compare two runs by.
    pub(super) trace: u64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let resources = (0..2).map(resource).collect();
        let instances = if dice.percent(40) { 2 } else { 1 };
        let jumps = dice.percent(35);
        let instance = || Instance {
            up: true,
            jumped: 0,
            opened_at: START,
            seats: BTreeMap::new(),
            view: BTreeMap::new(),
        };
        let rules = Rules {
            abandon_after: Span::from_secs(5),
            claim_within: Span::from_secs(20),
            lock_delay: Span::from_millis(if dice.percent(25) { 500 } else { 0 }),
            // Twice as far as the clock of a commit may be off: a jump that is no greater may go unheard.
            lease_grace: match jumps && instances > 1 {
                true => Span::from_secs(1),
                false => Span::from_millis(if dice.percent(25) { 200 } else { 0 }),
            },
            queue_max: dice.pick(&[3, 100]),
        };
        let mut world = Self {
            now: 0,
            rules,
            shelf: Shelf::default(),
            instances: (0..instances).map(|_| instance()).collect(),
            calls: BTreeMap::new(),
            people: Vec::new(),
            events: BTreeMap::new(),
            checker: Checker::default(),
            history: VecDeque::new(),
            resources,
            numbers: 0,
            ended: BTreeMap::new(),
            storm: true,
            jumps,
            jumped: 0,
            set_back: 0,
            trace: 0,
            dice,
        };
        let count = world.dice.between(3, 9) as usize;
        let modes: Vec<u64> = (0..2).map(|_| world.dice.below(4)).collect();
        for number in 0..count {
            let resource = world.dice.below(2) as usize;
            world.people.push(Person::new(resource, modes[resource]));
            world.later(MILLI, 2 * SECOND, Event::Turn { person: number });
        }
        for instance in 0..instances {
            world.later(MILLI, SECOND, Event::Reap { instance });
            world.later(MILLI, SECOND, Event::Sweep { instance });
        }
        world.later(SECOND, 10 * SECOND, Event::Accident);
        world
    }

    /// Runs the simulation to its end.
    pub(super) fn run(&mut self) -> Verdict {
        self.run_until(STORM)?;
        self.note("the storm is over");
        self.storm = false;
        let calm = STORM + CALM + self.set_back;
        self.run_until(calm)?;
        self.judge_the_rest()?;
        // Long after, what nobody needs is gone from the store.
        self.run_until(calm + 2000 * SECOND)?;
        for resource in 0..self.resources.len() {
            if self.stored(resource).is_some_and(|document| !document.is_live()) {
                return Err(format!("resource {resource} is not cleared away"));
            }
        }
        Ok(())
    }

    pub(super) fn run_until(&mut self, end: u64) -> Verdict {
        while let Some(entry) = self.events.first_entry()
            && entry.key().0 <= end
        {
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            self.happen(event)?;
        }
        self.now = end;
        Ok(())
    }

    pub(super) fn judge_the_rest(&mut self) -> Verdict {
        if let Some((number, call)) = self.calls.first_key_value() {
            return Err(format!("call {number} of client {} was never answered", call.person));
        }
        for resource in 0..self.resources.len() {
            if let Some(document) = self.stored(resource) {
                self.checker.at_rest(self.resources[resource].id(), &document)?;
            }
        }
        Ok(())
    }

    pub(super) fn tail(&self) -> String {
        self.history.iter().map(|line| format!("{line}\n")).collect()
    }

    pub(super) fn note(&mut self, what: impl std::fmt::Display) {
        let line = format!("{:>12.6} {what}", self.now as f64 / 1e6);
        for byte in line.bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        self.history.push_back(line);
        if self.history.len() > HISTORY_MAX {
            self.history.pop_front();
        }
    }

    /// The store's clock.
    pub(super) fn clock(&self) -> Timestamp {
        self.clock_that_jumped(self.jumped)
    }

    /// The same as an instance knows it: a jump is heard of with the next word of the store.
    pub(super) fn clock_at(&self, instance: usize) -> Timestamp {
        self.clock_that_jumped(self.instances[instance].jumped)
    }

    fn clock_that_jumped(&self, by: i64) -> Timestamp {
        Timestamp::from_micros((START + Span::from_micros(self.now)).as_micros().saturating_add_signed(by))
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn resource(&self, resource: usize) -> &Arc<Resource> {
        &self.resources[resource]
    }

    pub(super) fn stored(&mut self, resource: usize) -> Option<Document> {
        self.shelf.document(self.resources[resource].id())
    }

    pub(super) fn at(&mut self, at: u64, event: Event) {
        let number = self.number();
        self.events.insert((at, number), event);
    }

    pub(super) fn later(&mut self, least: u64, most: u64, event: Event) {
        let at = self.now + self.dice.between(least, most);
        self.at(at, event);
    }

    /// A message sets out; now and then it takes its time, so that others overtake it.
    pub(super) fn send(&mut self, event: Event) {
        let most = if self.storm && self.dice.percent(3) { 3 * SECOND } else { 3 * MILLI };
        self.later(50, most, event);
    }

    pub(super) fn happen(&mut self, event: Event) -> Verdict {
        match event {
            Event::Execute { from, commit, reply } => self.execute(from, &commit, reply),
            Event::Read { from } => {
                let loaded = self.shelf.load(self.resources[from.resource].id());
                self.send(Event::News { to: from, news: News::Loaded(Ok(loaded)) });
                Ok(())
            }
            Event::News { to, news } => self.news(to, news),
            Event::Resend { call } => self.resend(call),
            Event::Hint { instance, resource, delta } => self.hint(instance, resource, &delta),
            Event::EndWait { call } => self.end_wait(call),
            Event::Deliver { call, answer } => self.deliver(call, *answer),
            Event::Poke { place } => self.poke(place),
            Event::Overdue { call } => match self.calls.get(&call) {
                Some(call) if !call.answered => {
                    Err(format!("client {} waits for an answer in vain", call.person))
                }
                _ => Ok(()),
            },
            Event::Turn { person } => {
                self.turn(person)?;
                self.later(20 * MILLI, 1500 * MILLI, Event::Turn { person });
                Ok(())
            }
            Event::Reap { instance } => {
                self.reap(instance, 80)?;
                let (least, most) = if self.now > STORM + CALM + self.set_back {
                    (20 * SECOND, 20 * SECOND)
                } else {
                    (50 * MILLI, 150 * MILLI)
                };
                self.later(least, most, Event::Reap { instance });
                Ok(())
            }
            Event::Sweep { instance } => self.sweep(instance),
            Event::Accident => self.accident(),
            Event::Restart { instance } => {
                self.note(format!("instance {instance} is back"));
                self.instances[instance].up = true;
                self.instances[instance].jumped = self.jumped;
                self.instances[instance].opened_at = self.clock();
                Ok(())
            }
        }
    }
}

fn resource(number: usize) -> Arc<Resource> {
    let path = format!("stack-{number}");
    let input =
        ResourceInput { namespace: Some("acme/infra"), path: Some(&path), ..ResourceInput::default() };
    Arc::new(Resource::parse(&input, "github.com").expect("a good resource"))
}
