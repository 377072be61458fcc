//! A renewal that is refused because the store is away leaves the lease as it was: the end that the
//! refusal names is never later than one that was confirmed.

use super::facts::{Entry, Facts};
use super::{Findings, Violation};
use crate::chaos::history::{Answer, At, Call, Lease, Op};

pub(super) fn check(facts: &Facts<'_>, found: &mut Findings) {
    for op in &facts.history.ops {
        let Answer::Refused { lease: Some(lease), .. } = &op.answer else { continue };
        let Some((id, entry)) = facts.subject(op) else { continue };
        // Until a client has it, what is shown is the time that it has to fetch it.
        if !entry.told.iter().any(|told| told.answered <= op.invoked) {
            continue;
        }
        let Some(greatest) = greatest(facts, entry, op) else { continue };
        found.checked("leases", 1);
        let later = match lease {
            Lease::Hold => greatest != At::MAX,
            Lease::Until(at) => *at > greatest,
        };
        if later {
            let what = format!("no lease of {id} until after {greatest} was ever confirmed: {op}");
            found.push(Violation::new("leases", op, &[id], what));
        }
    }
}

/// The latest end of its lease that may have been confirmed by then; `None` if nothing is known.
fn greatest(facts: &Facts<'_>, entry: &Entry<'_>, op: &Op) -> Option<At> {
    let history = facts.history;
    let shown = entry.shown.iter().filter(|(shown, _)| shown.invoked <= op.answered);
    let shown = shown.map(|(_, lock)| lock.expires_at.unwrap_or(At::MAX)).max()?;
    // What nobody knows the outcome of may have begun the lease anew, at any time until now.
    let ttl = facts.ask_of(entry)?.ttl_ms * 1000;
    let unknown = |sent: &&Op| {
        sent.invoked <= op.answered
            && sent.answer.is_unknown()
            && match &sent.call {
                Call::Renew { id, .. } | Call::Poll { id, .. } => {
                    facts.entries.get(&**id).is_some_and(|other| std::ptr::eq(other, entry))
                }
                Call::Acquire { ask, .. } => entry.owner == Some(&*ask.owner),
                _ => false,
            }
    };
    if history.ops.iter().any(|sent| unknown(&sent)) {
        return Some(shown.max(history.wall_at_zero + op.answered + ttl + history.bounds.lease_grace));
    }
    Some(shown)
}
