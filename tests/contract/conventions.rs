//! What all answers have in common, and what every door must withstand.

use super::{NOBODY, TestServer};
use crate::support::{Raw, acquire_body, is_problem};
use serde_json::json;

/// More than a body may have.
const TOO_MANY_BYTES: usize = 64 * 1024 + 1;

#[tokio::test]
async fn every_answer_carries_a_request_id() {
    let server = TestServer::start(&[]);
    let client = server.client();
    for path in ["/healthz", "/api/v1/locks", "/nothing", "/metrics", "/api/v1/locks?x=1", "/api/docs"] {
        let own = client.get(path).await.header("x-request-id").to_owned();
        let other = client.get(path).await.header("x-request-id").to_owned();
        assert!(!own.is_empty() && own != other, "{path}: {own:?} {other:?}");
        let given = client.with_headers("GET", path, None, &[("X-Request-Id", "mine-1")]).await;
        assert_eq!(given.header("x-request-id"), "mine-1", "{path}");
        let long = "x".repeat(5000);
        let odd = client.with_headers("GET", path, None, &[("X-Request-Id", &long)]).await;
        assert!(!odd.header("x-request-id").is_empty() && odd.header("x-request-id") != long, "{path}");
    }
}

#[tokio::test]
async fn unknown_routes_and_those_of_later_versions_are_not_found() {
    let server = TestServer::start(&[]);
    let client = server.client();
    for path in [
        "/",
        "/nothing",
        "/api",
        "/api/v1",
        "/api/v2/locks",
        "/api/v1/locks/",
        "/api/v1/Locks",
        "/api/v1/lock-sets",
        "/api/v1/lock-sets/x",
        "/api/v1/deadlocks",
        "/api/v1/wait-graph",
        "/api/v1/audit",
        "/api/v1/admin",
        "/admin",
        "/api/locks",
        "/locks",
        "/lock",
        "/apply/lock",
        "/apply/unlock",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            is_problem(&client.send(method, path, None).await, 404, "not_found");
        }
    }
}

#[tokio::test]
async fn wrong_methods_name_the_right_ones() {
    let server = TestServer::start(&[]);
    let client = server.client();
    for (path, methods) in [
        ("/api/v1/locks", &["GET", "POST"][..]),
        ("/api/v1/locks/release-by-pull", &["POST"]),
        (&format!("/api/v1/locks/{NOBODY}"), &["GET", "DELETE"]),
        (&format!("/api/v1/locks/{NOBODY}/renew"), &["POST"]),
        (&format!("/api/v1/locks/{NOBODY}/force-release"), &["POST"]),
        ("/api/v1/tickets", &["GET"]),
        (&format!("/api/v1/tickets/{NOBODY}"), &["GET", "DELETE"]),
        (&format!("/api/v1/tickets/{NOBODY}/why"), &["GET"]),
        ("/api/v1/why", &["GET"]),
        ("/api/v1/queues", &["GET"]),
        ("/api/v1/queues/0", &["GET"]),
        ("/api/v1/events", &["GET"]),
        ("/api/v1/stats", &["GET"]),
        ("/api/v1/instances", &["GET"]),
        ("/healthz", &["GET"]),
        ("/readyz", &["GET"]),
        ("/version", &["GET"]),
        ("/metrics", &["GET"]),
        ("/api/locks/health", &["GET"]),
        ("/api/locks/queue-status", &["GET"]),
        ("/api/locks/compatibility/status", &["GET"]),
        ("/api/openapi.json", &["GET"]),
        ("/api/docs", &["GET"]),
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            if methods.contains(&method) {
                continue;
            }
            let refused = client.send(method, path, Some(&json!({}))).await;
            is_problem(&refused, 405, "method_not_allowed");
            let allowed: Vec<&str> = refused.header("allow").split(',').map(str::trim).collect();
            for right in methods {
                assert!(allowed.contains(right), "{method} {path}: {allowed:?}");
            }
            assert!(!allowed.contains(&method), "{method} {path}: {allowed:?}");
        }
    }
}

