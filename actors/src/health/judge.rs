//! What a probe says of the store. No clock and no chance: all that it is judged by is given.

use super::history::Probe;
use lockkeeper_core::Timestamp;
use lockkeeper_core::breaker::State;
use lockkeeper_store::StoreError;
use std::time::Duration;

/// So many of the last probes must all have been good, or the store is degraded.
const LOOK_BACK: usize = 5;

/// How the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BackendState {
    /// It can keep locks.
    Healthy,
    /// It can, but there is something to see to.
    Degraded,
    /// It cannot: the last probe failed, or it was not reached yet.
    Unhealthy,
}

impl BackendState {
    /// The machine word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }

    pub(super) const fn label(self) -> lockkeeper_telemetry::BackendState {
        match self {
            Self::Healthy => lockkeeper_telemetry::BackendState::Healthy,
            Self::Degraded => lockkeeper_telemetry::BackendState::Degraded,
            Self::Unhealthy => lockkeeper_telemetry::BackendState::Unhealthy,
        }
    }
}

/// What is known of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Can it keep a lock? True unless it is unhealthy.
    pub healthy: bool,
    /// How it is.
    pub state: BackendState,
    /// Since when it can, or cannot, keep a lock; by the store's clock.
    pub since: Timestamp,
    /// It answers, but is set up so that it must not keep locks.
    pub unfit: bool,
    /// Why it cannot keep a lock, in words.
    pub reason: Option<String>,
    /// Why it is not healthy, each in words.
    pub reasons: Vec<String>,
    /// How long the last good probe took.
    pub response_time: Option<Duration>,
}

impl Health {
    /// Nothing is wrong with it.
    pub(super) fn good(since: Timestamp) -> Self {
        Self {
            healthy: true,
            state: BackendState::Healthy,
            since,
            unfit: false,
            reason: None,
            reasons: Vec::new(),
            response_time: None,
        }
    }

    /// It cannot be used, for this reason.
    pub(super) fn bad(since: Timestamp, reason: String, unfit: bool) -> Self {
        Self {
            healthy: false,
            state: BackendState::Unhealthy,
            since,
            unfit,
            reasons: vec![reason.clone()],
            reason: Some(reason),
            response_time: None,
        }
    }
}

/// What was found.
pub(super) struct Found<'a> {
    /// When.
    pub(super) now: Timestamp,
    /// How the probe ended.
    pub(super) outcome: Result<(), StoreError>,
    /// How long it took.
    pub(super) elapsed: Duration,
    /// The breaker after it was told of the probe.
    pub(super) breaker: State,
    /// What the store's servers warn of.
    pub(super) warnings: Vec<String>,
    /// The last probes, this one included, the newest first.
    pub(super) probes: Vec<&'a Probe>,
}

/// How the store is after a probe; `slow`: a good probe that takes longer is a sign of trouble.
pub(super) fn judge(before: &Health, found: Found<'_>, slow: Duration) -> Health {
    let since = |healthy: bool| if before.healthy == healthy { before.since } else { found.now };
    match found.outcome {
        // A full queue is load, not a fault.
        Err(StoreError::Overloaded { .. }) => before.clone(),
        Err(error) => {
            let unfit = matches!(error, StoreError::Unfit(_));
            Health::bad(since(false), error.to_string(), unfit)
        }
        // The breaker has to hear of more good probes before anybody relies on them.
        Ok(()) if !before.healthy && found.breaker != State::Closed => Health {
            response_time: Some(found.elapsed),
            ..Health::bad(
                before.since,
                "the store answers again; its circuit breaker waits for more good probes".into(),
                false,
            )
        },
        Ok(()) => {
            let mut reasons = found.warnings;
            if found.elapsed > slow {
                reasons.push(format!("the last probe took {:?}, more than {slow:?}", found.elapsed));
            }
            let failed: Vec<&str> =
                found.probes.iter().take(LOOK_BACK).filter_map(|probe| probe.failure.as_deref()).collect();
            if let Some(latest) = failed.first() {
                let count = failed.len();
                reasons.push(format!("{count} of the last {LOOK_BACK} probes failed, the latest: {latest}"));
            }
            if found.breaker != State::Closed {
                reasons.push("probes are good, but the circuit breaker of the store is not closed".into());
            }
            let state = if reasons.is_empty() { BackendState::Healthy } else { BackendState::Degraded };
            Health { state, reasons, response_time: Some(found.elapsed), ..Health::good(since(true)) }
        }
    }
}
