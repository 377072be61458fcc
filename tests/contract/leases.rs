//! Leases: their end, renewals, holds.

use super::{NOBODY, TestServer};
use crate::support::{Client, Reply, eventually, is_problem, millis_of};
use serde_json::{Value, json};

async fn expired(client: &Client, lock: &Value) -> Reply {
    eventually("the lease ends", async || {
        let reply = client.get(&format!("/api/v1/locks/{}", lock["id"].as_str().unwrap())).await;
        (reply.status != 200).then_some(reply)
    })
    .await
}

#[tokio::test]
async fn after_its_end_every_use_of_the_lock_is_gone() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "me", json!({"ttl": "100ms"})).await;
    is_problem(&expired(&client, &lock).await, 410, "expired");
    is_problem(&client.renew(&lock, "1m").await, 410, "expired");
    is_problem(&client.release(&lock).await, 410, "expired");
    assert!(client.locks().await.is_empty());
    // A store that is shared gives a grace to clocks before the next one gets it.
    let next = client.lock("a", "other", json!({"queue": true, "wait": "30s"})).await;
    assert!(next["fencing_token"].as_u64() > lock["fencing_token"].as_u64());
}

#[tokio::test]
async fn the_next_ticket_gets_it_when_the_lease_ends() {
    let server = TestServer::start(&[]);
    let client = server.client();
    client.lock("a", "dead", json!({"ttl": "200ms"})).await;
    let got = client.acquire("a", "next", json!({"queue": true, "wait": "30s"})).await.lock();
    assert_eq!((&got["owner"]["id"], &got["state"]), (&json!("next"), &json!("held")));
}

#[tokio::test]
async fn a_renewal_counts_from_now_and_keeps_the_token() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "me", json!({"ttl": "10m"})).await;
    let renewed = client.renew(&lock, "1h").await;
    assert_eq!(renewed.status, 200, "{}", renewed.text);
    let renewed = &renewed.body["lock"];
    assert_eq!((&renewed["id"], &renewed["fencing_token"]), (&lock["id"], &lock["fencing_token"]));
    assert_eq!(millis_of(&renewed["expires_at"]) - millis_of(&renewed["renewed_at"]), 3_600_000);
    assert!(millis_of(&renewed["renewed_at"]) >= millis_of(&lock["renewed_at"]));
    assert_eq!(renewed["acquired_at"], lock["acquired_at"]);
    // Without a ttl: as it was last.
    let again = client.renew(&lock, "").await;
    let again = &again.body["lock"];
    assert_eq!(millis_of(&again["expires_at"]) - millis_of(&again["renewed_at"]), 3_600_000, "{again}");
}

#[tokio::test]
async fn renewals_keep_a_short_lease_alive() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "me", json!({"ttl": "3s"})).await;
    let first_end = millis_of(&lock["expires_at"]);
    eventually("it lives beyond its first end", async || {
        let renewed = client.renew(&lock, "3s").await;
        assert_eq!(renewed.status, 200, "{}", renewed.text);
        (millis_of(&renewed.body["lock"]["renewed_at"]) > first_end).then_some(())
    })
    .await;
}

#[tokio::test]
async fn only_the_token_renews() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "me", json!({"ttl": "10m"})).await;
    for token in [json!(0), json!(1), json!(lock["fencing_token"].as_u64().unwrap() + 1)] {
        let mut forged = lock.clone();
        forged["fencing_token"] = token.clone();
        let reply = client.renew(&forged, "1h").await;
        assert!(
            matches!(reply.what(), (409, "stale_token") | (400, "invalid_request")),
            "{token}: {}",
            reply.text
        );
        if token != json!(0) {
            is_problem(&reply, 409, "stale_token");
        }
    }
    let now = client.get(&format!("/api/v1/locks/{}", lock["id"].as_str().unwrap())).await;
    assert_eq!(now.body["lock"]["expires_at"], lock["expires_at"]);
    let nobody = client.renew(&json!({"id": NOBODY, "fencing_token": 7}), "").await;
    is_problem(&nobody, 404, "not_found");
}

#[tokio::test]
async fn the_configured_maximum_bounds_every_lease() {
    let server = TestServer::start(&["--set", "max-timeout=1h"]);
    let client = server.client();
    let lock = client.lock("a", "me", json!({"ttl": "1h"})).await;
    let refused = client.acquire("b", "me", json!({"ttl": "1h1s"})).await;
    is_problem(&refused, 400, "invalid_request");
    assert_eq!(refused.fields(), ["ttl"]);
    let refused = client.renew(&lock, "2h").await;
    is_problem(&refused, 400, "invalid_request");
    assert_eq!(refused.fields(), ["ttl"]);
}

#[tokio::test]
async fn a_hold_stays_until_released_and_renewals_may_make_it_a_lease() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "me", json!({"ttl": "0s"})).await;
    let renewed = client.renew(&lock, "").await;
    assert!(renewed.status == 200 && renewed.body["lock"]["expires_at"].is_null(), "{}", renewed.text);
    let leased = client.lock("b", "me", json!({"ttl": "1m"})).await;
    let hold = client.renew(&leased, "0s").await;
    assert!(hold.status == 200 && hold.body["lock"]["expires_at"].is_null(), "{}", hold.text);
}

#[tokio::test]
async fn leases_run_on_over_a_restart() {
    let server = TestServer::start(&[]);
    let lock = server.client().lock("a", "me", json!({"ttl": "1h"})).await;
    let short = server.client().lock("b", "me", json!({"ttl": "100ms"})).await;
    let server = server.restart();
    let client = server.client();
    let found = client.get(&format!("/api/v1/locks/{}", lock["id"].as_str().unwrap())).await;
    assert_eq!(found.body["lock"]["expires_at"], lock["expires_at"], "{}", found.text);
    is_problem(&expired(&client, &short).await, 410, "expired");
}
