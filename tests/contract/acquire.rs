//! `POST /api/v1/locks` and `GET /api/v1/locks/{id}` on resources that are free or held.

use super::{LOCK, NOBODY, TestServer, is_ulid};
use crate::support::{has_members, is_problem, is_time, millis_of};
use serde_json::{Value, json};

#[tokio::test]
async fn a_free_resource_is_acquired_with_everything_that_was_asked() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let pull = json!({"num": 42, "url": "https://github.com/acme/infra/pull/42", "author": "bob",
                      "head_commit": "abc123", "base_branch": "main"});
    let body = json!({
        "resource": {"type": "project", "host": "github.com", "namespace": "acme/infra", "path": "networking/vpc",
                     "workspace": "production", "project_name": "vpc"},
        "owner": {"id": "acme/infra#42", "user": "alice", "pull": pull},
        "mode": "exclusive", "limit": 1, "priority": "high", "ttl": "1h30m", "reentrant": true, "protected": true,
        "queue": false, "queue_timeout": "10m", "wait": "0s", "attended": true, "metadata": {"run": "123"},
        "request_id": "first",
    });
    let reply = client.post("/api/v1/locks", body).await;
    assert_eq!(reply.header("content-type"), "application/json");
    assert!(!reply.header("x-request-id").is_empty());
    assert_eq!(reply.body["reentrant"], false);
    let lock = reply.lock();
    has_members(&lock, LOCK);
    assert!(is_ulid(&lock["id"]), "{lock}");
    for (member, value) in [
        ("state", json!("held")),
        ("key", json!("acme/infra/networking/vpc/production/vpc")),
        ("mode", json!("exclusive")),
        ("priority", json!("high")),
        ("protected", json!(true)),
        ("metadata", json!({"run": "123"})),
    ] {
        assert_eq!(lock[member], value, "{member}");
    }
    let resource = &lock["resource"];
    for (member, value) in [
        ("type", "project"),
        ("host", "github.com"),
        ("namespace", "acme/infra"),
        ("path", "networking/vpc"),
        ("workspace", "production"),
        ("project_name", "vpc"),
    ] {
        assert_eq!(resource[member], value, "{member}");
    }
    assert!(resource["id"].as_str().is_some_and(|id| !id.is_empty()));
    assert_eq!(lock["owner"], json!({"id": "acme/infra#42", "user": "alice", "pull": pull}));
    assert!(lock["created_by"].is_string());
    let token = lock["fencing_token"].as_u64().unwrap();
    assert!(token > 0 && token < 1 << 53, "{token}");
    assert_eq!(millis_of(&lock["expires_at"]) - millis_of(&lock["acquired_at"]), 90 * 60 * 1000);
    assert!(is_time(&lock["renewed_at"]));
    let left = lock["expires_in"].as_str().unwrap();
    assert!(left == "1h30m0s" || left.starts_with("1h29m"), "{left}");

    let shown = client.get(&format!("/api/v1/locks/{}", lock["id"].as_str().unwrap())).await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    assert_eq!(shown.body["lock"]["fencing_token"], token);
    assert_eq!(shown.body["lock"]["owner"], lock["owner"]);
}

#[tokio::test]
async fn what_is_left_out_has_its_default() {
    let server = TestServer::start(&[]);
    let reply = server
        .client()
        .post("/api/v1/locks", json!({"resource": {"namespace": "acme/infra"}, "owner": {"id": "me"}}))
        .await;
    let lock = reply.lock();
    let resource = &lock["resource"];
    for (member, value) in
        [("type", "project"), ("host", ""), ("path", "."), ("workspace", "default"), ("project_name", "")]
    {
        assert_eq!(resource[member], value, "{member}");
    }
    assert_eq!(lock["key"], "acme/infra/./default/");
    assert_eq!(
        (&lock["mode"], &lock["priority"], &lock["protected"]),
        (&json!("exclusive"), &json!("normal"), &json!(false))
    );
    assert_eq!(lock["metadata"], json!({}));
    assert_eq!(millis_of(&lock["expires_at"]) - millis_of(&lock["acquired_at"]), 30 * 60 * 1000);
}

#[tokio::test]
async fn a_held_resource_is_refused_and_names_its_holder() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "first", json!({})).await;
    let refused = client.acquire("a", "second", json!({})).await;
    is_problem(&refused, 409, "held");
    let holders = refused.body["holders"].as_array().unwrap();
    assert_eq!(
        (holders.len(), &holders[0]["id"], &holders[0]["owner"]["id"]),
        (1, &lock["id"], &json!("first"))
    );
    has_members(&holders[0], LOCK);
    assert!(
        client.queues().await[0]["tickets"].as_array().unwrap().is_empty(),
        "a refusal leaves nothing behind"
    );
}

