//! Clients: each does what it likes with one resource, and believes what it is told.

use super::checker::{Verdict, lock_of};
use super::world::{Call, SECOND, World};
use lockkeeper_actors::{Answer, Failure};
use lockkeeper_core::command::{Acquire, Cancel, Poll, Release, Renew};
use lockkeeper_core::{
    Command, Intent, Lock, Mode, Outcome, Owner, Priority, Pull, Refusal, Reply, RequestKey, RequestRef, Seq,
    Span, Standing,
};
use std::sync::Arc;

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Acquire,
    Poll(Seq),
    Renew(Seq),
    Release(Seq),
    Cancel(Seq),
}

/// What a client knows it has.
enum Has {
    Nothing,
    /// An acquire whose outcome is unknown, to be asked again.
    Doubt(Box<Wish>),
    Ticket(Seq),
    Lock(Arc<Lock>),
}

/// What a client asks for, the same each time it asks again.
#[derive(Clone)]
struct Wish {
    intent: Intent,
    queue: bool,
    timeout: Span,
    wait: u64,
}

/// A client.
pub(super) struct Person {
    pub(super) resource: usize,
    modes: u64,
    has: Has,
    wish: Option<Box<Wish>>,
}

impl Person {
    pub(super) fn new(resource: usize, modes: u64) -> Self {
        Self { resource, modes, has: Has::Nothing, wish: None }
    }
}

impl World {
    /// A client's turn: it does one thing, or nothing.
    pub(super) fn turn(&mut self, who: usize) -> Verdict {
        let now = self.clock();
        let mine: Vec<u64> = self.calls.iter().filter(|(_, c)| c.person == who).map(|(n, _)| *n).collect();
        if self.storm && self.dice.percent(4) {
            self.vanish(who, &mine);
            return Ok(());
        }
        if let Has::Lock(lock) = &self.people[who].has
            && lock.is_over(now)
        {
            self.checker.forget(who);
            self.people[who].has = Has::Nothing;
        }
        if let [call] = mine[..] {
            // While one connection waits for its ticket, another may ask for the same.
            if let Some(Purpose::Poll(seq)) = self.calls.get(&call).map(|call| call.purpose)
                && self.storm
                && self.dice.percent(10)
            {
                self.ask_after(who, seq);
            } else if self.storm && self.dice.percent(3) {
                self.note(format!("client {who} loses its connection"));
                self.hang_up(call);
            }
            return Ok(());
        }
        if !mine.is_empty() {
            return Ok(());
        }
        match std::mem::replace(&mut self.people[who].has, Has::Nothing) {
            Has::Nothing if self.storm => {
                let wish = self.wish(who);
                self.acquire(who, wish);
            }
            Has::Nothing => {}
            Has::Doubt(wish) => self.acquire(who, wish),
            Has::Ticket(seq) => {
                self.people[who].has = Has::Ticket(seq);
                if self.dice.percent(10) {
                    let nonce = self.number();
                    self.call(who, Purpose::Cancel(seq), Command::Cancel(Cancel { seq, nonce }), nonce, 0);
                } else {
                    self.ask_after(who, seq);
                }
            }
            Has::Lock(lock) => self.use_lock(who, lock),
        }
        Ok(())
    }

    fn use_lock(&mut self, who: usize, lock: Arc<Lock>) {
        let (seq, token) = (lock.seq, lock.token);
        let choice = if self.storm { self.dice.below(100) } else { 99 };
        self.people[who].has = Has::Lock(lock);
        match choice {
            0..30 => {
                // The lease it had is the shortest: one that it does not know of may have begun since.
                let ttl = if self.dice.percent(50) { Some(self.lease()) } else { None };
                let least = ttl.filter(|ttl| !ttl.is_zero()).unwrap_or(Span::from_millis(300));
                let now = self.clock();
                self.checker.renews(who, now + least);
                let nonce = self.number();
                self.call(who, Purpose::Renew(seq), Command::Renew(Renew { seq, token, ttl }), nonce, 0);
            }
            30..40 => self.ask_after(who, seq),
            40..55 => {}
            _ => {
                let nonce = self.number();
                let release = Command::Release(Release { seq, token, touch: None, nonce });
                if self.call(who, Purpose::Release(seq), release, nonce, 0) {
                    // From here on it does not rely on the lock, whatever becomes of the release.
                    self.checker.forget(who);
                }
            }
        }
    }

    fn ask_after(&mut self, who: usize, seq: Seq) {
        let wait = if self.dice.percent(70) { self.dice.between(1, 8) * SECOND } else { 0 };
        let poll = Command::Poll(Poll { seq, wait: Span::from_micros(wait) });
        let nonce = self.number();
        self.call(who, Purpose::Poll(seq), poll, nonce, wait);
    }

    fn lease(&mut self) -> Span {
        Span::from_millis(self.dice.pick(&[300, 1000, 3000, 8000, 8000, 0]))
    }

