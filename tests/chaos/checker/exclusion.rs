//! Exclusion: locks that cannot be had together are never there together.
//!
//! A lock is certainly there from the first answer that shows it until the last request that was
//! answered with it, and its client relies on it until it asks for its release, or until the lease
//! is over, counted from the moment at which it asked. Whatever else was granted within that time
//! was granted twice.

use super::facts::{Entry, Facts};
use super::survival::forgotten_from;
use super::{Findings, Violation};
use crate::chaos::history::{At, Mode, Op};
use std::collections::BTreeMap;

/// The time in which a lock was certainly there or relied upon.
pub(super) struct Life<'a> {
    id: &'a str,
    pub(super) from: At,
    pub(super) to: At,
    mode: Mode,
    first: &'a Op,
}

/// Until when its client may rely on what it was told.
pub(super) fn belief(facts: &Facts<'_>, entry: &Entry<'_>) -> At {
    let until = entry.told.iter().map(|op| {
        let lease = entry.shown.iter().find(|(shown, _)| std::ptr::eq(*shown, *op)).map(|(_, lock)| lock);
        let end = match lease.map(|lock| (lock.held, lock.expires_in)) {
            Some((true, Some(left))) => op.invoked + left,
            Some((true, None)) => At::MAX,
            // Not the client's yet: nothing to rely on.
            _ => 0,
        };
        end.min(forgotten_from(facts.history, op))
    });
    until.max().unwrap_or(0)
}

pub(super) fn life<'a>(facts: &Facts<'a>, id: &'a str, entry: &Entry<'a>) -> Option<Life<'a>> {
    let first = *entry.alive.iter().min_by_key(|op| op.answered)?;
    let certain = entry.alive.iter().map(|op| op.invoked).max().unwrap_or(0);
    let to = certain.max(belief(facts, entry).min(entry.cut()));
    let mode = facts.ask_of(entry)?.mode;
    (first.answered < to).then_some(Life { id, from: first.answered, to, mode, first })
}

/// Can these be there at once?
fn fit(modes: &[Mode]) -> bool {
    match modes {
        [] | [_] => true,
        [Mode::Shared, rest @ ..] => rest.iter().all(|mode| *mode == Mode::Shared),
        [Mode::Counted(limit), rest @ ..] => {
            modes.len() <= usize::from(*limit) && rest.iter().all(|mode| matches!(mode, Mode::Counted(_)))
        }
        [Mode::Exclusive, ..] => false,
    }
}

pub(super) fn check(facts: &Facts<'_>, found: &mut Findings) {
    let mut lives: BTreeMap<&str, Vec<Life<'_>>> = BTreeMap::new();
    for (id, entry) in &facts.entries {
        if let (Some(resource), Some(life)) = (entry.resource, life(facts, id, entry)) {
            lives.entry(resource).or_default().push(life);
        }
    }
    for (resource, mut lives) in lives {
        lives.sort_by_key(|life| life.from);
        found.checked("exclusion", lives.len());
        let mut present: Vec<Life<'_>> = Vec::new();
        for life in lives {
            present.retain(|other| other.to > life.from);
            present.push(life);
            let modes: Vec<Mode> = present.iter().map(|life| life.mode).collect();
            if fit(&modes) {
                continue;
            }
            let seconds = |at: At| if at == At::MAX { f64::INFINITY } else { at as f64 / 1e6 };
            let who: Vec<String> = present
                .iter()
                .map(|life| format!("{} {:.6}s..{:.6}s", life.id, seconds(life.from), seconds(life.to)))
                .collect();
            let mut about = vec![resource];
            about.extend(present.iter().map(|life| life.id));
            let what = format!("{resource} was held by several at once: {}", who.join(", "));
            if let Some(life) = present.last() {
                found.push(Violation::new("exclusion", life.first, &about, what));
            }
            // One report of a pair is enough.
            present.pop();
        }
    }
}
