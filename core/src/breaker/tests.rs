//! By exact sequences with given times, and by properties over all of them.

use super::{Breaker, Cause, Input, Settings, State, Transition};
use Input::{Fault, ProbeFailed, ProbeOk, Successes, Tick};
use State::{Closed, HalfOpen, Open};
use proptest::prelude::*;
use std::time::Duration;

const SETTINGS: Settings = Settings {
    failures: 3,
    successes: 2,
    open_for: Duration::from_secs(5),
    window: Duration::from_secs(10),
    failure_percent: 50,
    calls_min: 10,
};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Tells one thing after the other; each with when, what, and the state after it.
fn play(settings: Settings, story: &[(u64, Input, State)]) -> Breaker {
    let mut breaker = Breaker::new(settings);
    for (step, (at, input, after)) in story.iter().enumerate() {
        let before = breaker.state();
        let changed = breaker.on(*input, ms(*at));
        assert_eq!(breaker.state(), *after, "step {step}: {input:?} at {at} ms");
        assert_eq!(changed.map(|it| (it.from, it.to)), (before != *after).then_some((before, *after)));
        assert_eq!(breaker.passes(), *after == Closed);
    }
    breaker
}

#[test]
fn faults_in_a_row_open_it_and_an_answer_in_between_begins_the_row_anew() {
    let mut breaker = play(
        SETTINGS,
        &[
            (0, Fault, Closed),
            (1, Fault, Closed),
            (2, Successes(1), Closed),
            (3, Fault, Closed),
            (4, Fault, Closed),
        ],
    );
    assert_eq!(breaker.failures_in_a_row(), 2);
    let opened = breaker.on(Fault, ms(5));
    assert_eq!(opened, Some(Transition { from: Closed, to: Open, cause: Cause::Row(3) }));
    assert_eq!((breaker.since(), breaker.open_until()), (ms(5), Some(ms(5005))));
}

#[test]
fn a_failed_probe_is_a_fault_and_a_good_one_ends_only_the_row_of_probes() {
    play(SETTINGS, &[(0, ProbeFailed, Closed), (1, Fault, Closed), (2, ProbeFailed, Open)]);
    let idle =
        [(0, ProbeFailed, Closed), (1, ProbeFailed, Closed), (2, ProbeOk, Closed), (3, ProbeFailed, Closed)];
    assert_eq!(play(SETTINGS, &idle).failures_in_a_row(), 1);
    // Calls that fail though probes are good: it opens all the same.
    play(
        SETTINGS,
        &[
            (0, Fault, Closed),
            (1, ProbeOk, Closed),
            (2, Fault, Closed),
            (3, ProbeOk, Closed),
            (4, Fault, Open),
        ],
    );
}

#[test]
fn half_of_the_calls_of_a_window_open_it_if_there_are_enough() {
    let mut breaker = Breaker::new(SETTINGS);
    // Never three in a row.
    for at in 0..4 {
        assert_eq!(breaker.on(Fault, ms(at)), None);
        assert_eq!(breaker.on(Successes(1), ms(at)), None);
    }
    assert_eq!(breaker.on(Fault, ms(5)), None, "nine calls are too few");
    let opened = breaker.on(Fault, ms(6));
    assert_eq!(opened.map(|it| it.cause), Some(Cause::Rate { faults: 6, calls: 10 }));
}

#[test]
fn what_is_older_than_the_window_is_not_counted() {
    let mut breaker = Breaker::new(SETTINGS);
    for at in 0..5 {
        breaker.on(Fault, ms(at));
        breaker.on(Successes(1), ms(at));
    }
    assert_eq!(breaker.on(Fault, ms(10_999)), None);
    for at in [11_000, 11_001, 11_002] {
        assert_eq!(breaker.on(Successes(3), ms(at)), None);
    }
    assert_eq!(breaker.on(Fault, ms(11_003)), None, "two of eleven");
}

#[test]
fn without_a_share_only_the_row_counts() {
    let mut breaker = Breaker::new(Settings { failure_percent: 0, ..SETTINGS });
    for at in 0..1000 {
        assert_eq!(breaker.on(Fault, ms(at)), None);
        assert_eq!(breaker.on(Fault, ms(at)), None);
        assert_eq!(breaker.on(Successes(1), ms(at)), None);
    }
}

#[test]
fn it_waits_then_probes_decide() {
    play(
        SETTINGS,
        &[
            (0, Fault, Closed),
            (0, Fault, Closed),
            (100, Fault, Open),
            // Late news of calls that were made before, and of time that is not over.
            (200, Successes(7), Open),
            (300, Fault, Open),
            (400, ProbeOk, Open),
            (5099, Tick, Open),
            (5100, Tick, HalfOpen),
            (5200, Successes(9), HalfOpen),
            (5200, Fault, HalfOpen),
            (5300, ProbeOk, HalfOpen),
            (5400, ProbeFailed, Open),
            (10_399, Tick, Open),
            (10_400, Tick, HalfOpen),
            // The good probe before does not count any more.
            (10_500, ProbeOk, HalfOpen),
            (10_600, ProbeOk, Closed),
            // Nor do faults of before it opened.
            (10_700, Fault, Closed),
            (10_701, Fault, Closed),
            (10_702, Fault, Open),
        ],
    );
}

