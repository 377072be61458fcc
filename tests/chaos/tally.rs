//! What a run did, in numbers: a run in which nothing happens proves nothing.

use super::checker::Findings;
use super::faults::Outcome;
use super::history::{Answer, At, History, Op, Struck};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) rounds: usize,
    pub(super) operations: usize,
    /// Locks that their clients were told of.
    pub(super) grants: usize,
    /// Those that came out of a queue.
    pub(super) handoffs: usize,
    /// How many things were compared with each promise.
    pub(super) checks: BTreeMap<&'static str, usize>,
    pub(super) actor_kills: usize,
    /// kill -9.
    pub(super) instance_kills: usize,
    pub(super) faults: BTreeMap<(Struck, &'static str), usize>,
    answers: BTreeMap<String, usize>,
    longest_recovery: Duration,
    after: String,
    /// The longest time during the faults in which nobody anywhere was granted anything.
    longest_outage: Duration,
}

impl Tally {
    pub(super) fn round(&mut self, history: &History, grants: usize, handoffs: usize, findings: &Findings) {
        self.rounds += 1;
        self.operations += history.ops.len();
        self.grants += grants;
        self.handoffs += handoffs;
        for (promise, count) in &findings.checks {
            *self.checks.entry(promise).or_default() += count;
        }
        for fault in &history.faults {
            match fault.struck {
                Struck::Actor => self.actor_kills += 1,
                Struck::InstanceKilled => self.instance_kills += 1,
                Struck::Instance | Struck::Network | Struck::Store => {}
            }
            *self.faults.entry((fault.struck, fault.name)).or_default() += 1;
        }
        let calm = history.calm_since.unwrap_or(At::MAX);
        let granted = |op: &&Op| matches!(op.answer, Answer::Acquired { .. }) && op.answered <= calm;
        let granted = history.ops.iter().filter(granted);
        let mut granted: Vec<At> = granted.map(|op| op.answered).collect();
        granted.sort_unstable();
        for pair in granted.windows(2) {
            self.longest_outage = self.longest_outage.max(Duration::from_micros(pair[1] - pair[0]));
        }
        for op in &history.ops {
            *self.answers.entry(op.answer.word()).or_default() += 1;
        }
    }

    pub(super) fn recovery(&mut self, outcome: &Outcome) {
        if outcome.longest_recovery > self.longest_recovery {
            self.longest_recovery = outcome.longest_recovery;
            self.after.clone_from(&outcome.after);
        }
    }

    /// How many kinds of faults there were, but those of actors.
    pub(super) fn kinds(&self) -> usize {
        self.faults.keys().filter(|(struck, _)| *struck != Struck::Actor).count()
    }

    pub(super) fn brief(&self) -> String {
        let faults: usize = self.faults.values().sum();
        format!(
            "{} operations, {} grants, {} handoffs, {faults} faults ({} kills of actors, {} of instances), \
             {} checks, longest outage {:.1}s",
            self.operations,
            self.grants,
            self.handoffs,
            self.actor_kills,
            self.instance_kills,
            self.checks.values().sum::<usize>(),
            self.longest_outage.as_secs_f64()
        )
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rounds            {}", self.rounds)?;
        writeln!(f, "operations        {}", self.operations)?;
        writeln!(f, "grants            {}", self.grants)?;
        writeln!(f, "handoffs          {}", self.handoffs)?;
        writeln!(f, "checks            {}", self.checks.values().sum::<usize>())?;
        writeln!(f, "actor kills       {}", self.actor_kills)?;
        writeln!(f, "instance kills    {}", self.instance_kills)?;
        let longest = self.longest_recovery.as_secs_f64();
        let after = if self.after.is_empty() { "-" } else { &self.after };
        writeln!(f, "longest recovery  {longest:.3}s after: {after}")?;
        let outage = self.longest_outage.as_secs_f64();
        writeln!(f, "longest outage    {outage:.3}s without any grant")?;
        writeln!(f, "checks by promise")?;
        for (promise, count) in &self.checks {
            writeln!(f, "  {count:>7}  {promise}")?;
        }
        writeln!(f, "faults")?;
        for ((_, fault), count) in &self.faults {
            writeln!(f, "  {count:>7}  {fault}")?;
        }
        writeln!(f, "answers")?;
        for (answer, count) in &self.answers {
            writeln!(f, "  {count:>7}  {answer}")?;
        }
        Ok(())
    }
}
