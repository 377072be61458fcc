//! The breaker between the actors and a store that fails at exact points.

use crate::options::{BreakerOptions, Options};
use crate::resident::Kill;
use crate::service::{Hindrance, Phase};
use crate::testing::{Bench, cut_off, eventually};
use lockkeeper_core::Partition;
use lockkeeper_core::breaker::State;
use lockkeeper_store::StoreError;
use lockkeeper_store::faulty::{Fault, Gate, ProbeFault};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// It opens after three faults, and not by their share; it stays open until probes say otherwise.
fn options() -> Options {
    let breaker =
        BreakerOptions { failures: 3, failure_percent: 0, open_for: HOUR, ..BreakerOptions::default() };
    // Faults must not have it probed unless a test wants it: the first probe is the only one.
    Options { breaker: Some(breaker), health_interval: Duration::from_millis(2), ..Options::default() }
}

fn state(bench: &Bench) -> State {
    bench.shared.breaker_state()
}

async fn becomes(bench: &Bench, wanted: State) {
    eventually(wanted.as_str(), || state(bench) == wanted).await;
}

/// The next probe waits at this gate, and then fails or not.
async fn hold_a_probe(bench: &Bench, failure: Option<StoreError>) -> Gate {
    let gate = Gate::new();
    bench.store.on_next_probe(ProbeFault::Hold(gate.clone(), failure));
    gate.reached().await;
    gate
}

/// Three calls that fail, with nobody probing meanwhile.
async fn fail_calls(bench: &Bench) {
    for _ in 0..3 {
        bench.store.on_next_load(cut_off());
        assert_eq!(bench.call().await, Err(cut_off()));
    }
    becomes(bench, State::Open).await;
}

/// No call reaches the store, and each is answered.
async fn is_shut(bench: &Bench) {
    let before = bench.calls();
    for _ in 0..50 {
        for refused in
            [bench.call().await, bench.commit().await, bench.shared.store.list(None, 1).await.map(|_| ())]
        {
            assert!(
                matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("circuit breaker")),
                "{refused:?}"
            );
        }
    }
    assert_eq!(bench.calls(), before, "calls reached the store");
}

/// The events of an outage that calls notice first, then probes.
const STORY: [&str; 7] = [
    "breaker.opened",
    "phase.changed",
    "backend.unhealthy",
    "breaker.half_open",
    "breaker.closed",
    "backend.recovered",
    "phase.changed",
];

#[test]
fn while_it_is_not_closed_no_call_reaches_the_store_and_probes_close_it() {
    Bench::run(options(), |bench| async move {
        let held = hold_a_probe(&bench, Some(cut_off())).await;
        fail_calls(&bench).await;
        let service = bench.system.locks().service();
        assert!(service.is_hindered_by(Hindrance::Breaker) && service.phase == Phase::HoldOnly);
        assert!(
            service.reason().is_some_and(|why| why.contains("cut off") && why.contains("3600s")),
            "{service:?}"
        );
        is_shut(&bench).await;
        // The store was seen to be away; then to be back.
        let next = Gate::new();
        bench.store.on_next_probe(ProbeFault::Hold(next.clone(), None));
        held.open();
        next.reached().await;
        eventually("unhealthy", || !bench.shared.health.get().healthy).await;
        is_shut(&bench).await;
        let last = Gate::new();
        bench.store.on_next_probe(ProbeFault::Hold(last.clone(), None));
        let final_one = Gate::new();
        bench.store.on_next_probe(ProbeFault::Hold(final_one.clone(), None));
        next.open();
        last.reached().await;
        assert_eq!(state(&bench), State::HalfOpen);
        is_shut(&bench).await;
        last.open();
        final_one.reached().await;
        assert_eq!((state(&bench), bench.shared.health.get().healthy), (State::HalfOpen, false));
        is_shut(&bench).await;
        final_one.open();
        eventually("granting", || bench.shared.service.may_grant()).await;
        assert_eq!(state(&bench), State::Closed);
        assert_eq!(bench.call().await, Ok(()));
        assert_eq!(bench.events(), STORY);
        let status = bench.system.locks().breaker().unwrap();
        assert_eq!((status.reason, status.failures_in_a_row, status.tried_again_in), (None, 0, None));
        bench
    });
}

