//! A release that was accepted while the store was away is carried out when it is back, unless the
//! lock was renewed or re-entered meanwhile.
//!
//! The end of a run asks after each such lock once every journal is empty.

use super::facts::{Entry, Facts};
use super::survival::survives;
use super::{Findings, Violation};
use crate::chaos::closing;
use crate::chaos::history::{Answer, At, Call, Op};

/// How old an instance's knowledge may be that cannot ask its store: longer than any fault lasts.
const KNOWS_SINCE: At = 15_000_000;

pub(super) fn check(facts: &Facts<'_>, found: &mut Findings) {
    let shows = facts.history.ops.iter().filter(|op| op.client == closing::CLIENT);
    let shows = shows.filter(|op| matches!(op.call, Call::Show { .. }));
    for show in shows {
        let Some((id, entry)) = facts.subject(show) else { continue };
        let accepted = entry.enders.iter().find(|op| {
            matches!(op.answer, Answer::Pending(_))
                && op.answered <= show.invoked
                && survives(facts.history, op, show.answered)
                && !may_be_touched(facts, entry, op)
        });
        let Some(accepted) = accepted else { continue };
        found.checked("put off", 1);
        if matches!(show.answer, Answer::Lock(_)) {
            let what = format!("the release of {id} was accepted ({accepted}) and never carried out: {show}");
            found.push(Violation::new("put off", show, &[id], what));
        }
    }
}

/// Something may have touched the lock that the instance which accepted its release did not know of.
fn may_be_touched(facts: &Facts<'_>, entry: &Entry<'_>, accepted: &Op) -> bool {
    let touches = |op: &&Op| match &op.call {
        Call::Renew { id, .. } | Call::Poll { id, .. } => {
            facts.entries.get(&**id).is_some_and(|other| std::ptr::eq(other, entry))
        }
        Call::Acquire { ask, .. } => entry.owner == Some(&*ask.owner),
        _ => false,
    };
    let unknown = |op: &&Op| {
        op.answered > accepted.invoked
            || op.instance != accepted.instance && op.answered + KNOWS_SINCE > accepted.invoked
    };
    let done = |op: &&Op| !op.answer.is_unavailable();
    facts.history.ops.iter().filter(touches).filter(done).any(|op| unknown(&op))
}
