//! The example of a deployment is as it should be: its settings are taken, its Redis is not warned of.

use super::ended;
use crate::support::{Cli, TestServer, eventually, lockkeeper};
use lockkeeper_store::testing::RedisServer;
use serde_json::json;

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");

/// An instance on this Redis, once it has seen it.
async fn instance(redis: &RedisServer) -> TestServer {
    let url = redis.url();
    let server = TestServer::start(&["--store", "redis", "--redis-url", &url, "--instance-id", "one"]);
    let client = server.client();
    eventually("the store is seen", async || {
        let listed = client.get("/api/v1/instances").await;
        listed.body["instances"].as_array().is_some_and(|all| all.len() == 1).then_some(())
    })
    .await;
    server
}

#[tokio::test]
async fn the_settings_are_valid() {
    let mut command = lockkeeper();
    command.args(["serve", "--check", "--config", &format!("{DEPLOY}/lockkeeper.yaml")]);
    command.envs([("INSTANCE", "lockkeeper-1"), ("ADDRESS", "10.0.0.11")]);
    let checked = ended(command).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
}

#[tokio::test]
async fn nothing_is_warned_of_with_the_lines_for_redis() {
    let text = std::fs::read_to_string(format!("{DEPLOY}/redis/redis.conf")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert!(lines.len() > 2, "{lines:?}");
    let redis = RedisServer::with(&lines);
    let server = instance(&redis).await;
    let health = server.client().get("/api/locks/health").await;
    assert_eq!(health.body["warnings"], json!([]), "{}", health.text);
}

#[tokio::test]
async fn a_redis_that_forgets_is_warned_of() {
    let redis = RedisServer::start();
    let server = instance(&redis).await;
    let health = server.client().get("/api/locks/health").await;
    let warning = health.body["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.contains("appendonly yes"), "{}", health.text);
    let status = Cli::new(server.url()).run(&["status"]).await;
    assert!(status.out.contains("WARNING") && status.out.contains("appendonly yes"), "{status:?}");

    // And what to do when it is away is about Redis, not about a disk.
    redis.kill9();
    let client = server.client();
    let ready = eventually("it is missed", async || {
        let ready = client.get("/readyz").await;
        (ready.body["phase"] == "hold_only").then_some(ready)
    })
    .await;
    assert_eq!((ready.status, &ready.body["can_grant"]), (503, &json!(false)));
    assert!(ready.body["action"].as_str().is_some_and(|action| action.contains("Redis")), "{}", ready.text);
    assert_eq!(client.get("/readyz?for=traffic").await.status, 200);
}
