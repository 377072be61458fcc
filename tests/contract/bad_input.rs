//! Bad input for every endpoint: what is said, which field is named, and that nothing changed.

use super::{NOBODY, TestServer};
use crate::support::{Client, acquire_body, is_problem};
use serde_json::{Map, Value, json};

/// The refusal is a 400 that names exactly these fields.
async fn refused(client: &Client, method: &str, path: &str, body: Option<&Value>, fields: &[&str]) {
    let reply = client.send(method, path, body).await;
    let shown = body.map(|body| body.to_string().chars().take(200).collect::<String>()).unwrap_or_default();
    assert_eq!(reply.what(), (400, "invalid_request"), "{method} {path} {shown}: {}", reply.text);
    is_problem(&reply, 400, "invalid_request");
    assert_eq!(reply.fields(), fields, "{method} {path} {shown}: {}", reply.text);
}

/// A good acquire with one member changed; `pointer` like `/owner/pull/num`.
fn with(pointer: &str, value: Value) -> Value {
    let mut body = acquire_body("a", "me", json!({}));
    let mut at = &mut body;
    let mut parts = pointer.trim_start_matches('/').split('/').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            at[part] = value;
            break;
        }
        if !at[part].is_object() {
            at[part] = json!({});
        }
        at = &mut at[part];
    }
    body
}

