//! What happened, as data: the actors publish it once the commit is durable.

use crate::entry::{EndReason, Former};
use crate::resource::Resource;
use crate::time::Timestamp;
use std::sync::Arc;

/// What kind of thing happened to a lock or a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A lock is held: granted, or claimed after it was reserved.
    LockAcquired,
    /// A lock was granted to a client that has not fetched it yet.
    LockReserved,
    /// A lease began anew.
    LockRenewed,
    /// A lock was given back.
    LockReleased,
    /// A lease ran out.
    LockExpired,
    /// An operator ended a lock.
    LockForced,
    /// A ticket entered the queue.
    TicketQueued,
    /// A ticket left the queue: cancelled or abandoned.
    TicketCancelled,
    /// A ticket waited as long as it wanted to.
    TicketTimedOut,
    /// A granted lock was not fetched in time.
    TicketUnclaimed,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::LockAcquired,
        Self::LockReserved,
        Self::LockRenewed,
        Self::LockReleased,
        Self::LockExpired,
        Self::LockForced,
        Self::TicketQueued,
        Self::TicketCancelled,
        Self::TicketTimedOut,
        Self::TicketUnclaimed,
    ];

    /// The event's type as clients see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LockAcquired => "lock.acquired",
            Self::LockReserved => "lock.reserved",
            Self::LockRenewed => "lock.renewed",
            Self::LockReleased => "lock.released",
            Self::LockExpired => "lock.expired",
            Self::LockForced => "lock.forced",
            Self::TicketQueued => "ticket.queued",
            Self::TicketCancelled => "ticket.cancelled",
            Self::TicketTimedOut => "ticket.timed_out",
            Self::TicketUnclaimed => "ticket.unclaimed",
        }
    }
}

/// Something that happened to a lock or a ticket.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// When, by the store's clock.
    pub at: Timestamp,
    /// To which resource.
    pub resource: Arc<Resource>,
    /// The lock or ticket, as it was then.
    pub subject: Former,
    /// Why it ended, if it did.
    pub reason: Option<EndReason>,
    /// Who did it and why, in words, where somebody said so.
    pub note: Option<Box<str>>,
}
