//! Redis comes back empty, and nobody is left who knew what it had.

use super::ground::{Ground, Instance, OPENED, SEALED};
use crate::support::{eventually, is_problem};
use serde_json::json;

/// Redis and the memory of all instances are gone together; what is left is the greatest token in
/// their directories. What nobody knows is lost, and whoever held it is told so; every later token
/// is greater.
#[tokio::test]
async fn restarted_instances_on_an_empty_redis_know_that_something_is_lost() {
    let ground = Ground::start().await;
    let [mut one, mut other] = ground.instances(["one", "other"]).await;
    let held = one.lock("p", "holder", json!({"ttl": "1h", "request_id": "r-1"})).await;
    let ticket = other.queue("p", "next", json!({})).await;
    for (instance, id) in [(&one, "one"), (&other, "other")] {
        let file = instance.server.data_dir().join(format!("greatest-token-{id}"));
        eventually("the token on disk", async || {
            let kept = std::fs::read_to_string(&file).ok()?.trim().parse::<u64>().ok()?;
            (Some(kept) >= held["fencing_token"].as_u64()).then_some(())
        })
        .await;
    }
    ground.redis.kill9();
    (one, other) = (one.restart(), other.restart());
    ground.redis.restart();
    for instance in [&one, &other] {
        instance.opened_again(1).await;
        is_problem(&instance.renew(&held, "").await, 410, "lost");
        is_problem(&instance.show(&held).await, 410, "lost");
        is_problem(&instance.release(&held).await, 410, "lost");
        is_problem(&instance.poll(&ticket, "").await, 410, "lost");
    }
    let anew = other.lock("p", "another", json!({})).await;
    assert!(anew["fencing_token"].as_u64() > held["fencing_token"].as_u64(), "{anew} after {held}");
    is_problem(&one.renew(&held, "").await, 410, "lost");
    assert_eq!(one.release(&anew).await.status, 200);
    is_problem(&one.get("/api/v1/locks/7ZZZZZZZZZZZZZZZZZZZZZZZZZ").await, 404, "not_found");
}

/// The same, and the directories are gone, too: it cannot be told from a new Redis. The clock of the
/// server alone sees to it that no token is given twice.
#[tokio::test]
async fn new_instances_on_an_empty_redis_never_repeat_a_token() {
    let ground = Ground::start().await;
    let [one, other] = ground.instances(["one", "other"]).await;
    let held = one.lock("p", "holder", json!({"ttl": "1h"})).await;
    drop((one, other));
    ground.redis.restart();
    let [one, other] = ["third", "fourth"].map(|id| Instance::launch(id, &[ground.redis.url()], &[]));
    for instance in [&one, &other] {
        instance.opened_again(1).await;
        assert_eq!(instance.logged(SEALED), 1);
        // Known to nobody; in any case it is not confirmed.
        let renewed = instance.renew(&held, "").await;
        assert!(matches!(renewed.what(), (404, "not_found") | (410, "lost")), "{}", renewed.text);
    }
    let anew = other.lock("p", "another", json!({})).await;
    assert!(anew["fencing_token"].as_u64() > held["fencing_token"].as_u64(), "{anew} after {held}");
}

/// A Redis that was never used is sealed as well: it cannot be told from one that lost everything.
#[tokio::test]
async fn a_new_redis_is_sealed_for_the_settle_window() {
    let redis = lockkeeper_store::testing::RedisServer::start();
    let one = Instance::launch("one", &[redis.url()], &["settle-window=3s"]);
    one.logs(SEALED, 1).await;
    is_problem(&one.acquire("p", "holder", json!({})).await, 503, "backend_unavailable");
    // Until the first probe of Redis has ended, it is not the sealing that keeps it from granting.
    eventually("the phase", async || (one.get("/readyz").await.body["phase"] == "sealed").then_some(()))
        .await;
    one.logs(OPENED, 1).await;
    one.lock("p", "holder", json!({})).await;
    assert_eq!(one.logged(SEALED), 1);
}

/// A grant that only a dead instance knew: what is written back is from before it. Whoever hears of
/// that before the partition is opened must still give no token that was given.
#[tokio::test]
async fn what_was_heard_before_the_opening_gives_no_token_a_second_time() {
    let ground = Ground::start().await;
    let settings = ["settle-window=3s"];
    let mut one = ground.instance_with("one", &settings).await;
    let other = ground.instance_with("other", &settings).await;
    ground.followed_by(2).await;
    let first = one.lock("p", "first", json!({"ttl": "1h"})).await;
    other.sees(&first).await;
    other.pause();
    // Nor does what was sent to it meanwhile wait for it.
    assert_eq!(ground.redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]), "2");
    ground.followed_by(1).await;
    assert_eq!(one.release(&first).await.status, 200);
    let forgotten = one.lock("p", "second", json!({"ttl": "1h"})).await;
    ground.redis.kill9();
    one = one.restart();
    ground.redis.restart();
    one.logs(SEALED, 1).await;
    ground.followed_by(1).await;
    other.resume();
    for instance in [&one, &other] {
        instance.opened_again(1).await;
    }
    is_problem(&one.show(&forgotten).await, 410, "lost");
    assert_eq!(one.release(&first).await.status, 200);
    let third = one.lock("p", "third", json!({})).await;
    assert!(
        third["fencing_token"].as_u64() > forgotten["fencing_token"].as_u64(),
        "{third} after {forgotten}"
    );
}
