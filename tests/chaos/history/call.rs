//! What clients ask.

use super::Name;
use std::sync::Arc;

/// How a resource is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chaos) enum Mode {
    Exclusive,
    Shared,
    Counted(u16),
}

/// An acquire, the same each time it is sent.
#[derive(Clone, Debug)]
pub(in crate::chaos) struct Ask {
    pub(in crate::chaos) namespace: Name,
    pub(in crate::chaos) path: Name,
    /// As answers name it: `{namespace}/{path}/default/`.
    pub(in crate::chaos) resource: Name,
    /// Unlike every other ask's: whatever bears this name came from this one.
    pub(in crate::chaos) owner: Name,
    /// Unlike every other ask's too.
    pub(in crate::chaos) pull: u64,
    pub(in crate::chaos) mode: Mode,
    /// An index into [`PRIORITIES`]: greater goes first.
    pub(in crate::chaos) priority: usize,
    /// 0: a hold.
    pub(in crate::chaos) ttl_ms: u64,
    pub(in crate::chaos) queue: bool,
    pub(in crate::chaos) queue_timeout_ms: u64,
    pub(in crate::chaos) attended: bool,
    pub(in crate::chaos) reentrant: bool,
    pub(in crate::chaos) request_id: Option<Name>,
}

/// The words for priorities, the least urgent first.
pub(in crate::chaos) const PRIORITIES: [&str; 4] = ["low", "normal", "high", "critical"];

/// A request.
#[derive(Clone, Debug)]
pub(in crate::chaos) enum Call {
    Acquire {
        ask: Arc<Ask>,
        wait_ms: u64,
    },
    Poll {
        id: Name,
        wait_ms: u64,
    },
    Show {
        id: Name,
    },
    /// The lease begins anew, never shorter than it was asked for first.
    Renew {
        id: Name,
        token: u64,
    },
    /// With a key it may be sent again and gets the same answer.
    Release {
        id: Name,
        token: u64,
        key: Option<Name>,
    },
    /// Ends whatever came from one ask.
    ReleasePull {
        namespace: Name,
        pull: u64,
        owner: Name,
    },
    Force {
        id: Name,
    },
    Cancel {
        id: Name,
    },
    /// The instance's own view, which may be old.
    List,
    /// What the store has.
    ListStored,
}

impl Call {
    /// The lock or ticket that it speaks of by its id.
    pub(in crate::chaos) fn subject(&self) -> Option<&Name> {
        match self {
            Self::Poll { id, .. }
            | Self::Show { id }
            | Self::Renew { id, .. }
            | Self::Release { id, .. }
            | Self::Force { id }
            | Self::Cancel { id } => Some(id),
            Self::Acquire { .. } | Self::ReleasePull { .. } | Self::List | Self::ListStored => None,
        }
    }

    /// The owner for whom it asks by name.
    pub(in crate::chaos) fn owner(&self) -> Option<&Name> {
        match self {
            Self::Acquire { ask, .. } => Some(&ask.owner),
            Self::ReleasePull { owner, .. } => Some(owner),
            _ => None,
        }
    }
}
