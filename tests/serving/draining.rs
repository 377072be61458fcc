//! The end of a server: load balancers first, then those who wait, then the process.

use crate::support::{Client, EventStream, Raw, Reply, TestServer, acquire_body, eventually, is_problem};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

async fn traffic(client: &Client) -> u16 {
    client.get("/readyz?for=traffic").await.status
}

async fn until_waiting(client: &Client, number: usize) {
    eventually("clients wait", async || {
        let metrics = client.get("/metrics").await.text;
        metrics.contains(&format!("atlantis_enhanced_locking_waiting_clients {number}\n")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn load_balancers_are_told_first_and_serving_goes_on() {
    let server = TestServer::start(&["--drain-delay", "5m"]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    server.terminate();
    eventually("traffic is turned away", async || (traffic(&client).await == 503).then_some(())).await;
    let ready = client.get("/readyz").await;
    assert_eq!(
        (&ready.body["phase"], &ready.body["can_grant"]),
        (&json!("draining"), &json!(true)),
        "{}",
        ready.text
    );
    assert_eq!(client.get("/healthz").await.status, 200);
    // Everything is served as before.
    client.lock("b", "me", json!({})).await;
    let ticket = client.queue("a", "me", json!({})).await;
    client.release(&lock).await;
    client.poll(&ticket, "").await.lock();
}

#[tokio::test]
async fn waiting_clients_are_answered_and_their_tickets_survive() {
    let mut server = TestServer::start(&["--drain-timeout", "6s"]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({"ttl": "1h"})).await;
    let mut stream = EventStream::open(&client, "", None).await;
    let mut raws = Vec::new();
    for n in 0..5 {
        let mut raw = Raw::connect(server.address()).await;
        let more =
            json!({"queue": true, "wait": "50s", "queue_timeout": "1h", "request_id": format!("r{n}")});
        raw.post("/api/v1/locks", &acquire_body("a", &format!("w{n}"), more)).await;
        raws.push(raw);
        until_waiting(&client, n + 1).await;
    }
    // A connection that is open and idle does not hold the server up.
    let _idle = Raw::connect(server.address()).await;
    let begun = Instant::now();
    server.terminate();
    let mut tickets = Vec::new();
    for raw in &mut raws {
        let reply = raw.reply(true).await;
        let body = reply.json();
        assert_eq!((reply.status, &body["status"]), (202, &json!("queued")), "{}", reply.head);
        assert!(reply.header("connection").eq_ignore_ascii_case("close"), "{}", reply.head);
        tickets.push(body["ticket"].clone());
        assert!(raw.closed().await.is_empty());
    }
    assert_eq!(stream.next().await.kind, "ticket.queued");
    let status = server.ended().await;
    assert_eq!(status.code(), Some(0), "{:?}", server.log());
    assert!(begun.elapsed() < Duration::from_secs(60), "longer than any drain");

    let server = server.restart();
    let client = server.client();
    for (n, ticket) in tickets.iter().enumerate() {
        assert_eq!(client.poll(ticket, "").await.ticket()["position"], n + 1);
    }
    assert_eq!(client.release(&lock).await.body["granted_to"]["owner"]["id"], "w0");
}

/// Sends until an answer came or the server has closed its door.
async fn ask(client: &Client, method: &str, path: &str, body: Option<&Value>) -> Option<Reply> {
    client.try_send(method, path, body).await.ok()
}

#[tokio::test]
async fn new_acquires_are_refused_while_others_drain() {
    let mut server = TestServer::start(&["--drain-timeout", "30s"]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    // Those who wait are let go one by one over a third of the timeout: time to look around.
    let mut raws = Vec::new();
    for n in 0..10 {
        let mut raw = Raw::connect(server.address()).await;
        raw.post(
            "/api/v1/locks",
            &acquire_body("a", &format!("w{n}"), json!({"queue": true, "wait": "50s"})),
        )
        .await;
        raws.push(raw);
        until_waiting(&client, n + 1).await;
    }
    server.terminate();
    let refused = eventually("acquires are refused", async || {
        let body = acquire_body("b", "late", json!({}));
        let reply = ask(&client, "POST", "/api/v1/locks", Some(&body)).await?;
        match reply.status {
            503 => Some(reply),
            _ => {
                client.release(&reply.lock()).await;
                None
            }
        }
    })
    .await;
    is_problem(&refused, 503, "shutting_down");
    assert_eq!(refused.header("connection").to_ascii_lowercase(), "close");
    let queued = acquire_body("a", "late", json!({"queue": true, "wait": "50s"}));
    is_problem(&client.post("/api/v1/locks", queued).await, 503, "shutting_down");
    assert_eq!(client.get("/readyz").await.status, 503);
    // Reads, renewals and releases go on.
    assert_eq!(client.get("/api/v1/locks").await.body["locks"][0]["id"], lock["id"]);
    assert_eq!(client.renew(&lock, "1h").await.status, 200);
    let released = client.release(&lock).await;
    assert_eq!(released.status, 200, "{}", released.text);
    // A second signal ends it at once.
    server.terminate();
    server.ended().await;
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let mut server = TestServer::start(&["--drain-delay", "5m"]);
    let client = server.client();
    assert_eq!(traffic(&client).await, 200);
    server.terminate();
    eventually("it is leaving", async || (traffic(&client).await == 503).then_some(())).await;
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0), "{:?}", server.log());
}

#[tokio::test]
async fn an_idle_server_ends_at_once_and_with_code_0() {
    for flags in [&[][..], &["--log-format", "json"]] {
        let mut server = TestServer::start(flags);
        server.client().lock("a", "me", json!({})).await;
        let begun = Instant::now();
        server.terminate();
        assert_eq!(server.ended().await.code(), Some(0), "{:?}", server.log());
        // Far below the drain timeout of 10 s and the keep-alive of 75 s.
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
        assert!(!server.data_dir().join("control.sock").exists(), "the control socket is taken away");
    }
}

#[tokio::test]
async fn an_interrupt_drains_like_a_term() {
    let mut server = TestServer::start(&[]);
    server.client().lock("a", "me", json!({})).await;
    let pid = rustix::process::Pid::from_raw(server.pid() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(server.ended().await.code(), Some(0), "{:?}", server.log());
}

#[tokio::test]
async fn a_signal_right_after_the_start_drains_too() {
    for _ in 0..20 {
        let mut server = TestServer::start(&[]);
        server.terminate();
        assert_eq!(server.ended().await.code(), Some(0), "{:?}", server.log());
    }
}
