//! A client that goes away leaves no orphan grant.

use super::{lock_of, release, request, resource, with_system};
use crate::support::eventually;
use lockkeeper_actors::Options;
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
