//! `GET /api/v1/events`: server-sent events, resumed where they broke off.

use super::TestServer;
use crate::support::{EventStream, eventually, has_members, is_problem, is_time};
use serde_json::json;

/// The stream is registered with the server: what happens from now on is on it. With several
/// instances always with the same one, which alone knows its numbers.
async fn open(server: &TestServer, query: &str, last: Option<&str>) -> EventStream {
    EventStream::open(&server.client_of_one(), query, last).await
}

#[tokio::test]
async fn the_life_of_locks_and_tickets_is_told_in_order() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let mut stream = open(&server, "", None).await;
    let lock = client.lock("a", "holder", json!({"ttl": "1h"})).await;
    client.renew(&lock, "2h").await;
    client.queue("a", "next", json!({})).await;
    let dropped = client.queue("a", "dropped", json!({})).await;
    client.delete(&format!("/api/v1/tickets/{}", dropped["id"].as_str().unwrap())).await;
    client.release(&lock).await;
    let reserved = client.locks().await.remove(0);
    let force = format!("/api/v1/locks/{}/force-release", reserved["id"].as_str().unwrap());
    client.post(&force, json!({"reason": "stuck"})).await;
    client.lock("b", "short", json!({"ttl": "100ms"})).await;
    client.lock("c", "holder", json!({})).await;
    client.acquire("c", "late", json!({"queue": true, "queue_timeout": "100ms"})).await.ticket();

    let expected = [
        "lock.acquired",
        "lock.renewed",
        "ticket.queued",
        "ticket.queued",
        "ticket.cancelled",
        "lock.released",
        "lock.reserved",
        "lock.forced",
        "lock.acquired",
    ];
    let mut ids = Vec::new();
    for kind in expected {
        let event = stream.next().await;
        assert_eq!(event.kind, kind, "{event:?}");
        assert!(event.data.to_string().contains("acme/infra"), "{event:?}");
        assert!(event.data.as_object().unwrap().values().any(is_time), "no time in {event:?}");
        has_members(&event.data, &[if kind.starts_with("lock") { "lock" } else { "ticket" }]);
        ids.push(event.id);
    }
    // These come when their time has come; acquired and queued stand between them.
    let mut rest = vec![
        stream.next().await.kind,
        stream.next().await.kind,
        stream.next().await.kind,
        stream.next().await.kind,
    ];
    rest.sort_unstable();
    assert_eq!(rest, ["lock.acquired", "lock.expired", "ticket.queued", "ticket.timed_out"]);
    assert_eq!(stream.retry.as_deref(), Some("2000"));

    let parse = |id: &str| {
        id.rsplit_once('.').map(|(instance, n)| (instance.to_owned(), n.parse::<u64>().unwrap())).unwrap()
    };
    let parsed: Vec<_> = ids.iter().map(|id| parse(id)).collect();
    assert!(parsed.windows(2).all(|pair| pair[0].0 == pair[1].0 && pair[1].1 > pair[0].1), "{ids:?}");

    // A stream that broke off goes on after the last event it saw.
    let mut resumed = open(&server, "", Some(&ids[3])).await;
    for (kind, id) in expected.iter().zip(&ids).skip(4) {
        let event = resumed.next().await;
        assert_eq!((event.kind.as_str(), &event.id), (*kind, id));
    }
}

#[tokio::test]
async fn an_unclaimed_lock_is_told() {
    let server =
        TestServer::start(&["--set", "queue.abandon-after=200ms", "--set", "queue.claim-within=200ms"]);
    let client = server.client();
    let mut stream = open(&server, "?type=ticket.unclaimed", None).await;
    let lock = client.lock("a", "holder", json!({})).await;
    client.queue("a", "absent", json!({})).await;
    client.release(&lock).await;
    assert!(stream.next().await.data.to_string().contains("absent"));
}

#[tokio::test]
async fn filters_keep_others_out() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let mut of_type = open(&server, "?type=lock.released", None).await;
    let mut of_namespace = open(&server, "?namespace=acme/infra-2", None).await;
    let lock = client.lock("a", "me", json!({})).await;
    let other = json!({"resource": {"namespace": "acme/infra-2"}, "owner": {"id": "me"}});
    client.post("/api/v1/locks", other).await.lock();
    client.release(&lock).await;
    let event = of_type.next().await;
    assert_eq!(event.kind, "lock.released");
    let event = of_namespace.next().await;
    assert_eq!(
        (event.kind.as_str(), event.data.to_string().contains("acme/infra-2")),
        ("lock.acquired", true)
    );
    for (query, field) in
        [("?type=lock.lost", "type"), ("?type=", "type"), ("?namespace=", "namespace"), ("?since=1", "since")]
    {
        let refused = client.get(&format!("/api/v1/events{query}")).await;
        is_problem(&refused, 400, "invalid_request");
        assert_eq!(refused.fields(), [field], "{query}");
    }
}

#[tokio::test]
async fn what_is_too_old_or_foreign_is_gone() {
    let server = TestServer::start(&["--set", "events.ring-size=16"]);
    let client = server.client();
    let mut stream = open(&server, "", None).await;
    let lock = client.lock("a", "me", json!({})).await;
    let first = stream.next_of("lock.acquired").await.id;
    for _ in 0..40 {
        client.renew(&lock, "1h").await;
    }
    let resume =
        async |id: &str| client.with_headers("GET", "/api/v1/events", None, &[("Last-Event-ID", id)]).await;
    is_problem(&resume(&first).await, 410, "events_gone");
    for foreign in ["elsewhere.1", "1", "x", "."] {
        is_problem(&resume(foreign).await, 410, "events_gone");
    }
    let (instance, _) = first.rsplit_once('.').unwrap();
    is_problem(&resume(&format!("{instance}.99999999")).await, 410, "events_gone");
    // The ring starts anew with each run.
    let last = stream.next_of("lock.renewed").await.id;
    let server = server.restart();
    let client = server.client();
    let gone = client.with_headers("GET", "/api/v1/events", None, &[("Last-Event-ID", &last)]).await;
    is_problem(&gone, 410, "events_gone");
}

#[tokio::test]
async fn an_idle_stream_is_kept_alive() {
    let server = TestServer::start(&[]);
    let mut stream = open(&server, "", None).await;
    assert_eq!(stream.comment().await, "ping");
}

#[tokio::test]
async fn streams_are_bounded_and_freed_when_the_reader_leaves() {
    let server = TestServer::start(&["--set", "events.max-subscribers=1"]);
    let client = server.client_of_one();
    let stream = open(&server, "", None).await;
    is_problem(&client.get("/api/v1/events").await, 503, "overloaded");
    drop(stream);
    eventually("the place is free again", async || {
        let response = client.request("GET", "/api/v1/events").send().await.unwrap();
        (response.status() == 200).then_some(())
    })
    .await;
}
