//! The kill switch: in the environment, in the file, and while the server runs.

use super::{ended, serve};
use crate::support::{
    Client, EventStream, Raw, TestServer, acquire_body, eventually, is_problem, serve_command,
};
use serde_json::{Value, json};

async fn switch(client: &Client, on: bool) {
    let body = json!({"changes": {"enabled": on}, "reason": "a test"});
    let reply = client.send("PATCH", "/api/v1/config", Some(&body)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.body["changed"], json!([{"name": "enabled", "from": !on, "to": on}]));
}

/// What a server that was switched off says everywhere. `by`: by what.
async fn is_off(client: &Client, by: &str) {
    let refused = client.acquire("free", "me", json!({})).await;
    is_problem(&refused, 503, "shutting_down");
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains(by) && detail.contains("until it is turned on again"), "{detail}");
    assert!(!refused.header("retry-after").is_empty() && refused.header("connection") == "close");
    let queued = client.acquire("free", "me", json!({"queue": true, "wait": "10s"})).await;
    is_problem(&queued, 503, "shutting_down");
    let ready = client.get("/readyz").await;
    assert_eq!(
        (ready.status, &ready.body["phase"], &ready.body["can_grant"]),
        (503, &json!("draining"), &json!(false))
    );
    assert!(ready.body["reason"].as_str().unwrap().contains(by), "{}", ready.text);
    assert_eq!(client.get("/readyz?for=traffic").await.status, 503);
    let health = client.get("/healthz").await;
    assert_eq!((health.status, &health.body["enhanced_locking"]["enabled"]), (200, &json!(false)));
    assert_eq!(client.get("/api/locks/compatibility/status").await.body["enhanced_enabled"], false);
}

async fn is_on(client: &Client) {
    assert_eq!(client.get("/readyz").await.status, 200);
    assert_eq!(client.get("/readyz?for=traffic").await.status, 200);
    assert_eq!(client.get("/healthz").await.body["enhanced_locking"]["enabled"], true);
    assert_eq!(client.get("/api/locks/compatibility/status").await.body["enhanced_enabled"], true);
}

#[tokio::test]
async fn variables_switch_it_off_whatever_else_is_said() {
    for variable in [("DISABLE_ENHANCED_LOCKING", "true"), ("ATLANTIS_ENHANCED_LOCKING_ENABLED", "false")] {
        let server = TestServer::start_with(&[variable], &["--set", "enabled=true"]);
        is_off(&server.client(), &format!("switched off by environment {}", variable.0)).await;
        assert!(server.log().iter().any(|line| line.contains("grants nothing") && line.contains(variable.0)));
    }
    let server = TestServer::start_with(
        &[("DISABLE_ENHANCED_LOCKING", "no"), ("ATLANTIS_ENHANCED_LOCKING_ENABLED", "")],
        &[],
    );
    is_on(&server.client()).await;
}

#[tokio::test]
async fn a_word_that_says_neither_stops_the_start() {
    for name in ["DISABLE_ENHANCED_LOCKING", "ATLANTIS_ENHANCED_LOCKING_ENABLED"] {
        let directory = tempfile::tempdir().unwrap();
        let mut command = serve_command(&directory.path().join("data"), &[]);
        command.env(name, "perhaps");
        let refused = ended(command).await;
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(
            refused.err.contains(name) && refused.err.contains("true, false, 1, 0, yes or no"),
            "{refused:?}"
        );
    }
    let directory = tempfile::tempdir().unwrap();
    let refused = serve(&directory.path().join("data"), &["--set", "enabled=no"]).await;
    assert!(refused.code == Some(2) && refused.err.contains("true or false"), "{refused:?}");
}

#[tokio::test]
async fn a_server_that_is_off_from_the_start_keeps_what_was_held_and_queued() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let (lock, ticket) = {
        let server = TestServer::start_in(&data, &[]);
        let client = server.client();
        let lock = client.lock("p", "holder", json!({"ttl": "1h"})).await;
        (lock, client.queue("p", "next", json!({"queue_timeout": "1h"})).await)
    };
    let server = TestServer::start_in(&data, &["--set", "enabled=false", "--set", "sweep-interval=100ms"]);
    let client = server.client();
    is_off(&client, "switched off by --set enabled").await;
    assert_eq!(client.renew(&lock, "1h").await.status, 200);
    let released = client.release(&lock).await;
    assert_eq!((released.status, &released.body["granted_to"]), (200, &Value::Null), "{}", released.text);
    assert_eq!(client.poll(&ticket, "0s").await.ticket()["position"], 1);
    switch(&client, true).await;
    is_on(&client).await;
    assert_eq!(client.poll(&ticket, "30s").await.lock()["owner"]["id"], "next");
}

