//! Between engines and the store: what is sent may come late, in another order, or not at all.

use super::checker::Verdict;
use super::world::{Event, News, Place, World};
use lockkeeper_store::contract::{Commit, Committed, StoreError};

impl World {
    pub(super) fn execute(
        &mut self,
        from: Place,
        commit: &Commit,
        reply: Option<Result<(), StoreError>>,
    ) -> Verdict {
        let id = self.resources[from.resource].id();
        let before = self.stored(from.resource);
        let committed = self.shelf.commit(commit);
        let version = self.shelf.version(id).map(|version| version.counter);
        self.note(format!(
            "{from:?}: {} {version:?}",
            if committed == Committed::Done { "done" } else { "conflict" }
        ));
        if committed == Committed::Done {
            let after = self.stored(from.resource);
            self.checker.committed(id, before.as_ref(), after.as_ref(), commit.now)?;
        }
        match reply {
            None => {}
            Some(Ok(())) => self.send(Event::News { to: from, news: News::Committed(Ok(committed)) }),
            Some(Err(error)) => self.send(Event::News { to: from, news: News::Committed(Err(error)) }),
        }
        Ok(())
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
                // The reply is given up while the commit is still on its way.
                self.send(Event::News { to: from, news: News::Committed(Err(lost())) });
                self.send(Event::Execute { from, commit, reply: None });
            }
            _ => self.send(Event::Execute { from, commit, reply: Some(Ok(())) }),
        }
    }

    pub(super) fn news(&mut self, to: Place, news: News) -> Verdict {
        let now = self.clock();
        let Some(seat) = self.seat(to) else { return Ok(()) };
        let confirmed = match news {
            News::Committed(result) => {
                let done = matches!(result, Ok(Committed::Done));
                seat.engine.committed(result, now);
                done
            }
            News::Loaded(result) => {
                let failed = result.is_err();
                seat.engine.loaded(result, now);
                if failed {
                    seat.engine.wants_reload();
                }
                false
            }
        };
        self.publish(to);
        self.collect(to, confirmed)?;
        self.poke(to)
    }
}