#[test]
fn a_store_that_was_seen_to_be_away_and_to_be_back_is_not_waited_for() {
    play(
        SETTINGS,
        &[
            (0, Fault, Closed),
            (0, Fault, Closed),
            (0, Fault, Open),
            (10, ProbeOk, Open),
            (20, ProbeFailed, Open),
            (30, ProbeOk, HalfOpen),
            (31, ProbeOk, HalfOpen),
            (32, ProbeOk, Closed),
        ],
    );
}

#[test]
fn what_probes_found_before_it_opened_counts() {
    play(
        SETTINGS,
        &[(0, ProbeFailed, Closed), (1, ProbeFailed, Closed), (2, ProbeFailed, Open), (3, ProbeOk, HalfOpen)],
    );
    play(SETTINGS, &[(0, ProbeFailed, Closed), (1, Fault, Closed), (2, Fault, Open), (3, ProbeOk, HalfOpen)]);
    play(
        SETTINGS,
        &[
            (0, ProbeFailed, Closed),
            (1, ProbeOk, Closed),
            (2, Fault, Closed),
            (2, Fault, Closed),
            (2, Fault, Open),
            (3, ProbeOk, Open),
        ],
    );
}

#[test]
fn a_good_probe_tells_it_of_time_that_nobody_told_it_of() {
    play(SETTINGS, &[(0, Fault, Closed), (0, Fault, Closed), (0, Fault, Open), (5000, ProbeOk, HalfOpen)]);
}

#[test]
fn settings_of_nothing_are_taken_for_one() {
    let settings = Settings { failures: 0, successes: 0, open_for: ms(0), window: ms(0), ..SETTINGS };
    play(settings, &[(0, Fault, Open), (0, Tick, HalfOpen), (0, ProbeOk, Closed), (0, Fault, Open)]);
}

fn inputs() -> impl Strategy<Value = Vec<(Input, u64)>> {
    let input = prop_oneof![
        (0..3_u64).prop_map(Successes),
        Just(Fault),
        Just(Fault),
        Just(ProbeOk),
        Just(ProbeOk),
        Just(ProbeFailed),
        Just(Tick),
    ];
    prop::collection::vec((input, 0..4000_u64), 0..200)
}

fn settings() -> impl Strategy<Value = Settings> {
    (1..5_u32, 1..4_u32, 1..9_u64, 0..101_u32).prop_map(|(failures, successes, open_for, failure_percent)| {
        Settings { failures, successes, open_for: ms(open_for * 1000), failure_percent, ..SETTINGS }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn calls_pass_again_only_after_enough_good_probes(settings in settings(), story in inputs()) {
        let mut breaker = Breaker::new(settings);
        let (mut now, mut good, mut open_since, mut away) = (0, 0, None, false);
        // The latest that a probe said of the store, while it was not contradicted by a call.
        let mut bad = false;
        for (input, later) in story {
            now += later;
            let before = breaker.state();
            let changed = breaker.on(input, ms(now));
            bad = match input {
                ProbeFailed => true,
                ProbeOk => false,
                Successes(1..) if before == Closed => false,
                _ => bad,
            };
            prop_assert_eq!(breaker.passes(), breaker.state() == Closed);
            prop_assert_eq!(changed.map_or(before, |it| it.to), breaker.state());
            if before != Closed {
                // Counted here by another rule than in the breaker: since it opened last.
                good = match input { ProbeOk => good + 1, ProbeFailed => 0, _ => good };
            }
            match changed.map(|it| (it.from, it.to)) {
                None => {}
                Some((_, Open)) => {
                    prop_assert!(matches!(input, Fault | ProbeFailed));
                    (good, open_since, away) = (0, Some(now), bad);
                }
                Some((Open, HalfOpen)) => {
                    let waited = ms(now - open_since.unwrap()) >= settings.open_for;
                    prop_assert!(waited && matches!(input, Tick | ProbeOk) || away && input == ProbeOk);
                }
                Some((HalfOpen, Closed)) => {
                    prop_assert_eq!(input, ProbeOk);
                    prop_assert!(good >= settings.successes, "{} good probes", good);
                }
                Some(other) => prop_assert!(false, "{other:?}"),
            }
            away |= before == Open && input == ProbeFailed;
            prop_assert_eq!(breaker.open_until().is_some(), breaker.state() == Open);
        }
    }

    #[test]
    fn time_moves_only_as_it_is_told_and_never_back(settings in settings(), story in inputs()) {
        let (mut one, mut other, mut now) = (Breaker::new(settings), Breaker::new(settings), 0);
        for (number, (input, later)) in story.into_iter().enumerate() {
            now += later;
            let told = one.on(input, ms(now));
            prop_assert!(one.since() <= ms(now));
            // The other hears of an earlier time now and then: nothing comes of it.
            if number % 3 == 0 {
                prop_assert_eq!(other.on(Successes(0), ms(now)), None);
                prop_assert_eq!(other.on(input, ms(now / 2)), told);
            } else {
                prop_assert_eq!(other.on(input, ms(now)), told);
            }
        }
    }
}
