//! What carries engines: they are made when needed, die, and their answers are collected.

use super::checker::Verdict;
use super::checker::lock_of;
use super::world::{CALM, Call, Event, News, Place, SECOND, STORM, Seat, World};
use lockkeeper_actors::Failure;
use lockkeeper_actors::engine::{Engine, Step, Submission, Surroundings};
use lockkeeper_core::{Command, Delta, Document, Followed};
use lockkeeper_store::contract::{Known, StoreError};
use std::sync::Arc;

impl World {
    pub(super) fn seat(&mut self, place: Place) -> Option<&mut Seat> {
        let seat = self.instances[place.instance].seats.get_mut(&place.resource)?;
        (seat.life == place.life).then_some(seat)
    }

    pub(super) fn publish(&mut self, place: Place) {
        let instance = &mut self.instances[place.instance];
        let copy = instance.seats.get(&place.resource).and_then(|seat| seat.engine.document());
        match copy.filter(|document| document.is_live()) {
            Some(document) => drop(instance.view.insert(place.resource, document.clone())),
            None => drop(instance.view.remove(&place.resource)),
        }
    }

    /// The engine of a resource, made if there is none.
    pub(super) fn engine_of(&mut self, instance: usize, resource: usize) -> Place {
        if let Some(seat) = self.instances[instance].seats.get(&resource) {
            return Place { instance, resource, life: seat.life };
        }
        let life = self.number();
        let copy = self.instances[instance].view.get(&resource).cloned();
        let mut engine = Engine::new(self.resources[resource].id(), copy);
        if self.instances.len() > 1 {
            engine = engine.shared();
            if self.dice.percent(50) {
                engine = engine.assuming_absent();
            }
        }
        self.instances[instance].seats.insert(resource, Seat { left: Vec::new(), engine, life });
        Place { instance, resource, life }
    }

    /// Has an engine do what it can.
    pub(super) fn poke(&mut self, place: Place) -> Verdict {
        let (now, opened_at) = (self.clock_at(place.instance), self.instances[place.instance].opened_at);
        let rules = self.rules.clone();
        let Some(seat) = self.seat(place) else { return Ok(()) };
        match seat.engine.step(Surroundings {
            now,
            opened_at,
            granting: true,
            rules: &rules,
            known: Known::default(),
            lost_before: 0,
        }) {
            Step::Idle => {}
            Step::Load => {
                if self.storm && self.dice.percent(4) {
                    let error = StoreError::Unavailable("away".into());
                    self.send(Event::News { to: place, news: News::Loaded(Err(error)) });
                } else {
                    self.send(Event::Read { from: place });
                }
            }
            Step::Commit(commit) => self.ship(place, commit),
        }
        self.collect(place)
    }

    /// Takes the answers that an engine gave.
    pub(super) fn collect(&mut self, place: Place) -> Verdict {
        let id = self.resources[place.resource].id();
        let stored = self.stored(place.resource);
        // What is on its way to a store of its own cannot land after a later look at it.
        let shared = self.instances.len() > 1;
        let here = |call: &Call| (call.instance, call.resource) == (place.instance, place.resource);
        let numbers: Vec<u64> = self.calls.iter().filter(|(_, call)| here(call)).map(|(n, _)| *n).collect();
        for number in numbers {
            let Some(call) = self.calls.get_mut(&number) else { continue };
            let Some(answer) = call.line.take_answer() else { continue };
            call.answered = true;
            if shared
                && let Ok(answer) = &answer
                && let Some(lock) = lock_of(&answer.outcome)
                && self.ended.get(&(id, lock.seq)).is_some_and(|at| *at < call.begun)
            {
                return Err(format!("staleness: {lock:?} had ended before call {number} began"));
            }
            let asked = (call.nonce, call.purpose);
            match &answer {
                Ok(answer) => self.checker.acknowledged(id, stored.as_ref(), &answer.outcome)?,
                Err(Failure::OutcomeUnknown(_)) => self.excuse(place.resource, vec![asked]),
                Err(_) => {}
            }
            self.send(Event::Deliver { call: number, answer: Box::new(answer) });
        }
        Ok(())
    }

