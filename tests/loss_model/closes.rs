//! What each rule closes: without it the checker finds a broken promise.

use super::rules::{Rule, Rules};
use super::setup::{Budget, Setup};
use super::worlds::{ONE_FAILOVER, ONE_FLUSH, ONE_PAUSE};
use super::{STATES_MAX, exhaustive, schedule, worlds};

/// More schedules than any of these findings takes.
const SEEDS_MAX: u64 = 60_000;

type World = fn(Rules) -> Setup;

/// A rule, and a world in which a schedule by chance soon shows what it closes.
const FOUND_BY_CHANCE: &[(Rule, World)] = &[
    (Rule::MarkerCompared, worlds::wild),
    (Rule::ReplicationIdNotRunId, worlds::wild),
    (Rule::SettleWindow, worlds::wild),
    (Rule::UnfinishedAreWaitedFor, worlds::wild),
    (Rule::WriteBack, worlds::wild),
    (Rule::WriteBackIdle, worlds::wild),
    (Rule::FinishedAfterWriting, worlds::wild),
    (Rule::GrownIsWrittenAgain, worlds::wild_with_leases),
    (Rule::NoteStartsOver, worlds::wild),
    (Rule::NoteCleared, worlds::wild),
    (Rule::VersionIsPair, worlds::slow_without_hints),
    (Rule::GenerationFromTime, worlds::wild),
    (Rule::GenerationChecked, worlds::narrow_with_replicas),
    (Rule::FloorRaised, worlds::wild),
    (Rule::TimeWindow, worlds::wild_with_leases),
    (Rule::LateIsBehind, worlds::wild_with_leases),
    (Rule::Nonces, worlds::wild),
    (Rule::NeverWithinGeneration, worlds::narrow_with_replicas),
    (Rule::NeverWithinRing, worlds::narrow),
    (Rule::NeverOnlyPast, worlds::wild),
    (Rule::ConfirmationWrites, worlds::slow_and_lonely),
    (Rule::AnswerAge, worlds::wild),
    (Rule::SealingEndsCommits, worlds::slow),
    (Rule::AlreadyIsLookedAt, worlds::slow_without_hints),
    (Rule::CounterFromTime, worlds::slow_without_hints),
    (Rule::StaleForget, worlds::slow_without_hints),
    (Rule::DeletedLongAfterOpening, worlds::slow_without_hints),
    (Rule::WaitCovers, worlds::wild_with_replicas),
    (Rule::WaitSameServer, worlds::narrow_with_replicas),
    (Rule::WaitForConfirmations, worlds::wild_with_replicas),
];

#[test]
fn chance_finds_what_each_rule_closes() {
    for (rule, world) in FOUND_BY_CHANCE {
        let setup = world(Rules::ALL.without(*rule));
        let found = (0..SEEDS_MAX).find_map(|seed| {
            let run = schedule::run(&setup, seed);
            run.verdict.is_err().then_some((seed, run))
        });
        let Some((seed, run)) = found else { panic!("nothing is found without {rule:?}") };
        let run = schedule::shrink(&setup, run);
        println!("without {rule:?}, seed {seed}: {:?}\n{}", run.verdict, schedule::text(&run.steps));
    }
}

/// Rules that the others imply where no clock is set back: a version of an earlier generation is
/// lower than one of this, and a token made at a creation's time is greater than a floor that was
/// left behind earlier. They stay: they cost nothing and do not depend on clocks.
const IMPLIED: [Rule; 2] = [Rule::LateOnlyOverOlder, Rule::FloorChecked];

#[test]
fn what_is_implied_is_not_missed() {
    for rule in IMPLIED {
        for world in [worlds::wild, worlds::slow, worlds::slow_without_hints] {
            let setup = world(Rules::ALL.without(rule));
            for seed in 0..2000 {
                assert_eq!(schedule::run(&setup, seed).verdict, Ok(()), "{rule:?}, seed {seed}");
            }
        }
    }
}

/// Rules whose absence a small world shows in all its schedules, and the shortest of them.
const SHORTEST: [(Rule, Budget, usize); 6] = [
    (Rule::MarkerCompared, ONE_FAILOVER, 5),
    (Rule::SettleWindow, ONE_FAILOVER, 5),
    (Rule::WriteBack, ONE_FAILOVER, 8),
    (Rule::WriteBackIdle, ONE_FLUSH, 11),
    (Rule::AnswerAge, ONE_PAUSE, 10),
    (Rule::SealingEndsCommits, ONE_PAUSE, 11),
];

#[test]
fn the_shortest_schedules_are_found() {
    for (rule, budget, length) in SHORTEST {
        let explored = exhaustive::explore(&worlds::small(Rules::ALL.without(rule), budget), STATES_MAX);
        let Some((steps, what)) = explored.broken else { panic!("nothing is found without {rule:?}") };
        println!("without {rule:?}: {what}\n{}", schedule::text(&steps));
        assert_eq!(steps.len(), length, "{rule:?}");
    }
}
