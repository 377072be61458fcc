//! By exact sequences with given times; and the actor on a store that fails at exact points.

use super::history::{History, Probe};
use super::judge::{BackendState, Found, Health, judge};
use super::supervisor::probe;
use crate::options::Options;
use crate::service::Hindrance;
use crate::testing::{Bench, cut_off, eventually};
use lockkeeper_core::Timestamp;
use lockkeeper_core::breaker::State;
use lockkeeper_store::StoreError;
use lockkeeper_store::faulty::{Gate, ProbeFault};
use std::time::Duration;

const SLOW: Duration = Duration::from_millis(250);
const QUICK: Duration = Duration::from_millis(1);

fn at(secs: u64) -> Timestamp {
    Timestamp::from_micros(secs * 1_000_000)
}

/// One store, second by second.
struct Story {
    health: Health,
    history: History,
    second: u64,
}

impl Story {
    fn new() -> Self {
        Self { health: Health::good(at(0)), history: History::default(), second: 0 }
    }

    fn hears(&mut self, outcome: Result<(), StoreError>, elapsed: Duration, breaker: State) -> &Health {
        self.warned(outcome, elapsed, breaker, &[])
    }

    fn warned(
        &mut self,
        outcome: Result<(), StoreError>,
        elapsed: Duration,
        breaker: State,
        warnings: &[&str],
    ) -> &Health {
        self.second += 1;
        let failure = outcome.as_ref().err().map(ToString::to_string);
        self.history.add(Probe { at: at(self.second), elapsed, failure });
        let found = Found {
            now: at(self.second),
            outcome,
            elapsed,
            breaker,
            warnings: warnings.iter().map(|&text| text.into()).collect(),
            probes: self.history.newest_first().collect(),
        };
        self.health = judge(&self.health, found, SLOW);
        &self.health
    }

    fn state(&self) -> (BackendState, u64) {
        (self.health.state, self.health.since.as_micros() / 1_000_000)
    }
}

#[test]
fn it_fails_comes_back_and_is_degraded_until_five_probes_were_good() {
    let mut story = Story::new();
    story.hears(Ok(()), QUICK, State::Closed);
    assert_eq!((story.state(), story.health.reasons.len()), ((BackendState::Healthy, 0), 0));
    story.hears(Err(cut_off()), QUICK, State::Closed);
    assert_eq!(story.state(), (BackendState::Unhealthy, 2));
    assert_eq!((story.health.reason.as_deref(), story.health.healthy), (Some("cut off"), false));
    story.hears(Err(StoreError::OutcomeUnknown("late".into())), QUICK, State::Open);
    assert_eq!((story.state(), story.health.reasons.len()), ((BackendState::Unhealthy, 2), 1));
    // Good, but the breaker wants more of it.
    story.hears(Ok(()), QUICK, State::HalfOpen);
    assert_eq!((story.state(), story.health.healthy), ((BackendState::Unhealthy, 2), false));
    assert!(story.health.reason.as_deref().is_some_and(|reason| reason.contains("answers again")));
    story.hears(Ok(()), QUICK, State::Closed);
    assert_eq!(story.state(), (BackendState::Degraded, 5));
    assert!(
        story.health.reasons[0]
            .starts_with("2 of the last 5 probes failed, the latest: outcome unknown: late")
    );
    for _ in 0..2 {
        assert_eq!(story.hears(Ok(()), QUICK, State::Closed).state, BackendState::Degraded);
    }
    assert_eq!(story.hears(Ok(()), QUICK, State::Closed).state, BackendState::Healthy);
    assert_eq!(story.state(), (BackendState::Healthy, 5));
}

#[test]
fn what_is_usable_but_troubled_is_degraded_with_every_reason() {
    let mut story = Story::new();
    let slow = SLOW + QUICK;
    assert_eq!(story.hears(Ok(()), SLOW, State::Closed).state, BackendState::Healthy);
    let health = story.warned(Ok(()), slow, State::Open, &["memory is nearly full", "no replica"]);
    assert_eq!((health.state, health.healthy, health.since), (BackendState::Degraded, true, at(0)));
    let reasons = health.reasons.join("; ");
    assert_eq!(health.reasons.len(), 4, "{reasons}");
    for part in ["memory is nearly full", "no replica", "251ms", "circuit breaker"] {
        assert!(reasons.contains(part), "{reasons}");
    }
    assert_eq!((health.reason.as_deref(), health.response_time), (None, Some(slow)));
}

#[test]
fn load_says_nothing_and_a_misfit_is_told_from_a_fault() {
    let mut story = Story::new();
    let busy = Err(StoreError::Overloaded { limit: 1 });
    let before = story.health.clone();
    assert_eq!(story.hears(busy.clone(), QUICK, State::Closed), &before);
    assert!(story.hears(Err(StoreError::Unfit("evicts".into())), QUICK, State::Closed).unfit);
    let before = story.health.clone();
    assert_eq!(story.hears(busy, QUICK, State::Closed), &before);
    assert!(!story.hears(Err(cut_off()), QUICK, State::Closed).unfit);
}

fn options(health_interval: Duration) -> Options {
    Options { health_interval, breaker: None, ..Options::default() }
}

#[test]
fn a_call_that_fails_has_the_store_probed_at_once() {
    Bench::run(options(Duration::from_secs(3600)), |bench| async move {
        eventually("the first probe", || !bench.system.locks().probes().is_empty()).await;
        bench.store.on_next_load(cut_off());
        bench.store.on_next_probe(ProbeFault::Fail(cut_off()));
        assert_eq!(bench.call().await, Err(cut_off()));
        eventually("unhealthy", || !bench.system.locks().health().healthy).await;
        let service = bench.system.locks().service();
        assert_eq!((service.is_hindered_by(Hindrance::Store), service.reason()), (true, Some("cut off")));
        let probes = bench.system.locks().probes();
        assert_eq!(probes.iter().map(Probe::is_ok).collect::<Vec<_>>(), [false, true]);
        let away = bench.shared.log.read_after(0, usize::MAX).unwrap()[0].at;
        // Whoever has it probed, however bad it seems.
        bench.shared.health.probe_now();
        eventually("granting", || bench.shared.service.may_grant()).await;
        // Clients could not show meanwhile that they are there: their time begins anew.
        assert!(bench.shared.opened_at() > away);
        assert_eq!(bench.system.locks().health().state, BackendState::Degraded);
        bench
    });
}

#[test]
fn a_probe_without_an_answer_has_failed() {
    Bench::run(options(Duration::from_secs(3600)), |bench| async move {
        eventually("the first probe", || !bench.system.locks().probes().is_empty()).await;
        let gate = Gate::new();
        bench.store.on_next_probe(ProbeFault::Hold(gate.clone(), None));
        let (outcome, _) = probe(&bench.shared, Duration::from_millis(1)).await;
        assert!(matches!(&outcome, Err(StoreError::Unavailable(why)) if why.contains("1ms")), "{outcome:?}");
        gate.open();
        assert_eq!(probe(&bench.shared, Duration::from_secs(60)).await.0, Ok(()));
        bench
    });
}

#[test]
fn the_same_cause_is_named_once_until_it_is_over() {
    Bench::run(options(Duration::from_secs(3600)), |bench| async move {
        let health = &bench.shared.health;
        assert!(health.is_news(Some("one")) && !health.is_news(Some("one")));
        assert!(health.is_news(Some("another")) && health.is_news(None) && !health.is_news(None));
        assert!(health.is_news(Some("another")));
        bench
    });
}
