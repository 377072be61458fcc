//! An instance that cannot ask its store confirms and denies nothing; one that was told to grant
//! nothing grants nothing.
//!
//! Only requests that were sent and answered within such a time are looked at: what was decided
//! before may be told in it.

use super::denials::denied;
use super::facts::Facts;
use super::{Findings, Violation};
use crate::chaos::history::{Answer, Call, Limit, Op};

pub(super) fn check(facts: &Facts<'_>, found: &mut Findings) {
    for op in &facts.history.ops {
        let limited = |limit| facts.history.is_limited(op, limit);
        if limited(Limit::CutOff) {
            found.checked("limits", 1);
            if rests_on_the_store(op) {
                let what = format!("it cannot ask its store and says: {op}");
                found.push(violation(op, what));
            }
        }
        if limited(Limit::SwitchedOff) {
            found.checked("limits", 1);
            if is_a_grant(facts, op) {
                let what = format!("it was told to grant nothing: {op}");
                found.push(violation(op, what));
            }
        }
    }
}

fn violation(op: &Op, what: String) -> Violation {
    let about: Vec<&str> = op.call.subject().into_iter().chain(op.call.owner()).map(|name| &**name).collect();
    Violation::new("limits", op, &about, what)
}

/// Nobody can know this without having asked the store.
fn rests_on_the_store(op: &Op) -> bool {
    match &op.answer {
        Answer::Acquired { .. }
        | Answer::Queued { confirmed: true, .. }
        | Answer::Lock(_)
        | Answer::Released { .. }
        | Answer::PullReleased { .. }
        | Answer::Cancelled => true,
        Answer::Listed(_) => matches!(op.call, Call::ListStored),
        Answer::Refused { status, .. } => matches!(status, 404 | 409 | 410),
        Answer::Queued { confirmed: false, .. }
        | Answer::Unconfirmed(_)
        | Answer::Pending(_)
        | Answer::NotSent
        | Answer::Lost(_)
        | Answer::Strange(_) => false,
    }
}

/// Something was granted to answer it, and not before.
fn is_a_grant(facts: &Facts<'_>, op: &Op) -> bool {
    match (&op.call, &op.answer) {
        (_, Answer::Released { lock, granted_to: Some(_) }) => {
            // An earlier sending may have ended it, at any instance; the same is told again.
            let enders = facts.entries.get(&*lock.id).map_or(&[][..], |entry| &entry.enders);
            let may_have =
                |other: &&Op| other.invoked < op.answered && !std::ptr::eq(*other, op) && !denied(other);
            !enders.iter().any(may_have)
        }
        (Call::Acquire { ask, .. }, Answer::Acquired { reentrant: false, .. }) => {
            // An earlier sending may have led to it, at any instance.
            let sendings = facts.asks.get(&*ask.owner).map_or(&[][..], Vec::as_slice);
            sendings.iter().all(|sent| std::ptr::eq(*sent, op) || denied(sent))
        }
        _ => false,
    }
}
