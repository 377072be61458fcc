//! Accidents: engines are killed, instances crash, operators overrule.

use super::checker::Verdict;
use super::world::{Event, Instance, MILLI, Place, SECOND, START, World};
use lockkeeper_actors::engine::Submission;
use lockkeeper_core::Command;
use lockkeeper_core::command::{ForceRelease, ReleasePull};
use std::collections::BTreeMap;
use std::sync::Arc;

impl World {
    pub(super) fn accident(&mut self) -> Verdict {
        if !self.storm {
            return Ok(());
        }
        let instance = self.dice.below(self.instances.len() as u64) as usize;
        match self.dice.below(10) {
            _ if self.jumps && self.dice.percent(30) => self.jump(),
            0..5 => {
                let seats = self.instances[instance].seats.iter();
                let places: Vec<Place> = seats
                    .map(|(resource, seat)| Place { instance, resource: *resource, life: seat.life })
                    .collect();
                if !places.is_empty() {
                    let place = self.dice.pick(&places);
                    self.kill(place);
                }
            }
            5..7 if self.instances[instance].up => self.crash(instance),
            _ => self.overrule(instance)?,
        }
        self.later(100 * MILLI, 5 * SECOND, Event::Accident);
        Ok(())
    }

    /// The clock of the store is set, by seconds or minutes. A store of one's own never goes back.
    fn jump(&mut self) {
        self.checker.clock_jumps(self.clock());
        let by = self.dice.pick(&[400 * MILLI, 2 * SECOND, 10 * SECOND, 60 * SECOND]);
        if self.instances.len() > 1 && self.dice.percent(50) {
            self.note(format!("the clock is set back by {by}us"));
            self.jumped -= by.cast_signed();
            self.set_back += by;
        } else {
            self.note(format!("the clock is set forward by {by}us"));
            self.jumped += by.cast_signed();
        }
        // Its own clock is no secret to an instance.
        if let [instance] = &mut self.instances[..] {
            instance.jumped = self.jumped;
        }
    }

    /// Everything of an instance that is not durable is lost.
    pub(super) fn crash(&mut self, instance: usize) {
        self.note(format!("instance {instance} crashes"));
        for (resource, seat) in std::mem::take(&mut self.instances[instance].seats) {
            self.excuse(resource, seat.left);
        }
        self.instances[instance] = Instance {
            up: false,
            jumped: 0,
            opened_at: START,
            seats: BTreeMap::new(),
            view: BTreeMap::new(),
        };
        // On its own disk nothing arrives any more; what is on the network to a shared store may.
        let shared = self.instances.len() > 1;
        let dice = &mut self.dice;
        self.events.retain(|_, event| match event {
            Event::Execute { from, .. } if from.instance == instance => shared && dice.percent(50),
            _ => true,
        });
        let cut: Vec<u64> =
            self.calls.iter().filter(|(_, call)| call.instance == instance).map(|(n, _)| *n).collect();
        for number in cut {
            self.hang_up(number);
        }
        self.later(100 * MILLI, 4 * SECOND, Event::Restart { instance });
    }

    /// An operator or a closed pull request ends locks whoever holds them.
    pub(super) fn overrule(&mut self, instance: usize) -> Verdict {
        let resource = self.dice.below(2) as usize;
        let nonce = self.number();
        let holder = self.stored(resource).and_then(|document| document.locks().next().map(|lock| lock.seq));
        let command = match holder {
            _ if self.dice.percent(40) => {
                let pull = self.dice.below(3);
                Command::ReleasePull(ReleasePull { pull, before: None, nonce })
            }
            Some(seq) => Command::ForceRelease(ForceRelease { seq, note: "operator".into(), nonce }),
            None => return Ok(()),
        };
        if !self.instances[instance].up {
            return Ok(());
        }
        self.note(format!("resource {resource}: {command:?}"));
        let place = self.engine_of(instance, resource);
        let submission =
            Submission { command: Arc::new(command), nonce, retried: false, stays: false, client: None };
        if let Some(seat) = self.seat(place) {
            seat.engine.submit(submission);
        }
        self.poke(place)
    }
}
