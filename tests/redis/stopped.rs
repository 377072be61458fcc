//! An instance is stopped (SIGSTOP) for longer than the leases it knows of, with requests in flight.

use super::ground::{Ground, Instance};
use crate::support::{eventually, is_problem};
use lockkeeper_store::testing::{Direction, Proxy};
use serde_json::json;

/// A call of the store that was under way when an instance was stopped, a probe for example, is not
/// given up when it wakes up: what is tested is what it says of leases.
const PATIENT: [&str; 4] =
    ["store-call-timeout=5s", "settle-window=6s", "settle-max=6s", "presence-lease=6s"];

/// A grant that was made for its waiting client is gone when it wakes up: it is not handed out.
#[tokio::test]
async fn a_grant_that_went_to_the_next_is_not_handed_out_late() {
    let ground = Ground::start().await;
    let abandons = "queue.abandon-after=1s";
    let one = ground.instance_with("one", &[&PATIENT[..], &[abandons]].concat()).await;
    let other = ground.instance_with("other", &[abandons]).await;
    ground.followed_by(2).await;
    let held = other.lock("p", "first", json!({"ttl": "1h"})).await;
    let sleeps = one.acquires("p", "sleeper", json!({"queue": true, "wait": "20s", "request_id": "r-1"}));
    other.sees_waiting("p", 1).await;
    let waits = other.acquires("p", "awake", json!({"queue": true, "wait": "50s", "request_id": "r-2"}));
    other.sees_waiting("p", 2).await;
    one.pause();
    let handed = other.release(&held).await;
    assert_eq!(handed.body["granted_to"]["owner"]["id"], "sleeper", "{}", handed.text);
    // Its claim runs out, and the next has its turn.
    let awake = waits.await.unwrap().lock();
    assert!(awake["fencing_token"].as_u64() > handed.body["granted_to"]["fencing_token"].as_u64());
    one.resume();
    let told = sleeps.await.unwrap();
    is_problem(&told, 410, "unclaimed");
    assert_eq!(one.show(&awake).await.body["lock"]["owner"]["id"], "awake");
}

/// Requests that came while it was stopped are answered by what is so when it wakes up.
#[tokio::test]
async fn a_lease_that_ended_meanwhile_is_not_confirmed() {
    let ground = Ground::start().await;
    // A request that was read late is no slow client.
    let one = ground.instance_with("one", &[&PATIENT[..], &["http.header-timeout=30s"]].concat()).await;
    let other = ground.instance("other").await;
    let held = one.lock("p", "first", json!({"ttl": "500ms", "request_id": "r-1"})).await;
    one.pause();
    let (renews, asks, again) = {
        let clients = [(); 3].map(|()| one.another_client());
        let [renews, asks, again] = clients;
        let (renewed, asked) = (held.clone(), held.clone());
        (
            tokio::spawn(async move { renews.renew(&renewed, "1h").await }),
            tokio::spawn(async move {
                asks.get(&format!("/api/v1/locks/{}", asked["id"].as_str().unwrap())).await
            }),
            tokio::spawn(async move {
                again.acquire("p", "first", json!({"ttl": "500ms", "request_id": "r-1"})).await
            }),
        )
    };
    let second = other.acquire("p", "second", json!({"queue": true, "wait": "50s"})).await.lock();
    one.resume();
    for answer in [renews, asks, again] {
        is_problem(&answer.await.unwrap(), 410, "expired");
    }
    is_problem(&one.release(&held).await, 410, "expired");
    assert_eq!(one.show(&second).await.body["lock"]["owner"]["id"], "second");
}

/// The commit was made, and its instance stopped before it heard so: it looks again before it
/// confirms a lease that has ended since.
#[tokio::test]
async fn a_grant_that_was_heard_of_late_is_not_confirmed() {
    let ground = Ground::start().await;
    let proxy = Proxy::start(ground.redis.port());
    // It must not give the answer up before it stops.
    let one = Instance::launch("one", &[proxy.url()], &PATIENT);
    one.grants().await;
    let other = ground.instance("other").await;
    // Its document is known, so that the first that is asked of Redis is the commit.
    let before = one.lock("p", "before", json!({})).await;
    assert_eq!(one.release(&before).await.status, 200);
    proxy.silence(Direction::ToClient);
    let asks = one.acquires("p", "sleeper", json!({"ttl": "2s", "request_id": "r-1"}));
    eventually("the grant, as another instance sees it", async || {
        (other.locks().await.first()?["owner"]["id"] == "sleeper").then_some(())
    })
    .await;
    one.pause();
    proxy.heal();
    let second = other.acquire("p", "second", json!({"queue": true, "wait": "50s"})).await.lock();
    one.resume();
    let told = asks.await.unwrap();
    assert!(matches!(told.what(), (410, "expired") | (503, "outcome_unknown")), "{}", told.text);
    is_problem(&one.acquire("p", "sleeper", json!({"ttl": "2s", "request_id": "r-1"})).await, 410, "expired");
    assert_eq!(one.show(&second).await.body["lock"]["owner"]["id"], "second");
}