#[test]
fn deaths_in_the_middle_of_an_outage_change_nothing() {
    for how in [Kill::Panic, Kill::Stop] {
        Bench::run(options(), |bench| async move {
            let kill = async |name: &str| {
                let restarts = || {
                    let all = bench.system.locks().actors();
                    all.iter().find(|actor| actor.name == name).map_or(0, |actor| actor.restarts)
                };
                let before = restarts();
                assert!(bench.system.locks().kill_actor(name, how));
                eventually("a successor", || restarts() > before).await;
            };
            hold_a_probe(&bench, None).await;
            // Two faults, a death, the third.
            for _ in 0..2 {
                bench.store.on_next_load(cut_off());
                assert_eq!(bench.call().await, Err(cut_off()));
            }
            eventually("two faults", || bench.system.locks().breaker().unwrap().failures_in_a_row == 2).await;
            // The successor of health probes at once: it is held, too.
            let held = Gate::new();
            bench.store.on_next_probe(ProbeFault::Hold(held.clone(), Some(cut_off())));
            kill("breaker").await;
            kill("health").await;
            held.reached().await;
            bench.store.on_next_load(cut_off());
            assert_eq!(bench.call().await, Err(cut_off()));
            becomes(&bench, State::Open).await;
            kill("breaker").await;
            is_shut(&bench).await;
            let next = Gate::new();
            bench.store.on_next_probe(ProbeFault::Hold(next.clone(), None));
            held.open();
            next.reached().await;
            kill("breaker").await;
            let again = Gate::new();
            bench.store.on_next_probe(ProbeFault::Hold(again.clone(), None));
            kill("health").await;
            again.reached().await;
            assert_eq!(state(&bench), State::Open);
            let last = Gate::new();
            bench.store.on_next_probe(ProbeFault::Hold(last.clone(), None));
            again.open();
            last.reached().await;
            assert_eq!(state(&bench), State::HalfOpen);
            kill("breaker").await;
            is_shut(&bench).await;
            last.open();
            eventually("granting", || bench.shared.service.may_grant()).await;
            assert_eq!(bench.events(), STORY);
            bench
        });
    }
}

#[test]
fn its_own_timer_half_opens_it() {
    let mut options = options();
    let short = BreakerOptions { open_for: Duration::from_millis(5), ..options.breaker.unwrap() };
    options.breaker = Some(short);
    Bench::run(options, |bench| async move {
        // Probes are good all the time: what fails is what is asked for.
        fail_then(&bench).await;
        let opened = bench.shared.log.read_after(0, usize::MAX).unwrap()[0].at;
        eventually("granting", || bench.shared.service.may_grant()).await;
        // Clients could not show meanwhile that they are there: their time begins anew.
        assert!(bench.shared.opened_at() > opened);
        let kinds = bench.events();
        assert_eq!(
            kinds,
            ["breaker.opened", "phase.changed", "breaker.half_open", "breaker.closed", "phase.changed"]
        );
        bench
    });
}

#[test]
fn one_good_probe_follows_the_other_until_it_closes() {
    let options = options();
    let breaker =
        BreakerOptions { open_for: Duration::from_millis(5), successes: 9, ..options.breaker.unwrap() };
    // Nobody probes by the clock.
    Bench::run(Options { breaker: Some(breaker), health_interval: HOUR, ..options }, |bench| async move {
        fail_then(&bench).await;
        eventually("granting", || bench.shared.service.may_grant()).await;
        assert_eq!(state(&bench), State::Closed);
        bench
    });
}

/// Three calls that fail; it may half-open at once.
async fn fail_then(bench: &Bench) {
    for _ in 0..3 {
        bench.store.on_next_load(cut_off());
        assert_eq!(bench.call().await, Err(cut_off()));
    }
    eventually("opened", || bench.events().contains(&"breaker.opened")).await;
}

