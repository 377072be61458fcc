//! Fencing tokens: a later grant of a resource has a greater one; none is given twice.

use super::facts::{Entry, Facts};
use super::{Findings, Violation};
use crate::chaos::history::{At, Op};
use std::collections::BTreeMap;

/// A grant: it happened after `from` and before `to`.
struct Grant<'a> {
    id: &'a str,
    token: u64,
    from: At,
    to: At,
    op: &'a Op,
}

fn grant<'a>(facts: &Facts<'a>, id: &'a str, entry: &Entry<'a>) -> Option<Grant<'a>> {
    let (op, lock) = *entry.shown.iter().min_by_key(|(op, _)| op.answered)?;
    let asked = facts.sendings(entry).iter().map(|op| op.invoked).min();
    // It was not granted yet when it was said to wait.
    let waited = entry.queued.iter().map(|op| op.invoked).max();
    let from = asked.max(waited).unwrap_or(0);
    Some(Grant { id, token: lock.token, from, to: op.answered, op })
}

pub(super) fn check(facts: &Facts<'_>, found: &mut Findings) {
    let mut grants: BTreeMap<&str, Vec<Grant<'_>>> = BTreeMap::new();
    for (id, entry) in &facts.entries {
        for (op, lock) in &entry.shown {
            let first = entry.lock();
            if first.is_some_and(|first| first.token != lock.token) {
                let what =
                    format!("{id} has two tokens: {:?} and {}", first.map(|lock| lock.token), lock.token);
                found.push(Violation::new("tokens", op, &[id], what));
            }
        }
        if let (Some(resource), Some(grant)) = (entry.resource, grant(facts, id, entry)) {
            grants.entry(resource).or_default().push(grant);
        }
    }
    for (resource, mut grants) in grants {
        found.checked("tokens", grants.len());
        twice(resource, &grants, found);
        // In the order of their beginnings, each is compared with the greatest of those that had
        // ended before it began.
        grants.sort_by_key(|grant| grant.from);
        let mut by_end: Vec<&Grant<'_>> = grants.iter().collect();
        by_end.sort_by_key(|grant| grant.to);
        let mut ended = by_end.into_iter().peekable();
        let mut greatest: Option<&Grant<'_>> = None;
        let carried = facts.history.tokens.get(resource).copied().unwrap_or(0);
        for grant in &grants {
            while let Some(earlier) = ended.next_if(|earlier| earlier.to < grant.from) {
                if greatest.is_none_or(|greatest| earlier.token > greatest.token) {
                    greatest = Some(earlier);
                }
            }
            if let Some(earlier) = greatest.filter(|earlier| earlier.token >= grant.token) {
                let what = format!(
                    "{resource}: {} was granted after {} and has token {}, not greater than {}",
                    grant.id, earlier.id, grant.token, earlier.token
                );
                found.push(Violation::new("tokens", grant.op, &[resource, grant.id, earlier.id], what));
            } else if grant.token <= carried {
                let what = format!(
                    "{resource}: {} has token {}; {carried} was given in an earlier round",
                    grant.id, grant.token
                );
                found.push(Violation::new("tokens", grant.op, &[resource, grant.id], what));
            }
        }
    }
}

fn twice(resource: &str, grants: &[Grant<'_>], found: &mut Findings) {
    let mut owners: BTreeMap<u64, &Grant<'_>> = BTreeMap::new();
    for grant in grants {
        if let Some(other) = owners.insert(grant.token, grant) {
            let what = format!("{resource}: {} and {} both have token {}", other.id, grant.id, grant.token);
            found.push(Violation::new("tokens", grant.op, &[resource, grant.id, other.id], what));
        }
    }
}

/// The greatest token of each resource, for the rounds that follow.
pub(in crate::chaos) fn greatest(history: &super::History) -> BTreeMap<crate::chaos::history::Name, u64> {
    let mut greatest = history.tokens.clone();
    for lock in history.ops.iter().flat_map(|op| op.answer.locks()) {
        let token = greatest.entry(lock.resource.clone()).or_default();
        *token = lock.token.max(*token);
    }
    greatest
}
