//! What is told of a run that broke a promise, and what is kept of it.

use super::checker::Violation;
use super::history::{History, Op};
use super::run::{Failure, Plan};
use super::tally::Tally;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Violations that are told of; the first one is usually the cause of the others.
const TOLD: usize = 3;
/// Operations that an excerpt shows around the one at which it showed.
const EXCERPT: usize = 24;

/// Where a run's servers live. Kept if the test fails in any way.
pub(super) struct RunDir(Option<TempDir>);

impl RunDir {
    pub(super) fn new() -> Self {
        Self(Some(tempfile::Builder::new().prefix("lockkeeper-chaos-").tempdir().unwrap()))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.as_ref().unwrap().path()
    }

    /// Adds the history and the stores' logs; it stays, as the test is about to fail.
    pub(super) fn keep(&self, history: &History, logs: &[(String, String)]) -> PathBuf {
        let dir = self.path();
        let mut text = String::new();
        for op in &history.ops {
            let _ = writeln!(text, "{op}");
        }
        let _ = std::fs::write(dir.join("history.txt"), text);
        let _ = std::fs::write(dir.join("faults.txt"), faults(history, 0, u64::MAX));
        for (name, log) in logs {
            let _ = std::fs::write(dir.join(name), log);
        }
        dir.to_path_buf()
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(dir) = self.0.take()
        {
            eprintln!("logs and history: {}", dir.keep().display());
        }
    }
}

/// Fails the test.
pub(super) fn fail(plan: &Plan, tally: &Tally, failure: &Failure, violations: &[Violation]) -> ! {
    let mut text = format!(
        "\n{} promises broken; seed {} ({:?})\n{tally}\n",
        violations.len(),
        plan.seed,
        plan.topology
    );
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for violation in violations {
        *counts.entry(violation.promise).or_default() += 1;
    }
    let _ = writeln!(text, "broken: {counts:?}\n");
    // The first of each kind, and then others.
    let first = |promise: &str| violations.iter().position(|violation| violation.promise == promise);
    let mut chosen: Vec<usize> = counts.keys().filter_map(|promise| first(promise)).collect();
    chosen.extend((0..violations.len()).filter(|number| first(violations[*number].promise) != Some(*number)));
    for violation in chosen.into_iter().take(TOLD.max(counts.len())).map(|number| &violations[number]) {
        let _ = writeln!(text, "== {}: {}", violation.promise, violation.what);
        let _ = writeln!(text, "{}", excerpt(failure.history(), violation));
    }
    failure.keep();
    panic!("{text}");
}

/// The operations that have to do with it, and the faults of that time.
fn excerpt(history: &History, violation: &Violation) -> String {
    let concerned = |op: &&Op| {
        violation.about.iter().any(|about| {
            op.call.subject().is_some_and(|id| **id == **about)
                || op.call.owner().is_some_and(|owner| **owner == **about)
                || op.answer.locks().iter().any(|lock| *lock.id == **about)
        })
    };
    let ops: Vec<&Op> = history.ops.iter().filter(concerned).collect();
    let at = ops.partition_point(|op| op.invoked < violation.at);
    let from = at.saturating_sub(EXCERPT);
    let shown = &ops[from..ops.len().min(at + EXCERPT / 4)];
    let mut text = String::new();
    for op in shown {
        let mut line = op.to_string();
        if line.len() > 400 {
            line.truncate(line.floor_char_boundary(400));
        }
        let _ = writeln!(text, "{line}");
    }
    let begin = shown.first().map_or(violation.at, |op| op.invoked);
    let end = shown.last().map_or(violation.at, |op| op.answered);
    text + &faults(history, begin.saturating_sub(5_000_000), end)
}

/// Faults within that time.
fn faults(history: &History, from: u64, to: u64) -> String {
    let mut text = String::new();
    let seconds = |at: u64| at as f64 / 1e6;
    for fault in history.faults.iter().filter(|fault| fault.to >= from && fault.from <= to) {
        let (from, to) = (seconds(fault.from), seconds(fault.to));
        let _ = writeln!(text, "{from:11.6}s..{to:.6}s  {} {}", fault.name, fault.target);
    }
    for loss in history.losses.iter().filter(|loss| loss.to >= from && loss.from <= to) {
        let _ = writeln!(text, "{:11.6}s..{:.6}s  data lost", seconds(loss.from), seconds(loss.to));
    }
    for absence in history.absences.iter().filter(|absence| absence.to >= from && absence.from <= to) {
        let (from, to) = (seconds(absence.from), seconds(absence.to));
        let _ = writeln!(text, "{from:11.6}s..{to:.6}s  instance {} cannot write back", absence.instance);
    }
    text
}
