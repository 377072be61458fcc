//! Any actor may die at any moment: what waits is answered, nothing is lost, nothing happens twice.

use super::{lock_of, queue_of, release, request, resource, with_system};
use crate::support::eventually;
use lockkeeper_actors::{Kill, Options, Supervision};
use lockkeeper_core::{Partition, Span};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const RESOURCES: usize = 4;
const CLIENTS: usize = 24;
const ROUNDS: usize = 40;

/// Clients take turns on a few resources while every kind of actor is killed, by panic and by stop.
/// Each resource's guard shows that nobody enters while another is in; tokens must grow.
#[test]
fn kills_under_load_lose_nothing_and_grant_nothing_twice() {
    // So many deaths are a storm otherwise.
    let supervision = Supervision { deaths_max: u32::MAX, ..Supervision::default() };
    with_system(Options { supervision, ..Options::default() }, |system| async move {
        let inside: Arc<Vec<AtomicBool>> = Arc::new((0..RESOURCES).map(|_| AtomicBool::new(false)).collect());
        let tokens: Arc<Vec<AtomicU64>> = Arc::new((0..RESOURCES).map(|_| AtomicU64::new(0)).collect());
        let over = Arc::new(AtomicBool::new(false));
        let killer = actix_rt::spawn({
            let (system, over) = (Arc::clone(&system), Arc::clone(&over));
            async move {
                let mut kills = 0usize;
                while !over.load(Ordering::Acquire) {
                    let how = if kills.is_multiple_of(2) { Kill::Panic } else { Kill::Stop };
                    let locks = system.locks();
                    for path in 0..RESOURCES {
                        locks.kill_actor(&queue_of(&format!("p{path}")), how);
                    }
                    let residents = locks.actors();
                    locks.kill_actor(&residents[kills % residents.len()].name, how);
                    kills += 1;
                    actix_rt::time::sleep(Duration::from_millis(3)).await;
                }
                kills
            }
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (system, inside, tokens) =
                    (Arc::clone(&system), Arc::clone(&inside), Arc::clone(&tokens));
                actix_rt::spawn(async move {
                    for round in 0..ROUNDS {
                        let place = (client + round) % RESOURCES;
                        let path = format!("p{place}");
                        let answer =
                            system.locks().acquire(request(&path, &format!("c{client}"))).await.unwrap();
                        let lock = lock_of(&answer);
                        assert!(!inside[place].swap(true, Ordering::AcqRel), "two owners at once");
                        let before = tokens[place].swap(lock.token, Ordering::AcqRel);
                        assert!(before < lock.token, "token {} after {before}", lock.token);
                        actix_rt::task::yield_now().await;
                        inside[place].store(false, Ordering::Release);
                        release(system.locks(), &path, &lock).await;
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        over.store(true, Ordering::Release);
        let kills = killer.await.unwrap();
        assert!(kills > 10, "only {kills} rounds of kills");
        let left = system.locks().documents_from_store(None).await.unwrap();
        assert!(left.is_empty(), "locks are left over: {left:?}");
    });
}

#[test]
fn a_waiting_client_outlives_its_actor() {
    for how in [Kill::Panic, Kill::Stop] {
        with_system(Options::default(), |system| async move {
            let first = lock_of(&system.locks().acquire(request("p", "first")).await.unwrap());
            let waiting = actix_rt::spawn({
                let system = Arc::clone(&system);
                async move { system.locks().acquire(request("p", "second")).await.unwrap() }
            });
            let id = resource("p").id();
            let view = || system.locks().view().get(id).map_or(0, |document| document.waiting());
            eventually("the ticket", || async { (view() == 1).then_some(()) }).await;
            assert!(system.locks().kill_actor(&queue_of("p"), how));
            release(system.locks(), "p", &first).await;
            let second = lock_of(&waiting.await.unwrap());
            assert!(second.token > first.token);
            assert_eq!(&*second.intent.owner.id, "second");
        });
    }
}

/// The calendar is the reaper's memory, the sweep its guarantee: leases end without it being there
/// all the time.
#[test]
fn leases_end_although_the_reaper_dies() {
    let options = Options { sweep_interval: Duration::from_millis(200), ..Options::default() };
    with_system(options, |system| async move {
        let mut short = request("p", "first");
        short.intent.ttl = Span::from_millis(300);
        system.locks().acquire(short).await.unwrap();
        assert!(system.locks().kill_actor("reaper", Kill::Panic));
        let view = || system.locks().view().is_empty();
        eventually("the lease's end", || async { view().then_some(()) }).await;
        let stored =
            system.locks().documents_from_store(Some(Partition::of("", "acme/infra"))).await.unwrap();
        assert!(stored.is_empty());
    });
}

#[test]
fn events_are_not_lost_with_the_hub() {
    with_system(Options::default(), |system| async move {
        let locks = system.locks();
        let lock = lock_of(&locks.acquire(request("p", "first")).await.unwrap());
        let mut stream = locks.subscribe(0, |_| true).await.unwrap().unwrap();
        let first = stream.events.recv().await.unwrap();
        assert_eq!((first.sequence, first.what.kind()), (1, "lock.acquired"));
        assert!(locks.kill_actor("event_hub", Kill::Panic));
        assert!(stream.events.recv().await.is_none(), "the stream ends with its hub");
        release(locks, "p", &lock).await;
        let mut stream = eventually("a new hub", || async {
            locks.subscribe(first.sequence, |_| true).await.ok().and_then(Result::ok)
        })
        .await;
        assert_eq!(stream.events.recv().await.unwrap().what.kind(), "lock.released");
    });
}

#[test]
fn idle_actors_go_to_rest_and_come_back() {
    let options = Options { rest_after: Duration::from_millis(100), ..Options::default() };
    with_system(options, |system| async move {
        let lock = lock_of(&system.locks().acquire(request("p", "first")).await.unwrap());
        let actors = || system.locks().queue_actors();
        eventually("rest", || async { (actors() == 0).then_some(()) }).await;
        release(system.locks(), "p", &lock).await;
        let again = lock_of(&system.locks().acquire(request("p", "second")).await.unwrap());
        assert!(again.token > lock.token);
    });
}
