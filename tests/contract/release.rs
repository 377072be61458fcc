//! Releasing: by the holder's token, and by force.

use super::{LOCK, NOBODY, TestServer};
use crate::support::{has_members, is_problem, is_time};
use serde_json::{Value, json};

fn path(lock: &Value) -> String {
    format!("/api/v1/locks/{}", lock["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_release_tells_what_ended_and_who_is_next() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    client.queue("a", "next", json!({})).await;
    let reply = client.release(&lock).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let (released, next) = (&reply.body["released"], &reply.body["granted_to"]);
    has_members(released, LOCK);
    has_members(next, LOCK);
    assert_eq!((&released["id"], &released["fencing_token"]), (&lock["id"], &lock["fencing_token"]));
    assert_eq!(next["owner"]["id"], "next");
    let last = client.release(next).await;
    assert_eq!((last.status, &last.body["granted_to"]), (200, &Value::Null));
    is_problem(&client.get(&path(&lock)).await, 410, "released");
    is_problem(&client.release(&lock).await, 410, "released");
    is_problem(&client.renew(&lock, "").await, 410, "released");
}

#[tokio::test]
async fn only_the_token_releases() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "me", json!({})).await;
    let token = lock["fencing_token"].as_u64().unwrap();
    for wrong in [token + 1, token - 1, 1] {
        is_problem(
            &client.delete(&format!("{}?fencing_token={wrong}", path(&lock))).await,
            409,
            "stale_token",
        );
    }
    for query in [
        "",
        "?fencing_token=",
        "?fencing_token=x",
        "?fencing_token=-1",
        "?fencing_token=1.5",
        "?fencing_token=99999999999999999999",
    ] {
        let refused = client.delete(&format!("{}{query}", path(&lock))).await;
        is_problem(&refused, 400, "invalid_request");
        assert_eq!(refused.fields(), ["fencing_token"], "{query}");
    }
    assert_eq!(client.locks().await.len(), 1);
    is_problem(&client.delete(&format!("/api/v1/locks/{NOBODY}?fencing_token=1")).await, 404, "not_found");
}

#[tokio::test]
async fn the_token_of_an_earlier_grant_is_stale() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let first = client.lock("a", "me", json!({})).await;
    client.release(&first).await;
    let second = client.lock("a", "me", json!({})).await;
    let old = &first["fencing_token"];
    is_problem(&client.delete(&format!("{}?fencing_token={old}", path(&second))).await, 409, "stale_token");
}

#[tokio::test]
async fn a_repeated_release_under_its_key_gets_the_same_answer() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "me", json!({})).await;
    client.queue("a", "next", json!({})).await;
    let release = async |key: &str| {
        let path = format!("{}?fencing_token={}", path(&lock), lock["fencing_token"]);
        client.with_headers("DELETE", &path, None, &[("Idempotency-Key", key)]).await
    };
    let first = release("k1").await;
    assert_eq!(first.status, 200, "{}", first.text);
    let again = release("k1").await;
    assert_eq!(again.status, 200, "{}", again.text);
    assert_eq!(again.body["released"]["id"], lock["id"]);
    assert_eq!(again.body["granted_to"]["id"], first.body["granted_to"]["id"]);
    is_problem(&release("k2").await, 410, "released");
    assert_eq!(client.locks().await.len(), 1);
}

#[tokio::test]
async fn an_operator_ends_a_lock_and_the_audit_file_says_why() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({"protected": true})).await;
    client.queue("a", "next", json!({})).await;
    let force = format!("{}/force-release", path(&lock));
    for (body, field) in [
        (json!({}), "reason"),
        (json!({"reason": ""}), "reason"),
        (json!({"reason": null}), "reason"),
        (json!({"reason": 1}), "reason"),
        (json!({"reason": "a\nb"}), "reason"),
        (json!({"reason": "x", "force": true}), "force"),
    ] {
        let refused = client.post(&force, body.clone()).await;
        is_problem(&refused, 400, "invalid_request");
        assert_eq!(refused.fields(), [field], "{body}");
    }
    assert_eq!(server.audit(), "", "nothing was forced yet");

    let reply = client.post(&force, json!({"reason": "the runner is \"gone\""})).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(
        (&reply.body["released"]["id"], &reply.body["granted_to"]["owner"]["id"]),
        (&lock["id"], &json!("next"))
    );
    for gone in [client.get(&path(&lock)).await, client.renew(&lock, "").await, client.release(&lock).await] {
        is_problem(&gone, 410, "forced");
        assert!(gone.body["detail"].as_str().unwrap().contains("gone"), "the reason is told: {}", gone.text);
    }

    let text = server.audit();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!lines.is_empty() && text.ends_with('\n'));
    let whole = lines[0].to_string();
    for said in [lock["id"].as_str().unwrap(), "the runner is \\\"gone\\\"", "holder", "acme/infra"] {
        assert!(whole.contains(said), "{said} in {whole}");
    }
    assert!(lines[0].as_object().unwrap().values().any(is_time), "no time in {whole}");
    is_problem(&client.post(&force, json!({"reason": "again"})).await, 410, "forced");
    let nobody = format!("/api/v1/locks/{NOBODY}/force-release");
    is_problem(&client.post(&nobody, json!({"reason": "x"})).await, 404, "not_found");
}

#[tokio::test]
async fn a_released_lock_goes_on_at_once_in_spite_of_lock_delay() {
    let server = TestServer::start(&["--set", "lock-delay=1h"]);
    let client = server.client();
    let lock = client.lock("a", "me", json!({})).await;
    client.release(&lock).await;
    let lock = client.lock("a", "other", json!({})).await;
    // A forced one rests: its holder may not know yet.
    let forced = client.post(&format!("{}/force-release", path(&lock)), json!({"reason": "x"})).await;
    assert_eq!((forced.status, &forced.body["granted_to"]), (200, &Value::Null));
    is_problem(&client.acquire("a", "third", json!({})).await, 409, "held");
}

#[tokio::test]
async fn ends_survive_a_kill() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let released = client.lock("a", "me", json!({})).await;
    client.release(&released).await;
    let forced = client.lock("b", "me", json!({})).await;
    client.post(&format!("{}/force-release", path(&forced)), json!({"reason": "stuck"})).await;
    let server = server.restart();
    let client = server.client();
    is_problem(&client.get(&path(&released)).await, 410, "released");
    is_problem(&client.get(&path(&forced)).await, 410, "forced");
    assert!(client.locks().await.is_empty());
}
