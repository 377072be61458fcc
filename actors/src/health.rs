//! Health: can the store keep a lock now?
//!
//! The actor probes the store (a full round trip with a durable write) every interval; queue actors
//! note what they meet in between, so that the first failure is seen at once. The state is read
//! without asking anyone.

use crate::events::Occurrence;
use crate::resident::Kill;
use crate::shared::Shared;
use actix::prelude::*;
use lockkeeper_core::Timestamp;
use lockkeeper_store::StoreError;
use lockkeeper_telemetry::{Occupied, metrics};
use parking_lot::RwLock;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What is known of the store.
#[derive(Clone, Debug)]
pub struct Health {
    /// Can it keep a lock?
    pub healthy: bool,
    /// Since when it has been so, by the store's clock.
    pub since: Timestamp,
    /// It answers, but is set up so that it must not keep locks.
    pub unfit: bool,
    /// Why not, in words.
    pub reason: Option<String>,
    /// How long the last good probe took.
    pub response_time: Option<Duration>,
}

/// The latest knowledge of the store's health.
pub(crate) struct HealthState {
    health: RwLock<Health>,
    suspicion: Notify,
}

impl HealthState {
    /// A store of this process's own is open by now; a shared one must show itself first.
    pub(crate) fn new(now: Timestamp, shared: bool) -> Self {
        let reason = shared.then(|| "the store was not reached yet".into());
        let health = Health { healthy: !shared, since: now, unfit: false, reason, response_time: None };
        Self { health: RwLock::new(health), suspicion: Notify::new() }
    }

    pub(crate) fn get(&self) -> Health {
        self.health.read().clone()
    }

    /// An actor met this; a fault has the store probed at once.
    pub(crate) fn note(&self, error: Option<&StoreError>) {
        match error {
            Some(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_)) => self.suspicion.notify_one(),
            Some(
                StoreError::Overloaded { .. }
                | StoreError::Sealed(_)
                | StoreError::Unfit(_)
                | StoreError::Damaged(_)
                | StoreError::Refused(_)
                | StoreError::Closed,
            )
            | None => {}
        }
    }
}

/// Probes the store.
pub(crate) struct HealthActor {
    shared: Arc<Shared>,
    /// What was logged last of what is wrong: each cause is named once.
    named: Option<String>,
    _counted: Occupied,
}

impl HealthActor {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, named: None, _counted: metrics().actor("health") }
    }

    fn probe(&mut self, ctx: &mut Context<Self>) {
        let shared = Arc::clone(&self.shared);
        let probe = async move {
            let begun = Instant::now();
            let mut result = shared.store.probe().await;
            let elapsed = begun.elapsed();
            if result.is_ok()
                && !shared.health.get().healthy
                && let Some(store) = shared.store.shared()
            {
                // Otherwise it would seem to grant until the custodian's next look.
                result = crate::replica::look_before_use(&shared, store).await;
            }
            (result, elapsed)
        };
        ctx.spawn(probe.into_actor(self).map(|(result, elapsed), actor, ctx| {
            actor.learn(result, elapsed);
            actor.wait(ctx);
        }));
    }

    fn wait(&mut self, ctx: &mut Context<Self>) {
        let shared = Arc::clone(&self.shared);
        let interval = shared.options.health_interval;
        let pause = async move {
            // A suspicion shortens the pause, but a failing store is not probed without any.
            let suspicion = shared.health.suspicion.notified();
            let healthy = shared.health.get().healthy;
            if healthy {
                let _ = tokio::time::timeout(interval, suspicion).await;
            } else {
                tokio::time::sleep(interval).await;
            }
        };
        ctx.spawn(pause.into_actor(self).map(|(), actor, ctx| actor.probe(ctx)));
    }

    fn learn(&mut self, result: Result<(), StoreError>, elapsed: Duration) {
        let store = Arc::clone(&self.shared.store);
        let now = store.now();
        let before = self.shared.health.get();
        let after = match result {
            Ok(()) => Health {
                healthy: true,
                since: if before.healthy { before.since } else { now },
                unfit: false,
                reason: None,
                response_time: Some(elapsed),
            },
            // A full queue is load, not a fault.
            Err(StoreError::Overloaded { .. }) => before.clone(),
            Err(error) => Health {
                healthy: false,
                since: if before.healthy { now } else { before.since },
                unfit: matches!(error, StoreError::Unfit(_)),
                reason: Some(error.to_string()),
                response_time: None,
            },
        };
        metrics().backend_health(store.name(), after.healthy);
        metrics().ready(after.healthy && !self.shared.is_draining());
        if !after.healthy && after.reason != self.named {
            self.named.clone_from(&after.reason);
            let reason = after.reason.as_deref().unwrap_or_default();
            tracing::error!(
                store = store.name(),
                reason,
                "the store is unhealthy: nothing is granted until it recovers"
            );
        }
        match (before.healthy, after.healthy) {
            (true, false) => {
                let reason = after.reason.clone().unwrap_or_default();
                self.shared.log.append(now, [Occurrence::BackendUnhealthy(reason)]);
            }
            (false, true) => {
                self.named = None;
                tracing::info!(store = store.name(), "the store can be used");
                // Clients could not show that they are there while the store was away.
                self.shared.reopened(now);
                self.shared.log.append(now, [Occurrence::BackendRecovered]);
            }
            _ => {}
        }
        *self.shared.health.health.write() = after;
    }
}

impl Actor for HealthActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.probe(ctx);
    }
}

impl Handler<Kill> for HealthActor {
    type Result = ();

    fn handle(&mut self, kill: Kill, ctx: &mut Self::Context) {
        kill.carry_out(ctx);
    }
}
