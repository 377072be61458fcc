//! `/api/v1/config`: the settings in force, and changing them.

use super::TestServer;
use crate::support::{Client, Reply, is_problem};
use serde_json::{Value, json};

async fn patch(client: &Client, changes: Value, reason: &str) -> Reply {
    let body = json!({"changes": changes, "reason": reason});
    client.send("PATCH", "/api/v1/config", Some(&body)).await
}

fn find<'a>(settings: &'a Value, name: &str) -> &'a Value {
    let mut all = settings["settings"].as_array().unwrap().iter();
    all.find(|setting| setting["name"] == name).unwrap_or_else(|| panic!("{name}"))
}

#[tokio::test]
async fn every_setting_is_shown_with_where_it_comes_from() {
    let server = TestServer::start(&["--set", "queue.max-size=7"]);
    let reply = server.client().get("/api/v1/config").await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let size = find(&reply.body, "queue.max-size");
    assert_eq!(
        *size,
        json!({"name": "queue.max-size", "value": 7, "default": 100_000, "source": "--set queue.max-size",
            "restart": true, "pending": null, "secret": false, "allowed": "1 to 1000000", "help": size["help"],
            "variable": "LOCKKEEPER_QUEUE__MAX_SIZE"})
    );
    let enabled = find(&reply.body, "enabled");
    assert_eq!((&enabled["value"], &enabled["restart"]), (&json!(true), &json!(false)));
    assert_eq!(find(&reply.body, "redis.url")["value"], json!([]));
    assert_eq!(find(&reply.body, "http.max-wait")["value"], "50s");
    assert_eq!(find(&reply.body, "queue.abandon-after")["default"], "1m");
    for setting in reply.body["settings"].as_array().unwrap() {
        assert!(setting["help"].as_str().is_some_and(|help| !help.is_empty()), "{setting}");
    }
}

#[tokio::test]
async fn one_setting_or_a_section_may_be_asked_for() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let names = async |name: &str| -> Vec<String> {
        let reply = client.get(&format!("/api/v1/config?name={name}")).await;
        let settings = reply.body["settings"].as_array().unwrap_or_else(|| panic!("{}", reply.text)).clone();
        settings.iter().map(|setting| setting["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("enabled").await, ["enabled"]);
    assert_eq!(names("enhanced-locking.enabled").await, ["enabled"]);
    assert_eq!(names("rate-limit").await, ["rate-limit.per-client", "rate-limit.burst", "rate-limit.global"]);
    let unknown = client.get("/api/v1/config?name=rate-limit.globl").await;
    is_problem(&unknown, 404, "not_found");
    assert!(unknown.body["detail"].as_str().unwrap().contains("rate-limit.global"), "{}", unknown.text);
    is_problem(&client.get("/api/v1/config?nam=enabled").await, 400, "invalid_request");
    is_problem(&client.get("/api/v1/config?name=").await, 400, "invalid_request");
}

#[tokio::test]
async fn a_secret_is_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    std::fs::write(&file, "hunter2\n").unwrap();
    // A store that is not used may have what says nothing; so the mask is seen where nothing is given.
    let server = TestServer::start(&[]);
    let reply = server.client().get("/api/v1/config?name=redis.password").await;
    assert_eq!(reply.body["settings"][0]["secret"], true);
    let refused = patch(
        &server.client(),
        json!({"redis.password": "hunter2", "redis.url": "redis://u:hunter2@h"}),
        "x",
    )
    .await;
    is_problem(&refused, 400, "invalid_request");
    assert!(!refused.text.contains("hunter2"), "{}", refused.text);
}

#[tokio::test]
async fn a_change_holds_at_once_and_is_written_down() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let reply =
        patch(&client, json!({"rate-limit.global": 1000, "rate-limit.per-client": "50"}), "busy day").await;
    assert_eq!(
        (reply.status, &reply.body["changed"]),
        (
            200,
            &json!([
                {"name": "rate-limit.per-client", "from": 0, "to": 50},
                {"name": "rate-limit.global", "from": 0, "to": 1000},
            ])
        ),
        "{}",
        reply.text
    );
    assert!(reply.body["scope"].as_str().unwrap().contains("this instance only"), "{}", reply.text);
    let now = client.get("/api/v1/config?name=rate-limit.global").await;
    assert_eq!(now.body["settings"][0]["value"], 1000);
    assert_eq!(now.body["settings"][0]["source"], "changed while running");
    let audit: Value = serde_json::from_str(server.audit().trim()).unwrap();
    assert_eq!(
        (&audit["action"], &audit["actor"], &audit["reason"], &audit["request_id"]),
        (&json!("config.set"), &json!("anonymous"), &json!("busy day"), &json!(reply.header("x-request-id")))
    );
    assert_eq!(audit["changes"][1]["to"], "1000");
    // Once more changes nothing, and is nothing to write down.
    let again = patch(&client, json!({"rate-limit.global": 1000}), "again").await;
    assert_eq!((again.status, &again.body["changed"]), (200, &json!([])));
    assert_eq!(server.audit().lines().count(), 1);
}

