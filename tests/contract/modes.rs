//! Modes: exclusive, shared, counted.

use super::TestServer;
use crate::support::is_problem;
use serde_json::json;

#[tokio::test]
async fn shared_holders_stand_together_and_exclude_the_exclusive() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let shared = json!({"mode": "shared"});
    let locks = [client.lock("a", "r1", shared.clone()).await, client.lock("a", "r2", shared.clone()).await];
    assert_eq!(locks[0]["mode"], "shared");
    assert_ne!(locks[0]["fencing_token"], locks[1]["fencing_token"]);
    let refused = client.acquire("a", "w", json!({})).await;
    is_problem(&refused, 409, "held");
    assert_eq!(refused.body["holders"].as_array().unwrap().len(), 2);
    let writer = client.queue("a", "w", json!({})).await;
    // A reader that comes later waits behind the writer, or writers would starve.
    let late = client.queue("a", "r3", shared.clone()).await;
    assert_eq!((&writer["position"], &late["position"]), (&json!(1), &json!(2)));
    let refused = client.acquire("a", "r4", shared.clone()).await;
    is_problem(&refused, 409, "held");
    assert!(client.release(&locks[0]).await.body["granted_to"].is_null());
    assert_eq!(client.release(&locks[1]).await.body["granted_to"]["owner"]["id"], "w");
    let writer = client.poll(&writer, "").await.lock();
    assert_eq!(client.release(&writer).await.body["granted_to"]["owner"]["id"], "r3");
}

#[tokio::test]
async fn waiting_readers_are_granted_together() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let writer = client.lock("a", "w", json!({})).await;
    let mut readers = Vec::new();
    for n in 0..3 {
        readers.push(client.queue("a", &format!("r{n}"), json!({"mode": "shared"})).await);
    }
    client.release(&writer).await;
    for reader in &readers {
        client.poll(reader, "").await.lock();
    }
}

#[tokio::test]
async fn a_counted_resource_has_as_many_holders_as_its_limit() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let counted = json!({"mode": "counted", "limit": 3});
    let mut locks = Vec::new();
    for n in 0..3 {
        locks.push(client.lock("a", &format!("o{n}"), counted.clone()).await);
    }
    is_problem(&client.acquire("a", "o3", counted.clone()).await, 409, "held");
    let ticket = client.queue("a", "o4", counted.clone()).await;
    assert_eq!(client.release(&locks[1]).await.body["granted_to"]["owner"]["id"], "o4");
    client.poll(&ticket, "").await.lock();
    assert_eq!(client.locks().await.len(), 3);
}

#[tokio::test]
async fn limits_must_be_equal_among_holders_and_waiters() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let holder = client.lock("a", "o1", json!({"mode": "counted", "limit": 1})).await;
    is_problem(
        &client.acquire("a", "o2", json!({"mode": "counted", "limit": 3})).await,
        409,
        "mode_conflict",
    );
    let ticket = client.queue("a", "o3", json!({"mode": "counted", "limit": 1})).await;
    client.release(&holder).await;
    is_problem(
        &client.acquire("a", "o2", json!({"mode": "counted", "limit": 3, "queue": true})).await,
        409,
        "mode_conflict",
    );
    let lock = client.poll(&ticket, "").await.lock();
    client.release(&lock).await;
    client.lock("a", "o2", json!({"mode": "counted", "limit": 3})).await;
}

#[tokio::test]
async fn an_exclusive_one_keeps_all_others_out() {
    let server = TestServer::start(&[]);
    let client = server.client();
    client.lock("a", "w", json!({})).await;
    for more in [json!({}), json!({"mode": "shared"}), json!({"mode": "counted", "limit": 5})] {
        let refused = client.acquire("a", "other", more.clone()).await;
        assert_eq!(refused.status, 409, "{more}: {}", refused.text);
    }
    assert_eq!(client.locks().await.len(), 1);
}
