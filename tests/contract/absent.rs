//! Clients that go away while their request waits.

use super::TestServer;
use crate::support::{Client, Raw, acquire_body, eventually, is_problem};
use serde_json::{Value, json};

async fn tickets(client: &Client) -> Vec<Value> {
    client.get("/api/v1/tickets").await.body["tickets"].as_array().unwrap().clone()
}

async fn until_waiting(client: &Client, number: usize) -> Vec<Value> {
    eventually("tickets wait", async || {
        let tickets = tickets(client).await;
        (tickets.len() == number).then_some(tickets)
    })
    .await
}

#[tokio::test]
async fn without_a_request_id_the_ticket_is_cancelled_at_once() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    let mut raw = Raw::connect(server.address()).await;
    raw.post(
        "/api/v1/locks",
        &acquire_body("a", "gone", json!({"queue": true, "wait": "50s", "queue_timeout": "1h"})),
    )
    .await;
    let ticket = until_waiting(&client, 1).await.remove(0);
    let next = client.queue("a", "next", json!({})).await;
    drop(raw);
    let end = eventually("the ticket goes", async || {
        let reply = client.poll(&ticket, "").await;
        (reply.status != 202).then_some(reply)
    })
    .await;
    assert_eq!(end.status, 410, "{}", end.text);
    assert_eq!(client.release(&lock).await.body["granted_to"]["owner"]["id"], "next");
    client.poll(&next, "").await.lock();
}

#[tokio::test]
async fn with_a_request_id_the_place_is_kept_and_can_be_asked_for() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    let body = acquire_body(
        "a",
        "gone",
        json!({"queue": true, "wait": "50s", "queue_timeout": "1h", "request_id": "r1"}),
    );
    let mut raw = Raw::connect(server.address()).await;
    raw.post("/api/v1/locks", &body).await;
    let ticket = until_waiting(&client, 1).await.remove(0);
    drop(raw);
    eventually("the server notices", async || {
        (client.metric("atlantis_enhanced_locking_client_gone_total ").await? == 1.0).then_some(())
    })
    .await;
    assert_eq!(tickets(&client).await[0]["id"], ticket["id"]);
    let next = client.release(&lock).await.body["granted_to"].clone();
    assert_eq!((&next["owner"]["id"], &next["state"]), (&json!("gone"), &json!("reserved")));
    let lock = client.post("/api/v1/locks", body).await.lock();
    assert_eq!((&lock["id"], &lock["state"]), (&next["id"], &json!("held")));
}

#[tokio::test]
async fn a_poll_that_breaks_off_keeps_the_ticket() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    let ticket = client.acquire("a", "me", json!({"queue": true, "request_id": "r1"})).await.ticket();
    let mut raw = Raw::connect(server.address()).await;
    raw.ask("GET", &format!("/api/v1/tickets/{}?wait=50s", ticket["id"].as_str().unwrap())).await;
    eventually("the poll waits", async || {
        (client.metric("atlantis_enhanced_locking_waiting_clients ").await? == 1.0).then_some(())
    })
    .await;
    drop(raw);
    eventually("the server notices", async || {
        (client.metric("atlantis_enhanced_locking_waiting_clients ").await? == 0.0).then_some(())
    })
    .await;
    assert_eq!(client.release(&lock).await.body["granted_to"]["state"], "reserved");
    assert_eq!(client.poll(&ticket, "").await.lock()["state"], "held");
}

#[tokio::test]
async fn many_that_leave_at_once_leave_nothing_behind() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    let mut raws = Vec::new();
    for n in 0..50 {
        let mut raw = Raw::connect(server.address()).await;
        raw.post(
            "/api/v1/locks",
            &acquire_body("a", &format!("o{n}"), json!({"queue": true, "wait": "50s"})),
        )
        .await;
        raws.push(raw);
    }
    until_waiting(&client, 50).await;
    drop(raws);
    eventually("all have left", async || tickets(&client).await.is_empty().then_some(())).await;
    assert_eq!(client.release(&lock).await.body["granted_to"], Value::Null);
    client.lock("a", "next", json!({})).await;
}

#[tokio::test]
async fn a_half_sent_request_changes_nothing() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let body = acquire_body("a", "me", json!({})).to_string();
    for sent in [0, 1, body.len() / 2, body.len() - 1] {
        let mut raw = Raw::connect(server.address()).await;
        let head = "POST /api/v1/locks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json";
        raw.send(format!("{head}\r\nContent-Length: {}\r\n\r\n{}", body.len(), &body[..sent])).await;
        drop(raw);
    }
    client.lock("b", "me", json!({})).await;
    assert_eq!(client.locks().await.len(), 1);
    is_problem(&client.get("/api/v1/locks/x").await, 400, "invalid_request");
}