#[tokio::test]
async fn acquire() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let long = |bytes: usize| json!("x".repeat(bytes));
    let entries: Map<String, Value> = (0..33).map(|n| (format!("k{n}"), json!("v"))).collect();
    let table: Vec<(&str, Vec<Value>)> = vec![
        ("/resource", vec![json!("acme/infra"), json!([]), json!(1)]),
        (
            "/resource/namespace",
            vec![
                json!(""),
                json!(null),
                json!(1),
                json!(["a"]),
                long(513),
                json!("a\u{0}b"),
                json!("a\nb"),
                json!("\u{7f}"),
                json!("\u{85}"),
            ],
        ),
        (
            "/resource/path",
            vec![
                json!(".."),
                json!("../a"),
                json!("a/../b"),
                json!("/a"),
                json!("/"),
                json!(1),
                long(1025),
                json!("a\tb"),
            ],
        ),
        ("/resource/workspace", vec![json!(1), long(257), json!("a\u{1b}b"), json!({})]),
        ("/resource/project_name", vec![json!(1), long(257), json!("a\rb")]),
        ("/resource/host", vec![json!(1), long(257), json!("a\u{1}b")]),
        ("/resource/type", vec![json!("repo"), json!("Project"), json!(1), json!("")]),
        ("/resource/repo", vec![json!("x")]),
        ("/owner", vec![json!("me"), json!([]), json!(1)]),
        ("/owner/id", vec![json!(""), json!(null), json!(1), json!("a\nb"), long(5000)]),
        ("/owner/user", vec![json!(1), json!("a\u{0}b"), long(5000)]),
        ("/owner/name", vec![json!("x")]),
        ("/owner/pull", vec![json!(42), json!("42"), json!([])]),
        (
            "/owner/pull/num",
            vec![json!(0), json!(-1), json!(1.5), json!("42"), json!(null), json!(1_u64 << 53), json!(1e300)],
        ),
        ("/mode", vec![json!("Exclusive"), json!("write"), json!(""), json!(1)]),
        ("/priority", vec![json!("urgent"), json!("High"), json!(3), json!("")]),
        (
            "/ttl",
            vec![
                json!(""),
                json!("30"),
                json!("1d"),
                json!("1M"),
                json!("99ms"),
                json!("1ns"),
                json!("720h1s"),
                json!("-1s"),
                json!(30),
                json!("30 m"),
                json!("m"),
                json!("1h 30m"),
                json!("9999999999999999999h"),
                json!("NaN"),
                json!("1e3s"),
            ],
        ),
        (
            "/queue_timeout",
            vec![
                json!(""),
                json!("99ms"),
                json!("0s"),
                json!("168h1s"),
                json!("-1m"),
                json!(600),
                json!("1w"),
            ],
        ),
        ("/queue", vec![json!("true"), json!(1), json!("")]),
        ("/reentrant", vec![json!("false"), json!(0)]),
        ("/protected", vec![json!("yes"), json!(1)]),
        ("/attended", vec![json!("no"), json!(0)]),
        ("/metadata", vec![json!("x"), json!([]), json!(1), Value::Object(entries)]),
        ("/metadata/k", vec![json!(1), json!(null), json!({}), json!("a\u{0}b"), long(5000)]),
        ("/request_id", vec![json!(""), long(129), json!("a\nb"), json!(1), json!("ä")]),
        ("/wait", vec![json!("1s"), json!("61s"), json!("-1s"), json!(5), json!(""), json!("10")]),
        ("/nonsense", vec![json!(null), json!(true)]),
        ("/fencing_token", vec![json!(7)]),
        ("/Queue", vec![json!(true)]),
    ];
    for (pointer, values) in table {
        let field = pointer[1..].replace('/', ".");
        for value in values {
            let mut body = with(pointer, value);
            if pointer == "/owner/pull/num" {
                body["owner"]["pull"]["author"] = "bob".into();
            }
            refused(&client, "POST", "/api/v1/locks", Some(&body), &[&field]).await;
        }
    }
    for (body, fields) in [
        (json!({}), vec!["resource.namespace", "owner.id"]),
        (json!({"resource": {"namespace": "a"}}), vec!["owner.id"]),
        (json!({"owner": {"id": "a"}}), vec!["resource.namespace"]),
        (with("/owner/pull", json!({})), vec!["owner.pull.num"]),
        (acquire_body("a", "me", json!({"mode": "counted"})), vec!["limit"]),
        (acquire_body("a", "me", json!({"mode": "counted", "limit": 0})), vec!["limit"]),
        (acquire_body("a", "me", json!({"mode": "counted", "limit": 1001})), vec!["limit"]),
        (acquire_body("a", "me", json!({"mode": "counted", "limit": "3"})), vec!["limit"]),
        (acquire_body("a", "me", json!({"mode": "shared", "limit": 3})), vec!["limit"]),
        (acquire_body("a", "me", json!({"queue": true, "wait": "61s"})), vec!["wait"]),
        (acquire_body("a", "me", json!({"queue": false, "wait": "1s"})), vec!["wait"]),
    ] {
        let reply = client.post("/api/v1/locks", body.clone()).await;
        let mut named = reply.fields();
        named.sort_unstable();
        let mut fields = fields;
        fields.sort_unstable();
        assert_eq!((reply.what(), named), ((400, "invalid_request"), fields), "{body}: {}", reply.text);
    }
    // Twice the same name, or a parameter that is none.
    let twice = r#"{"resource": {"namespace": "a"}, "owner": {"id": "a"}, "ttl": "1m", "ttl": "2m"}"#;
    is_problem(&client.raw_body("/api/v1/locks", "application/json", twice).await, 400, "invalid_request");
    let good = acquire_body("a", "me", json!({}));
    refused(&client, "POST", "/api/v1/locks?dry_run=true", Some(&good), &["dry_run"]).await;
    assert!(client.locks().await.is_empty() && client.queues().await.is_empty());
}

