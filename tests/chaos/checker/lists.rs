//! A list that was asked for as the store has it shows what is there, and nothing that is not.

use super::exclusion::life;
use super::facts::Facts;
use super::survival::survives;
use super::{Findings, Violation};
use crate::chaos::history::{Answer, Call, Op};
use std::collections::HashSet;

pub(super) fn check(facts: &Facts<'_>, found: &mut Findings) {
    let lists = facts.history.ops.iter().filter(|op| matches!(op.call, Call::ListStored));
    for op in lists {
        let Answer::Listed(locks) = &op.answer else { continue };
        found.checked("lists", 1);
        let shown: HashSet<&str> = locks.iter().map(|lock| &*lock.id).collect();
        shows_what_ended(facts, op, &shown, found);
        lacks_what_lives(facts, op, &shown, found);
    }
}

fn shows_what_ended(facts: &Facts<'_>, op: &Op, shown: &HashSet<&str>, found: &mut Findings) {
    for (id, entry) in shown.iter().filter_map(|id| facts.entries.get_key_value(id)) {
        let before =
            |end: &&(&Op, &str)| end.0.answered <= op.invoked && survives(facts.history, end.0, op.answered);
        if let Some((end, _)) = entry.ended.iter().find(before) {
            let what = format!("{id} had ended ({end}) and is listed as the store's: {op}");
            found.push(Violation::new("lists", op, &[id], what));
        }
    }
}

fn lacks_what_lives(facts: &Facts<'_>, op: &Op, shown: &HashSet<&str>, found: &mut Findings) {
    for (id, entry) in facts.entries.iter().filter(|(id, _)| !shown.contains(*id)) {
        let through = life(facts, id, entry).filter(|life| life.from <= op.invoked && life.to > op.answered);
        if through.is_some() && entry.cut() > op.answered {
            let what = format!("{id} was held all the time and is not listed: {op}");
            found.push(Violation::new("lists", op, &[id], what));
        }
    }
}
