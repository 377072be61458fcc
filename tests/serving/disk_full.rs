//! A full disk: nothing is granted, nothing is lost, and it goes on when space returns.

use crate::support::{SmallDisk, TestServer, eventually, is_problem};
use serde_json::{Value, json};

#[tokio::test]
async fn nothing_is_granted_without_space_and_nothing_is_lost() {
    let parent = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&parent.path().join("disk"), "4m") else {
        eprintln!(
            "\nSKIPPED: a small tmpfs could not be mounted (no permission); the disk-full test did not run\n"
        );
        return;
    };
    let data = disk.path().join("data");
    let server =
        TestServer::start_in(&data, &["--set", "health.interval=100ms", "--set", "sweep-interval=100ms"]);
    let client = server.client();
    let mut kept: Vec<Value> = Vec::new();
    for n in 0..20 {
        kept.push(client.lock(&format!("p{n}"), "me", json!({"ttl": "0s"})).await);
    }
    let ticket = client.queue("p0", "next", json!({})).await;

    disk.fill();
    // Big enough that free pages inside the file do not take them for ever.
    let metadata: serde_json::Map<String, Value> =
        (0..32).map(|n| (format!("k{n}"), json!("x".repeat(1000)))).collect();
    let mut n = 0;
    let refused = eventually("the disk is full", async || {
        n += 1;
        disk.fill();
        let reply =
            client.acquire(&format!("big{n}"), "me", json!({"ttl": "0s", "metadata": metadata})).await;
        match reply.status {
            200 => {
                kept.push(reply.lock());
                None
            }
            _ => Some(reply),
        }
    })
    .await;
    assert!(matches!(refused.what(), (503, "backend_unavailable" | "outcome_unknown")), "{}", refused.text);
    let ready = eventually("it says so", async || {
        let ready = client.get("/readyz").await;
        (ready.status == 503).then_some(ready)
    })
    .await;
    assert_eq!(
        (&ready.body["can_grant"], &ready.body["phase"]),
        (&json!(false), &json!("hold_only")),
        "{}",
        ready.text
    );
    assert!(ready.body["reason"].is_string() && ready.body["action"].is_string(), "{}", ready.text);
    is_problem(
        &client.acquire("later", "me", json!({"metadata": metadata})).await,
        503,
        "backend_unavailable",
    );
    assert_eq!(client.get("/healthz").await.status, 200);
    assert_eq!(client.get("/readyz?for=traffic").await.status, 200, "reads and waiting clients are served");
    let list = client.get("/api/v1/locks?limit=1000").await;
    assert_eq!((list.status, list.body["locks"].as_array().unwrap().len()), (200, kept.len()));
    let one = client.get(&format!("/api/v1/locks/{}", kept[0]["id"].as_str().unwrap())).await;
    assert_eq!(one.status, 200, "{}", one.text);
    assert_eq!(client.get("/api/locks/health").await.body["overall"], false);

    disk.clear();
    eventually("it can grant again", async || (client.get("/readyz").await.status == 200).then_some(()))
        .await;
    kept.push(client.lock("after", "me", json!({"ttl": "0s"})).await);
    let server = server.restart();
    let client = server.client();
    for lock in &kept {
        let found = client.get(&format!("/api/v1/locks/{}", lock["id"].as_str().unwrap())).await;
        assert_eq!(found.status, 200, "{lock} was acknowledged: {}", found.text);
        assert_eq!(found.body["lock"]["fencing_token"], lock["fencing_token"]);
    }
    assert_eq!(client.poll(&ticket, "").await.ticket()["position"], 1);
    assert_eq!(client.release(&kept[0]).await.body["granted_to"]["owner"]["id"], "next");
    drop(server);
}
