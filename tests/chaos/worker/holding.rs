//! Having a lock: renewing it, asking after it, giving it back, or not.

use super::Worker;
use crate::chaos::history::{Answer, Ask, Call, LockSeen};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How the client and its lock part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parting {
    Release,
    ByPull,
    /// It dies: its lease runs out.
    Vanish,
}

impl Worker {
    pub(super) async fn hold(&mut self, ask: &Arc<Ask>, lock: &LockSeen, hot: bool) {
        let until = Instant::now() + self.choose_time(ask, hot);
        let parting = match self.dice.below(10) {
            0 => Parting::ByPull,
            1 if ask.ttl_ms > 0 && ask.ttl_ms <= if hot { 2000 } else { 5000 } => Parting::Vanish,
            _ => Parting::Release,
        };
        // The lease may have begun long before its answer came: whoever waited renews first.
        if self.dice.percent(40) && !self.use_it(ask, lock).await {
            return;
        }
        while Instant::now() < until && !self.world.is_calm() {
            let step = self.dice.millis(20, 400).min(until.saturating_duration_since(Instant::now()));
            tokio::time::sleep(step).await;
            if self.dice.percent(60) && !self.use_it(ask, lock).await {
                return;
            }
        }
        if parting != Parting::Vanish || self.world.is_calm() {
            self.give_back(ask, lock, parting).await;
        }
    }

    /// Somebody who does not know that it is over asks once more: it hears why, and gets nothing new.
    pub(super) async fn look_back(&mut self, ask: &Arc<Ask>, lock: &LockSeen) {
        self.pause(0, 300).await;
        let call = self.ask_about(ask, lock);
        self.ask(call).await;
    }

    /// A request that speaks of this very lock.
    fn ask_about(&mut self, ask: &Arc<Ask>, lock: &LockSeen) -> Call {
        match self.dice.below(10) {
            0..6 => Call::Renew { id: Arc::clone(&lock.id), token: lock.token },
            6..8 if ask.request_id.is_some() => Call::Acquire { ask: Arc::clone(ask), wait_ms: 0 },
            _ => Call::Show { id: Arc::clone(&lock.id) },
        }
    }

    /// How long it works: at times longer than its lease.
    fn choose_time(&mut self, ask: &Ask, hot: bool) -> Duration {
        if self.dice.percent(if hot { 3 } else { 10 }) && ask.ttl_ms > 0 {
            return Duration::from_millis(ask.ttl_ms.min(5000)) + self.dice.millis(0, 1500);
        }
        if hot {
            self.dice.millis(0, 150)
        } else if self.dice.percent(12) {
            // Through several faults.
            self.dice.millis(5000, 25_000)
        } else {
            self.dice.millis(0, 2500)
        }
    }

    /// Something that a holder does; false when it hears that the lock is gone.
    async fn use_it(&mut self, ask: &Arc<Ask>, lock: &LockSeen) -> bool {
        let call = if ask.request_id.is_none() && ask.reentrant && self.dice.percent(20) {
            // Another request of the same owner: it re-enters.
            Call::Acquire { ask: Arc::clone(ask), wait_ms: 0 }
        } else {
            self.ask_about(ask, lock)
        };
        let answer = self.ask(call).await;
        match answer {
            Answer::Acquired { .. } | Answer::Lock(_) => true,
            // A careless client goes on all the same, as long as nobody tells it that it is over.
            _ => answer.is_unknown() || answer.is_unavailable(),
        }
    }

    async fn give_back(&mut self, ask: &Arc<Ask>, lock: &LockSeen, parting: Parting) {
        let key = self.dice.percent(50).then(|| format!("k{}", ask.pull).into());
        loop {
            let call = match parting {
                Parting::ByPull => Call::ReleasePull {
                    namespace: Arc::clone(&ask.namespace),
                    pull: ask.pull,
                    owner: Arc::clone(&ask.owner),
                },
                _ => Call::Release { id: Arc::clone(&lock.id), token: lock.token, key: Option::clone(&key) },
            };
            let answer = self.ask(call).await;
            if !answer.is_unknown() && !answer.is_unavailable() || self.is_hopeless() {
                return;
            }
            // What a clock ends may be left to it.
            if ask.ttl_ms > 0 && ask.ttl_ms <= 5000 && self.chance(20) {
                return;
            }
            self.pause(50, 400).await;
        }
    }
}