#[tokio::test]
async fn whoever_waits_is_sent_on_with_its_ticket_and_goes_on_when_it_is_on_again() {
    // A sweep would be too late: it is done at once.
    let server = TestServer::start(&["--drain-timeout", "3s", "--set", "sweep-interval=1m"]);
    let client = server.client();
    let lock = client.lock("p", "holder", json!({})).await;
    let mut events = EventStream::open(&client, "", None).await;
    let mut raw = Raw::connect(server.address()).await;
    let waits = json!({"queue": true, "wait": "50s", "request_id": "r"});
    raw.post("/api/v1/locks", &acquire_body("p", "next", waits)).await;
    eventually("it waits", async || (!client.queues().await.is_empty()).then_some(())).await;
    switch(&client, false).await;
    let reply = raw.reply(true).await;
    let body = reply.json();
    assert_eq!((reply.status, &body["status"]), (202, &json!("queued")), "{}", reply.head);
    assert!(reply.header("connection").eq_ignore_ascii_case("close"), "{}", reply.head);
    let ticket = body["ticket"].clone();
    is_off(&client, "switched off while running: a test").await;
    // What is read goes on, and so does what gives back.
    assert_eq!(client.release(&lock).await.body["granted_to"], Value::Null);
    assert_eq!(client.locks().await.len(), 0);
    assert_eq!(client.poll(&ticket, "10s").await.ticket()["id"], ticket["id"]);
    let mut seen = Vec::new();
    while !seen.contains(&"lock.released".to_owned()) {
        seen.push(events.next().await.kind);
    }
    assert!(seen.contains(&"phase.changed".to_owned()), "{seen:?}");
    assert!(!seen.contains(&"lock.reserved".to_owned()), "{seen:?}");
    switch(&client, true).await;
    is_on(&client).await;
    assert_eq!(client.poll(&ticket, "30s").await.lock()["owner"]["id"], "next");
}

#[tokio::test]
async fn what_could_have_been_granted_is_granted_though_nobody_asks() {
    let server = TestServer::start(&["--set", "sweep-interval=1m"]);
    let client = server.client();
    let lock = client.lock("p", "holder", json!({})).await;
    let ticket = client.queue("p", "next", json!({})).await;
    let mut events = EventStream::open(&client, "", None).await;
    switch(&client, false).await;
    assert_eq!(client.release(&lock).await.body["granted_to"], Value::Null);
    switch(&client, true).await;
    // What is followed is the stream: asking would have it looked at.
    let mut told = Vec::new();
    while told.last().is_none_or(|kind| kind != "lock.reserved") {
        told.push(events.next().await.kind);
    }
    assert_eq!(told, ["phase.changed", "lock.released", "phase.changed", "lock.reserved"]);
    // At once, not by the sweep.
    let overdue = client.metric("atlantis_enhanced_locking_sweep_overdue_total").await;
    assert!(overdue.is_none_or(|overdue| overdue == 0.0), "{overdue:?}");
    assert_eq!(client.poll(&ticket, "").await.lock()["owner"]["id"], "next");
}

#[tokio::test]
async fn nothing_is_granted_while_it_is_off_however_leases_end() {
    let server = TestServer::start(&["--set", "sweep-interval=100ms"]);
    let client = server.client();
    client.lock("p", "holder", json!({"ttl": "300ms"})).await;
    let ticket = client.queue("p", "next", json!({"attended": false, "queue_timeout": "1h"})).await;
    let short = client.queue("p", "short", json!({"attended": false, "queue_timeout": "500ms"})).await;
    switch(&client, false).await;
    // The lease ends, and so does the time of who waits: by themselves, as ever.
    eventually("the lease ends", async || client.locks().await.is_empty().then_some(())).await;
    eventually("a ticket gives up", async || {
        (client.poll(&short, "0s").await.what() == (410, "queue_timeout")).then_some(())
    })
    .await;
    assert_eq!(client.poll(&ticket, "0s").await.ticket()["position"], 1);
    assert_eq!(client.locks().await.len(), 0);
    switch(&client, true).await;
    eventually("it is granted", async || (client.locks().await.len() == 1).then_some(())).await;
}
