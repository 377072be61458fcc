//! What a restart keeps.

use crate::support::TestServer;
use serde_json::{Value, json};

#[tokio::test]
async fn locks_tickets_and_tokens_outlive_kills_and_stops() {
    let mut server = TestServer::start(&[]);
    let hold = server.client().lock("hold", "me", json!({"ttl": "0s", "metadata": {"a": "b"}})).await;
    let ticket = server.client().queue("hold", "next", json!({})).await;
    let mut last = 0;
    for round in 0..6 {
        let client = server.client();
        let found = client.get(&format!("/api/v1/locks/{}", hold["id"].as_str().unwrap())).await;
        assert_eq!(found.status, 200, "{}", found.text);
        for member in
            ["fencing_token", "owner", "resource", "acquired_at", "expires_at", "metadata", "priority"]
        {
            assert_eq!(found.body["lock"][member], hold[member], "{member}");
        }
        assert_eq!(client.poll(&ticket, "").await.ticket()["position"], 1);
        let lock = client.lock("churn", &format!("o{round}"), json!({})).await;
        let token = lock["fencing_token"].as_u64().unwrap();
        assert!(token > last, "{token} after {last} in round {round}");
        last = token;
        client.release(&lock).await;
        if round % 2 == 0 {
            server.terminate();
            assert!(server.ended().await.success());
        }
        server = server.restart();
    }
    let released = server.client().release(&hold).await;
    assert_eq!(released.body["granted_to"]["owner"]["id"], "next");
}

#[tokio::test]
async fn tokens_grow_though_the_clock_is_set_back_and_documents_were_forgotten() {
    // Without a way to set the clock: many resources come and go, over several starts.
    let mut server =
        TestServer::start(&["--set", "actors.rest-after=100ms", "--set", "sweep-interval=100ms"]);
    let mut last: Vec<u64> = vec![0; 20];
    for _ in 0..3 {
        let client = server.client();
        for (n, last) in last.iter_mut().enumerate() {
            let lock = client.lock(&format!("p{n}"), "me", json!({})).await;
            let token = lock["fencing_token"].as_u64().unwrap();
            assert!(token > *last);
            *last = token;
            client.release(&lock).await;
        }
        server = server.restart();
    }
}

#[tokio::test]
async fn a_client_that_polls_through_a_restart_gets_its_turn() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    let ticket = client.acquire("a", "me", json!({"queue": true, "request_id": "r1"})).await.ticket();
    let server = server.restart();
    let client = server.client();
    assert_eq!(client.poll(&ticket, "").await.ticket()["id"], ticket["id"]);
    let released = client.release(&lock).await;
    assert_eq!(
        (&released.body["granted_to"]["owner"]["id"], released.body["granted_to"].is_null()),
        (&json!("me"), false)
    );
    let got = client.poll(&ticket, "10s").await.lock();
    assert_eq!(got["state"], Value::from("held"));
}
