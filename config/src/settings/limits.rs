//! Settings of what keeps the service standing when something breaks or too much is asked, as types.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::limit;
use super::redis::small;
use crate::effective::Effective;

/// Settings of the store's circuit breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitBreakerSettings {
    /// So many faults in a row open it.
    pub failure_threshold: u32,
    /// So many good probes in a row close it.
    pub success_threshold: u32,
    /// How long it stays open before the store is probed again.
    pub timeout: Duration,
    /// Over how long the rate of faults is looked at.
    pub window: Duration,
    /// So many per cent of faults within the window open it; 0: the rate is not looked at.
    pub failure_percent: u32,
    /// With fewer calls in the window the rate says nothing.
    pub min_calls: u32,
}

impl CircuitBreakerSettings {
    /// None when it is switched off.
    pub(super) fn from_effective(e: &Effective) -> Option<Self> {
        e.bool("circuit-breaker.enabled").then(|| Self {
            failure_threshold: small(e.integer("circuit-breaker.failure-threshold")),
            success_threshold: small(e.integer("circuit-breaker.success-threshold")),
            timeout: e.span("circuit-breaker.timeout").to_std(),
            window: e.span("circuit-breaker.window").to_std(),
            failure_percent: small(e.integer("circuit-breaker.failure-percent")),
            min_calls: small(e.integer("circuit-breaker.min-calls")),
        })
    }
}

/// How often actors may die.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupervisionSettings {
    /// More deaths than this within the window are a storm.
    pub max_deaths: u32,
    /// More deaths of one resource's actor than this, and its requests are refused.
    pub max_deaths_per_resource: u32,
    /// Over how long deaths are counted.
    pub window: Duration,
    /// How long no actor may die before a storm is over; how long a resource's requests are refused.
    pub calm: Duration,
}

impl SupervisionSettings {
    pub(super) fn from_effective(e: &Effective) -> Self {
        Self {
            max_deaths: small(e.integer("supervision.max-deaths")),
            max_deaths_per_resource: small(e.integer("supervision.max-deaths-per-resource")),
            window: e.span("supervision.window").to_std(),
            calm: e.span("supervision.calm").to_std(),
        }
    }
}

/// How many requests are taken, each a second; none for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimitSettings {
    /// Of one client.
    pub per_client: Option<NonZeroUsize>,
    /// How many requests a client may make at once; none for as many as its rate gives in a second.
    pub burst: Option<NonZeroUsize>,
    /// Of all clients together.
    pub global: Option<NonZeroUsize>,
}

impl RateLimitSettings {
    pub(super) fn from_effective(e: &Effective) -> Self {
        Self {
            per_client: limit(e.integer("rate-limit.per-client")),
            burst: limit(e.integer("rate-limit.burst")),
            global: limit(e.integer("rate-limit.global")),
        }
    }
}
