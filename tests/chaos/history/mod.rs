//! What clients did and what they were told, with times of one clock: all that the checker judges by.

mod answer;
mod call;
mod recorder;
mod show;

pub(super) use answer::{Answer, Lease, LockSeen};
pub(super) use call::{Ask, Call, Mode, PRIORITIES};
pub(super) use recorder::Recorder;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Microseconds since the run began, by the monotonic clock of the one process that all clients share.
pub(super) type At = u64;
/// Ids, owners, resources: texts that many operations share.
pub(super) type Name = Arc<str>;

pub(super) const fn micros(span: Duration) -> At {
    span.as_micros() as At
}

/// One request and what came back.
#[derive(Clone, Debug)]
pub(super) struct Op {
    pub(super) client: u32,
    /// Which instance was asked.
    pub(super) instance: usize,
    /// Before the first byte was sent.
    pub(super) invoked: At,
    /// After the last byte came, or when the client gave up.
    pub(super) answered: At,
    pub(super) call: Call,
    pub(super) answer: Answer,
}

/// A time in which an instance could not write back what it knew: paused, or from its death until it
/// had read everything again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Absence {
    pub(super) instance: usize,
    pub(super) from: At,
    pub(super) to: At,
}

/// The store lost data: from just before until everything could be granted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) from: At,
    pub(super) to: At,
}

/// What an instance cannot do, and must not pretend to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// It cannot ask its store: it confirms and denies nothing.
    CutOff,
    /// It was told to grant nothing.
    SwitchedOff,
}

/// A time in which an instance was certainly limited so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limited {
    pub(super) instance: usize,
    pub(super) limit: Limit,
    /// From when it was certainly so, until when.
    pub(super) from: At,
    pub(super) to: At,
    /// The same, from when and until when it may have been so.
    pub(super) perhaps_from: At,
    pub(super) perhaps_to: At,
}

/// What a fault struck, for the tally.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Struck {
    Actor,
    /// kill -9.
    InstanceKilled,
    Instance,
    Network,
    Store,
}

/// A fault, for the report.
#[derive(Clone, Debug)]
pub(super) struct FaultSpell {
    pub(super) struck: Struck,
    pub(super) name: &'static str,
    pub(super) target: String,
    pub(super) from: At,
    pub(super) to: At,
}

/// The settings by which a history is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// How far the clocks of instance and store may be apart.
    pub(super) lease_grace: At,
    /// How long an attended client may be silent.
    pub(super) abandon_after: At,
    /// How long after the last fault everything must be in order again.
    pub(super) calm_bound: At,
}

/// Everything that happened in one round.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) ops: Vec<Op>,
    pub(super) absences: Vec<Absence>,
    pub(super) losses: Vec<Loss>,
    pub(super) limited: Vec<Limited>,
    pub(super) faults: Vec<FaultSpell>,
    pub(super) bounds: Bounds,
    /// When the last fault had ended and clients began to finish what they had begun.
    pub(super) calm_since: Option<At>,
    /// The greatest tokens of earlier rounds, by resource.
    pub(super) tokens: BTreeMap<Name, u64>,
    /// The wall clock at instant 0, in microseconds: the machine's, which is the store's too.
    pub(super) wall_at_zero: At,
}

impl History {
    /// Whoever answered this may have been limited so meanwhile.
    pub(super) fn was_limited(&self, op: &Op, limit: Limit) -> bool {
        self.limited.iter().any(|limited| {
            limited.instance == op.instance
                && limited.limit == limit
                && limited.perhaps_from <= op.answered
                && op.invoked <= limited.perhaps_to
        })
    }

    /// Whoever answered this was limited so all the time, if it was.
    pub(super) fn is_limited(&self, op: &Op, limit: Limit) -> bool {
        self.limited.iter().any(|limited| {
            limited.instance == op.instance
                && limited.limit == limit
                && limited.from <= op.invoked
                && op.answered <= limited.to
        })
    }
}
