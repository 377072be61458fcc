//! Label values that are known beforehand, as types: a caller cannot misspell one.

/// Declares an enum whose variants are the values of one label, in the order of its handles.
macro_rules! label_values {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// The label's values, in the order of the variants.
            pub const WORDS: &'static [&'static str] = &[$($word),+];
            /// Every variant, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
        }
    };
}

label_values! {
    /// The priority of a ticket.
    Priority {
        /// Ahead of all others.
        Critical => "critical",
        /// Ahead of normal and low.
        High => "high",
        /// What a request has that says nothing.
        Normal => "normal",
        /// Behind all others.
        Low => "low",
    }
}

label_values! {
    /// Why a lock ended.
    ReleaseReason {
        /// Its owner gave it back.
        Released => "released",
        /// Its lease ran out.
        Expired => "expired",
        /// An operator took it away.
        Forced => "forced",
        /// Its pull request closed.
        PullClosed => "pull_closed",
        /// Its client was gone before it learned of the grant.
        Abandoned => "abandoned",
        /// It was reserved and nobody fetched it in time.
        Unclaimed => "unclaimed",
    }
}

label_values! {
    /// What an instance does now.
    Phase {
        /// Everything.
        Granting => "granting",
        /// It protects what is held and grants nothing: the store cannot be trusted now.
        HoldOnly => "hold_only",
        /// The store may have lost data; the instances write back what they know.
        Sealed => "sealed",
        /// It grants nothing, since it stops or was switched off.
        Draining => "draining",
    }
}

label_values! {
    /// How the store is.
    BackendState {
        /// It can keep locks.
        Healthy => "healthy",
        /// It can, but something must be seen to.
        Degraded => "degraded",
        /// It cannot.
        Unhealthy => "unhealthy",
    }
}

label_values! {
    /// The state of a circuit breaker.
    BreakerState {
        /// Calls pass.
        Closed => "closed",
        /// Calls are answered at once.
        Open => "open",
        /// Calls are answered at once; probes decide.
        HalfOpen => "half_open",
    }
}

label_values! {
    /// What became of a release that was accepted while the store was away.
    JournalOutcome {
        /// The lock was released.
        Applied => "applied",
        /// The lock was renewed or re-entered meanwhile: it stays.
        Superseded => "superseded",
        /// The lock had ended already.
        Gone => "gone",
    }
}

label_values! {
    /// What became of a change of the settings while the server ran.
    ConfigChange {
        /// It is in force.
        Applied => "applied",
        /// It needs a restart.
        NeedsRestart => "needs_restart",
        /// It was refused.
        Refused => "refused",
    }
}

label_values! {
    /// Whether a lock has a lease; locks without one last as long as a pull request.
    HoldClass {
        /// With a lease.
        Lease => "lease",
        /// Held until released.
        Hold => "hold",
    }
}

label_values! {
    /// What a lock is doing.
    LockState {
        /// Its client has it.
        Held => "held",
        /// Granted, and waiting for its client to fetch it.
        Reserved => "reserved",
    }
}

label_values! {
    /// Why something was done a second time.
    Retry {
        /// A commit found a newer version in the store.
        Conflict => "conflict",
        /// A commit came too late by the store's clock.
        Late => "late",
        /// An actor died with the command unanswered, so its successor got it again.
        Resend => "resend",
    }
}

label_values! {
    /// How a lock came to its owner.
    Grant {
        /// It was free.
        Direct => "direct",
        /// From the queue, in the commit that ended the lock before it.
        Handoff => "handoff",
    }
}

label_values! {
    /// What became of a store commit.
    CommitOutcome {
        /// It is durable.
        Done => "done",
        /// A document had another version.
        Conflict => "conflict",
        /// The store could not be reached or could not write.
        Unavailable => "unavailable",
        /// The store's queue was full.
        Overloaded => "overloaded",
        /// It may have happened.
        Unknown => "unknown",
    }
}

/// How a request for a lock was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquisition {
    /// Granted at once.
    Acquired,
    /// The owner had it already.
    Reentrant,
    /// A ticket was given.
    Queued,
    /// Not free, and the request did not want to wait: contention, not a failure.
    Held,
    /// Refused with this error code, for another reason than contention.
    Refused(&'static str),
}

impl Acquisition {
    /// The values of the label `result`.
    pub const WORDS: &'static [&'static str] = &["acquired", "reentrant", "queued", "held", "refused"];

    /// Its place in [`Self::WORDS`].
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Acquired => 0,
            Self::Reentrant => 1,
            Self::Queued => 2,
            Self::Held => 3,
            Self::Refused(_) => 4,
        }
    }
}
