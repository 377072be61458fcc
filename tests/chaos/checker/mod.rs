//! Judges a history: nothing but what clients asked and were told, and which faults there were.
//!
//! It assumes nothing of how the service works. Every rule allows what may honestly happen: a
//! request takes effect at some instant between its invocation and its answer, an unanswered one
//! at any later time or never. So a violation is one whatever the instants were.

mod denials;
mod ends;
mod exclusion;
mod facts;
mod handoff;
mod idempotence;
mod kit;
mod leases;
mod limits;
mod lists;
mod liveness;
mod put_off;
mod survival;
mod tests;
mod tokens;

use super::history::{History, Op};
use facts::Facts;
use std::collections::BTreeMap;

pub(super) use tokens::greatest as greatest_tokens;

/// A promise that was broken.
#[derive(Clone, Debug)]
pub(super) struct Violation {
    /// Which promise.
    pub(super) promise: &'static str,
    /// How it was broken, in words.
    pub(super) what: String,
    /// The resources, ids and owners of which the excerpt should tell.
    pub(super) about: Vec<String>,
    /// The request at which it showed: the excerpt is centred there.
    pub(super) at: u64,
}

impl Violation {
    fn new(promise: &'static str, at: &Op, about: &[&str], what: String) -> Self {
        Self { promise, what, about: about.iter().map(ToString::to_string).collect(), at: at.invoked }
    }

    /// Something that showed without a request: a service that does not come back.
    pub(super) fn of_service(what: String) -> Self {
        Self { promise: "service", what, about: Vec::new(), at: u64::MAX }
    }
}

/// What came of looking at a history.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) violations: Vec<Violation>,
    /// How many things were compared with each promise: a checker that looks at nothing proves nothing.
    pub(super) checks: BTreeMap<&'static str, usize>,
}

impl Findings {
    fn push(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    fn checked(&mut self, promise: &'static str, count: usize) {
        *self.checks.entry(promise).or_default() += count;
    }
}

/// How many locks their clients were told of, and how many of them came out of a queue.
pub(super) fn counts(history: &History) -> (usize, usize) {
    let facts = Facts::gather(history);
    let told = || facts.entries.values().filter(|entry| !entry.told.is_empty());
    (told().count(), told().filter(|entry| !entry.queued.is_empty()).count())
}

/// All broken promises of a history, the earliest first.
pub(super) fn check(history: &History) -> Findings {
    let facts = Facts::gather(history);
    let mut found = Findings::default();
    exclusion::check(&facts, &mut found);
    tokens::check(&facts, &mut found);
    ends::check(&facts, &mut found);
    idempotence::check(&facts, &mut found);
    denials::check(&facts, &mut found);
    handoff::check(&facts, &mut found);
    lists::check(&facts, &mut found);
    liveness::check(&facts, &mut found);
    leases::check(&facts, &mut found);
    limits::check(&facts, &mut found);
    put_off::check(&facts, &mut found);
    found.violations.sort_by_key(|violation| violation.at);
    found
}
