//! What comes back to whoever asked, and the ways in which nothing does.

use crate::bound::Bound;
use crate::service::Phase;
use crate::supervision::Quarantined;
use lockkeeper_core::{Refusal, Reply, Resource, Timestamp};
use lockkeeper_store::StoreError;
use std::sync::Arc;
use std::time::Duration;

/// A durable answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Of which resource; `None` where no document is known.
    pub resource: Option<Arc<Resource>>,
    /// The store's clock when it was decided.
    pub decided_at: Timestamp,
    /// What the document answered.
    pub outcome: Result<Reply, Refusal>,
}

/// A copy of what the store had, told while the store cannot be asked.
#[derive(Clone, Debug)]
pub struct Unconfirmed {
    /// Of which resource.
    pub resource: Arc<Resource>,
    /// What the copy says: a lock, or where a ticket stands.
    pub reply: Reply,
    /// The store's clock as far as it is known.
    pub now: Timestamp,
    /// What the store had then is in it.
    pub as_of: Timestamp,
}

/// What is known of a lock or ticket.
#[derive(Clone, Debug)]
pub enum Sight {
    /// The store confirmed it.
    Confirmed(Answer),
    /// The store cannot be asked.
    Unconfirmed(Unconfirmed),
}

/// What became of a release.
#[derive(Clone, Debug)]
pub enum Released {
    /// It was carried out, or refused.
    Now(Answer),
    /// The store cannot be asked. It is kept, durably, and carried out when the store is back, unless
    /// the lock was renewed or re-entered meanwhile.
    Pending(Unconfirmed),
}

impl Released {
    /// The answer, if it was not put off.
    #[must_use]
    pub fn now(self) -> Option<Answer> {
        match self {
            Self::Now(answer) => Some(answer),
            Self::Pending(_) => None,
        }
    }
}

/// The service only protects what is held: why, and what is known of the lock that was asked of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldOnly {
    /// What this instance does now, or what there is to do about this resource.
    pub phase: Phase,
    /// Why, in words.
    pub reason: String,
    /// The lock that was asked of, as it was last known.
    pub lease: Option<LastLease>,
}

/// A lease as it was last known to be: what was asked now has not changed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastLease {
    /// When it ends; `None`: it does not end by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was so.
    pub as_of: Timestamp,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The store cannot be used; nothing was granted.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store cannot be trusted, or releases that it missed come first; nothing was changed.
    #[error("{}", .0.reason)]
    HoldOnly(Box<HoldOnly>),
    /// A limit was reached; nothing was granted.
    #[error("overloaded: {what} (limit {limit})")]
    Overloaded {
        /// Which limit.
        what: Bound,
        /// Its value.
        limit: usize,
    },
    /// As many tickets wait as may; none was made.
    #[error("the queue is full: {limit} is {value}")]
    QueueFull {
        /// The setting that bounds them.
        limit: &'static str,
        /// Its value.
        value: usize,
    },
    /// The actor of this resource panicked too often: its requests are refused for a while; nothing
    /// was granted.
    #[error(
        "the actor of resource {} died {} times shortly before; its requests are refused for {}s",
        .0.resource, .0.deaths, .0.remaining.as_secs().max(1)
    )]
    Quarantined(Quarantined),
    /// It may have happened: ask again with the same request id.
    #[error("outcome unknown: {0}")]
    OutcomeUnknown(String),
    /// This server is about to stop; nothing was granted.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// This instance grants nothing, since it was switched off; says by what.
    #[error("this instance grants nothing: it was {0}")]
    SwitchedOff(String),
    /// A mistake of this program; nothing was changed.
    #[error("internal error: {0}")]
    Internal(String),
    /// Records in the store cannot be read; an operator must look.
    #[error("damaged: {0}")]
    Damaged(String),
}

impl Failure {
    /// What the failure of a repetition says of the whole: that nothing was granted is true of the
    /// repetition only.
    #[must_use]
    pub fn of_repetition(self) -> Self {
        match self {
            Self::Unavailable(_)
            | Self::HoldOnly(_)
            | Self::Overloaded { .. }
            | Self::QueueFull { .. }
            | Self::Quarantined(_)
            | Self::ShuttingDown
            | Self::SwitchedOff(_) => Self::OutcomeUnknown(self.to_string()),
            other => other,
        }
    }
}

/// How long a client should wait before it asks a busy or troubled server again.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(cause) | StoreError::Unfit(cause) => Self::Unavailable(cause),
            StoreError::Sealed(_) => Self::Unavailable(error.to_string()),
            StoreError::Overloaded { limit } => Self::Overloaded { what: Bound::Commits, limit },
            StoreError::OutcomeUnknown(cause) => Self::OutcomeUnknown(cause),
            StoreError::Damaged(what) => Self::Damaged(what),
            StoreError::Refused(what) => Self::Internal(what),
            StoreError::Closed => Self::ShuttingDown,
        }
    }
}