#[tokio::test]
async fn everything_else_that_takes_a_body() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "me", json!({"owner": {"id": "me", "pull": {"num": 42}}})).await;
    let id = lock["id"].as_str().unwrap();
    let token = &lock["fencing_token"];
    let renew = format!("/api/v1/locks/{id}/renew");
    let force = format!("/api/v1/locks/{id}/force-release");
    let pull = "/api/v1/locks/release-by-pull".to_owned();
    for (path, body, field) in [
        (&renew, json!({}), "fencing_token"),
        (&renew, json!({"fencing_token": null}), "fencing_token"),
        (&renew, json!({"fencing_token": "7"}), "fencing_token"),
        (&renew, json!({"fencing_token": -1}), "fencing_token"),
        (&renew, json!({"fencing_token": 1.5}), "fencing_token"),
        (&renew, json!({"fencing_token": 1_u64 << 53}), "fencing_token"),
        (&renew, json!({"fencing_token": token, "ttl": "1d"}), "ttl"),
        (&renew, json!({"fencing_token": token, "ttl": 60}), "ttl"),
        (&renew, json!({"fencing_token": token, "ttl": "99ms"}), "ttl"),
        (&renew, json!({"fencing_token": token, "ttl": "721h"}), "ttl"),
        (&renew, json!({"fencing_token": token, "owner": "me"}), "owner"),
        (&force, json!({}), "reason"),
        (&force, json!({"reason": ""}), "reason"),
        (&force, json!({"reason": 1}), "reason"),
        (&force, json!({"reason": "a\u{0}b"}), "reason"),
        (&force, json!({"reason": "x".repeat(60_000)}), "reason"),
        (&force, json!({"reason": "x", "fencing_token": 1}), "fencing_token"),
        (&pull, json!({"pull": 42}), "namespace"),
        (&pull, json!({"namespace": "", "pull": 42}), "namespace"),
        (&pull, json!({"namespace": 1, "pull": 42}), "namespace"),
        (&pull, json!({"namespace": "acme/infra"}), "pull"),
        (&pull, json!({"namespace": "acme/infra", "pull": 0}), "pull"),
        (&pull, json!({"namespace": "acme/infra", "pull": -1}), "pull"),
        (&pull, json!({"namespace": "acme/infra", "pull": "42"}), "pull"),
        (&pull, json!({"namespace": "acme/infra", "pull": null}), "pull"),
        (
            &pull,
            json!({"namespace": "acme/infra", "pull": 42, "acquired_before": "yesterday"}),
            "acquired_before",
        ),
        (&pull, json!({"namespace": "acme/infra", "pull": 42, "acquired_before": ""}), "acquired_before"),
        (&pull, json!({"namespace": "acme/infra", "pull": 42, "acquired_before": 1}), "acquired_before"),
        (
            &pull,
            json!({"namespace": "acme/infra", "pull": 42, "acquired_before": "2026-02-30T00:00:00Z"}),
            "acquired_before",
        ),
        (&pull, json!({"namespace": "acme/infra", "pull": 42, "path": "a"}), "path"),
    ] {
        refused(&client, "POST", path, Some(&body), &[field]).await;
        is_problem(
            &client.raw_body(path, "text/plain", body.to_string()).await,
            415,
            "unsupported_media_type",
        );
    }
    for path in [&renew, &force, &pull] {
        is_problem(&client.send("POST", path, None).await, 400, "invalid_request");
        is_problem(&client.raw_body(path, "application/json", "{").await, 400, "invalid_request");
        is_problem(
            &client.raw_body(path, "application/json", vec![b' '; 70_000]).await,
            413,
            "payload_too_large",
        );
    }
    let unchanged = client.locks().await.remove(0);
    for member in ["id", "fencing_token", "expires_at", "renewed_at", "state"] {
        assert_eq!(unchanged[member], lock[member], "{member}");
    }
}

