//! What is released goes to who waits, in the same step; nobody comes in between.
//!
//! Only exclusive resources are looked at, and only tickets that certainly waited from before the
//! question until after the answer.

use super::facts::{Entry, Facts};
use super::{Findings, Violation};
use crate::chaos::history::{Answer, At, Call, Limit, Mode};
use std::collections::BTreeMap;

/// A release that took longer may have been carried out, its successor served and gone, before an
/// instance that had not heard of it told who came next.
const AT_ONCE: At = 500_000;

/// A ticket that certainly waited.
struct Waiting<'a> {
    id: &'a str,
    from: At,
    to: At,
    priority: usize,
}

fn waiting<'a>(facts: &Facts<'a>, id: &'a str, entry: &Entry<'a>) -> Option<Waiting<'a>> {
    let from = entry.queued.iter().map(|op| op.answered).min()?;
    let to = entry.queued.iter().map(|op| op.invoked).max()?;
    let ask = facts.ask_of(entry).filter(|ask| ask.mode == Mode::Exclusive)?;
    (from < to).then_some(Waiting { id, from, to, priority: ask.priority })
}

pub(super) fn check(facts: &Facts<'_>, found: &mut Findings) {
    let mut queues: BTreeMap<&str, Vec<Waiting<'_>>> = BTreeMap::new();
    let mut mixed: Vec<&str> = Vec::new();
    for (id, entry) in &facts.entries {
        let Some(resource) = entry.resource else { continue };
        if facts.ask_of(entry).is_some_and(|ask| ask.mode != Mode::Exclusive) {
            mixed.push(resource);
        }
        if let Some(waiting) = waiting(facts, id, entry) {
            queues.entry(resource).or_default().push(waiting);
        }
    }
    queues.retain(|resource, _| !mixed.contains(resource));
    for op in &facts.history.ops {
        let (resource, least) = match (&op.call, &op.answer) {
            (
                Call::Release { key: None, .. } | Call::Force { .. },
                Answer::Released { lock, granted_to: None },
            ) if op.answered - op.invoked < AT_ONCE => (&lock.resource, 0),
            (Call::Acquire { ask, wait_ms: 0 }, Answer::Acquired { reentrant: false, .. })
                if facts.asks.get(&*ask.owner).is_some_and(|sent| sent.len() == 1) =>
            {
                (&ask.resource, ask.priority)
            }
            _ => continue,
        };
        // Told to grant nothing, an instance hands nothing on; others do so soon.
        if facts.history.was_limited(op, Limit::SwitchedOff) {
            continue;
        }
        found.checked("handoff", 1);
        let passed = queues.get(&**resource).into_iter().flatten().find(|waiting| {
            waiting.from <= op.invoked && waiting.to >= op.answered && waiting.priority >= least
        });
        if let Some(passed) = passed {
            let what = format!("{} waited and was passed over: {op}", passed.id);
            found.push(Violation::new("handoff", op, &[resource, passed.id], what));
        }
    }
}
