//! The actors of a running server, seen and hurt from outside.

use crate::support::{Client, TestServer, eventually};
use serde_json::{Value, json};

async fn actor(client: &Client, name: &str) -> Value {
    let listed = client.get("/api/v1/actors").await;
    assert_eq!(listed.status, 200, "{}", listed.text);
    let actors = listed.body["actors"].as_array().unwrap();
    actors.iter().find(|actor| actor["name"] == name).cloned().unwrap_or_default()
}

async fn kill(client: &Client, name: &str, how: &str) {
    let killed = client.post(&format!("/api/v1/admin/actors/{name}/kill"), json!({"how": how})).await;
    assert_eq!((killed.status, &killed.body["killed"]), (202, &json!(name)), "{}", killed.text);
}

#[tokio::test]
async fn without_the_flag_nobody_can_hurt_it() {
    let server = TestServer::start(&[]);
    let client = server.client();
    assert_eq!(actor(&client, "reaper").await["alive"], true);
    for (method, path, body) in [
        ("POST", "/api/v1/admin/actors/reaper/kill", json!({"how": "panic"})),
        ("PUT", "/api/v1/admin/faults/store.commit", json!({"kind": "panic"})),
        ("GET", "/api/v1/admin/faults", Value::Null),
        ("DELETE", "/api/v1/admin/faults", Value::Null),
    ] {
        let body = (!body.is_null()).then_some(&body);
        assert_eq!(client.send(method, path, body).await.what(), (404, "not_found"), "{method} {path}");
    }
    assert_eq!(actor(&client, "reaper").await["restarts"], 0);
    assert!(!server.log().iter().any(|line| line.contains("chaos")));
}

/// Every actor dies, by panic and by stop, while clients wait, and none of them notices.
#[tokio::test]
async fn every_actor_dies_and_no_client_notices() {
    const CLIENTS: usize = 8;
    let server = TestServer::start(&["--set", "chaos=true"]);
    let client = server.client();
    assert!(server.log().iter().any(|line| line.contains("chaos")), "it warns");
    let lock = client.lock("p", "holder", json!({})).await;
    let waiting: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move {
                let body = json!({"queue": true, "wait": "50s"});
                let answer = client.acquire("p", &format!("waiting {number}"), body).await;
                let lock = answer.lock();
                let released = client.release(&lock).await;
                assert_eq!(released.status, 200, "{}", released.text);
                lock["fencing_token"].as_u64().unwrap()
            })
        })
        .collect();
    let queue = format!("queue:{}", lock["resource"]["id"].as_str().unwrap());
    let listed = client.get("/api/v1/actors").await;
    let residents: Vec<String> = listed.body["actors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|actor| actor["name"].as_str().unwrap().to_owned())
        .collect();
    for needed in ["coordinator-0", "event_hub", "reaper", "health", "breaker"] {
        assert!(residents.iter().any(|name| name == needed), "{needed} is missing: {residents:?}");
    }
    eventually("the tickets", async || {
        (client.queues().await[0]["tickets_total"] == json!(CLIENTS)).then_some(())
    })
    .await;
    for (round, how) in ["panic", "stop"].into_iter().enumerate() {
        for name in &residents {
            kill(&client, name, how).await;
            // It has an actor as long as somebody waits.
            client.post(&format!("/api/v1/admin/actors/{queue}/kill"), json!({"how": how})).await;
            if round == 0 && name == &residents[residents.len() / 2] {
                assert_eq!(client.release(&lock).await.status, 200);
            }
            eventually("its successor", async || {
                let actor = actor(&client, name).await;
                (actor["alive"] == true && actor["restarts"] == json!(round + 1)).then_some(())
            })
            .await;
        }
    }
    let mut tokens = Vec::new();
    for client in waiting {
        tokens.push(client.await.unwrap());
    }
    tokens.sort_unstable();
    tokens.dedup();
    assert!(tokens.len() == CLIENTS && Some(tokens[0]) > lock["fencing_token"].as_u64(), "{tokens:?}");
    assert_eq!(client.get("/readyz").await.status, 200);
    let restarts = "atlantis_enhanced_locking_actor_restarts_total{actor=\"reaper\"}";
    assert_eq!(client.metric(restarts).await, Some(2.0), "{}", client.get("/metrics").await.text);
    for name in ["nobody", "queue:0000000000000000", "coordinator-99"] {
        let path = format!("/api/v1/admin/actors/{name}/kill");
        assert_eq!(client.post(&path, json!({"how": "stop"})).await.what(), (404, "not_found"), "{name}");
    }
}