#[tokio::test]
async fn bodies_must_be_json_objects_of_bounded_size() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let good = acquire_body("a", "me", json!({})).to_string();
    for (content_type, body, status, code) in [
        ("text/plain", good.clone(), 415, "unsupported_media_type"),
        ("application/x-www-form-urlencoded", "a=b".into(), 415, "unsupported_media_type"),
        ("", good.clone(), 415, "unsupported_media_type"),
        ("application/json", String::new(), 400, "invalid_request"),
        ("application/json", "{".into(), 400, "invalid_request"),
        ("application/json", "[]".into(), 400, "invalid_request"),
        ("application/json", "null".into(), 400, "invalid_request"),
        ("application/json", "\"x\"".into(), 400, "invalid_request"),
        ("application/json", format!("{good} {good}"), 400, "invalid_request"),
        ("application/json", "[".repeat(60_000), 400, "invalid_request"),
        (
            "application/json",
            format!("{{\"a\":{}1{}}}", "[".repeat(20_000), "]".repeat(20_000)),
            400,
            "invalid_request",
        ),
        ("application/json", " ".repeat(TOO_MANY_BYTES), 413, "payload_too_large"),
        ("application/json", " ".repeat(5 * 1024 * 1024), 413, "payload_too_large"),
    ] {
        let length = body.len();
        let refused = client.raw_body("/api/v1/locks", content_type, body).await;
        assert_eq!(refused.what(), (status, code), "{content_type:?} {length} bytes: {}", refused.text);
        is_problem(&refused, status, code);
    }
    let invalid =
        client.raw_body("/api/v1/locks", "application/json", vec![b'{', b'"', 0xff, b'"', b'}']).await;
    is_problem(&invalid, 400, "invalid_request");
    assert!(client.locks().await.is_empty());
    // Whitespace up to the limit, and a charset, are fine.
    let padded = format!("{good}{}", " ".repeat(64 * 1024 - good.len()));
    client.raw_body("/api/v1/locks", "application/json; charset=utf-8", padded).await.lock();
}

