//! The messages between instances are hints. All of them may be lost.

use super::ground::{Ground, Instance};
use crate::support::{eventually, is_problem};
use serde_json::{Value, json};

async fn serves_a_waiting_client(one: &Instance, other: &Instance, held: Value) {
    let waits = other.acquires("p", "second", json!({"queue": true, "wait": "50s"}));
    eventually("its ticket", async || {
        let queue = one.get("/api/v1/locks?consistent=true").await;
        assert_eq!(queue.status, 200, "{}", queue.text);
        let queues = one.get("/api/v1/queues?namespace=acme/infra").await;
        (queues.body["queues"][0]["tickets"].as_array()?.len() == 1).then_some(())
    })
    .await;
    let handed = one.release(&held).await;
    let second = waits.await.unwrap().lock();
    assert_eq!(second["id"], handed.body["granted_to"]["id"], "{}", handed.text);
    other.sees(&second).await;
    one.sees(&second).await;
    assert_eq!(other.release(&second).await.status, 200);
}

/// Nobody hears anything, and nobody knows that there was something to hear: the sweep finds it.
#[tokio::test]
async fn the_sweep_finds_what_was_never_told() {
    let ground = Ground::start().await;
    let [one, other] = ground.instances(["one", "other"]).await;
    // The commits land all the same.
    assert_eq!(ground.redis.cli(&["ACL", "SETUSER", "default", "-publish", "-spublish"]), "OK");
    let held = one.lock("p", "first", json!({})).await;
    other.sees(&held).await;
    serves_a_waiting_client(&one, &other, held).await;
    let lock = one.lock("q", "first", json!({})).await;
    other.sees(&lock).await;
    assert_eq!(one.release(&lock).await.status, 200);
    eventually("an empty list", async || {
        (other.get("/api/v1/locks").await.body["locks"] == json!([])).then_some(())
    })
    .await;
    is_problem(&other.show(&lock).await, 410, "released");
}

/// The subscriptions are cut again and again while clients are served.
#[tokio::test]
async fn cut_subscriptions_come_back_and_nothing_is_missing() {
    let ground = Ground::start().await;
    let [one, other] = ground.instances(["one", "other"]).await;
    for _ in 0..3 {
        assert_eq!(ground.redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]), "2");
        let held = one.lock("p", "first", json!({})).await;
        serves_a_waiting_client(&one, &other, held).await;
        ground.followed_by(2).await;
    }
}
