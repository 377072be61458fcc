//! "Nothing was granted" is true: whoever was always refused has neither lock nor ticket, and what a
//! repetition finds was not made by a request that was refused.

use super::facts::Facts;
use super::{Findings, Violation};
use crate::chaos::history::{Answer, At, History, Op};

/// Crockford's base 32, in which ids are written.
pub(super) const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// How far the clock in an id may be off, with some time for the machine.
const CLOCKS_APART: At = 700_000;

/// Nothing was granted to answer it.
pub(super) fn denied(op: &Op) -> bool {
    op.answer.is_unavailable() || matches!(op.answer, Answer::Refused { status: 400..=409, .. })
}

pub(super) fn check(facts: &Facts<'_>, found: &mut Findings) {
    for (owner, ids) in &facts.ids {
        let Some(sendings) = facts.asks.get(owner) else { continue };
        found.checked("denials", 1);
        let shown = ids.iter().filter_map(|id| facts.entries.get(id)).flat_map(|entry| &entry.shown);
        let Some((op, lock)) = shown.min_by_key(|(op, _)| op.answered) else { continue };
        let Some(taken) = sendings.iter().position(|op| !denied(op)) else {
            let what = format!("{owner} was always refused and yet has {}: {op}", lock.id);
            found.push(Violation::new("denials", op, &[owner, &lock.id], what));
            continue;
        };
        // Only what came before the first sending that was not refused can have made it.
        let made = ids.iter().filter_map(|id| Some((*id, made_at(facts.history, id)?)));
        let early = made.into_iter().find(|(_, at)| taken > 0 && at + CLOCKS_APART < sendings[taken].invoked);
        if let Some((id, at)) = early {
            let refused = sendings[..taken].iter().rfind(|op| op.invoked <= at + CLOCKS_APART);
            let Some(refused) = refused else { continue };
            let what =
                format!("{id} was made at {:.6}s by a request that was refused: {refused}", at as f64 / 1e6);
            found.push(Violation::new("denials", refused, &[owner, id], what));
        }
    }
}

/// When an entry was made: its id begins with the milliseconds of the wall clock.
fn made_at(history: &History, id: &str) -> Option<At> {
    let digits = id.as_bytes().get(..10).filter(|_| id.len() == 26)?;
    let millis = digits.iter().try_fold(0u64, |value, byte| {
        let digit = ALPHABET.iter().position(|known| known == byte)?;
        Some(value << 5 | digit as u64)
    })?;
    (millis * 1000).checked_sub(history.wall_at_zero)
}
