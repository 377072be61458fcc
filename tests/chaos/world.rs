//! What the tasks of a round share.

use super::history::{Ask, Mode, Name, Recorder};
use super::wire::Wire;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longer than an order takes on a busy machine.
const HAPPENS_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub(super) struct World {
    pub(super) wire: Wire,
    pub(super) recorder: Arc<Recorder>,
    round: u64,
    /// The faults are over: whatever was begun is finished, nothing new is.
    calm: AtomicBool,
    asks: AtomicU64,
    /// Owners whose clients still care.
    cared_for: Mutex<HashSet<Name>>,
    /// Exclusive locks that workers have just now, as far as they know.
    held: Mutex<Vec<Arc<Ask>>>,
    /// Which instances are up and running, as far as the faults go.
    fit: Vec<AtomicBool>,
}

impl World {
    pub(super) fn new(round: u64, wire: Wire, recorder: Arc<Recorder>) -> Self {
        let fit = (0..wire.instances()).map(|_| AtomicBool::new(true)).collect();
        Self {
            wire,
            recorder,
            round,
            calm: AtomicBool::new(false),
            asks: AtomicU64::new(0),
            cared_for: Mutex::default(),
            held: Mutex::default(),
            fit,
        }
    }

    pub(super) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Acquire)
    }

    pub(super) fn calm_down(&self) {
        self.calm.store(true, Ordering::Release);
    }

    /// Waits until the condition gives a value, for as long as anything may take to happen.
    pub(super) async fn eventually<T>(&self, mut condition: impl AsyncFnMut() -> Option<T>) -> Option<T> {
        let begun = Instant::now();
        while begun.elapsed() < HAPPENS_WITHIN {
            if let Some(value) = condition().await {
                return Some(value);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        None
    }

    pub(super) fn is_fit(&self, instance: usize) -> bool {
        self.fit[instance].load(Ordering::Acquire)
    }

    pub(super) fn set_fit(&self, instance: usize, fit: bool) {
        self.fit[instance].store(fit, Ordering::Release);
    }

    /// A number that no other ask has, in this round or another.
    pub(super) fn next_ask(&self) -> u64 {
        self.round * 1_000_000_000 + self.asks.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Somebody cares for what this owner has, until the value is dropped.
    pub(super) fn care_for(&self, owner: &Name) -> Care<'_> {
        self.cared_for.lock().insert(Arc::clone(owner));
        Care { world: self, owner: Arc::clone(owner) }
    }

    /// Somebody has this, until the value is dropped.
    pub(super) fn has(&self, ask: &Arc<Ask>) -> Having<'_> {
        if ask.mode == Mode::Exclusive {
            self.held.lock().push(Arc::clone(ask));
        }
        Having { world: self, ask: Arc::clone(ask) }
    }

    /// What workers have.
    pub(super) fn held(&self) -> Vec<Arc<Ask>> {
        self.held.lock().clone()
    }

    pub(super) fn is_cared_for(&self, owner: &str) -> bool {
        self.cared_for.lock().contains(owner)
    }
}

pub(super) struct Care<'a> {
    world: &'a World,
    owner: Name,
}

impl Drop for Care<'_> {
    fn drop(&mut self) {
        self.world.cared_for.lock().remove(&self.owner);
    }
}

pub(super) struct Having<'a> {
    world: &'a World,
    ask: Arc<Ask>,
}

impl Drop for Having<'_> {
    fn drop(&mut self) {
        self.world.held.lock().retain(|ask| ask.owner != self.ask.owner);
    }
}
