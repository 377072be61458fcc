//! Limits of each client and of all: who reaches one hears which, and what it allows.

use super::TestServer;
use crate::support::{Client, EventStream, Raw, Reply, acquire_body, eventually, is_problem};
use serde_json::json;

fn with_settings(settings: &str) -> (TestServer, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lockkeeper.yaml");
    std::fs::write(&file, settings).unwrap();
    (TestServer::start(&["--config", &file.display().to_string()]), directory)
}

/// It was refused by this limit, and says so.
fn is_refused(reply: &Reply, code: &str, limit: &str, value: u64) {
    is_problem(reply, 429, code);
    assert_eq!(
        (&reply.body["limit"], &reply.body["value"]),
        (&json!(limit), &json!(value)),
        "{}",
        reply.text
    );
    let detail = reply.body["detail"].as_str().unwrap();
    assert!(detail.contains(limit), "{detail}");
}

async fn refusals(client: &Client, limit: &str) -> f64 {
    let line = format!("atlantis_enhanced_locking_limit_refused_total{{limit=\"{limit}\"}}");
    client.metric(&line).await.unwrap_or(0.0)
}

#[tokio::test]
async fn the_feature_is_named() {
    let server = TestServer::start(&[]);
    let features = server.client().get("/version").await.body["features"].clone();
    assert!(features.as_array().unwrap().contains(&json!("limits")), "{features}");
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_refused_and_watching_is_free() {
    let (server, _file) = with_settings("rate-limit: {per-client: 1, burst: 3}\n");
    let client = server.client();
    let mut replies = Vec::new();
    for _ in 0..200 {
        replies.push(client.get("/version").await);
    }
    let refused: Vec<&Reply> = replies.iter().filter(|reply| reply.status != 200).collect();
    assert!(replies[..3].iter().all(|reply| reply.status == 200));
    assert!(refused.len() > 100, "{}", refused.len());
    for reply in refused {
        is_refused(reply, "rate_limited", "rate-limit.per-client", 1);
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        for _ in 0..10 {
            assert_eq!(client.get(path).await.status, 200, "{path}");
        }
    }
    assert!(refusals(&client, "rate-limit.per-client").await > 100.0);
    // A body that was sent is read, and the connection goes on.
    let mut raw = Raw::connect(server.address()).await;
    for _ in 0..3 {
        raw.post("/api/v1/locks", &acquire_body("a", "me", json!({"metadata": {"a": "x".repeat(1000)}})))
            .await;
        assert!([200, 429].contains(&raw.reply(true).await.status));
    }
}

#[tokio::test]
async fn an_acquire_too_many_is_refused_and_makes_nothing() {
    for (settings, limit) in [
        ("rate-limit: {per-client: 1, burst: 3}\n", "rate-limit.per-client"),
        ("rate-limit: {global: 1}\n", "rate-limit.global"),
    ] {
        let (server, _file) = with_settings(settings);
        let client = server.client();
        let (mut granted, mut refused) = (0, 0);
        for n in 0..100 {
            let reply = client.acquire(&format!("p{n}"), "me", json!({})).await;
            if reply.status == 200 {
                granted += 1;
            } else {
                is_refused(&reply, "rate_limited", limit, 1);
                refused += 1;
            }
        }
        assert!(granted >= 1 && refused > 50, "{granted} granted, {refused} refused");
        let locks = eventually("a list", async || {
            let listed = client.get("/api/v1/locks?limit=1000").await;
            (listed.status == 200).then_some(listed.body["locks"].clone())
        })
        .await;
        assert_eq!(locks.as_array().unwrap().len(), granted);
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_clients_are_told_apart() {
    for (settings, told_apart) in [
        ("rate-limit: {per-client: 1}\nhttp: {trusted-proxies: [127.0.0.1]}\n", true),
        ("rate-limit: {per-client: 1}\n", false),
    ] {
        let (server, _file) = with_settings(settings);
        let client = server.client();
        let mut refused = 0;
        for n in 0..100 {
            let claim = format!("203.0.113.250, 198.51.100.{n}");
            let reply = client.with_headers("GET", "/version", None, &[("x-forwarded-for", &claim)]).await;
            refused += usize::from(reply.status == 429);
        }
        assert_eq!(refused == 0, told_apart, "{refused}");
    }
}

#[tokio::test]
async fn the_limit_of_all_does_not_keep_anyone_from_renewing_and_releasing() {
    let (server, _file) = with_settings("rate-limit: {global: 2}\n");
    let client = server.client();
    let lock = client.lock("a", "me", json!({})).await;
    let mut refused = 0;
    for _ in 0..100 {
        let reply = client.get("/version").await;
        if reply.status == 429 {
            is_refused(&reply, "rate_limited", "rate-limit.global", 2);
            refused += 1;
        }
    }
    assert!(refused > 50, "{refused}");
    for _ in 0..20 {
        assert_eq!(client.renew(&lock, "1h").await.status, 200);
    }
    assert_eq!(client.release(&lock).await.status, 200);
}

#[tokio::test]
async fn tickets_of_a_namespace_and_of_all_are_bounded() {
    let (server, _file) = with_settings("queue: {max-tickets: 3, max-tickets-per-namespace: 2}\n");
    let client = server.client();
    for path in ["a", "b"] {
        client.lock(path, "holder", json!({})).await;
    }
    let other = json!({"resource": {"namespace": "acme/other"}, "owner": {"id": "holder"}});
    assert_eq!(client.post("/api/v1/locks", other).await.status, 200);
    let first = client.queue("a", "one", json!({})).await;
    client.queue("b", "one", json!({})).await;
    let ask = json!({"queue": true, "attended": false});
    let refused = client.acquire("a", "two", ask.clone()).await;
    is_refused(&refused, "queue_full", "queue.max-tickets-per-namespace", 2);
    // Who has a place keeps it, what is free is granted, and who does not queue hears who holds it.
    assert_eq!(client.acquire("a", "one", ask.clone()).await.ticket()["id"], first["id"]);
    assert_eq!(client.acquire("c", "two", ask.clone()).await.status, 200);
    is_problem(&client.acquire("a", "two", json!({})).await, 409, "held");
    let in_other = async |owner: &str| {
        let body = json!({"resource": {"namespace": "acme/other"}, "owner": {"id": owner}, "queue": true, "attended": false});
        client.post("/api/v1/locks", body).await
    };
    in_other("two").await.ticket();
    is_refused(&in_other("three").await, "queue_full", "queue.max-tickets", 3);
    assert_eq!(
        client.delete(&format!("/api/v1/tickets/{}", first["id"].as_str().unwrap())).await.status,
        204
    );
    in_other("three").await.ticket();
    assert_eq!(refusals(&client, "queue.max-tickets").await, 1.0);
    assert_eq!(refusals(&client, "queue.max-tickets-per-namespace").await, 1.0);
}

#[tokio::test]
async fn tickets_of_a_client_are_bounded() {
    let (server, _file) =
        with_settings("queue: {max-tickets-per-client: 2}\nhttp: {trusted-proxies: [127.0.0.1]}\n");
    let client = server.client();
    for path in ["a", "b", "c"] {
        client.lock(path, "holder", json!({})).await;
    }
    let ask = async |from: &str, path: &str| {
        let body = acquire_body(path, &format!("o{from}"), json!({"queue": true, "attended": false}));
        client.with_headers("POST", "/api/v1/locks", Some(&body), &[("x-forwarded-for", from)]).await
    };
    let first = ask("10.0.0.1", "a").await.ticket();
    ask("10.0.0.1", "b").await.ticket();
    is_refused(&ask("10.0.0.1", "c").await, "queue_full", "queue.max-tickets-per-client", 2);
    ask("10.0.0.2", "c").await.ticket();
    assert_eq!(ask("10.0.0.1", "a").await.ticket()["id"], first["id"]);
    assert_eq!(
        client.delete(&format!("/api/v1/tickets/{}", first["id"].as_str().unwrap())).await.status,
        204
    );
    ask("10.0.0.1", "c").await.ticket();
}

#[tokio::test]
async fn requests_of_a_client_that_wait_are_bounded() {
    let (server, _file) = with_settings("http: {max-waiting-per-client: 1}\n");
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    let ticket = client.queue("a", "polls", json!({})).await;
    let mut waiting = Raw::connect(server.address()).await;
    waiting.post("/api/v1/locks", &acquire_body("a", "waits", json!({"queue": true, "wait": "50s"}))).await;
    // It counts as waiting before it has its ticket.
    eventually("it waits in the queue", async || {
        (client.queues().await[0]["tickets_total"] == json!(2)).then_some(())
    })
    .await;
    let refused = client.poll(&ticket, "1s").await;
    is_refused(&refused, "rate_limited", "http.max-waiting-per-client", 1);
    let more = acquire_body("a", "more", json!({"queue": true, "wait": "1s"}));
    is_refused(&client.post("/api/v1/locks", more).await, "rate_limited", "http.max-waiting-per-client", 1);
    assert!(client.queues().await[0]["tickets"].as_array().unwrap().len() == 2);
    // Without a wait nobody has to stand in line.
    client.poll(&ticket, "").await.ticket();
    drop(waiting);
    eventually("its place is free", async || {
        (client.poll(&ticket, "100ms").await.status == 202).then_some(())
    })
    .await;
    assert_eq!(client.release(&lock).await.status, 200);
}

#[tokio::test]
async fn event_streams_of_a_client_are_bounded() {
    let (server, _file) = with_settings("events: {max-subscribers-per-client: 1}\n");
    let client = server.client();
    let stream = EventStream::open(&client, "", None).await;
    is_refused(&client.get("/api/v1/events").await, "rate_limited", "events.max-subscribers-per-client", 1);
    drop(stream);
    eventually("its place is free", async || {
        let response = client.request("GET", "/api/v1/events").send().await.unwrap();
        (response.status() == 200).then_some(())
    })
    .await;
}

/// What is bounded for all clients together says so in the same way.
#[tokio::test]
async fn bounds_of_the_whole_server_are_named_and_counted() {
    let (server, _file) = with_settings("http: {max-waiting: 1}\nevents: {max-subscribers: 1}\n");
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    let ticket = client.queue("a", "polls", json!({})).await;
    let mut waiting = Raw::connect(server.address()).await;
    waiting.post("/api/v1/locks", &acquire_body("a", "waits", json!({"queue": true, "wait": "50s"}))).await;
    eventually("it waits in the queue", async || {
        (client.queues().await[0]["tickets_total"] == json!(2)).then_some(())
    })
    .await;
    let _stream = EventStream::open(&client, "", None).await;
    for (reply, limit) in [
        (client.poll(&ticket, "1s").await, "http.max-waiting"),
        (client.get("/api/v1/events").await, "events.max-subscribers"),
    ] {
        is_problem(&reply, 503, "overloaded");
        assert_eq!(
            (&reply.body["limit"], &reply.body["value"]),
            (&json!(limit), &json!(1)),
            "{}",
            reply.text
        );
        assert!(reply.body["detail"].as_str().unwrap().contains(limit), "{}", reply.text);
        assert!(refusals(&client, limit).await >= 1.0, "{limit}");
    }
    assert_eq!(client.release(&lock).await.status, 200);
}