#[tokio::test]
async fn a_hold_has_no_end() {
    let server = TestServer::start(&[]);
    let lock = server.client().lock("a", "me", json!({"ttl": "0s"})).await;
    assert_eq!((&lock["expires_at"], &lock["expires_in"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn resources_are_normalised_and_told_apart() {
    let server = TestServer::start(&["--default-host", "github.com"]);
    let client = server.client();
    let base = json!({"namespace": "acme/infra", "path": "a/b"});
    let acquire = async |resource: &Value| {
        let body = json!({"resource": resource, "owner": {"id": resource.to_string()}, "reentrant": false});
        client.post("/api/v1/locks", body).await
    };
    let lock = acquire(&base).await.lock();
    for same in [
        json!({"namespace": "acme/infra", "path": "./a/b"}),
        json!({"namespace": "acme/infra", "path": "a//b"}),
        json!({"namespace": "acme/infra", "path": "a/b/"}),
        json!({"namespace": "acme/infra", "path": ".//a/b//"}),
        json!({"namespace": "acme/infra", "path": "a/b", "workspace": "default"}),
        json!({"namespace": "acme/infra", "path": "a/b", "host": "github.com", "type": "project", "project_name": ""}),
    ] {
        let refused = acquire(&same).await;
        assert_eq!(refused.what(), (409, "held"), "{same}: {}", refused.text);
        assert_eq!(refused.body["holders"][0]["resource"]["id"], lock["resource"]["id"]);
    }
    let mut ids = vec![lock["resource"]["id"].clone()];
    for other in [
        json!({"namespace": "acme/infra-2", "path": "a/b"}),
        json!({"namespace": "acme/Infra", "path": "a/b"}),
        json!({"namespace": "acme/infra", "path": "A/b"}),
        json!({"namespace": "acme/infra", "path": "a"}),
        json!({"namespace": "acme/infra", "path": ""}),
        json!({"namespace": "acme/infra", "path": "a/b", "workspace": "Default"}),
        json!({"namespace": "acme/infra", "path": "a/b", "project_name": "x"}),
        json!({"namespace": "acme/infra", "path": "a/b", "host": "gitlab.com"}),
        json!({"namespace": "acme/infra", "path": "a/b", "type": "custom"}),
        json!({"namespace": "acme/infra", "path": "a/b", "type": "workspace"}),
        json!({"namespace": "acme/infra", "path": "a/b", "type": "global"}),
        // The same key, and yet another resource.
        json!({"namespace": "acme", "path": "infra/a/b"}),
    ] {
        let lock = acquire(&other).await.lock();
        assert!(!ids.contains(&lock["resource"]["id"]), "{other}");
        ids.push(lock["resource"]["id"].clone());
    }
    // Unwritten paths for the whole repository are one resource.
    for whole in [".", "./", "./."] {
        let refused = acquire(&json!({"namespace": "acme/infra", "path": whole})).await;
        assert_eq!(refused.what(), (409, "held"), "{whole}: {}", refused.text);
    }
}

#[tokio::test]
async fn a_resource_id_is_the_same_on_every_server() {
    let (one, other) = (TestServer::start(&[]), TestServer::start(&[]));
    let id = async |server: &TestServer| {
        server.client().lock("a", "me", json!({})).await["resource"]["id"].clone()
    };
    assert_eq!(id(&one).await, id(&other).await);
}

#[tokio::test]
async fn limits_in_bytes_are_inclusive() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let entries: serde_json::Map<String, Value> = (0..32).map(|n| (format!("k{n}"), json!("v"))).collect();
    let body = json!({
        "resource": {"namespace": "n".repeat(512), "path": "p".repeat(1024), "workspace": "w".repeat(256),
                     "project_name": "ä".repeat(128), "host": "h".repeat(256)},
        "owner": {"id": "me"}, "metadata": entries, "request_id": "r".repeat(128), "ttl": "720h",
    });
    let lock = client.post("/api/v1/locks", body).await.lock();
    assert_eq!(lock["metadata"].as_object().unwrap().len(), 32);
    for (path, more) in [
        ("b", json!({"ttl": "100ms"})),
        ("c", json!({"mode": "counted", "limit": 1})),
        ("d", json!({"mode": "counted", "limit": 1000})),
        ("e", json!({"queue": true, "wait": "60s", "queue_timeout": "168h"})),
        ("f", json!({"queue": true, "queue_timeout": "100ms"})),
        ("g", json!({"owner": {"id": "me", "pull": {"num": (1_u64 << 53) - 1}}})),
    ] {
        let reply = client.acquire(path, "me", more.clone()).await;
        assert_eq!(reply.status, 200, "{more}: {}", reply.text);
    }
}

#[tokio::test]
async fn an_unknown_lock_is_not_found() {
    let server = TestServer::start(&[]);
    let reply = server.client().get(&format!("/api/v1/locks/{NOBODY}")).await;
    is_problem(&reply, 404, "not_found");
}

#[tokio::test]
async fn tokens_grow_with_every_grant() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let mut last = 0;
    for round in 0..20 {
        let lock = client.lock("a", &format!("owner{round}"), json!({})).await;
        let token = lock["fencing_token"].as_u64().unwrap();
        assert!(token > last, "{token} after {last}");
        last = token;
        assert_eq!(client.release(&lock).await.status, 200);
    }
}

#[tokio::test]
async fn exactly_one_of_many_that_ask_at_once_gets_it() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let asked: Vec<_> = (0..32)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move { client.acquire("a", &format!("owner{n}"), json!({})).await.status })
        })
        .collect();
    let mut got = Vec::new();
    for asked in asked {
        got.push(asked.await.unwrap());
    }
    assert_eq!(got.iter().filter(|status| **status == 200).count(), 1, "{got:?}");
    assert_eq!(got.iter().filter(|status| **status == 409).count(), 31, "{got:?}");
}