    /// What one instance committed is told to another.
    pub(super) fn hint(&mut self, instance: usize, resource: usize, delta: &Delta) -> Verdict {
        let now = self.clock_at(instance);
        if !self.instances[instance].up {
            return Ok(());
        }
        if let Some(seat) = self.instances[instance].seats.get_mut(&resource) {
            let place = Place { instance, resource, life: seat.life };
            seat.engine.follow(delta.clone(), now);
            self.publish(place);
            self.collect(place)?;
            return self.poke(place);
        }
        let view = &mut self.instances[instance].view;
        match Document::followed(view.get(&resource), delta, 0) {
            Ok(Followed::Changed(document, _)) => drop(view.insert(resource, *document)),
            Ok(Followed::Deleted | Followed::Gap) | Err(_) => drop(view.remove(&resource)),
            Ok(Followed::Known) => {}
        }
        Ok(())
    }

    /// An engine dies with all it knows; its callers send their commands to its successor.
    pub(super) fn kill(&mut self, place: Place) {
        self.note(format!("{place:?} dies"));
        if let Some(seat) = self.instances[place.instance].seats.remove(&place.resource) {
            self.excuse(place.resource, seat.left);
        }
        let mut orphans = Vec::new();
        for (number, call) in &mut self.calls {
            let here = (call.instance, call.resource) == (place.instance, place.resource);
            if here && std::mem::take(&mut call.arrived) && !call.answered {
                orphans.push(*number);
            }
        }
        for call in orphans {
            self.send(Event::Resend { call });
        }
    }

    pub(super) fn submit(&mut self, number: u64) -> Verdict {
        let Some(call) = self.calls.get(&number) else { return Ok(()) };
        let submission = Submission {
            command: Arc::clone(&call.command),
            nonce: call.nonce,
            retried: call.attempts > 0,
            stays: call.stays,
            client: Some(call.line.clone()),
        };
        let (instance, resource) = (call.instance, call.resource);
        let place = self.engine_of(instance, resource);
        if let Some(seat) = self.seat(place) {
            seat.engine.submit(submission);
        }
        self.poke(place)
    }

    pub(super) fn settle(&mut self, instance: usize, resource: usize) -> Verdict {
        let place = self.engine_of(instance, resource);
        let command = Arc::new(Command::Settle);
        let settle = Submission { command, nonce: 0, retried: false, stays: false, client: None };
        if let Some(seat) = self.seat(place) {
            seat.engine.submit(settle);
        }
        self.poke(place)
    }

    /// What is due is settled; a hint may be lost.
    pub(super) fn reap(&mut self, instance: usize, chance: u64) -> Verdict {
        if !self.instances[instance].up {
            return Ok(());
        }
        let now = self.clock_at(instance);
        for resource in 0..self.resources.len() {
            let Some(document) = self.stored(resource) else { continue };
            let due = document.next_deadline().or_else(|| document.delete_at());
            if due.is_some_and(|at| at <= now) && self.dice.percent(chance) {
                self.settle(instance, resource)?;
            }
        }
        Ok(())
    }

    /// The slow guarantee behind all hints.
    pub(super) fn sweep(&mut self, instance: usize) -> Verdict {
        self.reap(instance, 100)?;
        if self.instances[instance].up {
            let shared = self.instances.len() > 1;
            let seats = self.instances[instance].seats.iter().map(|(resource, seat)| (*resource, seat.life));
            for (resource, life) in seats.collect::<Vec<_>>() {
                let place = Place { instance, resource, life };
                let version = self.shelf.version(self.resources[resource].id());
                let rest = self.dice.percent(30);
                let Some(seat) = self.seat(place) else { continue };
                if seat.engine.is_idle() && rest {
                    self.instances[instance].seats.remove(&resource);
                    continue;
                }
                if shared {
                    seat.engine.seen_in_store(version);
                }
                seat.engine.wants_reload();
                self.poke(place)?;
            }
        }
        let pace = if self.now > STORM + CALM + self.set_back { 60 } else { 1 };
        self.later(pace * SECOND, pace * 2 * SECOND, Event::Sweep { instance });
        Ok(())
    }
}
