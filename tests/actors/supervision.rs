//! What follows when actors die too often: a storm, a quarantine, a request that is given up; and
//! that nothing else follows.

use super::{lock_of, queue_of, release, request, resource, with_system};
use crate::support::eventually;
use lockkeeper_actors::{
    Failure, FaultKind, FaultPoint, Hindrance, Kill, Options, Phase, PlannedFault, Supervision, System,
};
use std::sync::Arc;
use std::time::Duration;

/// Panics of one resource's actor, at its next decisions.
fn panics(path: &str, times: u32) -> PlannedFault {
    PlannedFault {
        point: FaultPoint::QueueDecide,
        kind: FaultKind::Panic,
        times,
        delay: Duration::ZERO,
        resource: Some(resource(path).id()),
    }
}

fn options(supervision: Supervision) -> Options {
    Options { supervision, chaos: true, ..Options::default() }
}

async fn is_served(system: &System, path: &str) {
    let lock = lock_of(&system.locks().acquire(request(path, "someone")).await.unwrap());
    release(system.locks(), path, &lock).await;
}

/// Kills residents of one kind until it is a storm, by both ways; every other death is noticed at once.
#[test]
fn a_storm_is_a_clear_state_that_ends_when_it_is_calm() {
    let supervision =
        Supervision { deaths_max: 4, calm: Duration::from_millis(1500), ..Supervision::default() };
    with_system(options(supervision), |system| async move {
        let locks = system.locks();
        let reaper = || locks.actors().into_iter().find(|actor| actor.name == "reaper").unwrap();
        for death in 0..=supervision.deaths_max {
            eventually("a living reaper", || async { reaper().alive.then_some(()) }).await;
            assert!(locks.service().hindered.is_empty(), "{:?}", locks.service());
            let how = if death % 2 == 0 { Kill::Panic } else { Kill::Stop };
            assert!(locks.kill_actor("reaper", how));
            let noticed = u64::from(death) + 1;
            eventually("its successor", || async {
                (reaper().restarts == noticed || death == supervision.deaths_max).then_some(())
            })
            .await;
        }
        let storm = eventually("the storm", || async {
            let service = locks.service();
            service.is_hindered_by(Hindrance::Storm).then_some(service)
        })
        .await;
        assert_eq!(storm.phase, Phase::HoldOnly);
        assert!(storm.reason().is_some_and(|reason| reason.contains("reaper")), "{storm:?}");
        assert!(reaper().unstable);
        let others = locks.actors().into_iter().filter(|actor| actor.kind != "reaper");
        assert!(others.clone().count() > 0 && others.clone().all(|actor| actor.alive && !actor.unstable));
        // It is made again, though not at once, and when it stays alive the storm is over.
        let over = || async { locks.service().hindered.is_empty().then_some(()) };
        eventually("calm", over).await;
        assert!(reaper().alive && !reaper().unstable && reaper().last_death.is_some());
        is_served(&system, "p").await;
    });
}

/// In a storm the dead are made again once a second, however fast they die.
#[test]
fn a_storm_does_not_run_hot() {
    let supervision = Supervision { deaths_max: 3, calm: Duration::from_secs(600), ..Supervision::default() };
    with_system(options(supervision), |system| async move {
        let locks = system.locks();
        let health = || locks.actors().into_iter().find(|actor| actor.name == "health").unwrap();
        // Each successor panics at its first probe.
        let fault = PlannedFault { point: FaultPoint::StoreProbe, resource: None, ..panics("", 1_000_000) };
        assert!(locks.plan_fault(fault));
        eventually("the storm", || async { locks.service().is_hindered_by(Hindrance::Storm).then_some(()) })
            .await;
        let left = || locks.planned_faults().first().map(|fault| fault.times);
        let (before, begun) = (left().unwrap(), tokio::time::Instant::now());
        eventually("three more lives", || async { (left().unwrap() + 3 <= before).then_some(()) }).await;
        // Bounded from below: a slow machine can only make it longer.
        assert!(begun.elapsed() > Duration::from_millis(1500), "three lives within {:?}", begun.elapsed());
        locks.remove_faults(None);
        eventually("a living actor", || async { health().alive.then_some(()) }).await;
    });
}

