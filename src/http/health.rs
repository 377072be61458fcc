//! `GET /api/locks/health`: how the store is, how it was lately, and what its circuit breaker does.

use super::Door;
use super::instant::Instant;
use super::locks::no_query;
use super::problem::Problem;
use super::views::{Shown, ok};
use actix_web::{HttpRequest, HttpResponse, web};
use lockkeeper_actors::{BackendState, BreakerOptions, BreakerStatus, Health, Probe};
use lockkeeper_core::Span;
use lockkeeper_store::shared::ServerCondition;
use serde::Serialize;
use std::time::Duration;

fn shown(duration: Duration) -> Shown<Span> {
    Shown(Span::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
}

#[derive(Serialize)]
struct Legacy {
    healthy: bool,
    response_time: Option<Shown<Span>>,
}

#[derive(Serialize)]
struct Server {
    server: String,
    role: String,
    memory_used: u64,
    /// Null: no limit.
    memory_max: Option<u64>,
    replicas: u32,
}

impl From<ServerCondition> for Server {
    fn from(server: ServerCondition) -> Self {
        let ServerCondition { server, role, memory_used, memory_max, replicas } = server;
        Self { server, role, memory_used, memory_max: (memory_max > 0).then_some(memory_max), replicas }
    }
}

#[derive(Serialize)]
struct Enhanced {
    healthy: bool,
    response_time: Option<Shown<Span>>,
    /// The servers of a shared store.
    servers: Vec<Server>,
}

#[derive(Serialize)]
struct Thresholds {
    failures: u32,
    successes: u32,
    open_for: Shown<Span>,
    window: Shown<Span>,
    failure_percent: u32,
    min_calls: u32,
}

impl From<BreakerOptions> for Thresholds {
    fn from(options: BreakerOptions) -> Self {
        Self {
            failures: options.failures,
            successes: options.successes,
            open_for: shown(options.open_for),
            window: shown(options.window),
            failure_percent: options.failure_percent,
            min_calls: options.calls_min,
        }
    }
}

#[derive(Serialize)]
struct Breaker {
    state: &'static str,
    since: Instant,
    reason: Option<String>,
    failures_in_a_row: u32,
    good_probes: u32,
    tried_again_in: Option<Shown<Span>>,
    thresholds: Thresholds,
}

impl From<BreakerStatus> for Breaker {
    fn from(status: BreakerStatus) -> Self {
        Self {
            state: status.state.as_str(),
            since: Instant(status.since),
            reason: status.reason,
            failures_in_a_row: status.failures_in_a_row,
            good_probes: status.good_probes,
            tried_again_in: status.tried_again_in.map(shown),
            thresholds: status.options.into(),
        }
    }
}

#[derive(Serialize)]
struct Probed {
    at: Instant,
    ok: bool,
    elapsed: Shown<Span>,
    reason: Option<String>,
}

impl From<Probe> for Probed {
    fn from(probe: Probe) -> Self {
        Self {
            at: Instant(probe.at),
            ok: probe.is_ok(),
            elapsed: shown(probe.elapsed),
            reason: probe.failure,
        }
    }
}

#[derive(Serialize)]
struct LocksHealth {
    /// The store can be used, and calls of it pass.
    overall: bool,
    state: &'static str,
    /// Why it is not healthy.
    reasons: Vec<String>,
    enhanced: Enhanced,
    legacy: Legacy,
    circuit_state: Option<&'static str>,
    breaker: Option<Breaker>,
    /// The last probes, the newest first.
    history: Vec<Probed>,
    /// What there is to see to though locks are granted.
    warnings: Vec<String>,
}

/// `GET /api/locks/health`.
pub(super) async fn health(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    no_query(&req)?;
    let locks = &door.locks;
    let Health { healthy, state, reasons, response_time, .. } = locks.health();
    let breaker = locks.breaker();
    ok(&LocksHealth {
        overall: healthy && breaker.as_ref().is_none_or(BreakerStatus::is_closed),
        state: BackendState::as_str(state),
        reasons,
        enhanced: Enhanced {
            healthy,
            response_time: response_time.map(shown),
            servers: locks.store_condition().into_iter().map(Server::from).collect(),
        },
        legacy: Legacy { healthy: false, response_time: None },
        circuit_state: breaker.as_ref().map(|breaker| breaker.state.as_str()),
        breaker: breaker.map(Breaker::from),
        history: locks.probes().into_iter().map(Probed::from).collect(),
        warnings: locks.store_warnings(),
    })
}
