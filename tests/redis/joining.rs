//! Instances that come while the store is sealed, and such that come too late.

use super::ground::{Ground, Instance, OPENED, SEALED};
use crate::support::{eventually, is_problem};
use serde_json::{Value, json};

/// Who joins in the middle of a sealing has nothing to write back, and neither opens early what the
/// others know nor takes what they hold.
#[tokio::test]
async fn an_instance_that_joins_in_the_middle_of_a_sealing_learns_all() {
    let ground = Ground::start().await;
    let settings = ["settle-window=3s"];
    let one = ground.instance_with("one", &settings).await;
    let held = one.lock("p", "holder", json!({"ttl": "1h"})).await;
    let ticket = one.queue("p", "next", json!({})).await;
    assert_eq!(ground.redis.cli(&["FLUSHALL"]), "OK");
    one.logs(SEALED, 1).await;
    let late = Instance::launch("late", &[ground.redis.url()], &settings);
    late.logs(SEALED, 1).await;
    is_problem(&late.acquire("p", "thief", json!({})).await, 503, "backend_unavailable");
    late.opened_again(1).await;
    assert_eq!(late.show(&held).await.body["lock"]["fencing_token"], held["fencing_token"]);
    is_problem(&late.acquire("p", "thief", json!({})).await, 409, "held");
    let handed = late.release(&held).await;
    assert_eq!(handed.body["granted_to"]["owner"]["id"], "next", "{}", handed.text);
    assert_eq!(one.poll(&ticket, "").await.lock()["id"], handed.body["granted_to"]["id"]);
}

/// An instance that alone knows of two locks sleeps over a loss and an opening, after which one of
/// the two resources was taken by somebody else.
struct Late {
    one: Instance,
    other: Instance,
    untouched: Value,
    taken: Value,
    second: Value,
}

impl Late {
    async fn wakes(ground: &Ground) -> Self {
        let [one, other] = ground.instances(["one", "other"]).await;
        // Something that both know: that there was something to lose is known to all.
        let known = one.lock("known", "holder", json!({"ttl": "1h"})).await;
        other.sees(&known).await;
        // What the other one sleeps over is not waiting for it when it wakes up.
        assert_eq!(ground.redis.cli(&["ACL", "SETUSER", "default", "-publish"]), "OK");
        other.pause();
        let untouched = one.lock("untouched", "holder", json!({"ttl": "1h"})).await;
        let taken = one.lock("taken", "holder", json!({"ttl": "1h"})).await;
        one.pause();
        assert_eq!(ground.redis.cli(&["FLUSHALL"]), "OK");
        assert_eq!(ground.redis.cli(&["ACL", "SETUSER", "default", "+publish"]), "OK");
        other.resume();
        other.logs(SEALED, 1).await;
        other.opened_again(1).await;
        assert_eq!(other.show(&known).await.body["lock"]["fencing_token"], known["fencing_token"]);
        is_problem(&other.show(&taken).await, 410, "lost");
        // Nobody who is there knows of the first holder.
        let second = other.lock("taken", "second", json!({"ttl": "1h"})).await;
        assert!(second["fencing_token"].as_u64() > taken["fencing_token"].as_u64());
        one.resume();
        Self { one, other, untouched, taken, second }
    }
}

/// It writes back what nobody has touched since, and no more. Where the store has changed, the
/// store's state wins, and the client of what was lost is told so.
#[tokio::test]
async fn an_instance_that_comes_too_late_writes_back_what_is_still_missing() {
    let ground = Ground::start().await;
    let Late { one, other, untouched, taken, second } = Late::wakes(&ground).await;
    eventually("the untouched lock is back", async || {
        let shown = other.show(&untouched).await;
        assert!(shown.status == 200 || shown.code() == "lost", "{}", shown.text);
        (shown.status == 200)
            .then(|| assert_eq!(shown.body["lock"]["fencing_token"], untouched["fencing_token"]))
    })
    .await;
    for instance in [&one, &other] {
        eventually("the end of what was lost", async || {
            let renewed = instance.renew(&taken, "").await;
            assert!(
                matches!(renewed.what(), (410, "lost") | (503, "backend_unavailable")),
                "{}",
                renewed.text
            );
            (renewed.status == 410).then_some(())
        })
        .await;
        is_problem(&instance.show(&taken).await, 410, "lost");
        is_problem(&instance.release(&taken).await, 410, "lost");
        assert_eq!(instance.show(&second).await.body["lock"]["owner"]["id"], "second");
        is_problem(&instance.acquire("taken", "holder", json!({})).await, 409, "held");
        is_problem(&instance.acquire("untouched", "thief", json!({})).await, 409, "held");
    }
    assert_eq!(other.logged(OPENED), 1);
}

#[tokio::test]
async fn what_is_lost_to_a_newer_state_is_told_as_a_conflict() {
    let ground = Ground::start().await;
    let late = Late::wakes(&ground).await;
    late.one.logs("the store's state stands", 1).await;
    assert_eq!(late.one.logged("the store's state stands"), 1, "only what was taken");
}
