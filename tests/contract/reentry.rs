//! Re-entry: one lock or ticket per resource and owner.

use super::TestServer;
use crate::support::millis_of;
use serde_json::json;

#[tokio::test]
async fn asking_again_returns_the_same_lock_and_one_release_ends_it() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "me", json!({})).await;
    let again = client.acquire("a", "me", json!({})).await;
    assert_eq!(again.body["reentrant"], true, "{}", again.text);
    let second = again.lock();
    assert_eq!((&second["id"], &second["fencing_token"]), (&lock["id"], &lock["fencing_token"]));
    assert_eq!(client.release(&lock).await.status, 200);
    assert_eq!(client.release(&lock).await.what(), (410, "released"));
    assert_eq!(client.acquire("a", "other", json!({})).await.status, 200);
}

#[tokio::test]
async fn the_lease_may_grow_and_never_shrinks() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "me", json!({"ttl": "1h"})).await;
    let end = millis_of(&lock["expires_at"]);
    let shorter = client.lock("a", "me", json!({"ttl": "1m"})).await;
    assert!(millis_of(&shorter["expires_at"]) >= end, "{shorter}");
    let longer = client.lock("a", "me", json!({"ttl": "2h"})).await;
    assert!(millis_of(&longer["expires_at"]) >= end + 3_600_000, "{longer}");
    let hold = client.lock("a", "me", json!({"ttl": "0s"})).await;
    assert!(hold["expires_at"].is_null(), "{hold}");
    let leased = client.lock("a", "me", json!({"ttl": "1m"})).await;
    assert!(leased["expires_at"].is_null(), "a hold became shorter: {leased}");
}

#[tokio::test]
async fn without_reentry_the_holder_is_refused_or_waits_like_anyone() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "me", json!({})).await;
    let refused = client.acquire("a", "me", json!({"reentrant": false})).await;
    assert_eq!(refused.what(), (409, "held"), "{}", refused.text);
    assert_eq!(refused.body["holders"][0]["owner"]["id"], "me");
    let ticket = client.queue("a", "me", json!({"reentrant": false})).await;
    let released = client.release(&lock).await;
    assert_eq!(released.body["granted_to"]["owner"]["id"], "me", "{}", released.text);
    let second = client.poll(&ticket, "").await.lock();
    assert_ne!(second["id"], lock["id"]);
    assert!(second["fencing_token"].as_u64() > lock["fencing_token"].as_u64());
}

#[tokio::test]
async fn a_ticket_keeps_its_place() {
    let server = TestServer::start(&[]);
    let client = server.client();
    client.lock("a", "holder", json!({})).await;
    let first = client.queue("a", "first", json!({})).await;
    let second = client.queue("a", "second", json!({})).await;
    let again = client.queue("a", "first", json!({})).await;
    assert_eq!((&again["id"], &again["position"]), (&first["id"], &json!(1)));
    let again = client.queue("a", "second", json!({})).await;
    assert_eq!((&again["id"], &again["position"]), (&second["id"], &json!(2)));
    // Whoever has a ticket and does not want to queue is not free to go past it.
    let refused = client.acquire("a", "third", json!({})).await;
    assert_eq!(refused.what(), (409, "held"));
}

#[tokio::test]
async fn shared_and_counted_holders_count_once() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let counted = json!({"mode": "counted", "limit": 2});
    let first = client.lock("a", "first", counted.clone()).await;
    assert_eq!(client.lock("a", "first", counted.clone()).await["id"], first["id"]);
    client.lock("a", "second", counted.clone()).await;
    assert_eq!(client.acquire("a", "third", counted.clone()).await.what(), (409, "held"));
}
