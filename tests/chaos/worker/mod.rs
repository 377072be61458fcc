//! A client: it asks for locks, waits for them, uses them, and does now and then what clients do
//! that are killed, lose their network, or were written carelessly.

mod choices;
mod holding;
mod obtaining;

use super::dice::Dice;
use super::history::{Answer, Call};
use super::wire::Manner;
use super::world::World;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longer than anything takes after the faults: the checker has complained by then.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

pub(super) struct Worker {
    number: u32,
    dice: Dice,
    world: Arc<World>,
    /// When it first noticed that the faults are over.
    calm_since: Option<Instant>,
}

impl Worker {
    pub(super) fn new(number: u32, seed: u64, world: Arc<World>) -> Self {
        Self { number, dice: Dice::new(seed, u64::from(number)), world, calm_since: None }
    }

    /// Works until the faults are over and what it had begun is finished.
    pub(super) async fn work(mut self) {
        let world = Arc::clone(&self.world);
        while !world.is_calm() {
            let (ask, hot) = self.choose_ask();
            let ask = Arc::new(ask);
            let _care = world.care_for(&ask.owner);
            if let Some(lock) = self.obtain(&ask).await {
                let having = world.has(&ask);
                self.hold(&ask, &lock, hot).await;
                drop(having);
                if self.chance(25) {
                    self.look_back(&ask, &lock).await;
                }
            }
            self.pause(10, 150).await;
        }
    }

    /// Nothing can be expected any more.
    fn is_hopeless(&mut self) -> bool {
        if !self.world.is_calm() {
            return false;
        }
        self.calm_since.get_or_insert_with(Instant::now).elapsed() > GIVE_UP_AFTER
    }

    /// Chances are for the time of the faults; afterwards everything is done properly.
    fn chance(&mut self, percent: u32) -> bool {
        self.dice.percent(percent) && !self.world.is_calm()
    }

    fn any_instance(&mut self) -> usize {
        self.dice.below(self.world.wire.instances())
    }

    /// Asks any instance, and at times goes away before the answer.
    async fn ask(&mut self, call: Call) -> Answer {
        let mut manner = Manner::default();
        if self.chance(3) {
            manner.vanish_after = Some(self.dice.millis(0, 60));
        } else if self.chance(10) {
            manner.patience = Some(self.dice.millis(300, 1500));
        }
        let instance = self.any_instance();
        self.world.wire.send(self.number, instance, call, manner).await
    }

    async fn pause(&mut self, from: u64, to: u64) {
        tokio::time::sleep(self.dice.millis(from, to)).await;
    }
}
