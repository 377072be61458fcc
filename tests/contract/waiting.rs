//! Long polls, handoff to the client that waits, and grants to clients that are away.

use super::TestServer;
use crate::support::{Client, Reply, eventually, is_problem, millis_of};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// The server knows of this many clients that wait.
async fn waiting(client: &Client, number: u64) {
    eventually("clients wait", async || {
        let waiting = client.metric("atlantis_enhanced_locking_waiting_clients ").await?;
        (waiting == number as f64).then_some(())
    })
    .await;
}

/// So many tickets are in the queue, and their clients wait: a request counts as waiting before it
/// has a ticket, and what another instance does meanwhile goes before it.
async fn queued(client: &Client, number: usize) {
    eventually("tickets wait", async || {
        let queues = client.queues().await;
        (queues.first()?["tickets"].as_array()?.len() == number).then_some(())
    })
    .await;
    waiting(client, number as u64).await;
}

fn acquire(client: &Client, path: &str, owner: &str, more: Value) -> JoinHandle<Reply> {
    let (client, path, owner) = (client.clone(), path.to_owned(), owner.to_owned());
    tokio::spawn(async move { client.acquire(&path, &owner, more).await })
}

fn poll(client: &Client, ticket: &Value, wait: &'static str) -> JoinHandle<Reply> {
    let (client, ticket) = (client.clone(), ticket.clone());
    tokio::spawn(async move { client.poll(&ticket, wait).await })
}

#[tokio::test]
async fn a_release_hands_the_lock_to_the_client_that_waits() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    let waits = acquire(&client, "a", "me", json!({"queue": true, "wait": "50s"}));
    queued(&client, 1).await;
    let released = client.release(&lock).await;
    let next = &released.body["granted_to"];
    let handed_over = (&json!("me"), &json!(TestServer::HANDED_OVER));
    assert_eq!((&next["owner"]["id"], &next["state"]), handed_over, "{}", released.text);
    let got = waits.await.unwrap().lock();
    assert_eq!((&got["id"], &got["state"]), (&next["id"], &json!("held")));
    assert!(got["fencing_token"].as_u64() > lock["fencing_token"].as_u64());
}

#[tokio::test]
async fn a_poll_waits_for_the_grant_too() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    let ticket = client.queue("a", "me", json!({})).await;
    let waits = poll(&client, &ticket, "50s");
    waiting(&client, 1).await;
    client.release(&lock).await;
    let got = waits.await.unwrap().lock();
    assert_eq!((&got["owner"]["id"], &got["state"]), (&json!("me"), &json!("held")));
    // Asking again shows the lock while it lives, then its end.
    assert_eq!(client.poll(&ticket, "").await.lock()["id"], got["id"]);
    client.release(&got).await;
    is_problem(&client.poll(&ticket, "").await, 410, "released");
}

#[tokio::test]
async fn a_wait_that_ends_leaves_the_ticket_in_the_queue() {
    let server = TestServer::start(&[]);
    let client = server.client();
    client.lock("a", "holder", json!({})).await;
    let ticket = client.acquire("a", "me", json!({"queue": true, "wait": "100ms"})).await.ticket();
    assert_eq!(client.poll(&ticket, "100ms").await.ticket()["id"], ticket["id"]);
}

#[tokio::test]
async fn a_wait_above_the_servers_bound_is_shortened() {
    let server = TestServer::start(&["--set", "http.max-wait=100ms"]);
    let client = server.client();
    client.lock("a", "holder", json!({})).await;
    let ticket = client.acquire("a", "me", json!({"queue": true, "wait": "60s"})).await.ticket();
    client.poll(&ticket, "60s").await.ticket();
}

#[tokio::test]
async fn waiting_clients_are_served_in_the_order_of_the_queue() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let mut lock = client.lock("a", "holder", json!({})).await;
    let mut waits = Vec::new();
    for (n, priority) in ["low", "normal", "high"].iter().enumerate() {
        waits.push(acquire(
            &client,
            "a",
            priority,
            json!({"queue": true, "wait": "50s", "priority": priority}),
        ));
        queued(&client, n + 1).await;
    }
    for expected in waits.into_iter().rev() {
        let released = client.release(&lock).await;
        assert_eq!(released.status, 200, "{}", released.text);
        lock = expected.await.unwrap().lock();
    }
    assert_eq!(lock["owner"]["id"], "low");
}

