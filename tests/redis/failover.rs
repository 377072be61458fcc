//! Another server becomes master, and lacks what was committed last.

use super::ground::{Instance, OPENED, SEALED, flags, open_all};
use crate::support::{TestServer, eventually, is_problem};
use lockkeeper_store::testing::{RedisServer, Sentinels, until};
use serde_json::json;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(30);

/// Waits until the replica has all that its master has.
fn in_step(master: &RedisServer, replica: &RedisServer) {
    let offset =
        |server: &RedisServer, field| server.info(field).and_then(|offset| offset.parse::<u64>().ok());
    let all = offset(master, "master_repl_offset");
    until("the replica has it all", WITHIN, || offset(replica, "slave_repl_offset") >= all);
}

fn follows(replica: &RedisServer, master: &RedisServer) {
    assert_eq!(replica.cli(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]), "OK");
    until("it follows", WITHIN, || replica.info("master_link_status").as_deref() == Some("up"));
}

fn launch(id: &str, sentinels: &Sentinels) -> Instance {
    let name = format!("redis.sentinel={}", sentinels.master_name());
    Instance::launch(id, &sentinels.urls(), &[&name])
}

/// The replica is held while clients are told of grants, a release and a ticket. Then the master dies
/// and the replica takes over without all of that: the instances know it still.
#[tokio::test]
async fn what_a_promoted_replica_lacks_is_written_back() {
    let sentinels = Sentinels::start();
    let (master, replica) = (sentinels.master(), sentinels.replica());
    open_all(master).await;
    let [one, other] = ["one", "other"].map(|id| launch(id, &sentinels));
    for instance in [&one, &other] {
        instance.grants().await;
    }
    let early = one.lock("early", "holder", json!({"ttl": "1h"})).await;
    let older = one.lock("handed", "former", json!({"ttl": "1h"})).await;
    let waits = other.acquires("handed", "heir", json!({"queue": true, "wait": "50s"}));
    one.sees_waiting("handed", 1).await;
    in_step(master, replica);

    // From here on the replica hears nothing. It must not count as dead, or it is not promoted: it
    // follows a server that does not answer.
    assert_eq!(replica.cli(&["REPLICAOF", "127.0.0.1", "1"]), "OK");
    assert_eq!(other.release(&early).await.status, 200);
    let late = one.lock("late", "holder", json!({"ttl": "1h", "request_id": "late-1"})).await;
    let ticket = other.queue("late", "next", json!({})).await;
    assert_eq!(one.release(&older).await.status, 200);
    let heir = waits.await.unwrap().lock();
    let renewed = other.renew(&late, "3h").await;
    assert_eq!(renewed.status, 200, "{}", renewed.text);
    for instance in [&one, &other] {
        instance.sees(&late).await;
        instance.sees(&heir).await;
        instance.sees_waiting("late", 1).await;
        eventually("the release", async || {
            (instance.get("/api/v1/locks?path=early&namespace=acme/infra").await.body["locks"] == json!([]))
                .then_some(())
        })
        .await;
    }
    master.kill9();
    // What a sentinel would do, at once and without asking how far it had come.
    assert_eq!(replica.cli(&["REPLICAOF", "NO", "ONE"]), "OK");
    sentinels.wait_for_master(replica);

    for instance in [&one, &other] {
        instance.opened_again(1).await;
        assert_eq!(instance.logged(SEALED), 1, "{:?}", instance.server.log());
        is_problem(&instance.show(&early).await, 410, "released");
        is_problem(&instance.show(&older).await, 410, "released");
        let held = instance.show(&late).await;
        assert_eq!(held.body["lock"]["fencing_token"], late["fencing_token"], "{}", held.text);
        assert_eq!(held.body["lock"]["expires_at"], renewed.body["lock"]["expires_at"]);
        assert_eq!(instance.show(&heir).await.body["lock"]["owner"]["id"], "heir");
        assert_eq!(instance.poll(&ticket, "").await.ticket()["position"], 1);
        is_problem(&instance.acquire("late", "thief", json!({})).await, 409, "held");
        let again = instance.acquire("late", "holder", json!({"ttl": "1h", "request_id": "late-1"})).await;
        assert_eq!(again.lock()["id"], late["id"]);
    }
    // What was released is free, and every token greater than before.
    let anew = other.lock("early", "another", json!({})).await;
    assert!(anew["fencing_token"].as_u64() > early["fencing_token"].as_u64());
    let handed = one.release(&late).await;
    let next = handed.body["granted_to"].clone();
    assert_eq!(next["owner"]["id"], "next", "{}", handed.text);
    assert!(next["fencing_token"].as_u64() > late["fencing_token"].as_u64());
}