#[test]
fn what_is_no_fault_of_the_store_never_opens_it() {
    let mut options = options();
    let eager = BreakerOptions { failures: 1, failure_percent: 1, calls_min: 1, ..options.breaker.unwrap() };
    options.breaker = Some(eager);
    Bench::run(options, |bench| async move {
        let late = Gate::new();
        for _ in 0..20 {
            bench.store.on_next_commit(Fault::Conflict);
            assert!(bench.commit().await.is_ok(), "a conflict is an answer");
            for error in [
                StoreError::Overloaded { limit: 1 },
                StoreError::Sealed(Partition(0)),
                StoreError::Damaged("a record".into()),
                StoreError::Refused("a mistake".into()),
                StoreError::Closed,
            ] {
                bench.store.on_next_commit(Fault::Refuse(error.clone()));
                assert_eq!(bench.commit().await, Err(error));
            }
        }
        // However slow.
        bench.store.on_next_commit(Fault::HoldAfter(late.clone()));
        let (slow, ()) = tokio::join!(bench.commit(), async {
            late.reached().await;
            late.open();
        });
        assert!(slow.is_ok());
        bench.shared.breaker.as_ref().unwrap().probed(None).await.unwrap();
        let status = bench.system.locks().breaker().unwrap();
        assert_eq!((status.state, status.failures_in_a_row), (State::Closed, 0));
        assert!(bench.events().is_empty(), "{:?}", bench.events());
        // And each of these is one.
        for error in
            [cut_off(), StoreError::OutcomeUnknown("lost".into()), StoreError::Unfit("evicts".into())]
        {
            let before = bench.events().len();
            bench.store.on_next_probe(ProbeFault::Fail(cut_off()));
            bench.store.on_next_commit(Fault::Refuse(error.clone()));
            assert_eq!(bench.commit().await, Err(error));
            eventually("it opens", || bench.events()[before..].contains(&"breaker.opened")).await;
            eventually("it closes", || bench.shared.service.may_grant()).await;
        }
        bench
    });
}

#[test]
fn an_answer_between_faults_begins_the_row_anew() {
    Bench::run(options(), |bench| async move {
        hold_a_probe(&bench, None).await;
        for _ in 0..5 {
            let row = || bench.system.locks().breaker().unwrap().failures_in_a_row;
            // Each is waited for: the row is begun anew only when the next fault is told.
            for count in [1, 2] {
                bench.store.on_next_load(cut_off());
                assert_eq!(bench.call().await, Err(cut_off()));
                eventually("it is counted", || row() == count).await;
            }
            assert_eq!(bench.call().await, Ok(()));
        }
        assert_eq!(state(&bench), State::Closed);
        bench
    });
}

#[test]
fn faults_of_calls_from_before_it_opened_count_no_more() {
    Bench::run(options(), |bench| async move {
        let gate = bench.shared.breaker.clone().unwrap();
        let turn = gate.pass().unwrap();
        let held = hold_a_probe(&bench, Some(cut_off())).await;
        fail_calls(&bench).await;
        held.open();
        eventually("granting", || bench.shared.service.may_grant()).await;
        let held = hold_a_probe(&bench, None).await;
        for _ in 0..10 {
            gate.failed(turn, &cut_off());
        }
        // Noted after them.
        assert_eq!(gate.probed(None).await, Some(State::Closed));
        assert_eq!(gate.status().failures_in_a_row, 0);
        held.open();
        bench
    });
}

#[test]
fn without_one_calls_pass_and_only_health_tells_of_trouble() {
    Bench::run(Options { breaker: None, ..options() }, |bench| async move {
        bench.store.set_outage(Some(cut_off()));
        let before = bench.calls();
        for _ in 0..20 {
            assert_eq!(bench.call().await, Err(cut_off()));
        }
        assert_eq!(bench.calls(), before + 20);
        assert!(bench.system.locks().breaker().is_none());
        eventually("unhealthy", || !bench.shared.service.may_grant()).await;
        bench.store.set_outage(None);
        eventually("granting", || bench.shared.service.may_grant()).await;
        assert_eq!(
            bench.events(),
            ["backend.unhealthy", "phase.changed", "backend.recovered", "phase.changed"]
        );
        bench
    });
}
