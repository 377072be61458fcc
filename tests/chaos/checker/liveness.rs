//! After the last fault everything comes back by itself: within a bound all are answered, and
//! whoever waits is served or told why not.

use super::facts::Facts;
use super::{Findings, Violation};
use crate::chaos::history::Answer;

pub(super) fn check(facts: &Facts<'_>, found: &mut Findings) {
    let history = facts.history;
    let Some(calm) = history.calm_since else { return };
    let due = calm + history.bounds.calm_bound;
    for op in history.ops.iter().filter(|op| op.invoked >= due) {
        found.checked("liveness", 1);
        let late = |what: &str| {
            format!("{what} {:.3}s after the last fault: {op}", (op.invoked - calm) as f64 / 1e6)
        };
        let what = match &op.answer {
            Answer::Queued { .. } => late("it still waits"),
            Answer::Pending(_) | Answer::Unconfirmed(_) | Answer::NotSent => late("no service"),
            // A client that leaves by itself gets no answer and needs none.
            Answer::Lost(why) if *why != "vanished" => late("no service"),
            Answer::Refused { status: 429 | 503, .. } => late("no service"),
            _ => continue,
        };
        let about: Vec<&str> = op.call.subject().into_iter().chain(op.call.owner()).map(|n| &**n).collect();
        found.push(Violation::new("liveness", op, &about, what));
    }
}
