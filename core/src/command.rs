//! What may be asked of a document, and what it answers.

use crate::entry::{Lock, Ticket};
use crate::id::Seq;
use crate::intent::Intent;
use crate::refusal::Refusal;
use crate::resource::Resource;
use crate::time::{Span, Timestamp};
use std::sync::Arc;

/// Asks for the lock, and for a place in the queue if it is not free.
#[derive(Clone, Debug)]
pub struct Acquire {
    /// Which resource; needed where the document does not exist yet.
    pub resource: Arc<Resource>,
    /// What is asked for.
    pub intent: Arc<Intent>,
    /// If the owner has a lock or ticket already, return that one.
    pub reentrant: bool,
    /// Wait in the queue if it is not free.
    pub queue: bool,
    /// How long to wait at most.
    pub queue_timeout: Span,
    /// How long the client stays connected for the answer.
    pub wait: Span,
}

/// Asks what became of a ticket; claims the lock it became.
#[derive(Clone, Copy, Debug)]
pub struct Poll {
    /// Which ticket.
    pub seq: Seq,
    /// How long the client stays connected for the answer.
    pub wait: Span,
}

/// Begins the lease anew.
#[derive(Clone, Copy, Debug)]
pub struct Renew {
    /// Which lock.
    pub seq: Seq,
    /// Its fencing token.
    pub token: u64,
    /// The new lease (zero: a hold); `None`: as before.
    pub ttl: Option<Span>,
}

/// Gives the lock back.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    /// Which lock.
    pub seq: Seq,
    /// Its fencing token.
    pub token: u64,
    /// How often it was renewed and re-entered when the release was asked for; `None`: however often.
    /// A release that is carried out later than it was accepted must not end what its owner has kept
    /// up since.
    pub touch: Option<u32>,
    /// Identifies this command.
    pub nonce: u64,
}

/// An operator ends a lock.
#[derive(Clone, Debug)]
pub struct ForceRelease {
    /// Which lock.
    pub seq: Seq,
    /// Who does it and why.
    pub note: Box<str>,
    /// Identifies this command.
    pub nonce: u64,
}

/// Gives a place in the queue back.
#[derive(Clone, Copy, Debug)]
pub struct Cancel {
    /// Which ticket.
    pub seq: Seq,
    /// Identifies this command.
    pub nonce: u64,
}

/// Ends all locks and tickets of a pull request.
#[derive(Clone, Copy, Debug)]
pub struct ReleasePull {
    /// The pull request's number in the resource's namespace.
    pub pull: u64,
    /// Only what was acquired or enqueued before this instant.
    pub before: Option<Timestamp>,
    /// Identifies this command.
    pub nonce: u64,
}

/// A client's connection went away before it was answered.
#[derive(Clone, Copy, Debug)]
pub struct ClientGone {
    /// The ticket or lock it would have been told of.
    pub seq: Seq,
    /// The command it had sent.
    pub nonce: u64,
    /// The lease of which it would have been the first to hear, by its beginning; `None`: it waited.
    pub untold: Option<Timestamp>,
}

/// Everything that may be asked of a document. Time passing is asked for too: [`Command::Settle`].
#[derive(Clone, Debug)]
pub enum Command {
    /// See [`Acquire`].
    Acquire(Acquire),
    /// See [`Poll`].
    Poll(Poll),
    /// See [`Renew`].
    Renew(Renew),
    /// See [`Release`].
    Release(Release),
    /// See [`ForceRelease`].
    ForceRelease(ForceRelease),
    /// See [`Cancel`].
    Cancel(Cancel),
    /// See [`ReleasePull`].
    ReleasePull(ReleasePull),
    /// See [`ClientGone`].
    ClientGone(ClientGone),
    /// Shows a lock, or why it ended.
    Show(Seq),
    /// Does what is due and clears away what is old.
    Settle,
}

impl Command {
    /// The entry that it is about, if it names one.
    #[must_use]
    pub const fn subject(&self) -> Option<Seq> {
        match self {
            Self::Poll(poll) => Some(poll.seq),
            Self::Renew(renew) => Some(renew.seq),
            Self::Release(release) => Some(release.seq),
            Self::ForceRelease(force) => Some(force.seq),
            Self::Cancel(cancel) => Some(cancel.seq),
            Self::ClientGone(gone) => Some(gone.seq),
            Self::Show(seq) => Some(*seq),
            Self::Acquire(_) | Self::ReleasePull(_) | Self::Settle => None,
        }
    }

    /// The operation's name in logs and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Acquire(_) => "acquire",
            Self::Poll(_) => "poll",
            Self::Renew(_) => "renew",
            Self::Release(_) => "release",
            Self::ForceRelease(_) => "force_release",
            Self::Cancel(_) => "cancel",
            Self::ReleasePull(_) => "release_pull",
            Self::ClientGone(_) => "client_gone",
            Self::Show(_) => "show",
            Self::Settle => "settle",
        }
    }
}

/// Where an entry stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is a lock.
    Acquired {
        /// The lock.
        lock: Arc<Lock>,
        /// The owner had it before it asked.
        reentrant: bool,
        /// This answer is the first to tell of it: if it cannot be delivered, nobody knows.
        news: bool,
    },
    /// It waits.
    Queued {
        /// The ticket.
        ticket: Arc<Ticket>,
        /// Its place: 1 is next.
        position: usize,
        /// Who holds the resource (at most [`crate::rules::HOLDERS_SHOWN_MAX`]).
        holders: Vec<Arc<Lock>>,
    },
}

/// What a document answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To [`Acquire`] and [`Poll`].
    Standing(Standing),
    /// To [`Renew`] and [`Command::Show`].
    Lock(Arc<Lock>),
    /// To [`Release`] and [`ForceRelease`].
    Released {
        /// The lock that ended.
        lock: Arc<Lock>,
        /// Who has it now, if it was handed on.
        granted_to: Option<Arc<Lock>>,
    },
    /// To [`ReleasePull`].
    Pull {
        /// The locks that ended.
        released: Vec<Arc<Lock>>,
        /// The tickets that ended.
        cancelled: Vec<Arc<Ticket>>,
    },
    /// To the rest.
    Done,
}

/// A reply, or why not.
pub type Outcome = Result<Reply, Refusal>;