/// A server that was master, then a replica of another, and is master again is the same process with
/// the same run id: what it lost meanwhile shows only in its replication id.
#[tokio::test]
async fn a_master_that_was_demoted_and_promoted_again_is_sealed() {
    let (redis, empty) = (RedisServer::start(), RedisServer::start());
    open_all(&redis).await;
    let one = Instance::launch("one", &[redis.url()], &[]);
    one.grants().await;
    let held = one.lock("p", "holder", json!({"ttl": "1h"})).await;
    let run = redis.info("run_id");
    // It takes over all of what the other has, that is nothing, and is believed again.
    follows(&redis, &empty);
    assert_eq!(redis.cli(&["REPLICAOF", "NO", "ONE"]), "OK");
    assert_eq!(redis.info("run_id"), run);
    one.opened_again(1).await;
    assert_eq!(one.logged(SEALED), 1);
    let shown = one.show(&held).await;
    assert_eq!(shown.body["lock"]["fencing_token"], held["fencing_token"], "{}", shown.text);
    is_problem(&one.acquire("p", "thief", json!({})).await, 409, "held");
}

/// The same without any loss: its data, marker included, is as it was, and it is sealed all the same,
/// since another master may have been written to in between.
#[tokio::test]
async fn a_promotion_is_enough_to_seal() {
    let (redis, other) = (RedisServer::start(), RedisServer::start());
    follows(&other, &redis);
    open_all(&redis).await;
    let one = Instance::launch("one", &[redis.url()], &[]);
    one.grants().await;
    let held = one.lock("p", "holder", json!({"ttl": "1h"})).await;
    in_step(&redis, &other);
    // A replica of its own replica, and back.
    assert_eq!(other.cli(&["REPLICAOF", "NO", "ONE"]), "OK");
    follows(&redis, &other);
    assert_eq!(redis.cli(&["REPLICAOF", "NO", "ONE"]), "OK");
    one.opened_again(1).await;
    assert_eq!(one.show(&held).await.body["lock"]["fencing_token"], held["fencing_token"]);
    // An instance that starts only now finds it open, and nothing to seal.
    let flags = flags("late", &[redis.url()], &[]);
    let late = TestServer::start(&flags.iter().map(String::as_str).collect::<Vec<_>>());
    let shown = late.client().get(&format!("/api/v1/locks/{}", held["id"].as_str().unwrap())).await;
    assert!(matches!(shown.status, 200 | 503), "{}", shown.text);
    assert!(late.log().iter().all(|line| !line.contains(SEALED) && !line.contains(OPENED)));
}

/// Redis makes a new replication id for its first replica, as it does for a promotion: they cannot be
/// told apart. Nothing is lost by it but one settle window.
#[tokio::test]
async fn a_first_replica_seals() {
    let (redis, replica) = (RedisServer::start(), RedisServer::start());
    open_all(&redis).await;
    let one = Instance::launch("one", &[redis.url()], &[]);
    one.grants().await;
    let held = one.lock("p", "holder", json!({"ttl": "1h"})).await;
    follows(&replica, &redis);
    one.opened_again(1).await;
    assert_eq!(one.show(&held).await.body["lock"]["fencing_token"], held["fencing_token"]);
    // A second one changes nothing: its replication is joined.
    let second = RedisServer::start();
    follows(&second, &redis);
    assert_eq!(one.lock("q", "holder", json!({})).await["state"], "held");
    assert_eq!(one.logged(SEALED), 1);
}
