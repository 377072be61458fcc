//! Calls: a client's command on its way to an engine, and the answer on its way back.

use super::checker::{Verdict, lock_of};
use super::clients::Purpose;
use super::line::Line;
use super::world::{ANSWER_MAX_AGE, CALL_MAX, Call, Event, Place, RESENDS_MAX, World};
use lockkeeper_actors::{Answer, Failure};
use lockkeeper_core::{Command, Reply, Standing};
use std::sync::Arc;

impl World {
    /// A client sends a command; false if no instance takes its connection.
    pub(super) fn call(
        &mut self,
        person: usize,
        purpose: Purpose,
        command: Command,
        nonce: u64,
        wait: u64,
    ) -> bool {
        let instance = self.dice.below(self.instances.len() as u64) as usize;
        if !self.instances[instance].up {
            return false;
        }
        let number = self.number();
        let resource = self.people[person].resource;
        self.note(format!("call {number} of client {person} at {instance}/{resource}: {purpose:?}"));
        let call = Call {
            person,
            purpose,
            instance,
            resource,
            command: Arc::new(command),
            nonce,
            stays: wait > 0,
            line: Line::default(),
            attempts: 0,
            arrived: false,
            answered: false,
            begun: self.now,
            confirming: None,
        };
        self.calls.insert(number, call);
        if wait > 0 {
            self.at(self.now + wait, Event::EndWait { call: number });
        }
        self.at(self.now + wait + CALL_MAX, Event::Overdue { call: number });
        self.send(Event::Resend { call: number });
        true
    }

    /// A call arrives at its engine; it is a repetition if it did so before.
    pub(super) fn resend(&mut self, number: u64) -> Verdict {
        let Some(call) = self.calls.get_mut(&number) else { return Ok(()) };
        if call.answered {
            return Ok(());
        }
        if call.attempts > RESENDS_MAX {
            call.answered = true;
            call.line.close();
            let failure = Failure::OutcomeUnknown("its engines died".into());
            self.send(Event::Deliver { call: number, answer: Box::new(Err(failure)) });
            return Ok(());
        }
        // A new channel for each sending; the old one died with its engine.
        call.line = Line::default();
        call.arrived = true;
        self.submit(number)?;
        if let Some(call) = self.calls.get_mut(&number) {
            call.attempts += 1;
        }
        Ok(())
    }

    pub(super) fn end_wait(&mut self, number: u64) -> Verdict {
        let Some(call) = self.calls.get_mut(&number) else { return Ok(()) };
        call.stays = false;
        let (nonce, instance, resource) = (call.nonce, call.instance, call.resource);
        let now = self.clock_at(instance);
        let Some(seat) = self.instances[instance].seats.get_mut(&resource) else { return Ok(()) };
        let place = Place { instance, resource, life: seat.life };
        seat.engine.end_wait(nonce, now);
        self.collect(place)?;
        self.poke(place)
    }

    /// A client's connection is gone, with whatever was on its way to it.
    pub(super) fn hang_up(&mut self, number: u64) {
        let Some(call) = self.calls.remove(&number) else { return };
        call.line.close();
        let place = self.instances[call.instance].seats.get(&call.resource).map(|seat| seat.life);
        if let Some(life) = place {
            let place = Place { instance: call.instance, resource: call.resource, life };
            if self.dice.percent(90)
                && let Some(seat) = self.seat(place)
            {
                seat.engine.forget(call.nonce);
                self.send(Event::Poke { place });
            }
        }
        let left = (call.nonce, call.purpose);
        match self.instances[call.instance].seats.get_mut(&call.resource) {
            _ if call.answered => {}
            Some(seat) if call.arrived => seat.left.push(left),
            // Its engine died, and nobody sends the command again.
            _ if call.arrived || call.attempts > 0 => self.excuse(call.resource, vec![left]),
            _ => {}
        }
        self.lost(&call);
    }

    /// What became of these commands nobody can be sure about.
    pub(super) fn excuse(&mut self, resource: usize, calls: Vec<(u64, Purpose)>) {
        let id = self.resources[resource].id();
        for (nonce, purpose) in calls {
            self.checker.unsure.insert(nonce);
            if let Purpose::Poll(seq) = purpose {
                self.checker.told.insert((id, seq));
            }
        }
    }

    pub(super) fn deliver(&mut self, number: u64, answer: Result<Answer, Failure>) -> Verdict {
        let Some(now) = self.calls.get(&number).map(|call| self.clock_at(call.instance)) else {
            return Ok(());
        };
        let Some(call) = self.calls.get_mut(&number) else { return Ok(()) };
        let mut answer = match &call.confirming {
            None => answer,
            Some(_) => answer.map_err(Failure::of_repetition),
        };
        if let (Some(before), Ok(again)) = (&call.confirming, &mut answer)
            && let (Ok(Reply::Standing(Standing::Acquired { reentrant, news, .. })), Ok(Reply::Lock(lock))) =
                (before, &again.outcome)
        {
            let lock = Arc::clone(lock);
            let standing = Standing::Acquired { lock, reentrant: *reentrant, news: *news };
            again.outcome = Ok(Reply::Standing(standing));
        }
        if let Ok(Answer { decided_at, outcome, .. }) = &answer
            && let Some(lock) = lock_of(outcome)
            && (now.since(*decided_at) > ANSWER_MAX_AGE || lock.is_over(now))
        {
            // It waited too long on its way: asked for again before it is given to anyone.
            call.confirming = Some(outcome.clone());
            call.command = Arc::new(Command::Show(lock.seq));
            (call.answered, call.stays, call.attempts) = (false, false, 0);
            self.send(Event::Resend { call: number });
            return Ok(());
        }
        let Some(call) = self.calls.remove(&number) else { return Ok(()) };
        self.told(call, answer)
    }
}
