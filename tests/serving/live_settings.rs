//! Settings that change while the server runs: by SIGHUP and by request.

use crate::support::{Client, TestServer, eventually};
use serde_json::{Value, json};
use std::path::PathBuf;

struct Running {
    server: TestServer,
    client: Client,
    file: PathBuf,
    _directory: tempfile::TempDir,
}

impl Running {
    fn start(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("lockkeeper.yaml");
        std::fs::write(&file, text).unwrap();
        let server = TestServer::start(&["--config", file.to_str().unwrap()]);
        Self { client: server.client(), server, file, _directory: directory }
    }

    /// Writes the file anew and has it read.
    fn reload(&self, text: &str) {
        std::fs::write(&self.file, text).unwrap();
        self.server.hang_up();
    }

    async fn logs(&self, text: &str) {
        eventually(text, async || self.server.log().iter().any(|line| line.contains(text)).then_some(()))
            .await;
    }

    async fn setting(&self, name: &str) -> Value {
        self.client.get(&format!("/api/v1/config?name={name}")).await.body["settings"][0].clone()
    }
}

#[tokio::test]
async fn a_hangup_takes_over_what_it_can_and_names_what_needs_a_restart() {
    let running = Running::start("default-ttl: 10m\nhttp: {max-connections: 100}\n");
    let change = json!({"changes": {"rate-limit.global": 1_000_000}, "reason": "for now"});
    assert_eq!(running.client.send("PATCH", "/api/v1/config", Some(&change)).await.status, 200);
    running.reload("default-ttl: 20m\nhttp: {max-connections: 200}\n");
    running.logs("the settings were read again").await;
    let setting = running.setting("default-ttl").await;
    assert_eq!((&setting["value"], &setting["pending"]), (&json!("20m"), &Value::Null));
    assert!(setting["source"].as_str().unwrap().ends_with("lockkeeper.yaml:1:14"), "{setting}");
    assert_eq!(running.client.lock("p", "me", json!({})).await["expires_in"], "20m0s");
    let setting = running.setting("http.max-connections").await;
    assert_eq!(
        (&setting["value"], &setting["pending"], &setting["restart"]),
        (&json!(100), &json!(200), &json!(true))
    );
    // What a request changed is what the file says again.
    assert_eq!(running.setting("rate-limit.global").await["value"], 0);
    let log = running.server.log().join("\n");
    for said in
        ["a setting changed that needs a restart", "http.max-connections", "before=\"10m\" after=\"20m\""]
    {
        assert!(log.contains(said), "{said}: {log}");
    }
    let audit = running.server.audit();
    let last: Value = serde_json::from_str(audit.lines().last().unwrap()).unwrap();
    assert_eq!((&last["action"], &last["actor"]), (&json!("config.reload"), &json!("SIGHUP")));
    assert_eq!(last["changes"][0]["from"], "10m");
    let metric =
        |outcome: &str| format!("atlantis_enhanced_locking_config_changes_total{{outcome=\"{outcome}\"}}");
    assert_eq!(running.client.metric(&metric("applied")).await, Some(3.0));
    assert_eq!(running.client.metric(&metric("needs_restart")).await, Some(1.0));
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_every_mistake_is_logged() {
    let running = Running::start("default-ttl: 10m\n");
    for (text, said) in [
        ("default-ttl: 20m\nhttp: {max-wait", "read again and refused"),
        ("default-ttl: 20m\nmax-wiat: 5s\n", "max-wiat"),
        ("default-ttl: 20m\nmax-timeout: 9000h\n", "is more than 720h"),
        ("default-ttl: 20m\nrate-limit: {burst: 3}\n", "has no meaning without a rate"),
        (
            "default-ttl: 20m\nevents: {max-subscribers: 5, max-subscribers-per-client: 6}\n",
            "is more than events.max-subscribers",
        ),
    ] {
        running.reload(text);
        running.logs(said).await;
        assert_eq!(running.setting("default-ttl").await["value"], "10m", "{text}");
    }
    std::fs::remove_file(&running.file).unwrap();
    running.server.hang_up();
    running.logs("cannot read the settings file").await;
    assert_eq!(running.setting("default-ttl").await["value"], "10m");
    assert_eq!(running.server.audit(), "");
    // All is well again with the next good one.
    running.reload("default-ttl: 30m\n");
    eventually("the new value", async || {
        (running.setting("default-ttl").await["value"] == "30m").then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_log_level_changes_at_once() {
    let running = Running::start("");
    running.reload("log-level: error\n");
    eventually("silence", async || (running.setting("log-level").await["value"] == "error").then_some(()))
        .await;
    let change = json!({"changes": {"health.interval": "3s"}, "reason": "unheard"});
    assert_eq!(running.client.send("PATCH", "/api/v1/config", Some(&change)).await.status, 200);
    running.reload("log-level: info\n");
    running.logs("the settings were read again").await;
    assert!(running.server.log().iter().all(|line| !line.contains("unheard")), "{:?}", running.server.log());
}

#[tokio::test]
async fn limits_of_a_running_server_are_heeded() {
    let running = Running::start("");
    let change = |name: &str, value: Value| json!({"changes": {name: value}, "reason": "a test"});
    let patch = async |body: Value| running.client.send("PATCH", "/api/v1/config", Some(&body)).await;
    let reply = patch(change("max-timeout", json!("1h"))).await;
    assert_eq!(
        reply.body["changed"],
        json!([{"name": "max-timeout", "from": "720h", "to": "1h"}]),
        "{}",
        reply.text
    );
    let refused = running.client.acquire("p", "me", json!({"ttl": "2h"})).await;
    assert_eq!(refused.fields(), ["ttl"], "{}", refused.text);
    assert_eq!(patch(change("default-ttl", json!("5m"))).await.status, 200);
    assert_eq!(running.client.lock("p", "me", json!({})).await["expires_in"], "5m0s");
    assert_eq!(patch(change("queue.default-timeout", json!("1m"))).await.status, 200);
    assert_eq!(patch(change("http.max-wait", json!("0s"))).await.status, 200);
    // It would wait for much longer than the test.
    let ticket = running.client.acquire("p", "next", json!({"queue": true, "wait": "60s"})).await.ticket();
    assert_eq!(ticket["state"], "queued");
    assert_eq!(patch(change("http.max-wait", json!("50s"))).await.status, 200);
    assert_eq!(patch(change("http.max-waiting", json!(1))).await.status, 200);
    assert_eq!(patch(change("health.interval", json!("100ms"))).await.status, 200);
}
