//! A client that goes away leaves no orphan grant.

use super::{lock_of, queue_of, release, request, resource, with_system};
use crate::support::eventually;
use lockkeeper_actors::{Kill, Options};
use lockkeeper_core::{RequestKey, RequestRef};
use std::sync::Arc;

#[test]
fn a_waiting_client_without_request_id_that_leaves_gives_its_place_up() {
    with_system(Options::default(), |system| async move {
        let locks = system.locks();
        let first = lock_of(&locks.acquire(request("p", "first")).await.unwrap());
        let waiting = actix_rt::spawn({
            let system = Arc::clone(&system);
            async move { system.locks().acquire(request("p", "second")).await }
        });
        let id = resource("p").id();
        let waits = || locks.view().get(id).map_or(0, |document| document.waiting());
        eventually("the ticket", || async { (waits() == 1).then_some(()) }).await;
        waiting.abort();
        eventually("the end of the ticket", || async { (waits() == 0).then_some(()) }).await;
        release(locks, "p", &first).await;
        assert!(locks.view().is_empty(), "the lock went to nobody");
    });
}

#[test]
fn a_client_with_request_id_that_leaves_keeps_its_place_and_must_claim_its_grant() {
    with_system(Options::default(), |system| async move {
        let locks = system.locks();
        let first = lock_of(&locks.acquire(request("p", "first")).await.unwrap());
        let mut asked = request("p", "second");
        asked.intent.requests = Arc::new(vec![RequestRef { key: RequestKey(1, 2), digest: 3 }]);
        let waiting = actix_rt::spawn({
            let (system, asked) = (Arc::clone(&system), asked.clone());
            async move { system.locks().acquire(asked).await }
        });
        let id = resource("p").id();
        let waits = || locks.view().get(id).map_or(0, |document| document.waiting());
        eventually("the ticket", || async { (waits() == 1).then_some(()) }).await;
        waiting.abort();
        let _ = waiting.await;
        release(locks, "p", &first).await;
        let granted = locks.view().get(id).unwrap();
        let granted = granted.locks().next().unwrap();
        assert!(granted.is_reserved(), "nobody has been told of it yet");
        let again = lock_of(&locks.acquire(asked).await.unwrap());
        assert_eq!((again.seq, again.token, again.is_reserved()), (granted.seq, granted.token, false));
    });
}

/// The actor dies with the grant made and nobody told, and the client leaves before it can ask again.
#[test]
fn a_client_that_leaves_while_its_actor_is_dead_leaves_no_orphan() {
    with_system(Options::default(), |system| async move {
        for round in 0..40 {
            let path = format!("p{round}");
            let asking = actix_rt::spawn({
                let (system, path) = (Arc::clone(&system), path.clone());
                async move { system.locks().acquire(request(&path, "first")).await }
            });
            // Kill and leave at every stage: not begun, in flight, granted, being sent again.
            for _ in 0..round % 8 {
                actix_rt::task::yield_now().await;
                system.locks().kill_actor(&queue_of(&path), Kill::Panic);
            }
            asking.abort();
            if let Ok(answer) = asking.await {
                release(system.locks(), &path, &lock_of(&answer.unwrap())).await;
            }
        }
        let locks = system.locks();
        let left = || locks.view().documents(None);
        eventually("the end of every grant", || async { left().is_empty().then_some(()) }).await;
    });
}
