//! Redis does not answer, and comes back: what is told of it, in which order, and what an instance
//! that was killed meanwhile still does for its clients.

use super::ground::{Ground, Instance, OPENED, SEALED};
use crate::support::{EventStream, eventually, is_problem};
use serde_json::{Value, json};

/// One fault opens the breaker, and it is not tried again before a probe is good: what is told does
/// not depend on how long anything takes.
const SETTINGS: &[&str] = &["circuit-breaker.failure-threshold=1", "circuit-breaker.timeout=10m"];

/// What is told of an outage that ends.
const STORY: [&str; 7] = [
    "breaker.opened",
    "phase.changed",
    "backend.unhealthy",
    "breaker.half_open",
    "breaker.closed",
    "backend.recovered",
    "phase.changed",
];

/// The first so many are told before it ends.
const BEGINNING: usize = 3;

/// What is logged when Redis is back, in this order.
const RETURN: [&str; 3] = ["the circuit breaker closed", "the store can be used", "locks are granted"];

/// A stream that no view of a partition is missing for.
async fn follow(instance: &Instance) -> EventStream {
    eventually("a view of all partitions", async || {
        let listed = instance.get("/api/v1/locks").await;
        (!listed.body["as_of"].as_str()?.starts_with("1970")).then_some(())
    })
    .await;
    EventStream::open(instance, "", None).await
}

async fn is_away(instance: &Instance) -> Value {
    eventually("an instance that grants nothing", async || {
        let ready = instance.get("/readyz").await;
        (ready.status == 503).then_some(ready.body)
    })
    .await
}

/// By what it is hindered.
fn hindered(ready: &Value) -> Vec<&str> {
    ready["hindered"].as_array().unwrap().iter().filter_map(|one| one["by"].as_str()).collect()
}

/// It says what hinders it, and answers at once.
async fn tells_of_its_breaker(instance: &Instance) {
    eventually("both hinder it", async || {
        let ready = instance.get("/readyz").await;
        let hindered = ready.status == 503 && hindered(&ready.body) == ["store", "breaker"];
        (hindered && ready.body["phase"] == "hold_only").then_some(())
    })
    .await;
    let refused = instance.acquire("p", "me", json!({})).await;
    is_problem(&refused, 503, "backend_unavailable");
    assert_eq!(refused.body["phase"], "hold_only", "{}", refused.text);
}

/// The places of these in its log, each after the one before.
fn in_order(instance: &Instance, lines: &[&str]) {
    let log = instance.server.log();
    let began = log.iter().rposition(|line| line.contains("the circuit breaker opened")).expect("it opened");
    let mut rest = log[began..].iter();
    for line in lines {
        assert!(rest.any(|logged| logged.contains(line)), "{line:?} is not in its place in {log:#?}");
    }
}

