//! What each step does; the accidents are here.

use super::instance::{Health, Instance, Stage};
use super::promises::Verdict;
use super::setup::{LEASE, Setup};
use super::world::{Action, World};

impl World {
    /// Carries out one of [`World::actions`]; an error is a broken promise.
    pub(super) fn step(&mut self, action: Action, setup: &Setup) -> Verdict {
        match action {
            Action::Tick => {
                self.left.ticks -= 1;
                self.time += 1;
            }
            Action::Acquire { i, c } => {
                self.left.operations -= 1;
                self.acquire(i, c, setup);
            }
            Action::Renew { i, c } => {
                self.left.operations -= 1;
                self.renew(i, c, setup);
            }
            Action::Confirm { i, c } => {
                self.left.operations -= 1;
                self.confirm(i, c, setup);
            }
            Action::Release { i, c } => {
                self.left.operations -= 1;
                self.release(i, c, setup);
            }
            Action::Force { i } => {
                self.left.forced -= 1;
                self.vacate(i, setup);
            }
            Action::Delete { i } => self.delete(i, setup),
            Action::Arrive { nonce, attempt, split } => {
                self.arrive(nonce, attempt, split, setup)?;
                let slot = self.pending_of(nonce).filter(|slot| self.instances[*slot].is_up());
                if setup.coarse && slot.is_some() {
                    return self.receive(nonce, attempt, setup);
                }
            }
            Action::Reply { nonce, attempt } => return self.receive(nonce, attempt, setup),
            Action::Retry { i } => {
                self.left.retries -= 1;
                self.send_again(i);
            }
            Action::GiveUp { i } => {
                self.left.impatience -= 1;
                self.drop_pending(i);
            }
            Action::HangUp { i } => {
                self.left.impatience -= 1;
                if let Some(pending) = &mut self.at(i).pending {
                    pending.heard = false;
                }
            }
            Action::Waited { i } => return self.waited(i, setup),
            Action::Hint { i, version } => self.hint(i, version, setup),
            Action::Look { i } => {
                self.look(i, setup);
                let it = self.at(i);
                if setup.coarse && it.sealing.is_some() && it.stage == Stage::Signed {
                    if it.writes_back(setup.rules) {
                        self.write_back(i, setup)?;
                    }
                    self.finish(i, setup);
                }
            }
            Action::WriteBack { i } => return self.write_back(i, setup),
            Action::Finish { i } => self.finish(i, setup),
            Action::Open { i } => return self.open(i, setup),
            Action::WriteBackLate { i } => return self.write_back_late(i, setup),
            Action::Pause { i } => {
                self.left.pauses -= 1;
                let it = self.at(i);
                it.health = Health::Paused;
                it.prompt = false;
            }
            Action::Resume { i } => self.at(i).health = Health::Up,
            Action::Crash { i } => self.crash(i),
            Action::Join { i } => self.join(i, setup),
            Action::ClockJumps { i } => {
                self.left.skews -= 1;
                self.at(i).skew = LEASE + 2;
            }
            Action::Replicate => {
                self.redis.replicate();
                self.promises.replicated();
            }
            Action::Heal => self.redis.heal(),
            Action::FailOver => {
                self.left.failovers -= 1;
                return self.fail_over(false, setup);
            }
            Action::FailOverSplit => {
                self.left.splits -= 1;
                return self.fail_over(true, setup);
            }
            Action::Restart => {
                self.left.restarts -= 1;
                self.redis.restart(false);
                self.lose();
            }
            Action::RestartEmpty => {
                self.left.empties -= 1;
                self.redis.restart(true);
                self.lose();
            }
            Action::Flush => {
                self.left.flushes -= 1;
                self.redis.flush();
                self.lose();
            }
            Action::Evict => {
                self.left.evictions -= 1;
                self.redis.evict();
                self.lose();
            }
        }
        Ok(())
    }

    pub(super) fn at(&mut self, i: u8) -> &mut Instance {
        &mut self.instances[usize::from(i)]
    }

    pub(super) fn lose(&mut self) {
        self.promises.lossy = true;
        self.promises.failed_over = false;
        self.promises.lost_at = self.time;
        for it in &mut self.instances {
            it.prompt = it.is_up();
            it.vouched = None;
        }
    }

    pub(super) fn fail_over(&mut self, split: bool, setup: &Setup) -> Verdict {
        if setup.min_replicas && self.redis.linked && !self.promises.lossy {
            let replica = &self.redis.servers[self.redis.replica()];
            self.promises.judge_replica(replica, self.time)?;
        }
        self.redis.fail_over(split);
        let first = !self.promises.lossy;
        self.lose();
        self.promises.failed_over = first;
        Ok(())
    }

    pub(super) fn crash(&mut self, i: u8) {
        self.left.crashes -= 1;
        self.drop_pending(i);
        self.last_life += 1;
        let (life, time) = (self.last_life, self.time);
        let it = self.at(i);
        *it = Instance { health: Health::Dead, prompt: false, ..Instance::new(life, time) };
        self.hints.retain(|(to, _)| *to != i);
    }

    pub(super) fn join(&mut self, i: u8, setup: &Setup) {
        let life = self.at(i).life;
        *self.at(i) = Instance { prompt: false, ..Instance::new(life, self.time) };
        let it = self.at(i);
        (it.generation, it.floor) = (0, 0);
        self.look(i, setup);
    }
}
