//! What clients are told.

use super::{At, Name};

/// A lock as an answer shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::chaos) struct LockSeen {
    pub(in crate::chaos) id: Name,
    pub(in crate::chaos) resource: Name,
    pub(in crate::chaos) owner: Name,
    pub(in crate::chaos) token: u64,
    /// `held`, not `reserved`.
    pub(in crate::chaos) held: bool,
    /// What is left of its lease; `None`: a hold.
    pub(in crate::chaos) expires_in: Option<At>,
    /// The end of its lease by the store's clock, in microseconds since 1970; `None`: a hold.
    pub(in crate::chaos) expires_at: Option<At>,
}

/// Until when a lock lasts, as a refusal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chaos) enum Lease {
    Hold,
    /// By the store's clock, in microseconds since 1970.
    Until(At),
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::chaos) enum Answer {
    /// To an acquire or a poll: the lock is the client's.
    Acquired {
        lock: LockSeen,
        reentrant: bool,
    },
    /// To an acquire or a poll: wait.
    Queued {
        ticket: Name,
        owner: Name,
        holders: Vec<LockSeen>,
        /// False: it is what the instance knew last, while it could not ask its store.
        confirmed: bool,
    },
    /// To a look or a renewal.
    Lock(LockSeen),
    /// To a look while the store is away: what the instance knew last. It confirms nothing.
    Unconfirmed(LockSeen),
    /// To a release, forced or not.
    Released {
        lock: LockSeen,
        granted_to: Option<LockSeen>,
    },
    /// To a release by pull request: locks, and ids of tickets.
    PullReleased {
        released: Vec<LockSeen>,
        cancelled: Vec<Name>,
    },
    /// A release that will be carried out when the store is back, of this lock as it was known last.
    Pending(LockSeen),
    /// A ticket was given back.
    Cancelled,
    Listed(Vec<LockSeen>),
    /// A problem, with the locks that it shows.
    Refused {
        status: u16,
        code: Name,
        locks: Vec<LockSeen>,
        /// The end of the lease that it speaks of, if it does.
        lease: Option<Lease>,
    },
    /// It was certainly not sent: nobody listened.
    NotSent,
    /// No answer: it may have happened.
    Lost(&'static str),
    /// An answer that nobody expects; the text of it.
    Strange(String),
}

impl Answer {
    /// A refusal's code, or an empty text.
    pub(in crate::chaos) fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            _ => "",
        }
    }

    /// It may have happened, and only asking again can tell.
    pub(in crate::chaos) fn is_unknown(&self) -> bool {
        matches!(self, Self::Lost(_)) || self.code() == "outcome_unknown"
    }

    /// Nothing was done, and another time or instance may do it.
    pub(in crate::chaos) fn is_unavailable(&self) -> bool {
        match self {
            Self::NotSent => true,
            Self::Refused { status, code, .. } => matches!(status, 429 | 503) && &**code != "outcome_unknown",
            _ => false,
        }
    }

    /// Every lock that it shows, whoever's it is.
    pub(in crate::chaos) fn locks(&self) -> Vec<&LockSeen> {
        match self {
            Self::Acquired { lock, .. }
            | Self::Lock(lock)
            | Self::Unconfirmed(lock)
            | Self::Pending(lock) => vec![lock],
            Self::Released { lock, granted_to } => std::iter::once(lock).chain(granted_to).collect(),
            Self::Queued { holders: locks, .. }
            | Self::Refused { locks, .. }
            | Self::Listed(locks)
            | Self::PullReleased { released: locks, .. } => locks.iter().collect(),
            Self::Cancelled | Self::NotSent | Self::Lost(_) | Self::Strange(_) => Vec::new(),
        }
    }

    /// Its word in the tally.
    pub(in crate::chaos) fn word(&self) -> String {
        match self {
            Self::Acquired { reentrant: false, .. } => "200 acquired".into(),
            Self::Acquired { reentrant: true, .. } => "200 reentrant".into(),
            Self::Queued { confirmed: true, .. } => "202 queued".into(),
            Self::Queued { confirmed: false, .. } => "202 queued, unconfirmed".into(),
            Self::Lock(_) => "200 lock".into(),
            Self::Unconfirmed(_) => "200 lock, unconfirmed".into(),
            Self::Released { .. } | Self::PullReleased { .. } => "200 released".into(),
            Self::Pending(_) => "202 pending".into(),
            Self::Cancelled => "204 cancelled".into(),
            Self::Listed(_) => "200 listed".into(),
            Self::Refused { status, code, lease: None, .. } => format!("{status} {code}"),
            Self::Refused { status, code, .. } => format!("{status} {code}, with its lease"),
            Self::NotSent => "no connection".into(),
            Self::Lost(why) => format!("no answer: {why}"),
            Self::Strange(_) => "strange".into(),
        }
    }
}