/// It takes no writes, and all connections stay: whoever follows the events hears of everything.
#[tokio::test]
async fn an_outage_is_told_in_order() {
    let ground = Ground::start().await;
    let one = ground.instance_with("one", SETTINGS).await;
    let mut stream = follow(&one).await;
    assert_eq!(ground.redis.cli(&["CLIENT", "PAUSE", "3600000", "WRITE"]), "OK");
    let mut told = Vec::new();
    for kind in STORY {
        if told.len() == BEGINNING {
            tells_of_its_breaker(&one).await;
            assert_eq!(ground.redis.cli(&["CLIENT", "UNPAUSE"]), "OK");
        }
        let event = stream.next().await;
        assert_eq!(event.kind, kind, "after {told:?}: {event:?}");
        told.push(event);
    }
    let phases = [&told[1], &told[6]].map(|event| event.data["phase"].clone());
    assert_eq!(phases[0], json!({"from": "granting", "to": "hold_only"}));
    assert_eq!(phases[1], json!({"from": "hold_only", "to": "granting"}));
    for event in &told[..BEGINNING] {
        assert!(event.data["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{event:?}");
    }
    assert!(told[6].data.get("reason").is_none_or(Value::is_null), "{:?}", told[6]);
    // It grants when it says so.
    let lock = one.lock("p", "me", json!({})).await;
    assert_eq!(stream.next().await.data["lock"]["id"], lock["id"]);
}

/// Its process is held: the subscription is lost with the rest, so that the stream of events ends in
/// the end. What came before it is told in order; the log has all of it.
#[tokio::test]
async fn a_redis_that_was_stopped_comes_back_in_order() {
    let ground = Ground::start().await;
    let one = ground.instance_with("one", SETTINGS).await;
    let mut stream = follow(&one).await;
    ground.redis.pause();
    for kind in &STORY[..BEGINNING] {
        assert_eq!(stream.next().await.kind, *kind);
    }
    tells_of_its_breaker(&one).await;
    ground.redis.resume();
    one.grants().await;
    in_order(&one, &RETURN);
    assert_eq!(one.get("/api/locks/health").await.status, 200);
    one.lock("p", "me", json!({})).await;
}

/// It was killed, and its partitions are sealed when it is back: that comes before the breaker closes.
#[tokio::test]
async fn a_redis_that_was_killed_is_sealed_before_its_breaker_closes() {
    let ground = Ground::durable().await;
    let one = ground.instance_with("one", SETTINGS).await;
    let held = one.lock("held", "holder", json!({"ttl": "1h"})).await;
    let mut stream = follow(&one).await;
    ground.redis.kill9();
    for kind in &STORY[..BEGINNING] {
        assert_eq!(stream.next().await.kind, *kind);
    }
    tells_of_its_breaker(&one).await;
    ground.redis.restart();
    one.opened_again(1).await;
    let [closed, usable, granted] = RETURN;
    in_order(&one, &[SEALED, closed, usable, granted, OPENED]);
    assert_eq!(one.show(&held).await.body["lock"]["fencing_token"], held["fencing_token"]);
}

/// It is killed (-9) with releases in its journal while Redis is away: its next life carries them out.
#[tokio::test]
async fn accepted_releases_outlive_the_instance() {
    let ground = Ground::start().await;
    let one = ground.instance("one").await;
    let held = one.lock("held", "holder", json!({"ttl": "0s"})).await;
    let kept = one.lock("kept", "holder", json!({"ttl": "1h"})).await;
    let ticket = one.queue("held", "next", json!({"attended": false})).await;
    ground.redis.pause();
    is_away(&one).await;
    let pending = one.release(&held).await;
    assert_eq!((pending.status, &pending.body["status"]), (202, &json!("pending")), "{}", pending.text);

    let one = one.restart();
    let ready = is_away(&one).await;
    assert!(hindered(&ready).contains(&"journal"), "{ready}");
    assert_eq!(one.metric("atlantis_enhanced_locking_journal_pending").await, Some(1.0));
    // It knows nothing but what it has accepted, and denies nothing.
    for lock in [&held, &kept] {
        is_problem(&one.show(lock).await, 503, "backend_unavailable");
        is_problem(&one.renew(lock, "1h").await, 503, "backend_unavailable");
    }
    is_problem(&one.poll(&ticket, "").await, 503, "backend_unavailable");
    is_problem(&one.release(&kept).await, 503, "backend_unavailable");
    let again = one.release(&held).await;
    assert_eq!((again.status, &again.body["lock"]["id"]), (202, &held["id"]), "{}", again.text);
    is_problem(&one.acquire("free", "me", json!({})).await, 503, "backend_unavailable");

    ground.redis.resume();
    one.grants().await;
    // Not before: whoever is served now finds it carried out.
    is_problem(&one.show(&held).await, 410, "released");
    let next = one.poll(&ticket, "").await.lock();
    assert_eq!(next["owner"]["id"], "next");
    assert!(next["fencing_token"].as_u64() > held["fencing_token"].as_u64());
    assert_eq!(one.show(&kept).await.status, 200);
    let outcome =
        |what: &str| format!("atlantis_enhanced_locking_journal_outcomes_total{{outcome=\"{what}\"}}");
    assert_eq!(one.metric(&outcome("applied")).await, Some(1.0));
    assert_eq!(one.metric("atlantis_enhanced_locking_journal_pending").await, Some(0.0));
    // Done with: another life has nothing to do.
    let one = one.restart();
    one.grants().await;
    assert_eq!(one.logged("releases of the last life are pending"), 0);
    assert_eq!(one.show(&next).await.body["lock"]["owner"]["id"], "next");
}
