//! What comes back to whoever asked, and the ways in which nothing does.

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

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The store cannot be used; nothing was granted.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// A limit was reached; nothing was granted.
    #[error("overloaded: {what} (limit {limit})")]
    Overloaded {
        /// Which limit.
        what: &'static str,
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
        "the actor of resource {} died {} times shortly before; its requests are refused for {:?}",
        .0.resource, .0.deaths, .0.remaining
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
            StoreError::Overloaded { limit } => {
                Self::Overloaded { what: "commits waiting for the store", limit }
            }
            StoreError::OutcomeUnknown(cause) => Self::OutcomeUnknown(cause),
            StoreError::Damaged(what) => Self::Damaged(what),
            StoreError::Refused(what) => Self::Internal(what),
            StoreError::Closed => Self::ShuttingDown,
        }
    }
}