#[tokio::test]
async fn queries_and_paths() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "me", json!({})).await;
    let (id, token) = (lock["id"].as_str().unwrap(), &lock["fencing_token"]);
    let ticket = client.queue("a", "next", json!({})).await;
    let ticket = ticket["id"].as_str().unwrap();
    let cases: Vec<(&str, String, &str)> = vec![
        ("GET", "/api/v1/locks?nonsense=1".into(), "nonsense"),
        ("GET", "/api/v1/locks?limit=0".into(), "limit"),
        ("GET", "/api/v1/locks?limit=1001".into(), "limit"),
        ("GET", "/api/v1/locks?limit=x".into(), "limit"),
        ("GET", "/api/v1/locks?limit=".into(), "limit"),
        ("GET", "/api/v1/locks?limit=1&limit=2".into(), "limit"),
        ("GET", "/api/v1/locks?sort=owner".into(), "sort"),
        ("GET", "/api/v1/locks?sort=".into(), "sort"),
        ("GET", "/api/v1/locks?state=free".into(), "state"),
        ("GET", "/api/v1/locks?priority=urgent".into(), "priority"),
        ("GET", "/api/v1/locks?held_longer_than=1d".into(), "held_longer_than"),
        ("GET", "/api/v1/locks?held_longer_than=5".into(), "held_longer_than"),
        ("GET", "/api/v1/locks?pull=42".into(), "namespace"),
        ("GET", "/api/v1/locks?namespace=a&pull=x".into(), "pull"),
        ("GET", "/api/v1/locks?namespace=a&pull=0".into(), "pull"),
        ("GET", "/api/v1/locks?namespace=".into(), "namespace"),
        ("GET", "/api/v1/locks?namespace=%00".into(), "namespace"),
        ("GET", "/api/v1/locks?path=..".into(), "path"),
        ("GET", "/api/v1/locks?consistent=1".into(), "consistent"),
        ("GET", "/api/v1/locks?cursor=zzz".into(), "cursor"),
        ("GET", format!("/api/v1/locks/{id}?verbose=1"), "verbose"),
        ("DELETE", format!("/api/v1/locks/{id}"), "fencing_token"),
        ("DELETE", format!("/api/v1/locks/{id}?fencing_token=x"), "fencing_token"),
        ("DELETE", format!("/api/v1/locks/{id}?fencing_token={token}&force=true"), "force"),
        ("GET", "/api/v1/tickets?pull=1".into(), "namespace"),
        ("GET", "/api/v1/tickets?nonsense=1".into(), "nonsense"),
        ("GET", "/api/v1/tickets?owner=".into(), "owner"),
        ("GET", format!("/api/v1/tickets/{ticket}?wait=61s"), "wait"),
        ("GET", format!("/api/v1/tickets/{ticket}?wait=10"), "wait"),
        ("GET", format!("/api/v1/tickets/{ticket}?wait="), "wait"),
        ("GET", format!("/api/v1/tickets/{ticket}?wiat=1s"), "wiat"),
        ("DELETE", format!("/api/v1/tickets/{ticket}?force=1"), "force"),
        ("GET", format!("/api/v1/tickets/{ticket}/why?x=1"), "x"),
        ("GET", "/api/v1/why?namespace=acme/infra".into(), "pull"),
        ("GET", "/api/v1/why?namespace=acme/infra&pull=x".into(), "pull"),
        ("GET", "/api/v1/why?namespace=acme/infra&pull=1&x=1".into(), "x"),
        ("GET", "/api/v1/queues?nonsense=1".into(), "nonsense"),
        ("GET", "/api/v1/queues?path=/a".into(), "path"),
        ("GET", "/api/v1/events?nonsense=1".into(), "nonsense"),
        ("GET", "/api/v1/events?type=lock.eaten".into(), "type"),
        ("GET", "/api/v1/stats?x=1".into(), "x"),
        ("GET", "/readyz?for=all".into(), "for"),
        ("GET", "/readyz?x=1".into(), "x"),
    ];
    for (method, path, field) in cases {
        refused(&client, method, &path, None, &[field]).await;
    }
    // An id of another form is bad input, never a mistake of the server.
    for bad in [
        "x",
        "0",
        "%20",
        "..%2f..",
        &"A".repeat(3000),
        "01ARZ3NDEKTSV4RRFFQ69G5FA",
        "01ARZ3NDEKTSV4RRFFQ69G5FAVX",
        "%F0%9F%94%92",
    ] {
        for path in ["/api/v1/locks/", "/api/v1/tickets/", "/api/v1/queues/"] {
            let reply = client.get(&format!("{path}{bad}")).await;
            assert!(
                matches!(reply.what(), (400, "invalid_request") | (404, "not_found")),
                "{path}{bad}: {}",
                reply.text
            );
            is_problem(&reply, reply.status, reply.code());
        }
    }
    is_problem(&client.get(&format!("/api/v1/tickets/{NOBODY}?wait=1s")).await, 404, "not_found");
    assert_eq!(client.locks().await[0]["id"], id);
    assert_eq!(client.get("/api/v1/tickets").await.body["tickets"][0]["id"], ticket);
}
