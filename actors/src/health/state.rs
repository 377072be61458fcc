//! What is known of the store's health, outlasting the actor that finds it out.

use super::history::{History, Probe};
use super::judge::Health;
use lockkeeper_core::Timestamp;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

/// The latest knowledge of the store's health.
pub(crate) struct HealthState {
    health: RwLock<Health>,
    history: Mutex<History>,
    /// What was logged last of what is wrong: each cause is named once.
    named: Mutex<Option<String>>,
    suspicion: Notify,
    wanted: Notify,
}

impl HealthState {
    /// A store of this process's own is open by now; a shared one must show itself first.
    pub(crate) fn new(now: Timestamp, shared: bool) -> Self {
        let health = match shared {
            true => Health::bad(now, "the store was not reached yet".into(), false),
            false => Health::good(now),
        };
        Self {
            health: RwLock::new(health),
            history: Mutex::default(),
            named: Mutex::default(),
            suspicion: Notify::new(),
            wanted: Notify::new(),
        }
    }

    pub(crate) fn get(&self) -> Health {
        self.health.read().clone()
    }

    pub(super) fn set(&self, health: Health) {
        *self.health.write() = health;
    }

    /// The last probes, the newest first.
    pub(crate) fn probes(&self) -> Vec<Probe> {
        self.history.lock().newest_first().cloned().collect()
    }

    pub(super) fn remember(&self, probe: Probe) {
        self.history.lock().add(probe);
    }

    /// True if this cause was not the last one named; `None`: the trouble is over.
    pub(super) fn is_news(&self, cause: Option<&str>) -> bool {
        let mut named = self.named.lock();
        let news = named.as_deref() != cause;
        if news {
            *named = cause.map(str::to_owned);
        }
        news
    }

    /// A call failed: a store that seemed well is probed at once.
    pub(crate) fn suspect(&self) {
        self.suspicion.notify_one();
    }

    pub(super) async fn suspected(&self) {
        self.suspicion.notified().await;
    }

    /// The store is probed at once, however it seems.
    pub(crate) fn probe_now(&self) {
        self.wanted.notify_one();
    }

    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }
}
