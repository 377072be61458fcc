//! Why a command was not carried out. A refusal changed nothing.

use crate::entry::{Ended, Lock};
use crate::id::Seq;
use crate::rules::RETENTION;
use crate::time::Timestamp;
use std::sync::Arc;

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The resource is not free and the caller does not want to wait.
    #[error("the resource is not free")]
    Held {
        /// Who holds it (at most [`crate::rules::HOLDERS_SHOWN_MAX`]).
        holders: Vec<Arc<Lock>>,
        /// How many wait already.
        waiting: usize,
    },
    /// It is free and the caller would be next, but nothing may be granted here and now.
    #[error("nothing is granted here now")]
    NotGranting,
    /// The queue is as long as it may be.
    #[error("{limit} tickets wait already, and no more may")]
    QueueFull {
        /// The limit.
        limit: usize,
    },
    /// Not the lock's present fencing token.
    #[error("the fencing token is not the lock's")]
    StaleToken,
    /// The lock was renewed or re-entered after this release of it was accepted: it stays.
    #[error("the lock was renewed or re-entered since the release was asked for")]
    Superseded,
    /// The modes or limits cannot be had together.
    #[error("{0}")]
    ModeConflict(String),
    /// The same request id with another body.
    #[error("this request id was used for another request")]
    RequestIdReused,
    /// The ticket has become a lock.
    #[error("the ticket was granted already")]
    AlreadyGranted(Arc<Lock>),
    /// It has ended; the record says why.
    #[error("it has ended: {}", .0.reason.as_str())]
    Gone(Arc<Ended>),
    /// It is not there, and the store has lost data since it was made: it may be among that.
    #[error("it was lost with data of the store")]
    Lost,
    /// Never heard of it, or forgotten.
    #[error("not found")]
    NotFound,
    /// Two identities share one resource id; the other one was first.
    #[error("another resource has the same id")]
    IdTaken,
}

impl Refusal {
    /// What to say of an entry that is in no document. `lost_before` is the time in milliseconds at
    /// which the store was last opened after it may have lost data (0: never), and an entry's number
    /// carries the time at which it was made: an older one may have been lost then. That is
    /// remembered as long as the end of any other entry.
    #[must_use]
    pub fn of_unknown(seq: Seq, lost_before: u64, now: Timestamp) -> Self {
        let opened_at = Timestamp::from_millis(lost_before);
        if lost_before > 0 && seq.millis() < lost_before && now < opened_at + RETENTION {
            Self::Lost
        } else {
            Self::NotFound
        }
    }
}
