//! Faults: two tasks strike instances, one their actors, one the store, each from its own chances.
//! They overlap as chance wills, except that some losses of data meet instances that are all awake
//! (what those knew must not be lost), and that an instance suffers one fault at a time, besides what
//! happens to its actors and to the store.

mod actor_faults;
mod instance_faults;
mod store_faults;

pub(super) use actor_faults::strike_actors;
use instance_faults::strike;
pub(super) use instance_faults::{Fragile, InstanceFault, strike_instances};
pub(super) use store_faults::strike_store;

use super::ground::{Ground, StoreFault};
use super::history::{At, FaultSpell, Struck};
use super::instances::Instances;
use super::recovery::recovered;
use super::world::World;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::RwLock;

/// What both tasks share.
pub(super) struct Faults {
    pub(super) world: Arc<World>,
    pub(super) instances: Arc<Instances>,
    pub(super) ground: Arc<Ground>,
    /// Held to read while an instance suffers; to write while none may.
    awake: RwLock<()>,
    /// One fault at a time for each instance.
    suffering: Vec<tokio::sync::Mutex<()>>,
    /// What must still happen to instances.
    menu: Mutex<Vec<InstanceFault>>,
    /// How many faults began, and how many of them are over.
    begun: AtomicU64,
    ended: AtomicU64,
    outcome: Mutex<Outcome>,
}

/// What came of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// The longest time from the end of a fault that struck alone until everything was granted.
    pub(super) longest_recovery: Duration,
    /// What it was.
    pub(super) after: String,
    pub(super) complaints: Vec<String>,
}

/// When the faults stop, and which ones must have happened by then.
#[derive(Clone, Debug)]
pub(super) struct Until {
    pub(super) at: Instant,
    /// What instances have that can fail: the other faults are chosen from it.
    pub(super) fragile: Fragile,
    /// Of a hundred other faults of instances, at least so many are kill -9.
    pub(super) kill_percent: u32,
    /// The longest pause between two deaths of actors.
    pub(super) actor_pace_ms: u64,
    pub(super) store_faults: Vec<StoreFault>,
    /// From which the others are chosen.
    pub(super) all_store_faults: &'static [StoreFault],
}

impl Faults {
    /// `menu` is what must happen to instances, the last first.
    pub(super) fn new(
        world: Arc<World>,
        instances: Arc<Instances>,
        ground: Arc<Ground>,
        menu: Vec<InstanceFault>,
    ) -> Self {
        let suffering = (0..world.wire.instances()).map(|_| tokio::sync::Mutex::default()).collect();
        Self {
            world,
            instances,
            ground,
            awake: RwLock::new(()),
            suffering,
            menu: Mutex::new(menu),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            outcome: Mutex::default(),
        }
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.outcome.lock().clone()
    }

    /// Something must still happen to instances.
    fn has_more(&self) -> bool {
        !self.menu.lock().is_empty()
    }

    fn next(&self) -> Option<InstanceFault> {
        self.menu.lock().pop()
    }

    fn begin(&self) -> Spell {
        let ended = self.ended.load(Ordering::Acquire);
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        Spell { from: self.world.recorder.now(), alone: (ended + 1 == number).then_some(number) }
    }

    /// The cause is gone.
    fn cause_ended(&self, spell: &Spell, struck: Struck, name: &'static str, target: String) {
        self.struck(spell.from, struck, name, target);
    }

    /// It began then and is over now.
    fn struck(&self, from: At, struck: Struck, name: &'static str, target: String) {
        let to = self.world.recorder.now();
        self.world.recorder.fault(FaultSpell { struck, name, target, from, to });
    }

    /// Waits until everything is back.
    async fn recover(&self, spell: &Spell, name: &str) {
        match recovered(&self.world).await {
            Ok(took) => {
                let alone = spell.alone == Some(self.begun.load(Ordering::Acquire));
                let mut outcome = self.outcome.lock();
                if alone && took > outcome.longest_recovery {
                    outcome.longest_recovery = took;
                    outcome.after = name.to_owned();
                }
            }
            Err(complaint) => self.outcome.lock().complaints.push(format!("after {name}: {complaint}")),
        }
    }

    fn end(&self) {
        self.ended.fetch_add(1, Ordering::AcqRel);
    }

    fn complain(&self, complaint: String) {
        self.outcome.lock().complaints.push(complaint);
    }
}

/// A fault that goes on.
struct Spell {
    from: At,
    /// Its number, if no other went on when it began.
    alone: Option<u64>,
}
