//! Schedules by chance, from a seed; and the shortest part of one that still breaks a promise.

use super::promises::Verdict;
use super::setup::Setup;
use super::world::{Action, World};

/// Chance that repeats itself (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// What happened in one schedule.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) steps: Vec<Action>,
    pub(super) verdict: Verdict,
}

/// How likely a step is, against the others. Losses are rare, or nothing would be at stake.
fn weight(action: Action) -> u64 {
    match action {
        Action::Reply { .. } | Action::Arrive { .. } => 12,
        Action::WriteBack { .. } | Action::Finish { .. } | Action::Open { .. } => 12,
        Action::Acquire { .. } | Action::Release { .. } | Action::Confirm { .. } => 6,
        Action::Renew { .. } | Action::Delete { .. } | Action::Waited { .. } => 6,
        Action::WriteBackLate { .. } | Action::Tick => 6,
        Action::Look { .. } | Action::Hint { .. } | Action::Replicate | Action::Resume { .. } => 4,
        Action::Join { .. } | Action::Retry { .. } | Action::Force { .. } | Action::Heal => 3,
        Action::Pause { .. } | Action::FailOver | Action::FailOverSplit => 2,
        _ => 1,
    }
}

/// Runs the schedule of a seed to its end, or to a broken promise.
pub(super) fn run(setup: &Setup, seed: u64) -> Run {
    let mut dice = Dice(seed);
    let mut world = World::new(setup);
    let mut steps = Vec::new();
    while steps.len() < setup.steps_max {
        let actions = world.actions(setup);
        let sum: u64 = actions.iter().copied().map(weight).sum();
        if sum == 0 {
            break;
        }
        let mut mark = dice.below(sum);
        let chosen = actions.into_iter().find(|action| {
            let here = mark < weight(*action);
            mark = mark.saturating_sub(weight(*action));
            here
        });
        let Some(action) = chosen else { break };
        steps.push(action);
        if let Err(what) = world.step(action, setup) {
            return Run { steps, verdict: Err(what) };
        }
    }
    Run { steps, verdict: Ok(()) }
}

/// Carries out those of the steps that are possible.
fn replay(setup: &Setup, steps: &[Action]) -> Run {
    let mut world = World::new(setup);
    let mut done = Vec::new();
    for action in steps {
        if !world.actions(setup).contains(action) {
            continue;
        }
        done.push(*action);
        if let Err(what) = world.step(*action, setup) {
            return Run { steps: done, verdict: Err(what) };
        }
    }
    Run { steps: done, verdict: Ok(()) }
}

/// Leaves out steps as long as a promise is still broken.
pub(super) fn shrink(setup: &Setup, mut run: Run) -> Run {
    loop {
        let shorter = (0..run.steps.len()).find_map(|at| {
            let mut steps = run.steps.clone();
            steps.remove(at);
            let tried = replay(setup, &steps);
            (tried.verdict.is_err() && tried.steps.len() < run.steps.len()).then_some(tried)
        });
        match shorter {
            Some(shorter) => run = shorter,
            None => return run,
        }
    }
}

/// A step per line.
pub(super) fn text(steps: &[Action]) -> String {
    steps.iter().map(|step| format!("  {step:?}\n")).collect()
}