#[test]
fn a_resource_whose_actor_panics_too_often_is_refused_alone() {
    let supervision = Supervision {
        deaths_per_resource_max: 3,
        calm: Duration::from_millis(1200),
        window: Duration::from_millis(1200),
        ..Supervision::default()
    };
    with_system(options(supervision), |system| async move {
        let locks = system.locks();
        let held = lock_of(&locks.acquire(request("other", "holder")).await.unwrap());
        assert!(locks.plan_fault(panics("bad", 1000)));
        // Two requests die of it three times each at most; then the resource is refused as a whole.
        let mut refused = None;
        for _ in 0..4 {
            match locks.acquire(request("bad", "someone")).await {
                Err(Failure::Quarantined(quarantined)) => {
                    refused = Some(quarantined);
                    break;
                }
                Err(Failure::Internal(_) | Failure::OutcomeUnknown(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        let refused = refused.expect("no quarantine");
        assert_eq!((refused.resource, refused.deaths), (resource("bad").id(), 4));
        assert!(refused.remaining <= supervision.calm && refused.until > locks.now());
        assert_eq!(
            locks.quarantined().iter().map(|one| one.resource).collect::<Vec<_>>(),
            [refused.resource]
        );
        // Nobody else is affected.
        release(locks, "other", &held).await;
        is_served(&system, "other").await;
        assert!(locks.service().hindered.is_empty(), "{:?}", locks.service());
        let planned = locks.planned_faults();
        assert!(planned[0].times >= 1000 - 5, "{planned:?}");
        // It ends by itself, and what was wrong is gone.
        locks.remove_faults(None);
        eventually("the end of the quarantine", || async { locks.quarantined().is_empty().then_some(()) })
            .await;
        is_served(&system, "bad").await;
    });
}

/// A request that has its actor panic whenever it is decided is answered after a few deaths, while
/// those beside it are served.
#[test]
fn a_poisonous_request_is_given_up_and_its_neighbours_are_served() {
    with_system(options(Supervision::default()), |system| async move {
        let locks = system.locks();
        assert!(locks.plan_fault(panics("p", 3)));
        let answer = locks.acquire(request("p", "poison")).await;
        assert!(matches!(&answer, Err(Failure::Internal(what)) if what.contains("3 times")), "{answer:?}");
        assert!(locks.planned_faults().is_empty());
        is_served(&system, "p").await;

        // Fewer panics than that, and nobody hears of them.
        assert!(locks.plan_fault(panics("q", 2)));
        let lock = lock_of(&locks.acquire(request("q", "patient")).await.unwrap());
        assert!(locks.planned_faults().is_empty());
        release(locks, "q", &lock).await;
        assert!(locks.quarantined().is_empty());
    });
}

/// The panic comes in the store's own code, with the commit under way: nobody can know then.
#[test]
fn a_request_whose_commit_panics_is_not_said_to_have_done_nothing() {
    with_system(options(Supervision::default()), |system| async move {
        let locks = system.locks();
        assert!(locks.plan_fault(PlannedFault { point: FaultPoint::StoreCommit, ..panics("p", 3) }));
        let answer = locks.acquire(request("p", "poison")).await;
        assert!(matches!(answer, Err(Failure::OutcomeUnknown(_))), "{answer:?}");
        is_served(&system, "p").await;
    });
}

/// Kills from outside spend neither the budget of a request nor that of a resource.
#[test]
fn actors_that_are_killed_cost_no_request_its_answer() {
    let supervision =
        Supervision { deaths_max: u32::MAX, deaths_per_resource_max: 2, ..Supervision::default() };
    with_system(options(supervision), |system| async move {
        let first = lock_of(&system.locks().acquire(request("p", "first")).await.unwrap());
        let waiting = actix_rt::spawn({
            let system = Arc::clone(&system);
            async move { system.locks().acquire(request("p", "second")).await }
        });
        let locks = system.locks();
        let mut kills = 0;
        eventually("many kills", || {
            let how = if kills % 2 == 0 { Kill::Panic } else { Kill::Stop };
            kills += usize::from(locks.kill_actor(&queue_of("p"), how));
            let enough = kills >= 50;
            async move { enough.then_some(()) }
        })
        .await;
        assert!(locks.quarantined().is_empty());
        release(locks, "p", &first).await;
        assert_eq!(&*lock_of(&waiting.await.unwrap().unwrap()).intent.owner.id, "second");
    });
}
