//! A commit that is held up on its way to Redis.

use super::ground::{Ground, Instance};
use crate::support::{eventually, is_problem};
use lockkeeper_store::testing::{Direction, Proxy};
use serde_json::json;

/// It is let through when its time is over: nothing lands, its client has been told that it may or
/// may not have happened, and the resource is free.
#[tokio::test]
async fn a_commit_that_was_held_up_never_lands() {
    let ground = Ground::start().await;
    let proxy = Proxy::start(ground.redis.port());
    let far = Instance::launch("far", &[proxy.url()], &[]);
    far.grants().await;
    let near = ground.instance("near").await;
    let first = far.lock("p", "before", json!({})).await;
    assert_eq!(far.release(&first).await.status, 200);
    proxy.silence(Direction::ToServer);
    let told = far.acquire("p", "late", json!({"request_id": "r-1", "ttl": "1h"})).await;
    is_problem(&told, 503, "outcome_unknown");
    // By now the store's clock is beyond the window of what is still on its way.
    let lock = near.lock("p", "quick", json!({"ttl": "1h"})).await;
    proxy.heal();
    far.grants().await;
    eventually("a look through the proxy", async || {
        (far.get("/api/v1/locks?consistent=true").await.status == 200).then_some(())
    })
    .await;
    for instance in [&far, &near] {
        let locks = instance.locks().await;
        assert_eq!(locks.len(), 1, "{locks:#?}");
        assert_eq!(locks[0]["id"], lock["id"]);
    }
    assert_eq!(near.release(&lock).await.body["granted_to"], json!(null));
    // Asked again it is a new request.
    let again = far.acquire("p", "late", json!({"request_id": "r-1", "ttl": "1h"})).await.lock();
    assert!(again["fencing_token"].as_u64() > lock["fencing_token"].as_u64());
}

/// The reply is lost instead: the same request tells that it was granted, whoever is asked.
#[tokio::test]
async fn a_commit_whose_reply_is_lost_is_found() {
    let ground = Ground::start().await;
    let proxy = Proxy::start(ground.redis.port());
    let far = Instance::launch("far", &[proxy.url()], &[]);
    far.grants().await;
    let near = ground.instance("near").await;
    // Its document is known, so that the first that is asked of Redis is the commit.
    let first = far.lock("p", "before", json!({})).await;
    assert_eq!(far.release(&first).await.status, 200);
    proxy.silence(Direction::ToClient);
    let body = json!({"request_id": "r-1", "ttl": "1h"});
    let told = far.acquire("p", "holder", body.clone()).await;
    is_problem(&told, 503, "outcome_unknown");
    is_problem(&near.acquire("p", "thief", json!({})).await, 409, "held");
    let lock = near.acquire("p", "holder", body.clone()).await.lock();
    proxy.heal();
    far.grants().await;
    let again = far.acquire("p", "holder", body).await.lock();
    assert_eq!((&again["id"], &again["fencing_token"]), (&lock["id"], &lock["fencing_token"]));
}
