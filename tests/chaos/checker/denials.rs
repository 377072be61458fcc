//! "Nothing was granted" is true: whoever was always refused has neither lock nor ticket.

use super::Violation;
use super::facts::Facts;
use crate::chaos::history::{Answer, Op};

fn denied(op: &Op) -> bool {
    op.answer.is_unavailable() || matches!(op.answer, Answer::Refused { status: 400..=409, .. })
}

pub(super) fn check(facts: &Facts<'_>, found: &mut Vec<Violation>) {
    for (owner, ids) in &facts.ids {
        let Some(sendings) = facts.asks.get(owner) else { continue };
        if !sendings.iter().all(|op| denied(op)) {
            continue;
        }
        let shown = ids.iter().filter_map(|id| facts.entries.get(id)).flat_map(|entry| &entry.shown);
        if let Some((op, lock)) = shown.min_by_key(|(op, _)| op.answered) {
            let what = format!("{owner} was always refused and yet has {}: {op}", lock.id);
            found.push(Violation::new("denials", op, &[owner, &lock.id], what));
        }
    }
}
