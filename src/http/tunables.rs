//! What of the door may change while it is open.
//!
//! Read it with [`Door::tunables`](super::Door::tunables) once per request and keep the answer for that
//! request: two looks may see two settings. Nothing else may keep a copy.

use lockkeeper_core::Span;
use std::num::NonZeroUsize;
use std::time::Duration;

/// Settings that a running server takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunables {
    /// The longest a request may wait; longer wishes are shortened.
    pub max_wait: Duration,
    /// The lease of requests that name none.
    pub default_ttl: Span,
    /// The longest lease.
    pub max_ttl: Span,
    /// How long tickets wait that do not say it.
    pub queue_default_timeout: Span,
    /// How many requests are taken.
    pub rates: Rates,
    /// The most requests of one client that wait at once; `None`: no limit of its own.
    pub waiting_per_client_max: Option<NonZeroUsize>,
    /// The most event streams of one client; `None`: no limit of its own.
    pub subscribers_per_client_max: Option<NonZeroUsize>,
    /// The most tickets of one client; `None`: no limit of its own.
    pub tickets_per_client_max: Option<NonZeroUsize>,
}

/// How many requests are taken, each a second; `None`: any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Of one client.
    pub per_client: Option<NonZeroUsize>,
    /// How many requests a client may make at once; `None`: as many as its rate gives in a second.
    pub burst: Option<NonZeroUsize>,
    /// Of all clients together.
    pub global: Option<NonZeroUsize>,
}

impl Default for Tunables {
    fn default() -> Self {
        Self {
            max_wait: Duration::from_secs(50),
            default_ttl: Span::from_secs(30 * 60),
            max_ttl: Span::from_secs(720 * 3600),
            queue_default_timeout: Span::from_secs(10 * 60),
            rates: Rates::default(),
            waiting_per_client_max: None,
            subscribers_per_client_max: None,
            tickets_per_client_max: None,
        }
    }
}