    fn wish(&mut self, who: usize) -> Box<Wish> {
        // Each time it begins anew it is somebody else.
        let life = self.number();
        let mode = match self.people[who].modes {
            0 | 1 => Mode::Exclusive,
            2 => self.dice.pick(&[Mode::Shared, Mode::Shared, Mode::Exclusive]),
            _ => Mode::Counted { limit: 2 },
        };
        let request = RequestRef { key: RequestKey(life, who as u64), digest: life };
        let requests = if self.dice.percent(60) { vec![request] } else { Vec::new() };
        let pull = Pull { num: (who % 3) as u64, ..Pull::default() };
        let owner =
            Owner { id: format!("client-{who}-{life}").into(), user: None, pull: Some(Box::new(pull)) };
        let intent = Intent {
            owner,
            created_by: "simulation".into(),
            mode,
            priority: self.dice.pick(&Priority::ALL),
            ttl: self.lease(),
            protected: false,
            attended: self.dice.percent(70),
            metadata: None,
            nonce: 0,
            requests: Arc::new(requests),
        };
        let queue = self.dice.percent(85);
        let wait = if queue && self.dice.percent(60) { self.dice.between(1, 8) * SECOND } else { 0 };
        Box::new(Wish { intent, queue, timeout: Span::from_secs(self.dice.between(1, 30)), wait })
    }

    fn acquire(&mut self, who: usize, wish: Box<Wish>) {
        let nonce = self.number();
        let person = &self.people[who];
        let command = Command::Acquire(Acquire {
            resource: Arc::clone(self.resource(person.resource)),
            intent: Arc::new(Intent { nonce, ..wish.intent.clone() }),
            reentrant: true,
            queue: wish.queue,
            queue_timeout: wish.timeout,
            wait: Span::from_micros(wish.wait),
        });
        if self.call(who, Purpose::Acquire, command, nonce, wish.wait) {
            self.people[who].wish = Some(wish);
        } else {
            self.people[who].has = Has::Doubt(wish);
        }
    }

    /// A client goes away for good, with all its connections.
    fn vanish(&mut self, who: usize, calls: &[u64]) {
        self.note(format!("client {who} is gone"));
        for call in calls {
            self.hang_up(*call);
        }
        self.checker.forget(who);
        let person = &mut self.people[who];
        (person.has, person.wish) = (Has::Nothing, None);
    }

    /// A call ended without an answer.
    pub(super) fn lost(&mut self, call: &Call) {
        let person = &mut self.people[call.person];
        match call.purpose {
            Purpose::Acquire => {
                // It asks again, as the same: with its request id, or by re-entry.
                if let Some(wish) = person.wish.take() {
                    person.has = Has::Doubt(wish);
                }
            }
            Purpose::Release(_) => person.has = Has::Nothing,
            Purpose::Poll(_) | Purpose::Renew(_) | Purpose::Cancel(_) => {}
        }
    }

    /// A client is answered.
    pub(super) fn told(&mut self, call: Call, answer: Result<Answer, Failure>) -> Verdict {
        let who = call.person;
        let said = match &answer {
            Ok(answer) => brief(&answer.outcome),
            Err(failure) => failure.to_string(),
        };
        self.note(format!("client {who} hears of {:?}: {said}", call.purpose));
        match answer {
            Ok(answer) => self.answered(&call, &answer.outcome),
            Err(Failure::Unavailable(_) | Failure::Overloaded { .. }) => {
                if call.purpose == Purpose::Acquire {
                    self.checker.deny(call.nonce);
                    let person = &mut self.people[who];
                    if let Some(wish) = person.wish.take() {
                        person.has = Has::Doubt(wish);
                    }
                }
                Ok(())
            }
            Err(Failure::OutcomeUnknown(_)) => {
                self.excuse(self.people[who].resource, vec![(call.nonce, call.purpose)]);
                self.lost(&call);
                Ok(())
            }
            Err(other) => Err(format!("client {who} is told of a mistake: {other}")),
        }
    }

    fn answered(&mut self, call: &Call, outcome: &Outcome) -> Verdict {
        let who = call.person;
        if call.purpose == Purpose::Acquire {
            self.people[who].wish = None;
        }
        if let Some(lock) = lock_of(outcome) {
            if matches!(outcome, Ok(Reply::Lock(lock)) if lock.is_reserved()) {
                // Confirmed, and it turned out that it must be claimed again.
                self.people[who].has = Has::Ticket(lock.seq);
                self.checker.forget(who);
                return Ok(());
            }
            let id = self.resource(self.people[who].resource).id();
            self.people[who].has = Has::Lock(Arc::clone(lock));
            let now = self.clock();
            let stored = self.stored(self.people[who].resource);
            let answered = self.clock_at(call.instance);
            return self.checker.tell(who, id, stored.as_ref(), lock, (answered, now));
        }
        match outcome {
            Ok(Reply::Standing(Standing::Queued { ticket, .. })) => {
                self.people[who].has = Has::Ticket(ticket.seq)
            }
            Ok(_) => self.people[who].has = Has::Nothing,
            Err(Refusal::AlreadyGranted(lock)) => self.people[who].has = Has::Ticket(lock.seq),
            Err(refusal) => {
                self.checker.refused(refusal, call.purpose != Purpose::Acquire)?;
                self.checker.forget(who);
                self.people[who].has = Has::Nothing;
            }
        }
        Ok(())
    }
}

fn brief(outcome: &Outcome) -> String {
    match outcome {
        Ok(Reply::Standing(Standing::Queued { ticket, position, .. })) => {
            format!("{:?} waits as number {position}", ticket.seq)
        }
        Ok(Reply::Released { lock, granted_to }) => {
            format!("{:?} released to {:?}", lock.seq, granted_to.as_ref().map(|lock| lock.seq))
        }
        Err(Refusal::Gone(ended)) => format!("gone, {:?}", ended.reason),
        Err(refusal) => refusal.to_string(),
        outcome => match lock_of(outcome) {
            Some(lock) => {
                format!("{:?} {:?} token {} until {:?}", lock.seq, lock.state, lock.token, lock.expires_at)
            }
            None => "done".into(),
        },
    }
}
