//! Log lines for machines.

use crate::support::{TestServer, acquire_body};
use serde_json::{Value, json};

#[tokio::test]
async fn every_line_is_json_and_failures_carry_the_request_id() {
    let mut server = TestServer::start(&["--log-format", "json", "--log-level", "debug"]);
    let client = server.client();
    let body = acquire_body("a", "me\u{2028}\"quoted\"", json!({}));
    let lock = client
        .with_headers("POST", "/api/v1/locks", Some(&body), &[("X-Request-Id", "find-me")])
        .await
        .lock();
    let force = format!("/api/v1/locks/{}/force-release", lock["id"].as_str().unwrap());
    client.post(&force, json!({"reason": "a \"reason\""})).await;
    client.get("/nothing").await;
    server.terminate();
    assert!(server.ended().await.success());
    let log = server.log();
    assert!(log.len() > 3, "{log:?}");
    let lines: Vec<Value> = log
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        for member in ["timestamp", "level", "message"] {
            assert!(line[member].is_string(), "{member} in {line}");
        }
    }
    let said = |text: &str| lines.iter().find(|line| line["message"].as_str().unwrap().contains(text));
    assert!(said("listening on http://127.0.0.1:").is_some(), "{log:?}");
    let ended = said("lock ended without a release by its owner").unwrap_or_else(|| panic!("{log:?}"));
    assert!(ended.to_string().contains("forced"), "{ended}");
    assert!(log.iter().any(|line| line.contains("find-me")), "no line of the request: {log:?}");
}

#[tokio::test]
async fn the_level_is_obeyed() {
    let server = TestServer::start(&["--log-level", "info"]);
    server.client().lock("a", "me", json!({})).await;
    server.client().get("/nothing").await;
    let log = server.log();
    assert!(!log.iter().any(|line| line.contains("DEBUG")), "{log:?}");
}
