//! Redis restarts with all its data: it is sealed, since nobody can know that it is all.

use super::ground::{Ground, Instance, SEALED};
use super::story::Story;
use crate::support::is_problem;
use serde_json::json;

#[tokio::test]
async fn a_restart_that_loses_nothing_changes_nothing() {
    let ground = Ground::durable().await;
    let [one, other] = ground.instances(["one", "other"]).await;
    let story = Story::begin(&one, &other).await;
    ground.redis.restart();
    for instance in [&one, &other] {
        instance.opened_again(1).await;
        assert_eq!(instance.logged(SEALED), 1, "{:?}", instance.server.log());
    }
    story.goes_on(&one, &other).await;
}

/// While the partitions are sealed nothing is granted, denied or forgotten, whoever asks.
#[tokio::test]
async fn a_sealed_store_neither_grants_nor_denies() {
    let ground = Ground::durable().await;
    // Longer than the questions take on a busy machine.
    let settings = ["settle-window=4s", "settle-max=5s"];
    let one = ground.instance_with("one", &settings).await;
    let held = one.lock("held", "holder", json!({"ttl": "1h"})).await;
    let ticket = one.queue("held", "second", json!({})).await;
    ground.redis.restart();
    one.logs(SEALED, 1).await;
    // It knows nothing of its own.
    let late = Instance::launch("late", &[ground.redis.url()], &settings);
    late.logs(SEALED, 1).await;
    for instance in [&one, &late] {
        for path in ["held", "free"] {
            is_problem(&instance.acquire(path, "newcomer", json!({})).await, 503, "backend_unavailable");
        }
        let renewal = instance.renew(&held, "").await;
        is_problem(&renewal, 503, "backend_unavailable");
        let (shown, polled) = (instance.show(&held).await, instance.poll(&ticket, "").await);
        if std::ptr::eq(instance, &one) {
            // Its copy says what was so; nobody confirms it.
            assert_eq!(renewal.body["expires_at"], held["expires_at"], "{}", renewal.text);
            assert_eq!((shown.status, &shown.body["confirmed"]), (200, &json!(false)), "{}", shown.text);
            assert_eq!(shown.body["lock"]["fencing_token"], held["fencing_token"]);
            assert_eq!((polled.status, &polled.body["confirmed"]), (202, &json!(false)), "{}", polled.text);
        } else {
            is_problem(&shown, 503, "backend_unavailable");
            is_problem(&polled, 503, "backend_unavailable");
        }
        is_problem(&instance.get("/api/v1/locks?consistent=true").await, 503, "backend_unavailable");
        let ready = instance.get("/readyz").await;
        assert_eq!((ready.status, &ready.body["phase"]), (503, &json!("sealed")), "{}", ready.text);
        assert_eq!(ready.body["sealed_partitions"], 256);
        assert_eq!(instance.get("/readyz?for=traffic").await.status, 200);
    }
    assert_eq!(one.get("/api/v1/locks").await.body["locks"][0]["id"], held["id"]);
    for instance in [&one, &late] {
        instance.opened_again(1).await;
        assert_eq!(instance.show(&held).await.body["lock"]["fencing_token"], held["fencing_token"]);
        assert_eq!(instance.poll(&ticket, "").await.ticket()["id"], ticket["id"]);
    }
    one.lock("free", "newcomer", json!({})).await;
}
