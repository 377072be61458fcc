//! `lockkeeper run` when the lock is lost, and when the server goes away for a while.

use crate::support::{Cli, Client, TestServer, eventually, finish};
use serde_json::{Value, json};

async fn held(client: &Client) -> Value {
    eventually("it holds the lock", async || client.locks().await.first().cloned()).await
}

/// Says that it runs, then goes on until TERM comes, of which it tells.
fn script(directory: &std::path::Path) -> String {
    let at = directory.display();
    format!(
        "trap 'echo term > {at}/term; exit 0' TERM; echo ready > {at}/ready; while :; do sleep 0.05; done"
    )
}

async fn ready(directory: &std::path::Path) {
    eventually("the command runs", async || directory.join("ready").exists().then_some(())).await;
}

#[tokio::test]
async fn a_lock_taken_by_force_stops_the_command() {
    let server = TestServer::start(&[]);
    let (cli, client) = (Cli::new(server.url()), server.client());
    let directory = tempfile::tempdir().unwrap();
    let run = cli.start(&["run", "acme/infra", "--ttl", "1s", "--", "sh", "-c", &script(directory.path())]);
    ready(directory.path()).await;
    let lock = held(&client).await;
    let force = format!("/api/v1/locks/{}/force-release", lock["id"].as_str().unwrap());
    assert_eq!(client.post(&force, json!({"reason": "the test wants it"})).await.status, 200);
    let run = finish(run).await.ended(122);
    assert!(directory.path().join("term").exists(), "the command got TERM: {run:?}");
    assert!(run.err.contains("lost") && run.err.contains("the test wants it"), "{run:?}");
}

#[tokio::test]
async fn a_command_that_does_not_listen_is_killed() {
    let server = TestServer::start(&[]);
    let (cli, client) = (Cli::new(server.url()), server.client());
    let directory = tempfile::tempdir().unwrap();
    let script = format!(
        "trap '' TERM; echo ready > {}/ready; while :; do sleep 0.05; done",
        directory.path().display()
    );
    let run =
        cli.start(&["run", "acme/infra", "--ttl", "1s", "--kill-after", "200ms", "--", "sh", "-c", &script]);
    ready(directory.path()).await;
    let lock = held(&client).await;
    let force = format!("/api/v1/locks/{}/force-release", lock["id"].as_str().unwrap());
    client.post(&force, json!({"reason": "x"})).await;
    finish(run).await.ended(122);
}

#[tokio::test]
async fn the_lock_is_kept_over_a_kill_and_restart_of_the_server() {
    let server = TestServer::start_at_a_fixed_address();
    let (cli, client) = (Cli::new(server.url()), server.client());
    let directory = tempfile::tempdir().unwrap();
    let go = directory.path().join("go");
    let script = format!(
        "echo ready > {0}/ready; while [ ! -e {0}/go ]; do sleep 0.05; done; exit 4",
        directory.path().display()
    );
    let run = cli.start(&["run", "acme/infra", "--ttl", "30s", "--", "sh", "-c", &script]);
    ready(directory.path()).await;
    let lock = held(&client).await;
    let server = server.restart();
    let client = server.client();
    assert_eq!(held(&client).await["id"], lock["id"]);
    std::fs::write(go, "").unwrap();
    finish(run).await.ended(4);
    assert!(client.locks().await.is_empty());
}

#[tokio::test]
async fn a_short_lease_is_renewed_over_a_restart() {
    let server = TestServer::start_at_a_fixed_address();
    let (cli, client) = (Cli::new(server.url()), server.client());
    let directory = tempfile::tempdir().unwrap();
    let script = format!(
        "echo ready > {0}/ready; while [ ! -e {0}/go ]; do sleep 0.05; done",
        directory.path().display()
    );
    let run = cli.start(&["run", "acme/infra", "--ttl", "6s", "--", "sh", "-c", &script]);
    ready(directory.path()).await;
    let lock = held(&client).await;
    let server = server.restart();
    let client = server.client();
    eventually("it is renewed on the new server", async || {
        let now = client.get(&format!("/api/v1/locks/{}", lock["id"].as_str().unwrap())).await;
        assert_eq!(now.status, 200, "{}", now.text);
        (now.body["lock"]["renewed_at"] != lock["renewed_at"]).then_some(())
    })
    .await;
    std::fs::write(directory.path().join("go"), "").unwrap();
    finish(run).await.ended(0);
}

#[tokio::test]
async fn without_a_server_the_command_ends_when_its_lease_does() {
    let mut server = TestServer::start(&[]);
    let cli = Cli::new(server.url());
    let directory = tempfile::tempdir().unwrap();
    let run = cli.start(&["run", "acme/infra", "--ttl", "1s", "--", "sh", "-c", &script(directory.path())]);
    ready(directory.path()).await;
    server.kill();
    let run = finish(run).await.ended(122);
    assert!(directory.path().join("term").exists(), "{run:?}");
}
