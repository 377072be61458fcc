//! Redis comes back empty, and nobody is left who knew what it had.

use super::ground::{Ground, Instance, OPENED, SEALED};
use crate::support::is_problem;
use serde_json::json;

/// Instances and data are gone together. What nobody knows is lost, and that is all: what comes after
/// has greater tokens, and who held something is told what became of it.
#[tokio::test]
async fn new_instances_on_an_empty_redis_settle_and_never_repeat_a_token() {
    let ground = Ground::start().await;
    let [one, other] = ground.instances(["one", "other"]).await;
    let held = one.lock("p", "holder", json!({"ttl": "1h", "request_id": "r-1"})).await;
    let ticket = other.queue("p", "next", json!({})).await;
    drop((one, other));
    ground.redis.restart();
    // Data directories are new, too.
    let [one, other] = ["third", "fourth"].map(|id| Instance::launch(id, &[ground.redis.url()], &[]));
    for instance in [&one, &other] {
        instance.logs(SEALED, 1).await;
        instance.opened_again(1).await;
        let renewed = instance.renew(&held, "").await;
        is_problem(&renewed, 410, "lost");
        is_problem(&instance.show(&held).await, 410, "lost");
        is_problem(&instance.release(&held).await, 410, "lost");
        is_problem(&instance.poll(&ticket, "").await, 410, "lost");
    }
    let anew = other.lock("p", "another", json!({})).await;
    assert!(anew["fencing_token"].as_u64() > held["fencing_token"].as_u64(), "{anew} after {held}");
    is_problem(&one.renew(&held, "").await, 410, "lost");
    // An id that was never given is not lost.
    assert_eq!(one.release(&anew).await.status, 200);
    is_problem(&one.get("/api/v1/locks/7ZZZZZZZZZZZZZZZZZZZZZZZZZ").await, 404, "not_found");
}

/// A Redis that was never used is sealed as well: it cannot be told from one that lost everything.
#[tokio::test]
async fn a_new_redis_is_sealed_for_the_settle_window() {
    let redis = lockkeeper_store::testing::RedisServer::start();
    let one = Instance::launch("one", &[redis.url()], &["settle-window=3s"]);
    one.logs(SEALED, 1).await;
    is_problem(&one.acquire("p", "holder", json!({})).await, 503, "backend_unavailable");
    assert_eq!(one.get("/readyz").await.body["phase"], "sealed");
    one.logs(OPENED, 1).await;
    one.lock("p", "holder", json!({})).await;
    assert_eq!(one.logged(SEALED), 1);
}