#[tokio::test]
async fn a_grant_to_an_absent_client_is_reserved_until_it_is_fetched() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    let ticket = client.acquire("a", "me", json!({"queue": true, "ttl": "1h"})).await.ticket();
    client.release(&lock).await;
    let reserved = client.locks().await.remove(0);
    assert_eq!((&reserved["state"], &reserved["owner"]["id"]), (&json!("reserved"), &json!("me")));
    // It shows until when it can be fetched, and looking at it does not fetch it.
    let left = millis_of(&reserved["expires_at"]) - millis_of(&reserved["acquired_at"]);
    assert_eq!(left, 60_000, "{reserved}");
    let looked = client.get(&format!("/api/v1/locks/{}", reserved["id"].as_str().unwrap())).await;
    assert_eq!(looked.body["lock"]["state"], "reserved", "{}", looked.text);
    is_problem(&client.acquire("a", "other", json!({})).await, 409, "held");
    let claimed = client.poll(&ticket, "").await.lock();
    assert_eq!((&claimed["state"], &claimed["id"]), (&json!("held"), &reserved["id"]));
    assert_eq!(claimed["fencing_token"], reserved["fencing_token"]);
    // The lease begins now.
    let lease = millis_of(&claimed["expires_at"]) - millis_of(&claimed["renewed_at"]);
    assert_eq!(lease, 3_600_000, "{claimed}");
}

#[tokio::test]
async fn an_unattended_ticket_has_longer_to_fetch_its_lock() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    client.queue("a", "me", json!({})).await;
    let reserved = client.release(&lock).await.body["granted_to"].clone();
    let left = millis_of(&reserved["expires_at"]) - millis_of(&reserved["acquired_at"]);
    assert_eq!((&reserved["state"], left), (&json!("reserved"), 15 * 60_000));
    // The same acquire claims as well as the ticket.
    assert_eq!(client.acquire("a", "me", json!({"attended": false})).await.lock()["state"], "held");
}

#[tokio::test]
async fn what_is_not_fetched_goes_to_the_next() {
    let server = TestServer::start(&["--set", "queue.abandon-after=1s", "--set", "queue.claim-within=1s"]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    let absent = client.queue("a", "absent", json!({})).await;
    let next = client.queue("a", "next", json!({})).await;
    client.release(&lock).await;
    let got = client.poll(&next, "50s").await.lock();
    assert_eq!(got["owner"]["id"], "next");
    is_problem(&client.poll(&absent, "").await, 410, "unclaimed");
}

#[tokio::test]
async fn an_attended_ticket_that_nobody_asks_for_is_abandoned() {
    let server = TestServer::start(&["--set", "queue.abandon-after=1s"]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    let absent = client.acquire("a", "absent", json!({"queue": true, "priority": "high"})).await.ticket();
    let unattended = client.queue("a", "unattended", json!({})).await;
    // Looking at the queue is not asking for the ticket.
    eventually("the absent one leaves", async || {
        let queue = client.queues().await.remove(0);
        (queue["tickets"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    is_problem(&client.poll(&absent, "").await, 410, "abandoned");
    assert_eq!(client.release(&lock).await.body["granted_to"]["owner"]["id"], "unattended");
    client.poll(&unattended, "").await.lock();
}

#[tokio::test]
async fn a_ticket_that_is_asked_for_is_not_abandoned() {
    let server = TestServer::start(&["--set", "queue.abandon-after=1s"]);
    let client = server.client();
    client.lock("a", "holder", json!({})).await;
    let ticket = client.acquire("a", "me", json!({"queue": true})).await.ticket();
    let begun = millis_of(&ticket["enqueued_at"]);
    eventually("much longer than it may be absent", async || {
        let reply = client.poll(&ticket, "100ms").await;
        assert_eq!(reply.status, 202, "{}", reply.text);
        let now = client.get("/api/v1/locks").await.body["as_of"].clone();
        (millis_of(&now) > begun + 3_000).then_some(())
    })
    .await;
}

#[tokio::test]
async fn several_may_wait_with_one_ticket() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    let ticket = client.queue("a", "me", json!({})).await;
    let polls = [poll(&client, &ticket, "50s"), poll(&client, &ticket, "50s")];
    waiting(&client, 2).await;
    client.release(&lock).await;
    let mut ids = Vec::new();
    for poll in polls {
        ids.push(poll.await.unwrap().lock()["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn too_many_waiting_clients_are_refused() {
    let server = TestServer::start(&["--set", "http.max-waiting=1"]);
    // Each instance has its own clients.
    let client = server.client_of_one();
    let lock = client.lock("a", "holder", json!({})).await;
    let waits = acquire(&client, "a", "first", json!({"queue": true, "wait": "50s"}));
    waiting(&client, 1).await;
    is_problem(
        &client.acquire("a", "second", json!({"queue": true, "wait": "50s"})).await,
        503,
        "overloaded",
    );
    client.release(&lock).await;
    waits.await.unwrap().lock();
}

#[tokio::test]
async fn a_reserved_lock_can_be_released_by_its_token() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    let ticket = client.queue("a", "me", json!({})).await;
    let reserved = client.release(&lock).await.body["granted_to"].clone();
    assert_eq!(client.release(&reserved).await.status, 200);
    is_problem(&client.poll(&ticket, "").await, 410, "released");
}
