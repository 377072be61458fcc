//! Too much, and too slow: clients that dawdle are cut off, and no flood keeps others out.

use crate::support::{Client, Raw, TestServer, acquire_body, eventually, is_problem};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

/// A server with these settings, as YAML.
fn with_settings(settings: &str) -> (TestServer, tempfile::TempDir) {
    with_flags(settings, &[])
}

fn with_flags(settings: &str, flags: &[&str]) -> (TestServer, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lockkeeper.yaml");
    std::fs::write(&file, settings).unwrap();
    let file = file.display().to_string();
    let flags: Vec<&str> = ["--config", &file].into_iter().chain(flags.iter().copied()).collect();
    (TestServer::start(&flags), directory)
}

async fn slow_clients(client: &Client, what: &str) -> f64 {
    let line = format!("atlantis_enhanced_locking_slow_clients_total{{what=\"{what}\"}}");
    client.metric(&line).await.unwrap_or(0.0)
}

async fn until_cut_off(client: &Client, what: &str) {
    eventually(&format!("a slow client is counted: {what}"), async || {
        (slow_clients(client, what).await >= 1.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let (server, _file) = with_settings("http: {header-timeout: 2s}\n");
    for beginning in ["", "GET /healthz HTTP/1.1\r\nHost: te"] {
        let mut raw = Raw::connect(server.address()).await;
        raw.send(beginning).await;
        let answer = String::from_utf8(raw.closed().await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{beginning:?}: {answer:?}");
    }
    until_cut_off(&server.client(), "header").await;
}

#[tokio::test]
async fn a_second_head_that_does_not_come_ends_the_connection_too() {
    // Far below the keep-alive, which would end it in the end.
    // What is sent in one piece must not be late on a busy machine.
    let (server, _file) = with_settings("http: {header-timeout: 3s, keep-alive: 10m}\n");
    let mut raw = Raw::connect(server.address()).await;
    for _ in 0..3 {
        raw.ask("GET", "/healthz").await;
        assert_eq!(raw.reply(true).await.status, 200);
    }
    raw.send("GET /healthz HTTP/1.1\r\nHost: te").await;
    assert_eq!(raw.closed().await, b"");
    until_cut_off(&server.client(), "header").await;
}

#[tokio::test]
async fn whoever_waits_or_rests_is_not_cut_off() {
    let (server, _file) = with_settings("http: {header-timeout: 2s, send-timeout: 2s}\n");
    let client = server.client();
    client.lock("a", "holder", json!({})).await;
    let mut resting = Raw::connect(server.address()).await;
    resting.ask("GET", "/healthz").await;
    resting.reply(true).await;
    let mut waiting = Raw::connect(server.address()).await;
    let body = acquire_body("a", "waits", json!({"queue": true, "wait": "5s"}));
    waiting.post("/api/v1/locks", &body).await;
    // Longer than a head may take, and than an answer may lie unread.
    assert_eq!(waiting.reply(true).await.status, 202);
    for raw in [&mut resting, &mut waiting] {
        raw.ask("GET", "/healthz").await;
        assert_eq!(raw.reply(true).await.status, 200);
    }
    assert_eq!(slow_clients(&client, "header").await, 0.0);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_told_so() {
    let (server, _file) = with_settings("http: {body-timeout: 300ms}\n");
    let client = server.client();
    let head = "POST /api/v1/locks HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{";
    let mut raw = Raw::connect(server.address()).await;
    raw.send(head).await;
    let reply = raw.reply(true).await;
    assert_eq!((reply.status, &reply.json()["code"]), (408, &json!("request_timeout")), "{}", reply.head);
    raw.closed().await;
    assert_eq!(slow_clients(&client, "body").await, 1.0);

    // One byte after the other: the time is for the whole body.
    let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let dripping = tokio::spawn(async move {
        while writing.write_all(b" ").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    let mut answer = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut answer);
    // The connection may be reset under the bytes that still come.
    let _ = tokio::time::timeout(crate::support::DEADLINE, read).await.expect("it is answered");
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{:?}", String::from_utf8_lossy(&answer));
    dripping.abort();
    assert_eq!(client.locks().await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_reader_that_never_reads_is_cut_off_and_disturbs_nobody() {
    let (server, _file) = with_settings("http: {send-timeout: 500ms}\n");
    let client = server.client();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut deaf = socket.connect(server.address().parse().unwrap()).await.unwrap();
    deaf.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: t\r\n\r\n").await.unwrap();
    let subscribers = async || client.metric("atlantis_enhanced_locking_event_subscribers").await;
    eventually("it follows", async || (subscribers().await == Some(1.0)).then_some(())).await;
    // Large events, more than any buffer on the way holds.
    let metadata: serde_json::Map<String, Value> =
        (0..32).map(|n| (format!("k{n}"), "x".repeat(1000).into())).collect();
    eventually("it is cut off", async || {
        for n in 0..10 {
            let lock = client.lock(&format!("p{n}"), "me", json!({"metadata": metadata})).await;
            assert_eq!(client.release(&lock).await.status, 200);
        }
        (slow_clients(&client, "send").await >= 1.0).then_some(())
    })
    .await;
    eventually("its stream ends", async || (subscribers().await == Some(0.0)).then_some(())).await;
    drop(deaf);
}

#[tokio::test]
async fn one_connection_too_many_waits_for_its_turn() {
    let (server, _file) = with_settings("http: {max-connections: 16, workers: 1}\n");
    let mut open = Vec::new();
    for _ in 0..16 {
        let mut raw = Raw::connect(server.address()).await;
        raw.ask("GET", "/healthz").await;
        assert_eq!(raw.reply(true).await.status, 200);
        open.push(raw);
    }
    let mut another = Raw::connect(server.address()).await;
    another.ask("GET", "/healthz").await;
    drop(open.pop());
    assert_eq!(another.reply(true).await.status, 200);
}

#[tokio::test]
async fn a_flood_on_one_namespace_leaves_places_for_others() {
    let (server, _file) = with_flags("actors: {max-commands: 8}\n", &["--chaos"]);
    let client = server.client();
    let held = client.lock("held", "me", json!({})).await;
    let slow = json!({"kind": "delay", "times": 1000, "delay": "1s"});
    let fault = client.send("PUT", "/api/v1/admin/faults/store.commit", Some(&slow)).await;
    assert_eq!(fault.status, 200, "{}", fault.text);
    let flood: Vec<_> = (0..40)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move { client.acquire(&format!("p{n}"), "flood", json!({})).await })
        })
        .collect();
    let in_work = async || client.metric("atlantis_enhanced_locking_commands_in_work").await.unwrap_or(0.0);
    eventually("the flood is in work", async || (in_work().await >= 4.0).then_some(())).await;
    let body = json!({"resource": {"namespace": "acme/other"}, "owner": {"id": "other"}});
    let other = client.post("/api/v1/locks", body).await;
    assert_eq!(other.status, 200, "{}", other.text);
    // What ends load is taken even from who floods.
    assert_eq!(client.release(&held).await.status, 200);
    let mut refused = 0;
    for reply in flood {
        let reply = reply.await.unwrap();
        if reply.status != 200 {
            is_problem(&reply, 503, "overloaded");
            refused += 1;
        }
    }
    assert!(refused > 0 && refused < 40, "{refused}");
    assert_eq!(
        client.metric("atlantis_enhanced_locking_limit_refused_total{limit=\"actors.max-commands\"}").await,
        Some(f64::from(refused))
    );
    eventually("nothing is left in work", async || (in_work().await == 0.0).then_some(())).await;
}