/// A kind that dies too often: the instance says that it grants nothing and why, and comes back.
#[tokio::test]
async fn a_storm_is_told_by_readyz_and_ends() {
    let server = TestServer::start(&[
        "--set",
        "chaos=true",
        "--set",
        "supervision.max-deaths=2",
        "--set",
        "supervision.calm=1s",
    ]);
    let client = server.client();
    let held = client.lock("p", "holder", json!({})).await;
    for deaths in 1..=3 {
        kill(&client, "event_hub", "panic").await;
        eventually("the death", async || {
            let hub = actor(&client, "event_hub").await;
            (hub["restarts"] == json!(deaths) || hub["unstable"] == true).then_some(())
        })
        .await;
    }
    let ready = client.get("/readyz").await;
    assert_eq!((ready.status, &ready.body["phase"]), (503, &json!("hold_only")), "{}", ready.text);
    assert!(
        ready.body["reason"].as_str().is_some_and(|reason| reason.contains("event_hub")),
        "{}",
        ready.text
    );
    assert_eq!(actor(&client, "event_hub").await["unstable"], true);
    // What is held can be given back all the same.
    assert_eq!(client.release(&held).await.status, 200);
    eventually("calm", async || (client.get("/readyz").await.status == 200).then_some(())).await;
    client.lock("p", "next", json!({})).await;
    let hub = actor(&client, "event_hub").await;
    assert_eq!((&hub["alive"], &hub["unstable"]), (&json!(true), &json!(false)), "{hub}");
}

/// One resource's actor dies at every decision: its requests are refused with a time to come back,
/// and the rest of the instance knows nothing of it.
#[tokio::test]
async fn a_quarantined_resource_is_told_and_spares_the_others() {
    let server = TestServer::start(&[
        "--set",
        "chaos=true",
        "--set",
        "supervision.max-deaths-per-resource=3",
        "--set",
        "supervision.calm=2s",
        "--set",
        "supervision.window=2s",
    ]);
    let client = server.client();
    let held = client.lock("bad", "holder", json!({})).await;
    let other = client.lock("good", "holder", json!({})).await;
    let id = held["resource"]["id"].clone();
    let fault = json!({"kind": "panic", "times": 1000, "resource": id});
    let planned = client.send("PUT", "/api/v1/admin/faults/queue.decide", Some(&fault)).await;
    assert_eq!(planned.status, 200, "{}", planned.text);
    let given_up = client.renew(&held, "1h").await;
    assert_eq!(given_up.what(), (500, "internal"), "{}", given_up.text);
    let refused = eventually("the quarantine", async || {
        let refused = client.renew(&held, "1h").await;
        (refused.what() == (503, "backend_unavailable")).then_some(refused)
    })
    .await;
    assert!(["1", "2"].contains(&refused.header("retry-after")), "{}", refused.header("retry-after"));
    assert!(refused.text.contains(id.as_str().unwrap()), "{}", refused.text);
    let listed = client.get("/api/v1/actors").await.body;
    assert_eq!(
        (&listed["quarantined"][0]["resource"], &listed["quarantined"][0]["deaths"]),
        (&id, &json!(4))
    );
    assert!(listed["quarantined"][0]["key"].as_str().is_some_and(|key| key.contains("bad")), "{listed}");
    assert_eq!(client.metric("atlantis_enhanced_locking_resources_quarantined").await, Some(1.0));
    assert_eq!(client.renew(&other, "1h").await.status, 200);
    assert_eq!(client.get("/readyz").await.status, 200);

    assert_eq!(client.delete("/api/v1/admin/faults/queue.decide").await.status, 204);
    let renewed = eventually("its end", async || {
        let renewed = client.renew(&held, "1h").await;
        (renewed.status != 503).then_some(renewed)
    })
    .await;
    assert_eq!((renewed.status, &renewed.body["lock"]["fencing_token"]), (200, &held["fencing_token"]));
}
