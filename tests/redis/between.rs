//! What one instance does, the others know: any of them serves any request.

use super::ground::{Ground, Instance};
use crate::support::is_problem;
use serde_json::{Value, json};

fn waiting() -> Value {
    json!({"queue": true, "wait": "50s"})
}

#[tokio::test]
async fn a_grant_reaches_the_client_that_waits_on_another_instance() {
    let ground = Ground::start().await;
    let [one, other] = ground.instances(["one", "other"]).await;
    let held = one.lock("p", "first", json!({})).await;
    let waits = other.acquires("p", "second", waiting());
    one.sees_waiting("p", 1).await;
    let handed = one.release(&held).await;
    assert_eq!(handed.body["granted_to"]["owner"]["id"], "second", "{}", handed.text);
    // Nobody waits for it here: it is the other instance that hands it out.
    assert_eq!(handed.body["granted_to"]["state"], "reserved");
    let second = waits.await.unwrap().lock();
    assert_eq!(
        (&second["id"], &second["state"]),
        (&handed.body["granted_to"]["id"], &json!("held")),
        "{second}"
    );
    assert!(second["fencing_token"].as_u64() > held["fencing_token"].as_u64());
}

/// Clients queue on three instances in turn, and are served in that order, whichever instance the
/// lock is released through.
#[tokio::test]
async fn the_queue_is_one_over_all_instances() {
    let ground = Ground::start().await;
    let instances = ground.instances(["one", "two", "three"]).await;
    let mut lock = instances[0].lock("p", "holder", json!({})).await;
    let mut clients = Vec::new();
    for turn in 0..6 {
        clients.push(instances[turn % 3].acquires("p", &format!("client-{turn}"), waiting()));
        instances[0].sees_waiting("p", turn + 1).await;
    }
    for (turn, client) in clients.into_iter().enumerate() {
        let released = instances[(turn + 1) % 3].release(&lock).await;
        let owner = format!("client-{turn}");
        assert_eq!(released.body["granted_to"]["owner"]["id"], owner.as_str(), "{}", released.text);
        lock = client.await.unwrap().lock();
        assert_eq!(lock["owner"]["id"], owner.as_str());
    }
}

#[tokio::test]
async fn any_id_is_known_to_any_instance() {
    let ground = Ground::start().await;
    let [one, two, three] = ground.instances(["one", "two", "three"]).await;
    let lock = one.lock("p", "first", json!({"request_id": "r-1"})).await;
    // At once, without waiting for news.
    for instance in [&two, &three] {
        assert_eq!(instance.show(&lock).await.body["lock"]["fencing_token"], lock["fencing_token"]);
    }
    let again = two.acquire("p", "first", json!({"request_id": "r-1"})).await;
    assert_eq!(again.lock()["id"], lock["id"]);
    let ticket = two.queue("p", "second", json!({})).await;
    assert_eq!(three.poll(&ticket, "").await.ticket()["id"], ticket["id"]);
    let renewed = three.renew(&lock, "2h").await;
    assert_eq!(renewed.status, 200, "{}", renewed.text);
    assert_eq!(one.show(&lock).await.body["lock"]["expires_at"], renewed.body["lock"]["expires_at"]);
    let released = three.release(&lock).await;
    assert_eq!(released.body["granted_to"]["owner"]["id"], "second", "{}", released.text);
    is_problem(&one.renew(&lock, "").await, 410, "released");
    is_problem(&two.show(&lock).await, 410, "released");
    let second = one.poll(&ticket, "").await.lock();
    assert_eq!(second["id"], released.body["granted_to"]["id"]);
    assert_eq!(two.release(&second).await.status, 200);
    // A ticket is cancelled through another instance than it was made on.
    let lock = three.lock("p", "third", json!({})).await;
    let ticket = one.queue("p", "fourth", json!({})).await;
    let cancelled = two.delete(&format!("/api/v1/tickets/{}", ticket["id"].as_str().unwrap())).await;
    assert_eq!(cancelled.status, 204, "{}", cancelled.text);
    is_problem(&three.poll(&ticket, "").await, 410, "cancelled");
    assert_eq!(one.release(&lock).await.body["granted_to"], json!(null));
}

async fn ids(instance: &Instance, query: &str) -> Vec<String> {
    let listed = instance.get(&format!("/api/v1/locks?limit=1000{query}")).await;
    assert_eq!(listed.status, 200, "{}", listed.text);
    let id = |lock: &Value| lock["id"].as_str().unwrap().to_owned();
    let mut ids: Vec<String> = listed.body["locks"].as_array().unwrap().iter().map(id).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn a_consistent_list_has_what_another_instance_acknowledged() {
    let ground = Ground::start().await;
    let [one, other] = ground.instances(["one", "other"]).await;
    for round in 0..20 {
        let lock = one.lock(&format!("p{round}"), "holder", json!({})).await;
        let id = lock["id"].as_str().unwrap().to_owned();
        assert!(ids(&other, "&consistent=true").await.contains(&id), "granted and not listed, {round}");
        if round % 2 == 0 {
            assert_eq!(one.release(&lock).await.status, 200);
            assert!(!ids(&other, "&consistent=true").await.contains(&id), "released and listed, {round}");
        }
    }
    // The lists that each instance has of its own come to the same.
    let all = ids(&one, "&consistent=true").await;
    assert_eq!(all.len(), 10);
    for instance in [&one, &other] {
        crate::support::eventually("equal lists", async || (ids(instance, "").await == all).then_some(()))
            .await;
    }
}

#[tokio::test]
async fn release_by_pull_ends_what_another_instance_granted_just_now() {
    let ground = Ground::start().await;
    let [one, other] = ground.instances(["one", "other"]).await;
    let of_pull = json!({"owner": {"id": "acme/infra#7", "pull": {"num": 7}}, "ttl": "0s"});
    for round in 0..10 {
        let path = format!("p{round}");
        let lock = one.lock(&path, "", of_pull.clone()).await;
        let body = json!({"namespace": "acme/infra", "pull": 7});
        let ended = other.post("/api/v1/locks/release-by-pull", body).await;
        assert_eq!(ended.status, 200, "{}", ended.text);
        assert_eq!(ended.body["released"][0]["id"], lock["id"], "round {round}: {}", ended.text);
        is_problem(&one.show(&lock).await, 410, "released");
    }
}
