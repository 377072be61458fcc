//! What happened, as data: the actors publish it once the commit is durable.

use crate::cbor::{self, shared};
use crate::entry::{EndReason, Former};
use crate::resource::Resource;
use crate::time::Timestamp;
use minicbor::{Decode, Encode};
use std::sync::Arc;

/// What kind of thing happened to a lock or a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum EventKind {
    /// A lock is held: granted, or claimed after it was reserved.
    #[n(0)]
    LockAcquired,
    /// A lock was granted to a client that has not fetched it yet.
    #[n(1)]
    LockReserved,
    /// A lease began anew.
    #[n(2)]
    LockRenewed,
    /// A lock was given back.
    #[n(3)]
    LockReleased,
    /// A lease ran out.
    #[n(4)]
    LockExpired,
    /// An operator ended a lock.
    #[n(5)]
    LockForced,
    /// A ticket entered the queue.
    #[n(6)]
    TicketQueued,
    /// A ticket left the queue: cancelled or abandoned.
    #[n(7)]
    TicketCancelled,
    /// A ticket waited as long as it wanted to.
    #[n(8)]
    TicketTimedOut,
    /// A granted lock was not fetched in time.
    #[n(9)]
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
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Event {
    /// What happened.
    #[n(0)]
    pub kind: EventKind,
    /// When, by the store's clock.
    #[n(1)]
    pub at: Timestamp,
    /// To which resource.
    #[cbor(n(2), with = "shared")]
    pub resource: Arc<Resource>,
    /// The lock or ticket, as it was then.
    #[n(3)]
    pub subject: Former,
    /// Why it ended, if it did.
    #[n(4)]
    pub reason: Option<EndReason>,
    /// Who did it and why, in words, where somebody said so.
    #[n(5)]
    pub note: Option<Box<str>>,
}

/// What an instance tells the others with a commit: the events that it made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Note {
    /// In order.
    #[n(0)]
    pub events: Vec<Event>,
}

impl Note {
    /// As it travels.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::to_bytes(self)
    }

    /// Reads a note; no bytes are no events.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        if bytes.is_empty() { Ok(Self::default()) } else { cbor::from_bytes(bytes) }
    }
}
