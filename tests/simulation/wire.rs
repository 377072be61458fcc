//! Between engines and the store: what is sent may come late, in another order, or not at all.

use super::checker::Verdict;
use super::world::{Event, MILLI, News, Place, World};
use lockkeeper_core::Span;
use lockkeeper_store::contract::{Commit, Committed, StoreError};

/// A store refuses what was decided longer ago, or so much later, by its clock.
const LATE_AFTER: Span = Span::from_millis(500);

impl World {
    pub(super) fn execute(
        &mut self,
        from: Place,
        commit: &Commit,
        reply: Option<Result<(), StoreError>>,
    ) -> Verdict {
        let id = self.resources[from.resource].id();
        let before = self.stored(from.resource);
        let clock = self.clock();
        let apart = clock.since(commit.now).max(commit.now.since(clock));
        let late = apart > LATE_AFTER;
        let committed = if late { Committed::Late } else { self.shelf.commit(commit) };
        let version = self.shelf.version(id).map(|version| version.counter);
        self.note(format!(
            "{from:?}: {} {version:?}",
            match committed {
                Committed::Done => "done",
                Committed::Conflict(_) => "conflict",
                Committed::Late => "late",
            }
        ));
        if committed == Committed::Done {
            let after = self.stored(from.resource);
            if !commit.deltas.is_empty() {
                self.checker.committed(id, before.as_ref(), after.as_ref(), commit.now)?;
            }
            for lock in before.iter().flat_map(|before| before.locks()) {
                if after.as_ref().is_none_or(|after| after.lock(lock.seq).is_none()) {
                    self.ended.insert((id, lock.seq), self.now);
                }
            }
            self.tell_the_others(from, commit);
        }
        match reply {
            None => {}
            Some(Ok(())) => self.send(Event::News { to: from, news: News::Committed(Ok(committed)) }),
            Some(Err(error)) => self.send(Event::News { to: from, news: News::Committed(Err(error)) }),
        }
        Ok(())
    }

    /// Hints may be lost, come twice, and overtake each other.
    fn tell_the_others(&mut self, from: Place, commit: &Commit) {
        for instance in (0..self.instances.len()).filter(|instance| *instance != from.instance) {
            for delta in &commit.deltas {
                let copies = if self.dice.percent(20) { 0 } else { 1 + usize::from(self.dice.percent(5)) };
                for _ in 0..copies {
                    let delta = Box::new(delta.clone());
                    self.send(Event::Hint { instance, resource: from.resource, delta });
                }
            }
        }
    }

    /// An engine's commit sets out, and may get lost.
    pub(super) fn ship(&mut self, from: Place, commit: Box<Commit>) {
        let fate = if self.storm { self.dice.below(100) } else { 99 };
        let lost = || StoreError::OutcomeUnknown("no reply".into());
        match fate {
            0..3 => {
                let error = StoreError::Unavailable("away".into());
                self.send(Event::News { to: from, news: News::Committed(Err(error)) });
            }
            3..5 => self.send(Event::News { to: from, news: News::Committed(Err(lost())) }),
            5..8 => self.send(Event::Execute { from, commit, reply: Some(Err(lost())) }),
            8..9 => {
                // The reply is given up while the commit is still on its way: when that is done, it
                // cannot land any more.
                let news = News::Committed(Err(lost()));
                self.later(600 * MILLI, 900 * MILLI, Event::News { to: from, news });
                self.send(Event::Execute { from, commit, reply: None });
            }
            _ => self.send(Event::Execute { from, commit, reply: Some(Ok(())) }),
        }
    }

    pub(super) fn news(&mut self, to: Place, news: News) -> Verdict {
        self.instances[to.instance].jumped = self.jumped;
        let now = self.clock();
        let Some(seat) = self.seat(to) else { return Ok(()) };
        match news {
            News::Committed(result) => drop(seat.engine.committed(result, now)),
            News::Loaded(result) => {
                let failed = result.is_err();
                seat.engine.loaded(result, now);
                if failed {
                    seat.engine.wants_reload();
                }
            }
        }
        self.publish(to);
        self.collect(to)?;
        self.poke(to)
    }
}
