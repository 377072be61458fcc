//! The actor that probes the store, and tells what it finds.

use super::history::Probe;
use super::judge::{Found, Health, judge};
use super::pace::{PAUSE_MIN, pause};
use crate::events::Occurrence;
use crate::resident::Kill;
use crate::service::Hindrance;
use crate::shared::Shared;
use actix::prelude::*;
use lockkeeper_core::Timestamp;
use lockkeeper_core::breaker::State;
use lockkeeper_store::StoreError;
use lockkeeper_telemetry::{Occupied, metrics};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A probe that has no answer after this has failed, whatever bounds the store itself has.
const PROBE_MAX: Duration = Duration::from_secs(10);

/// Probes the store.
pub(crate) struct HealthActor {
    shared: Arc<Shared>,
    _counted: Occupied,
}

impl HealthActor {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, _counted: metrics().actor("health") }
    }

    fn probe(&mut self, ctx: &mut Context<Self>) {
        let shared = Arc::clone(&self.shared);
        let probe = async move {
            let (outcome, elapsed) = probe(&shared, PROBE_MAX).await;
            let told = tell_breaker(&shared, &outcome).await;
            // The breaker waits for more of them.
            let at_once = outcome.is_ok() && told == Some(State::HalfOpen);
            let breaker = told.unwrap_or_else(|| shared.breaker_state());
            learn(&shared, outcome, elapsed, breaker);
            at_once
        };
        ctx.spawn(probe.into_actor(self).map(|at_once, actor, ctx| {
            if at_once {
                actor.probe(ctx);
            } else {
                actor.wait(ctx);
            }
        }));
    }

    fn wait(&mut self, ctx: &mut Context<Self>) {
        let shared = Arc::clone(&self.shared);
        let pause = async move {
            let interval = pause(shared.tunables().health_interval, rand::random());
            let turn = async {
                if shared.health.get().healthy {
                    let least = PAUSE_MIN.min(interval);
                    tokio::time::sleep(least).await;
                    let _ = tokio::time::timeout(interval - least, shared.health.suspected()).await;
                } else {
                    // That calls fail is no news.
                    tokio::time::sleep(interval).await;
                }
            };
            tokio::select! {
                () = turn => {}
                () = shared.health.wanted() => {}
            }
        };
        ctx.spawn(pause.into_actor(self).map(|(), actor, ctx| actor.probe(ctx)));
    }
}

/// Probes the store once, with all that must be known before it is used again, for at most so long.
pub(super) async fn probe(shared: &Shared, max: Duration) -> (Result<(), StoreError>, Duration) {
    let begun = Instant::now();
    let outcome = tokio::time::timeout(max, async {
        let outcome = shared.store.probe().await;
        let elapsed = begun.elapsed();
        if outcome.is_ok()
            && !is_in_use(shared)
            && let Some(store) = shared.store.shared()
        {
            // Otherwise it would seem to grant until the custodian's next look.
            return (crate::replica::look_before_use(shared, store).await, elapsed);
        }
        (outcome, elapsed)
    });
    outcome.await.unwrap_or_else(|_| {
        let error = StoreError::Unavailable(format!("no answer to a probe within {max:?}"));
        (Err(error), begun.elapsed())
    })
}

/// Do calls of the store pass, and was its last probe good?
fn is_in_use(shared: &Shared) -> bool {
    shared.health.get().healthy && shared.breaker_state() == State::Closed
}

/// Gives the breaker's state after it; `None`: it was not told.
async fn tell_breaker(shared: &Shared, outcome: &Result<(), StoreError>) -> Option<State> {
    let breaker = shared.breaker.as_ref()?;
    match outcome {
        Ok(()) => breaker.probed(None).await,
        // The store was not asked.
        Err(StoreError::Overloaded { .. }) => None,
        Err(error) => breaker.probed(Some(error.to_string())).await,
    }
}

/// Takes a probe's outcome over, and tells everybody.
fn learn(shared: &Shared, outcome: Result<(), StoreError>, elapsed: Duration, breaker: State) {
    let (store, now) = (&shared.store, shared.store.now());
    let is_load = matches!(outcome, Err(StoreError::Overloaded { .. }));
    let failed = outcome.is_err();
    let failure = outcome.as_ref().err().map(ToString::to_string);
    if !is_load {
        metrics().probe(store.name(), failure.is_none().then_some(elapsed));
        shared.health.remember(Probe { at: now, elapsed, failure });
    }
    let probes = shared.health.probes();
    let (warnings, servers) =
        store.shared().map(|store| (store.warnings(), store.condition())).unwrap_or_default();
    // Of several servers, the one that is nearest to its limit, and the fewest replicas.
    let fullest = servers.iter().max_by_key(|server| server.memory_percent());
    let replicas = servers.iter().map(|server| server.replicas).min();
    if let (Some(fullest), Some(replicas)) = (fullest, replicas) {
        metrics().redis(fullest.memory_used, fullest.memory_max, replicas.into());
    }
    let found = Found { now, outcome, elapsed, breaker, warnings, probes: probes.iter().collect() };
    let before = shared.health.get();
    let after = judge(&before, found, shared.tunables().slow_probe);
    metrics().backend_health(store.name(), after.healthy);
    metrics().backend_state(after.state.label());
    tell(shared, &before, &after, failed, now);
}

fn tell(shared: &Shared, before: &Health, after: &Health, failed: bool, now: Timestamp) {
    let store = shared.store.name();
    if let Some(reason) = after.reason.as_deref()
        && failed
        && shared.health.is_news(Some(reason))
    {
        tracing::error!(store, reason, "the store is unhealthy: nothing is granted until it recovers");
    }
    shared.health.set(after.clone());
    match (before.healthy, after.healthy) {
        (true, false) => {
            let reason = after.reason.clone().unwrap_or_default();
            shared.log.append(now, [Occurrence::BackendUnhealthy(reason)]);
        }
        (false, true) => {
            shared.health.is_news(None);
            tracing::info!(store, "the store can be used");
            // Clients could not show that they are there while the store was away.
            shared.reopened(now);
            shared.log.append(now, [Occurrence::BackendRecovered]);
        }
        (true, true) | (false, false) => {}
    }
    // The last of all: from here on it grants.
    match &after.reason {
        Some(reason) => shared.service.hinder(Hindrance::Store, reason.as_str(), now),
        None => shared.service.clear(Hindrance::Store, now),
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
