//! The command line while the store is away: what waits goes on by itself, what is given back is kept.

use crate::support::{Cli, Client, TestServer, eventually, finish};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

fn start() -> TestServer {
    // Whoever polls is told soon that nobody knows.
    TestServer::start(&["--chaos", "--set", "health.interval=100ms", "--set", "http.max-wait=300ms"])
}

/// From now on its store fails everything, and that is known.
async fn goes_away(client: &Client) {
    for point in ["store.load", "store.commit", "store.probe"] {
        let fault = json!({"kind": "unavailable", "times": 1_000_000});
        let planned = client.send("PUT", &format!("/api/v1/admin/faults/{point}"), Some(&fault)).await;
        assert_eq!(planned.status, 200, "{}", planned.text);
    }
    eventually("a store that is seen to be away", async || {
        (client.get("/readyz").await.status == 503).then_some(())
    })
    .await;
}

async fn comes_back(client: &Client) {
    assert_eq!(client.delete("/api/v1/admin/faults").await.status, 204);
    eventually("grants", async || (client.get("/readyz").await.status == 200).then_some(())).await;
}

/// Reads what it says until it says this.
async fn says(child: &mut Child, text: &str) {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let heard = async {
        let mut heard = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(text) {
                return;
            }
            heard.push(line);
        }
        panic!("it ended without {text:?}: {heard:?}");
    };
    tokio::time::timeout(crate::support::DEADLINE, heard).await.expect("it does not say so");
    // Whatever else it says must not find a closed pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
}

fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}

#[tokio::test]
async fn a_release_is_noted_and_carried_out_later() {
    let server = start();
    let (cli, client) = (Cli::new(server.url()), server.client());
    let lock = client.lock(".", "me", json!({"ttl": "1h"})).await;
    let token = lock["fencing_token"].to_string();
    goes_away(&client).await;
    let release = ["release", id(&lock), "--fencing-token", &token];
    let noted = cli.run(&release).await.ended(0);
    assert!(noted.err.contains("the release was noted and will be carried out"), "{noted:?}");
    assert!(noted.out.contains(id(&lock)), "{noted:?}");
    let again = cli.run(&[&release[..], &["-o", "json"]].concat()).await.ended(0);
    assert_eq!(
        (&again.json()["status"], &again.json()["lock"]["id"]),
        (&json!("pending"), &lock["id"]),
        "{again:?}"
    );
    let named = cli.run(&[&release[..], &["-o", "name"]].concat()).await.ended(0);
    assert_eq!(named.out.trim(), id(&lock));
    // What is not known to be its own is not noted, and a renewal is no matter of later.
    let wrong = (lock["fencing_token"].as_u64().unwrap() + 1).to_string();
    let refused = cli.run(&["release", id(&lock), "--fencing-token", &wrong]).await;
    assert!(refused.code != Some(0) && refused.err.contains("backend_unavailable"), "{refused:?}");
    let renewed = cli.run(&["renew", id(&lock), "--fencing-token", &token]).await;
    assert!(renewed.code != Some(0) && renewed.err.contains("backend_unavailable"), "{renewed:?}");
    comes_back(&client).await;
    assert!(client.locks().await.is_empty());
}

#[tokio::test]
async fn acquire_waits_for_the_store_and_no_longer_than_it_was_told_to() {
    let server = start();
    let (cli, client) = (Cli::new(server.url()), server.client());
    goes_away(&client).await;
    let in_vain = cli.run(&["acquire", "acme/infra", "--owner", "hasty", "--wait", "700ms"]).await;
    assert!(in_vain.code != Some(0) && in_vain.err.contains("backend_unavailable"), "{in_vain:?}");
    let at_once = cli.run(&["acquire", "acme/infra", "--owner", "hasty"]).await;
    assert!(at_once.code != Some(0) && at_once.err.contains("backend_unavailable"), "{at_once:?}");
    let mut waits = cli.start(&["acquire", "acme/infra", "--owner", "me", "--wait", "5m", "-o", "json"]);
    says(&mut waits, "trying again").await;
    comes_back(&client).await;
    let got = finish(waits).await.ended(0).json();
    assert_eq!((&got["lock"]["owner"]["id"], &got["lock"]["state"]), (&json!("me"), &json!("held")));
    // Nothing is left of those who gave up.
    let queues = client.queues().await;
    assert_eq!((queues.len(), &queues[0]["tickets_total"]), (1, &json!(0)), "{queues:?}");
}

/// Its turn came before the store went away: nobody can confirm that now, and it is asked again.
#[tokio::test]
async fn a_ticket_that_was_granted_is_fetched_when_the_store_is_back() {
    let server = start();
    let (cli, client) = (Cli::new(server.url()), server.client());
    let lock = client.lock(".", "holder", json!({})).await;
    let ticket = client.queue(".", "me", json!({})).await;
    assert_eq!(client.release(&lock).await.body["granted_to"]["owner"]["id"], "me");
    goes_away(&client).await;
    let mut waits = cli.start(&["wait", id(&ticket), "--wait", "5m", "-o", "json"]);
    says(&mut waits, "trying again").await;
    let in_vain = cli.run(&["wait", id(&ticket), "--wait", "300ms"]).await;
    assert!(in_vain.code != Some(0) && in_vain.err.contains("backend_unavailable"), "{in_vain:?}");
    comes_back(&client).await;
    let got = finish(waits).await.ended(0).json();
    assert_eq!((&got["lock"]["id"], &got["lock"]["owner"]["id"]), (&ticket["id"], &json!("me")));
}

/// Its place is kept over an outage, and it waits on.
#[tokio::test]
async fn a_ticket_that_waits_outlives_an_outage() {
    let server = start();
    let (cli, client) = (Cli::new(server.url()), server.client());
    let lock = client.lock(".", "holder", json!({"ttl": "1h"})).await;
    let ticket = client.queue(".", "me", json!({})).await;
    goes_away(&client).await;
    // The end of its wait, not of its place.
    let in_vain = cli.run(&["wait", id(&ticket), "--wait", "300ms"]).await.ended(3);
    assert!(in_vain.err.contains("position 1") || in_vain.out.contains(id(&ticket)), "{in_vain:?}");
    let waits = cli.start(&["wait", id(&ticket), "--wait", "5m", "-o", "json"]);
    eventually("it waits", async || {
        (client.metric("atlantis_enhanced_locking_waiting_clients").await == Some(1.0)).then_some(())
    })
    .await;
    comes_back(&client).await;
    assert_eq!(client.poll(&ticket, "").await.ticket()["position"], 1);
    assert_eq!(client.release(&lock).await.status, 200);
    assert_eq!(finish(waits).await.ended(0).json()["lock"]["id"], ticket["id"]);
}
