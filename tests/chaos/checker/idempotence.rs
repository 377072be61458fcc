//! A repeated request makes nothing a second time, and an id means one thing.

use super::facts::Facts;
use super::survival::survives;
use super::{Findings, Violation};
use crate::chaos::history::{Answer, Call, Op};

pub(super) fn check(facts: &Facts<'_>, found: &mut Findings) {
    for op in &facts.history.ops {
        if let (Call::Acquire { ask, .. }, Answer::Acquired { lock, .. }) = (&op.call, &op.answer)
            && (lock.owner != ask.owner || lock.resource != ask.resource)
        {
            let what = format!("another's lock was given: {op}");
            found.push(Violation::new("idempotence", op, &[&lock.id, &ask.owner], what));
        }
    }
    for (id, entry) in &facts.entries {
        let other = entry.shown.iter().find(|(_, lock)| {
            entry.owner.is_some_and(|owner| owner != &*lock.owner)
                || entry.resource.is_some_and(|resource| resource != &*lock.resource)
        });
        if let Some((op, _)) = other {
            let what = format!("{id} means two things: {:?} {:?}, and {op}", entry.owner, entry.resource);
            found.push(Violation::new("idempotence", op, &[id], what));
        }
    }
    for (owner, ids) in &facts.ids {
        found.checked("idempotence", 1);
        made_once(facts, owner, ids, found);
    }
}

/// The first answer that names an id.
fn first<'a>(facts: &Facts<'a>, id: &str) -> Option<&'a Op> {
    let entry = facts.entries.get(id)?;
    let shown = entry.shown.iter().map(|(op, _)| *op);
    shown.chain(entry.queued.iter().copied()).min_by_key(|op| op.answered)
}

/// One request id, one lock or ticket, however often it was sent and wherever.
fn made_once(facts: &Facts<'_>, owner: &str, ids: &[&str], found: &mut Findings) {
    let sent = facts.asks.get(owner).and_then(|ops| ops.first());
    let repeatable = |op: &&&Op| matches!(&op.call, Call::Acquire { ask, .. } if ask.request_id.is_some());
    if sent.filter(repeatable).is_none() {
        return;
    }
    let mut seen: Vec<(&str, &Op)> = ids.iter().filter_map(|id| Some((*id, first(facts, id)?))).collect();
    seen.sort_by_key(|(_, op)| op.answered);
    for pair in seen.windows(2) {
        let [(one, first), (two, second)] = pair else { continue };
        if survives(facts.history, first, second.answered) {
            let what = format!("one request made {one} ({first}) and {two} ({second})");
            found.push(Violation::new("idempotence", second, &[one, two, owner], what));
        }
    }
}
