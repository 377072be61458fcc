//! Waiting on the command line.

use crate::support::{Cli, Client, TestServer, eventually, finish};
use serde_json::{Value, json};

async fn queued(client: &Client) -> Value {
    eventually("a ticket is in the queue", async || {
        let tickets = client.get("/api/v1/tickets").await.body["tickets"].clone();
        tickets.get(0).cloned()
    })
    .await
}

#[tokio::test]
async fn acquire_waits_for_its_turn() {
    let server = TestServer::start(&[]);
    let (cli, client) = (Cli::new(server.url()), server.client());
    let lock = client.lock(".", "holder", json!({})).await;
    let waits = cli.start(&["acquire", "acme/infra", "--owner", "me", "--wait", "5m", "-o", "json"]);
    queued(&client).await;
    client.release(&lock).await;
    let got = finish(waits).await.ended(0);
    assert_eq!(
        (&got.json()["lock"]["owner"]["id"], &got.json()["lock"]["state"]),
        (&json!("me"), &json!("held"))
    );
    assert!(got.err.contains("position 1; held by holder since"), "{got:?}");
}

#[tokio::test]
async fn a_wait_in_vain_exits_3_and_takes_its_ticket_back() {
    let server = TestServer::start(&[]);
    let (cli, client) = (Cli::new(server.url()), server.client());
    client.lock(".", "holder", json!({})).await;
    let gave_up = cli.run(&["acquire", "acme/infra", "--owner", "me", "--wait", "1.2s"]).await.ended(3);
    assert!(gave_up.err.contains("held by holder since"), "{gave_up:?}");
    assert!(gave_up.err.contains("not acquired within 1.2s\n"), "{gave_up:?}");
    assert!(client.queues().await[0]["tickets"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_ticket_can_be_waited_for_later() {
    let server = TestServer::start(&[]);
    let (cli, client) = (Cli::new(server.url()), server.client());
    let lock = client.lock(".", "holder", json!({})).await;
    let ticket = cli.run(&["acquire", "acme/infra", "--owner", "me", "--queue", "-o", "name"]).await.ended(3);
    let ticket = ticket.out.trim();
    let shown = cli.run(&["show", ticket, "-o", "json"]).await.ended(0);
    assert_eq!(shown.json()["ticket"]["position"], 1);
    cli.run(&["wait", ticket, "--wait", "100ms"]).await.ended(3);
    let waits = cli.start(&["wait", ticket, "-o", "json"]);
    client.release(&lock).await;
    let got = finish(waits).await.ended(0);
    assert_eq!(got.json()["lock"]["owner"]["id"], "me");
    let gone = cli.run(&["wait", "01ARZ3NDEKTSV4RRFFQ69G5FAV"]).await.ended(1);
    assert!(
        gone.err.contains("not_found")
            || gone.err.contains("Not found")
            || gone.err.contains("no lock or ticket"),
        "{gone:?}"
    );
}

#[tokio::test]
async fn an_interrupted_wait_leaves_nothing_behind() {
    let server = TestServer::start(&[]);
    let (cli, client) = (Cli::new(server.url()), server.client());
    client.lock(".", "holder", json!({})).await;
    for (signal, code) in [(rustix::process::Signal::INT, 130), (rustix::process::Signal::TERM, 143)] {
        let waits = cli.start(&["acquire", "acme/infra", "--owner", "me", "--wait", "5m"]);
        queued(&client).await;
        let pid = rustix::process::Pid::from_raw(waits.id().unwrap() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
        finish(waits).await.ended(code);
        assert!(client.queues().await[0]["tickets"].as_array().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_wait_outlives_a_restart_of_the_server() {
    let server = TestServer::start_at_a_fixed_address();
    let (cli, client) = (Cli::new(server.url()), server.client());
    let lock = client.lock(".", "holder", json!({})).await;
    let waits = cli.start(&["acquire", "acme/infra", "--owner", "me", "--wait", "5m", "-o", "json"]);
    let ticket = queued(&client).await;
    let server = server.restart();
    let client = server.client();
    assert_eq!(queued(&client).await["id"], ticket["id"], "the place is kept");
    client.release(&lock).await;
    let got = finish(waits).await.ended(0);
    assert_eq!(got.json()["lock"]["owner"]["id"], "me");
}
