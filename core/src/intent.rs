//! What an owner asked for: it stays the same while the ticket waits and the lock is held.

use crate::cbor::shared;
use crate::time::Span;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How urgent a request is. Higher classes go first, the oldest ticket first within one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Priority {
    /// 0
    #[n(0)]
    Low,
    /// 1
    #[default]
    #[n(1)]
    Normal,
    /// 2
    #[n(2)]
    High,
    /// 3
    #[n(3)]
    Critical,
}

impl Priority {
    /// How many classes there are.
    pub const COUNT: usize = 4;
    /// From the least to the most urgent; a class's place here is its number.
    pub const ALL: [Self; Self::COUNT] = [Self::Low, Self::Normal, Self::High, Self::Critical];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The priority with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.as_str() == word)
    }
}

/// Who may hold the resource at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Mode {
    /// One holder alone.
    #[default]
    #[n(0)]
    Exclusive,
    /// Any number of shared holders.
    #[n(1)]
    Shared,
    /// Up to `limit` counted holders.
    #[n(2)]
    Counted {
        /// How many at once; all holders and waiters of a resource must name the same.
        #[n(0)]
        limit: u16,
    },
}

impl Mode {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Shared => "shared",
            Self::Counted { .. } => "counted",
        }
    }

    /// May one more of this mode join `holders` holders of mode `other`?
    #[must_use]
    pub fn joins(self, other: Self, holders: usize) -> bool {
        match (self, other) {
            (Self::Shared, Self::Shared) => true,
            (Self::Counted { limit }, Self::Counted { .. }) => holders < usize::from(limit),
            _ => false,
        }
    }
}

/// The pull request an owner works for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Pull {
    /// Its number in the resource's namespace.
    #[n(0)]
    pub num: u64,
    /// Where people see it.
    #[n(1)]
    pub url: Option<Box<str>>,
    /// Who opened it.
    #[n(2)]
    pub author: Option<Box<str>>,
    /// The commit it stands at.
    #[n(3)]
    pub head_commit: Option<Box<str>>,
    /// The branch it wants to go to.
    #[n(4)]
    pub base_branch: Option<Box<str>>,
}

/// Who wants or holds a lock. The id is the identity; the rest is for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Owner {
    /// For example `acme/infra#42`.
    #[n(0)]
    pub id: Box<str>,
    /// The person behind it.
    #[n(1)]
    pub user: Option<Box<str>>,
    /// The pull request behind it.
    #[n(2)]
    pub pull: Option<Box<Pull>>,
}

/// A client's request id, hashed with the operation and owner it is scoped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct RequestKey(#[n(0)] pub u64, #[n(1)] pub u64);

/// A request id with a digest of the body it came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RequestRef {
    /// Which request.
    #[n(0)]
    pub key: RequestKey,
    /// A hash of what was asked: the same id with another body is refused.
    #[n(1)]
    pub digest: u64,
}

/// A caller's key-value notes on a lock.
pub type Metadata = BTreeMap<Box<str>, Box<str>>;

/// What an owner asked for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Intent {
    /// Who asks.
    #[n(0)]
    pub owner: Owner,
    /// The authenticated caller; never chosen by it.
    #[n(1)]
    pub created_by: Box<str>,
    /// With whom it can share.
    #[n(2)]
    pub mode: Mode,
    /// How urgent it is.
    #[n(3)]
    pub priority: Priority,
    /// The lease it asked for; zero: a hold, until released.
    #[n(4)]
    pub ttl: Span,
    /// A running operation that must not be preempted.
    #[n(5)]
    pub protected: bool,
    /// A client keeps asking for it; an unattended ticket waits by itself.
    #[n(6)]
    pub attended: bool,
    /// The caller's notes.
    #[n(7)]
    pub metadata: Option<Box<Metadata>>,
    /// Identifies the command that made it, so that a command sent again is recognised.
    #[n(8)]
    pub nonce: u64,
    /// The request ids that led here, oldest first.
    #[cbor(n(9), with = "shared")]
    pub requests: Arc<Vec<RequestRef>>,
}