#[tokio::test]
async fn all_or_nothing() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let refused = patch(
        &client,
        json!({"http.max-wait": "2m", "enabeld": true, "listen": "127.0.0.1:1", "rate-limit.global": 5,
            "rate-limit.per-client": 6, "log-level": null, "enabled": {"a": 1}}),
        "x",
    )
    .await;
    is_problem(&refused, 400, "invalid_request");
    // What has no form of a value comes first, and alone.
    assert_eq!(refused.fields(), ["changes.enabled", "changes.log-level"]);
    let refused = patch(
        &client,
        json!({"http.max-wait": "2m", "enabeld": true, "listen": "127.0.0.1:1", "rate-limit.global": 5,
            "rate-limit.per-client": 6}),
        "x",
    )
    .await;
    is_problem(&refused, 400, "invalid_request");
    let mut fields = refused.fields();
    fields.sort_unstable();
    assert_eq!(
        fields,
        ["changes.enabeld", "changes.http.max-wait", "changes.listen", "changes.rate-limit.per-client"]
    );
    for said in [
        "did you mean",
        "is more than 1m; allowed: 0s to 1m",
        "takes effect at the start only",
        "rate-limit.global, which is 5",
    ] {
        assert!(refused.text.contains(said), "{said}: {}", refused.text);
    }
    // A change may contradict what was not to be changed: that is named.
    let refused = patch(&client, json!({"max-timeout": "1m"}), "x").await;
    assert_eq!(refused.fields(), ["default-ttl"], "{}", refused.text);
    for setting in client.get("/api/v1/config").await.body["settings"].as_array().unwrap() {
        assert_ne!(setting["source"], "changed while running", "{setting}");
    }
    assert_eq!(server.audit(), "");
}

#[tokio::test]
async fn a_reason_and_changes_are_required() {
    let server = TestServer::start(&[]);
    let client = server.client();
    for (body, fields) in [
        (json!({}), &["changes", "reason"][..]),
        (json!({"changes": {}, "reason": ""}), &["changes", "reason"]),
        (json!({"changes": [], "reason": "x"}), &["changes"]),
        (json!({"changes": {"enabled": true}, "reason": 5}), &["reason"]),
        (json!({"changes": {"enabled": true}, "reason": "x", "force": true}), &["force"]),
    ] {
        let refused = client.send("PATCH", "/api/v1/config", Some(&body)).await;
        is_problem(&refused, 400, "invalid_request");
        let mut named = refused.fields();
        named.sort_unstable();
        assert_eq!(named, fields, "{body}: {}", refused.text);
    }
    let twice = r#"{"changes": {"enabled": true, "enabled": false}, "reason": "x"}"#;
    let request = client.request("PATCH", "/api/v1/config").header("content-type", "application/json");
    let refused = request.body(twice).send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 400);
    assert!(refused.text().await.unwrap().contains("second time"));
}

#[tokio::test]
async fn the_feature_is_announced() {
    let server = TestServer::start(&[]);
    let features = server.client().get("/version").await.body["features"].clone();
    assert!(features.as_array().unwrap().contains(&json!("config")), "{features}");
}
