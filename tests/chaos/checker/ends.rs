//! Nothing acknowledged is lost: what ended did so for a reason that somebody gave, what is gone
//! does not come back, and nothing is forgotten.

use super::exclusion::belief;
use super::facts::{Entry, Facts};
use super::survival::survives;
use super::{Findings, Violation};
use crate::chaos::history::{Answer, At, Call, Op};

/// How long it is certainly remembered what became of a lock or ticket (ten minutes are promised).
const REMEMBERED: At = 540 * 1_000_000;

pub(super) fn check(facts: &Facts<'_>, found: &mut Findings) {
    for op in &facts.history.ops {
        found.checked("answers", 1);
        if let Some(what) = unexpected(op) {
            let about: Vec<&str> =
                op.call.subject().into_iter().chain(op.call.owner()).map(|n| &**n).collect();
            found.push(Violation::new("answers", op, &about, format!("{what}: {op}")));
        }
        if let Answer::Refused { status: 404 | 410, code, .. } = &op.answer
            && let Some((id, entry)) = facts.subject(op)
        {
            found.checked("nothing lost", 1);
            if let Some(what) = wrongly_gone(facts, op, entry, code) {
                found.push(Violation::new("nothing lost", op, &[id], format!("{what}: {op}")));
            }
        }
    }
    for (id, entry) in &facts.entries {
        came_back(facts, id, entry, found);
    }
}

/// An answer that none of these clients can deserve.
fn unexpected(op: &Op) -> Option<&'static str> {
    let queues = matches!(&op.call, Call::Acquire { ask, .. } if ask.queue);
    match &op.answer {
        Answer::Strange(_) => Some("an answer that nobody understands"),
        Answer::Refused { status, code, .. } => match (status, &**code) {
            (409, "held") if queues => Some("refused, though it wanted to wait"),
            (409, "held") => None,
            (409, "already_granted") if matches!(op.call, Call::Cancel { .. }) => None,
            (404, _) if op.call.subject().is_none() => Some("not found, and nothing was looked for"),
            (404 | 410 | 429 | 503, _) => None,
            _ => Some("a refusal without a cause"),
        },
        _ => None,
    }
}

/// Was there no reason for it to be gone?
fn wrongly_gone(facts: &Facts<'_>, op: &Op, entry: &Entry<'_>, code: &str) -> Option<String> {
    let history = facts.history;
    let grace = history.bounds.lease_grace;
    let known = |told: &&&Op| told.answered <= op.invoked && survives(history, told, op.answered);
    let told = entry.told.iter().filter(known).max_by_key(|told| told.invoked);
    let queued = entry.queued.iter().filter(known).max_by_key(|told| told.invoked);
    let alive = entry.alive.iter().filter(known).max_by_key(|told| told.invoked);
    let latest = told.into_iter().chain(queued).chain(alive).max_by_key(|told| told.answered)?;
    // What was refused, or not sent at all, has ended nothing.
    let asked = |is: fn(&Call) -> bool| {
        let may_have = |ender: &&&Op| ender.invoked < op.answered && !ender.answer.is_unavailable();
        entry.enders.iter().filter(may_have).any(|ender| is(&ender.call))
    };
    // Its connection may have closed while it waited, and without a request id that undoes it.
    let orphan = facts.ask_of(entry).is_some_and(|ask| ask.request_id.is_none())
        && facts.sendings(entry).iter().any(|sent| sent.answer.is_unknown());
    let told_so = || told.map(|told| format!("its client was told that it holds it ({told})"));
    match code {
        "not_found" => (op.answered < latest.answered + REMEMBERED)
            .then(|| format!("it was there before ({latest}) and is forgotten")),
        "lost" => {
            let holds = told.is_some() && op.answered < held_for_sure(facts, entry, op).min(entry.cut());
            let waits = told.is_none() && queued.is_some() && entry.cut() > op.answered;
            (holds || waits).then(|| format!("a living instance knew it ({latest})"))
        }
        "expired" => {
            let until = held_for_sure(facts, entry, op);
            (op.answered + grace < until).then(|| {
                let left = (until - op.answered).min(1 << 40) as f64 / 1e6;
                format!("its lease had at least {left:.3}s left")
            })
        }
        "released" => (!asked(|call| matches!(call, Call::Release { .. } | Call::ReleasePull { .. })))
            .then(|| "nobody released it".into()),
        "forced" => {
            (!asked(|call| matches!(call, Call::Force { .. }))).then(|| "nobody forced its release".into())
        }
        "cancelled" => {
            let cancelled = asked(|call| matches!(call, Call::Cancel { .. } | Call::ReleasePull { .. }));
            (!cancelled && !orphan).then(|| "nobody cancelled it".into())
        }
        "abandoned" if orphan => None,
        "abandoned" => told_so().or_else(|| {
            let queued = queued?;
            let wait = match queued.call {
                Call::Acquire { wait_ms, .. } | Call::Poll { wait_ms, .. } => wait_ms * 1000,
                _ => 0,
            };
            let unattended = facts.ask_of(entry).is_some_and(|ask| !ask.attended);
            // Not every poll is written down: half of the time may have passed before it.
            let until = queued.invoked + wait + history.bounds.abandon_after / 2;
            (unattended || op.answered + grace < until).then(|| format!("its client was there ({queued})"))
        }),
        "unclaimed" => told_so().or_else(|| {
            let queued = queued?;
            let early = op.answered + grace < queued.invoked + history.bounds.abandon_after;
            early.then(|| format!("there was no time to fetch it ({queued})"))
        }),
        "queue_timeout" => told_so().or_else(|| {
            let ask = facts.ask_of(entry)?;
            let first = facts.sendings(entry).iter().map(|sent| sent.invoked).min()?;
            let early = op.answered + grace < first + ask.queue_timeout_ms * 1000;
            early.then(|| format!("it would have waited {}ms", ask.queue_timeout_ms))
        }),
        _ => Some("a reason that cannot be".into()),
    }
}

/// The least time until which its lease runs, as its client knew when it asked.
fn held_for_sure(facts: &Facts<'_>, entry: &Entry<'_>, op: &Op) -> At {
    let known = entry.told.iter().copied();
    let known =
        known.filter(|told| told.answered <= op.invoked && survives(facts.history, told, op.answered));
    let reduced = Entry { told: known.collect(), shown: entry.shown.clone(), ..Entry::default() };
    belief(facts, &reduced)
}

/// Once its end was acknowledged, nothing shows it again, and nobody gives another reason.
fn came_back(facts: &Facts<'_>, id: &str, entry: &Entry<'_>, found: &mut Findings) {
    found.checked("nothing lost", entry.ended.len());
    for (end, reason) in &entry.ended {
        let later = |op: &&&Op| op.invoked >= end.answered && survives(facts.history, end, op.answered);
        if let Some(op) = entry.alive.iter().chain(&entry.queued).find(later) {
            let what = format!("{id} had ended ({end}) and came back: {op}");
            found.push(Violation::new("nothing lost", op, &[id], what));
        }
        let other = entry
            .ended
            .iter()
            .find(|(op, other)| !reason.is_empty() && !other.is_empty() && other != reason && later(&op));
        if let Some((op, _)) = other {
            let what = format!("{id} ended in two ways, first ({end}), then ({op})");
            found.push(Violation::new("nothing lost", op, &[id], what));
        }
    }
}