#[tokio::test]
async fn a_compressed_body_is_refused_by_its_encoding() {
    let server = TestServer::start(&[]);
    let client = server.client();
    // What gzip makes of a body is not JSON, and not what is wrong with it.
    let bytes = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let head = "POST /api/v1/locks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let mut raw = Raw::connect(server.address()).await;
    raw.send(format!("{head}Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", bytes.len())).await;
    raw.send(bytes).await;
    let refused = raw.reply(true).await;
    let problem = refused.json();
    assert_eq!((refused.status, &problem["code"]), (415, &json!("unsupported_media_type")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("gzip"), "{problem}");
    assert!(client.locks().await.is_empty());
    // The same connection goes on: the body was read away.
    let body = acquire_body("a", "me", json!({})).to_string();
    raw.send(format!("{head}Content-Encoding: identity\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
        .await;
    assert_eq!(raw.reply(true).await.status, 200);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_read_away_so_that_the_answer_arrives() {
    let server = TestServer::start(&[]);
    for chunked in [false, true] {
        // A client that writes everything before it reads anything, as most do.
        let mut raw = Raw::connect(server.address()).await;
        let size = 8 * 1024 * 1024;
        let framing =
            if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {size}") };
        raw.send(format!(
            "POST /api/v1/locks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"
        ))
        .await;
        let piece = vec![b' '; 64 * 1024];
        for _ in 0..size / piece.len() {
            if chunked {
                raw.send(format!("{:x}\r\n", piece.len())).await;
            }
            raw.send(&piece).await;
            if chunked {
                raw.send("\r\n").await;
            }
        }
        if chunked {
            raw.send("0\r\n\r\n").await;
        }
        let reply = raw.reply(true).await;
        assert_eq!(
            (reply.status, &reply.json()["code"]),
            (413, &json!("payload_too_large")),
            "{}",
            reply.head
        );
        // And the connection goes on.
        if !reply.header("connection").eq_ignore_ascii_case("close") {
            raw.ask("GET", "/healthz").await;
            assert_eq!(raw.reply(true).await.status, 200);
        }
    }
}

#[tokio::test]
async fn a_refused_body_does_not_become_the_next_request() {
    let server = TestServer::start(&[]);
    let smuggled = "GET /api/v1/locks HTTP/1.1\r\nHost: x\r\n\r\n";
    for head in [
        "POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n",
        "PUT /api/v1/locks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n",
        "POST /api/v1/locks HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\n",
    ] {
        let mut raw = Raw::connect(server.address()).await;
        raw.send(format!("{head}Content-Length: {}\r\n\r\n{smuggled}", smuggled.len())).await;
        let first = raw.reply(true).await;
        if first.header("connection").eq_ignore_ascii_case("close") {
            continue;
        }
        raw.ask("GET", "/version").await;
        let second = raw.reply(true).await;
        assert_eq!(second.json()["api"], "v1", "{head}: {}", second.head);
    }
}

#[tokio::test]
async fn connections_are_kept_and_head_has_no_body() {
    let server = TestServer::start(&[]);
    let mut raw = Raw::connect(server.address()).await;
    for path in ["/healthz", "/nothing", "/api/v1/locks", "/api/v1/locks?x=1"] {
        raw.ask("GET", path).await;
        let get = raw.reply(true).await;
        raw.ask("HEAD", path).await;
        let head = raw.reply(false).await;
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
    }
    raw.post("/api/v1/locks", &acquire_body("a", "me", json!({}))).await;
    assert_eq!(raw.reply(true).await.status, 200);
    raw.post("/api/v1/locks", &json!({"x": 1})).await;
    assert_eq!(raw.reply(true).await.status, 400);
    raw.ask("GET", "/healthz").await;
    assert_eq!(raw.reply(true).await.status, 200);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = TestServer::start(&[]);
    let mut raw = Raw::connect(server.address()).await;
    raw.send("GET /version HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(raw.reply(true).await.json()["api"], "v1");
    assert_eq!(raw.reply(true).await.json()["status"], "ok");
}

#[tokio::test]
async fn what_is_not_http_does_not_hurt() {
    let server = TestServer::start(&["--set", "http.header-timeout=1s"]);
    for bytes in [
        &b"\x00\x01\x02\x03\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"POST /api/v1/locks HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/locks HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"GET /%ff%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/v1/locks/%00 HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let mut raw = Raw::connect(server.address()).await;
        raw.send(bytes).await;
        let other = server.client().get("/healthz").await;
        assert_eq!(other.status, 200);
    }
    let mut raw = Raw::connect(server.address()).await;
    raw.send(format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(20_000))).await;
    assert!((400..500).contains(&raw.reply(true).await.status));
    // A head that never ends is not waited for for ever.
    let mut slow = Raw::connect(server.address()).await;
    slow.send("GET /healthz HTTP/1.1\r\nHost: x\r\n").await;
    slow.closed().await;
    let log = server.log();
    assert!(!log.iter().any(|line| line.contains("panicked")), "{log:?}");
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_is_told_to_go_on() {
    let server = TestServer::start(&[]);
    let body = acquire_body("a", "me", json!({})).to_string();
    let mut raw = Raw::connect(server.address()).await;
    let head =
        "POST /api/v1/locks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue";
    raw.send(format!("{head}\r\nContent-Length: {}\r\n\r\n", body.len())).await;
    assert_eq!(raw.reply(false).await.status, 100);
    raw.send(body).await;
    assert_eq!(raw.reply(true).await.json()["status"], "acquired");
}

#[tokio::test]
async fn older_and_other_forms_of_requests_are_understood() {
    let server = TestServer::start(&[]);
    let mut old = Raw::connect(server.address()).await;
    old.send("GET /version HTTP/1.0\r\n\r\n").await;
    assert_eq!(old.reply(true).await.json()["api"], "v1");
    assert!(old.closed().await.is_empty(), "HTTP/1.0 closes unless asked otherwise");
    let mut absolute = Raw::connect(server.address()).await;
    absolute.send(format!("GET http://{}/version HTTP/1.1\r\nHost: x\r\n\r\n", server.address())).await;
    assert_eq!(absolute.reply(true).await.json()["api"], "v1");
    // Percent-encoding may be used where it is not needed, and slashes of a namespace need none.
    let client = server.client();
    let lock = client.lock("a", "me", json!({})).await;
    for path in
        ["/api/v1/loc%6bs?namespace=acme/infra", "/api/v1/locks?namespace=acme%2finfra&", "/api/v1/locks?"]
    {
        assert_eq!(client.get(path).await.body["locks"][0]["id"], lock["id"], "{path}");
    }
}
