//! What a document keeps: locks, tickets, and what became of those that ended.

use crate::cbor::shared;
use crate::id::Seq;
use crate::intent::Intent;
use crate::time::{Span, Timestamp};
use minicbor::{Decode, Encode};
use std::sync::Arc;

/// Has the client of a lock been told of it?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum LockState {
    /// Granted, not fetched yet: it blocks like a held one until its claim deadline.
    #[n(0)]
    Reserved,
    /// Its client knows it; the lease runs.
    #[n(1)]
    Held,
}

impl LockState {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Held => "held",
        }
    }
}

/// A grant of the resource to one owner.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Lock {
    /// Its place in the resource's history; with the resource id, its id.
    #[n(0)]
    pub seq: Seq,
    /// What was asked for.
    #[cbor(n(1), with = "shared")]
    pub intent: Arc<Intent>,
    /// The fencing token.
    #[n(2)]
    pub token: u64,
    /// Has its client been told?
    #[n(3)]
    pub state: LockState,
    /// When it was granted.
    #[n(4)]
    pub acquired_at: Timestamp,
    /// When its lease last began.
    #[n(5)]
    pub renewed_at: Timestamp,
    /// When it ends by itself (the claim deadline while reserved); `None`: a hold.
    #[n(6)]
    pub expires_at: Option<Timestamp>,
    /// The lease a renewal gives unless it names another; zero: a hold.
    #[n(7)]
    pub ttl: Span,
    /// Counts renewals and re-entries.
    #[n(8)]
    pub touch: u32,
    /// When its ticket was enqueued, if it had to wait.
    #[n(9)]
    pub enqueued_at: Option<Timestamp>,
}

impl Lock {
    /// Is the lease over?
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// How long it has been held, from the grant on.
    #[must_use]
    pub fn held_for(&self, now: Timestamp) -> Span {
        now.since(self.acquired_at)
    }

    /// Has its client been told?
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.state == LockState::Reserved
    }
}

/// A place in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Ticket {
    /// Its place in the resource's history; with the resource id, its id.
    #[n(0)]
    pub seq: Seq,
    /// What was asked for.
    #[cbor(n(1), with = "shared")]
    pub intent: Arc<Intent>,
    /// When it was enqueued.
    #[n(2)]
    pub enqueued_at: Timestamp,
    /// When it gives up.
    #[n(3)]
    pub deadline: Timestamp,
    /// Until when its client is taken to be there; never-ending for an unattended one.
    #[n(4)]
    pub seen_until: Timestamp,
}

/// Why a lock or ticket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum EndReason {
    /// Its owner released it, or its pull request was.
    #[n(0)]
    Released,
    /// Its lease ran out.
    #[n(1)]
    Expired,
    /// The ticket was given back.
    #[n(2)]
    Cancelled,
    /// The ticket's client stopped asking, or the lock's client went away before it was told.
    #[n(3)]
    Abandoned,
    /// The lock was granted and not fetched in time.
    #[n(4)]
    Unclaimed,
    /// The ticket waited as long as it wanted to.
    #[n(5)]
    QueueTimeout,
    /// An operator ended it.
    #[n(6)]
    Forced,
}

impl EndReason {
    /// The machine word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Abandoned => "abandoned",
            Self::Unclaimed => "unclaimed",
            Self::QueueTimeout => "queue_timeout",
            Self::Forced => "forced",
        }
    }
}

/// What an ended entry was.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Former {
    /// A lock.
    #[n(0)]
    Lock(#[cbor(n(0), with = "shared")] Arc<Lock>),
    /// A ticket that never became a lock.
    #[n(1)]
    Ticket(#[cbor(n(0), with = "shared")] Arc<Ticket>),
}

impl Former {
    /// What was asked for.
    #[must_use]
    pub fn intent(&self) -> &Arc<Intent> {
        match self {
            Self::Lock(lock) => &lock.intent,
            Self::Ticket(ticket) => &ticket.intent,
        }
    }
}

/// What became of a lock or ticket, kept for a while so that whoever asks is told.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Ended {
    /// What it was.
    #[n(0)]
    pub former: Former,
    /// Why it ended.
    #[n(1)]
    pub reason: EndReason,
    /// When it ended.
    #[n(2)]
    pub at: Timestamp,
    /// Which command ended it, so that this command sent again gets the same answer.
    #[n(3)]
    pub nonce: u64,
    /// Who got the lock in the same commit, if it was handed on.
    #[n(4)]
    pub granted_to: Option<Seq>,
    /// Who ended it and why, in words.
    #[n(5)]
    pub note: Option<Box<str>>,
}
