//! What of the actors may change while they run.
//!
//! Read it with `Shared::tunables` where it is needed, each time anew; nobody may keep a copy longer than
//! for one decision. It is changed with [`Locks::tune`](crate::Locks::tune).

use crate::options::Options;
use std::num::NonZeroUsize;
use std::time::Duration;

/// Settings that running actors take over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunables {
    /// How many clients may wait for a grant at the same time.
    pub waiting_max: usize,
    /// The most tickets of all resources, as far as this instance knows.
    pub tickets_max: usize,
    /// The most tickets of one namespace; `None`: no limit of its own.
    pub tickets_per_namespace_max: Option<NonZeroUsize>,
    /// How often the store is probed.
    pub health_interval: Duration,
    /// A probe of the store that takes longer than this makes it degraded.
    pub slow_probe: Duration,
    /// Over how long waiting clients are let go when nothing is granted any more.
    pub drain_spread: Duration,
}

impl Tunables {
    pub(crate) fn of(options: &Options) -> Self {
        Self {
            waiting_max: options.max_waiting,
            tickets_max: options.tickets_max,
            tickets_per_namespace_max: options.tickets_per_namespace_max,
            health_interval: options.health_interval,
            slow_probe: options.slow_probe,
            drain_spread: options.drain_spread,
        }
    }
}
