//! One of several instances is switched off: the others go on, and its clients lose nothing.

use super::ground::Ground;
use crate::support::{Client, eventually, is_problem};
use serde_json::{Value, json};

async fn switch(client: &Client, on: bool) {
    let body = json!({"changes": {"enabled": on}, "reason": "a test"});
    assert_eq!(client.send("PATCH", "/api/v1/config", Some(&body)).await.status, 200);
}

#[tokio::test]
async fn what_is_released_at_the_one_is_granted_by_the_other() {
    let ground = Ground::start().await;
    let [off, on] = ground.instances(["off", "on"]).await;
    let lock = off.lock("p", "holder", json!({})).await;
    let ticket = off.queue("p", "next", json!({"queue_timeout": "1h"})).await;
    switch(&off, false).await;
    // Only this one.
    assert_eq!(on.get("/readyz").await.status, 200);
    is_problem(&off.acquire("q", "me", json!({})).await, 503, "shutting_down");
    let released = off.release(&lock).await;
    assert_eq!((released.status, &released.body["granted_to"]), (200, &Value::Null), "{}", released.text);
    // The other does what this one may not; and a client that still asks here hears of it here.
    let granted = eventually("the ticket is granted", async || {
        let reply = off.poll(&ticket, "0s").await;
        (reply.status == 200).then(|| reply.lock())
    })
    .await;
    assert_eq!((&granted["owner"]["id"], &granted["state"]), (&json!("next"), &json!("held")));
    assert!(granted["fencing_token"].as_u64() > lock["fencing_token"].as_u64());
    assert_eq!(off.renew(&granted, "1h").await.status, 200);
    // A lease that runs out while the one is off is ended, and what waits is granted by the other.
    let short = on.lock("r", "holder", json!({"ttl": "300ms"})).await;
    let ticket = on.queue("r", "next", json!({"queue_timeout": "1h"})).await;
    eventually("it went on", async || {
        let reply = on.poll(&ticket, "0s").await;
        (reply.status == 200).then(|| reply.lock())
    })
    .await;
    assert_eq!(off.show(&short).await.status, 410);
}

#[tokio::test]
async fn when_all_are_off_nothing_is_granted_and_one_alone_catches_up() {
    let ground = Ground::start().await;
    let [one, two] = ground.instances(["one", "two"]).await;
    let lock = one.lock("p", "holder", json!({})).await;
    let first = one.queue("p", "first", json!({"queue_timeout": "1h", "attended": false})).await;
    let second = two.queue("p", "second", json!({"queue_timeout": "1h", "attended": false})).await;
    switch(&one, false).await;
    switch(&two, false).await;
    assert_eq!(one.release(&lock).await.body["granted_to"], Value::Null);
    for (instance, ticket, position) in [(&one, &first, 1), (&two, &second, 2), (&two, &first, 1)] {
        assert_eq!(instance.poll(ticket, "0s").await.ticket()["position"], position);
    }
    // The one that was not asked to release it.
    two.sees_waiting("p", 2).await;
    switch(&two, true).await;
    assert_eq!(two.poll(&first, "30s").await.lock()["owner"]["id"], "first");
}
