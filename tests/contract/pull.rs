//! `POST /api/v1/locks/release-by-pull`: everything of one pull request, and nothing else.

use super::TestServer;
use crate::support::{Client, is_problem, millis_of};
use serde_json::{Value, json};

fn body(namespace: &str, path: &str, pull: u64) -> Value {
    json!({"resource": {"namespace": namespace, "path": path},
           "owner": {"id": format!("{namespace}#{pull}"), "pull": {"num": pull}}})
}

async fn lock(client: &Client, namespace: &str, path: &str, pull: u64) -> Value {
    client.post("/api/v1/locks", body(namespace, path, pull)).await.lock()
}

fn ids(locks: &Value) -> Vec<String> {
    let mut ids: Vec<_> =
        locks.as_array().unwrap().iter().map(|lock| lock["id"].as_str().unwrap().to_owned()).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn exactly_that_pull_request_of_exactly_that_repository() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let mine = [lock(&client, "acme/infra", "a", 42).await, lock(&client, "acme/infra", "b", 42).await];
    let others = [
        lock(&client, "acme/infra", "c", 4).await,
        lock(&client, "acme/infra", "d", 421).await,
        lock(&client, "acme/infra-2", "a", 42).await,
        lock(&client, "Acme/infra", "a", 42).await,
        lock(&client, "acme", "infra/a", 42).await,
        lock(&client, "acme/infra/a", ".", 42).await,
        client.lock("e", "acme/infra#42", json!({})).await,
    ];
    let waiting = async |path: &str, pull: u64| {
        let mut body = body("acme/infra", path, pull);
        body["queue"] = true.into();
        body["attended"] = false.into();
        client.post("/api/v1/locks", body).await.ticket()
    };
    let ticket = waiting("c", 42).await;
    let behind = waiting("c", 43).await;
    let next = waiting("a", 43).await;

    let reply =
        client.post("/api/v1/locks/release-by-pull", json!({"namespace": "acme/infra", "pull": 42})).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let mut expected = [mine[0]["id"].as_str().unwrap(), mine[1]["id"].as_str().unwrap()];
    expected.sort_unstable();
    assert_eq!(ids(&reply.body["released"]), expected);
    assert_eq!(ids(&reply.body["cancelled"]), [ticket["id"].as_str().unwrap()]);

    for lock in &others {
        let found = client.get(&format!("/api/v1/locks/{}", lock["id"].as_str().unwrap())).await;
        assert_eq!(found.status, 200, "{lock}: {}", found.text);
    }
    for lock in &mine {
        is_problem(
            &client.get(&format!("/api/v1/locks/{}", lock["id"].as_str().unwrap())).await,
            410,
            "released",
        );
    }
    is_problem(&client.poll(&ticket, "").await, 410, "cancelled");
    assert_eq!(client.poll(&behind, "").await.ticket()["position"], 1);
    client.poll(&next, "").await.lock();

    let again =
        client.post("/api/v1/locks/release-by-pull", json!({"namespace": "acme/infra", "pull": 42})).await;
    assert_eq!(again.body, json!({"released": [], "cancelled": []}), "{}", again.text);
}

#[tokio::test]
async fn what_was_acquired_later_stays() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let early = lock(&client, "acme/infra", "a", 42).await;
    let (mut late, mut path) = (lock(&client, "acme/infra", "b0", 42).await, 0);
    while millis_of(&late["acquired_at"]) <= millis_of(&early["acquired_at"]) {
        client.release(&late).await;
        path += 1;
        late = lock(&client, "acme/infra", &format!("b{path}"), 42).await;
    }
    let before = json!({"namespace": "acme/infra", "pull": 42, "acquired_before": late["acquired_at"]});
    let reply = client.post("/api/v1/locks/release-by-pull", before).await;
    assert_eq!(ids(&reply.body["released"]), [early["id"].as_str().unwrap()], "{}", reply.text);
    assert_eq!(ids(&json!(client.locks().await)), [late["id"].as_str().unwrap()]);
    let all = json!({"namespace": "acme/infra", "pull": 42, "acquired_before": null});
    let reply = client.post("/api/v1/locks/release-by-pull", all).await;
    assert_eq!(ids(&reply.body["released"]), [late["id"].as_str().unwrap()], "{}", reply.text);
}

#[tokio::test]
async fn holds_and_reserved_locks_end_too() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let mut hold = body("acme/infra", "a", 42);
    hold["ttl"] = "0s".into();
    client.post("/api/v1/locks", hold).await.lock();
    let holder = client.lock("b", "holder", json!({})).await;
    let mut queued = body("acme/infra", "b", 42);
    queued["queue"] = true.into();
    client.post("/api/v1/locks", queued).await.ticket();
    client.release(&holder).await;
    let reply =
        client.post("/api/v1/locks/release-by-pull", json!({"namespace": "acme/infra", "pull": 42})).await;
    assert_eq!(reply.body["released"].as_array().unwrap().len(), 2, "{}", reply.text);
    assert!(client.locks().await.is_empty());
}

#[tokio::test]
async fn the_time_may_have_an_offset() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = lock(&client, "acme/infra", "a", 42).await;
    for (time, number) in [("2020-01-01T00:00:00+02:00", 0), ("2999-01-01T00:00:00-08:00", 1)] {
        let body = json!({"namespace": "acme/infra", "pull": 42, "acquired_before": time});
        let reply = client.post("/api/v1/locks/release-by-pull", body).await;
        assert_eq!(ids(&reply.body["released"]).len(), number, "{time}: {}", reply.text);
    }
    is_problem(&client.release(&lock).await, 410, "released");
}
