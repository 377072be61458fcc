//! Request ids: repeating a request tells what became of it.

use super::TestServer;
use crate::support::{acquire_body, eventually, is_problem};
use serde_json::{Value, json};

fn with(id: &str, more: Value) -> Value {
    let mut body = json!({"request_id": id, "reentrant": false});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn a_repeated_acquire_gets_its_lock_while_it_lives_and_then_its_end() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "me", with("r1", json!({}))).await;
    let again = client.lock("a", "me", with("r1", json!({}))).await;
    assert_eq!((&again["id"], &again["fencing_token"]), (&lock["id"], &lock["fencing_token"]));
    assert_eq!(client.release(&lock).await.status, 200);
    is_problem(&client.acquire("a", "me", with("r1", json!({}))).await, 410, "released");
    assert!(client.locks().await.is_empty(), "a repetition made a lock");
    let other = client.lock("a", "me", with("r2", json!({}))).await;
    assert_ne!(other["id"], lock["id"]);
    is_problem(&client.acquire("a", "me", with("r1", json!({}))).await, 410, "released");
}

#[tokio::test]
async fn another_body_under_the_same_id_is_refused() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "me", with("r1", json!({}))).await;
    for more in [
        json!({"ttl": "1h"}),
        json!({"priority": "high"}),
        json!({"mode": "shared"}),
        json!({"metadata": {"a": "b"}}),
        json!({"queue": true}),
        json!({"protected": true}),
    ] {
        is_problem(&client.acquire("a", "me", with("r1", more)).await, 409, "request_id_reused");
    }
    assert_eq!(client.locks().await[0]["id"], lock["id"]);
}

#[tokio::test]
async fn an_id_is_scoped_to_resource_and_owner() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "me", with("r1", json!({}))).await;
    let elsewhere = client.lock("b", "me", with("r1", json!({}))).await;
    assert_ne!(lock["id"], elsewhere["id"]);
    let other = client.acquire("a", "other", with("r1", json!({}))).await;
    assert_eq!(other.what(), (409, "held"), "{}", other.text);
}

#[tokio::test]
async fn a_refusal_is_not_remembered() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    assert_eq!(client.acquire("a", "me", with("r1", json!({}))).await.what(), (409, "held"));
    client.release(&lock).await;
    client.lock("a", "me", with("r1", json!({}))).await;
}

#[tokio::test]
async fn a_repeated_request_finds_its_ticket_its_lock_and_its_end() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let holder = client.lock("a", "holder", json!({})).await;
    let waiting = with("r1", json!({"queue": true, "attended": false}));
    let ticket = client.acquire("a", "me", waiting.clone()).await.ticket();
    client.queue("a", "behind", json!({})).await;
    let again = client.acquire("a", "me", waiting.clone()).await.ticket();
    assert_eq!((&again["id"], &again["position"]), (&ticket["id"], &json!(1)));
    // How long a repetition waits is its own affair.
    let mut waits = waiting.clone();
    waits["wait"] = "100ms".into();
    assert_eq!(client.acquire("a", "me", waits).await.ticket()["id"], ticket["id"]);
    client.release(&holder).await;
    let lock = client.acquire("a", "me", waiting.clone()).await.lock();
    assert_eq!((&lock["owner"]["id"], &lock["state"]), (&json!("me"), &json!("held")));
    assert_eq!(client.acquire("a", "me", waiting.clone()).await.lock()["id"], lock["id"]);
    client.release(&lock).await;
    is_problem(&client.acquire("a", "me", waiting).await, 410, "released");
}

#[tokio::test]
async fn a_cancelled_ticket_stays_cancelled() {
    let server = TestServer::start(&[]);
    let client = server.client();
    client.lock("a", "holder", json!({})).await;
    let waiting = with("r1", json!({"queue": true}));
    let ticket = client.acquire("a", "me", waiting.clone()).await.ticket();
    let gone = client.delete(&format!("/api/v1/tickets/{}", ticket["id"].as_str().unwrap())).await;
    assert_eq!(gone.status, 204, "{}", gone.text);
    is_problem(&client.acquire("a", "me", waiting).await, 410, "cancelled");
    assert!(client.queues().await[0]["tickets"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn an_expired_lease_is_told_as_such() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let body = with("r1", json!({"ttl": "100ms"}));
    client.lock("a", "me", body.clone()).await;
    let reply = eventually("the lease ends", async || {
        let reply = client.acquire("a", "me", body.clone()).await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    is_problem(&reply, 410, "expired");
}

#[tokio::test]
async fn ids_survive_a_kill() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "me", with("r1", json!({}))).await;
    let gone = client.lock("b", "me", with("r1", json!({}))).await;
    client.release(&gone).await;
    let server = server.restart();
    let client = server.client();
    assert_eq!(client.lock("a", "me", with("r1", json!({}))).await["id"], lock["id"]);
    is_problem(&client.acquire("b", "me", with("r1", json!({}))).await, 410, "released");
}

#[tokio::test]
async fn the_header_says_the_same_as_the_body() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let body = acquire_body("a", "me", json!({"reentrant": false}));
    let header = async |key: &str, body: &Value| {
        client.with_headers("POST", "/api/v1/locks", Some(body), &[("Idempotency-Key", key)]).await
    };
    let lock = header("r1", &body).await.lock();
    assert_eq!(header("r1", &body).await.lock()["id"], lock["id"]);
    assert_eq!(client.lock("a", "me", with("r1", json!({}))).await["id"], lock["id"]);
    is_problem(&header(&"x".repeat(129), &body).await, 400, "invalid_request");
    let both = acquire_body("a", "me", with("r2", json!({})));
    is_problem(&header("r3", &both).await, 400, "invalid_request");
}
