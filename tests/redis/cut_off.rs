//! Redis cannot be reached from one of two instances, or from both: who is cut off grants nothing,
//! ever, renews nothing, and says only what it knew; releases wait until Redis is back.

use super::ground::{Ground, Instance};
use crate::support::{Reply, eventually, is_problem};
use lockkeeper_store::testing::{Direction, Proxy};
use serde_json::{Value, json};

const SETTINGS: &[&str] = &["circuit-breaker.timeout=200ms", "queue.abandon-after=20s"];

struct Two {
    ground: Ground,
    links: [Proxy; 2],
    instances: [Instance; 2],
}

impl Two {
    async fn start() -> Self {
        let ground = Ground::start().await;
        let links = [(); 2].map(|()| Proxy::start(ground.redis.port()));
        let instances =
            [0, 1].map(|number| Instance::launch(["one", "two"][number], &[links[number].url()], SETTINGS));
        for instance in &instances {
            instance.grants().await;
        }
        ground.followed_by(2).await;
        Self { ground, links, instances }
    }

    /// What it holds, what waits behind it, and what is held with a lease, known to both.
    async fn prepare(&self) -> (Value, Value, Value) {
        let [one, two] = &self.instances;
        let held = one.lock("held", "holder", json!({"ttl": "0s"})).await;
        let ticket = two.queue("held", "next", json!({"attended": false})).await;
        let leased = one.lock("leased", "holder", json!({"ttl": "1h"})).await;
        one.sees_waiting("held", 1).await;
        two.sees(&leased).await;
        (held, ticket, leased)
    }
}

/// Waits until it says that it grants nothing.
async fn grants_nothing(instance: &Instance) {
    eventually("an instance that says that it grants nothing", async || {
        let ready = instance.get("/readyz").await;
        (ready.status == 503 && ready.body["can_grant"] == false).then_some(())
    })
    .await;
}

#[track_caller]
fn is_unavailable(reply: &Reply) {
    is_problem(reply, 503, "backend_unavailable");
    assert!(reply.headers.contains_key("retry-after"), "{}", reply.text);
}

/// All that could be a grant, a confirmation or a denial is asked of an instance that is cut off.
async fn says_only_what_it_knew(one: &Instance, held: &Value, ticket: &Value, leased: &Value) {
    for more in [json!({}), json!({"queue": true}), json!({"queue": true, "wait": "300ms"})] {
        is_unavailable(&one.acquire("free", "thief", more.clone()).await);
        is_unavailable(&one.acquire("leased", "thief", more).await);
    }
    let renewed = one.renew(leased, "2h").await;
    is_unavailable(&renewed);
    assert_eq!(renewed.body["expires_at"], leased["expires_at"], "{}", renewed.text);
    assert!(renewed.body["as_of"].is_string(), "{}", renewed.text);
    // Asking once more changes nothing.
    assert_eq!(one.renew(leased, "3h").await.body["expires_at"], leased["expires_at"]);
    for lock in [held, leased] {
        let shown = one.show(lock).await;
        assert_eq!((shown.status, &shown.body["confirmed"]), (200, &json!(false)), "{}", shown.text);
        assert_eq!(shown.body["lock"]["fencing_token"], lock["fencing_token"]);
    }
    is_unavailable(&one.get("/api/v1/locks/01ARZ3NDEKTSV4RRFFQ69G5FAV").await);
    let polled = one.poll(ticket, "100ms").await;
    assert_eq!((polled.status, &polled.body["confirmed"]), (202, &json!(false)), "{}", polled.text);
    is_unavailable(
        &one.send("DELETE", &format!("/api/v1/tickets/{}", ticket["id"].as_str().unwrap()), None).await,
    );
    let forced = format!("/api/v1/locks/{}/force-release", leased["id"].as_str().unwrap());
    is_unavailable(&one.send("POST", &forced, Some(&json!({"reason": "test"}))).await);
}

#[tokio::test]
async fn who_is_cut_off_grants_nothing_and_the_other_goes_on() {
    for deaf in [None, Some(Direction::ToServer), Some(Direction::ToClient)] {
        let all = Two::start().await;
        let [one, two] = &all.instances;
        let (held, ticket, leased) = all.prepare().await;
        match deaf {
            None => all.links[0].cut(),
            Some(direction) => all.links[0].silence(direction),
        }
        grants_nothing(one).await;
        says_only_what_it_knew(one, &held, &ticket, &leased).await;
        // The same release is accepted as often as it is sent, and hands nothing on.
        for _ in 0..2 {
            let pending = one.release(&held).await;
            assert_eq!(
                (pending.status, &pending.body["status"]),
                (202, &json!("pending")),
                "{}",
                pending.text
            );
        }
        // The other one is not concerned.
        let taken = two.lock("free", "other", json!({"ttl": "1h"})).await;
        let renewed = two.renew(&leased, "2h").await;
        assert_eq!(renewed.status, 200, "{}", renewed.text);
        assert_eq!(two.poll(&ticket, "").await.ticket()["position"], 1);
        // Who only cannot ask may have heard of it; what nobody was told of is said by nobody.
        let confirmed = [&leased["expires_at"], &renewed.body["lock"]["expires_at"]];
        let refused = one.renew(&leased, "5h").await;
        assert!(confirmed.contains(&&refused.body["expires_at"]), "{}", refused.text);

        all.links[0].heal();
        one.grants().await;
        // What was accepted is carried out, and only now the next has its turn.
        let next = eventually("the release that was put off", async || {
            let polled = two.poll(&ticket, "1s").await;
            (polled.status == 200).then(|| polled.lock())
        })
        .await;
        assert!(next["fencing_token"].as_u64() > held["fencing_token"].as_u64());
        is_problem(&one.show(&held).await, 410, "released");
        is_problem(&one.acquire("free", "thief", json!({})).await, 409, "held");
        assert_eq!(one.show(&taken).await.status, 200);
        assert_eq!(one.show(&leased).await.body["lock"]["expires_at"], renewed.body["lock"]["expires_at"]);
    }
}

#[tokio::test]
async fn cut_off_from_both_none_grants() {
    let all = Two::start().await;
    let (held, ticket, leased) = all.prepare().await;
    all.ground.redis.pause();
    for instance in &all.instances {
        grants_nothing(instance).await;
    }
    for instance in &all.instances {
        instance.sees_waiting("held", 1).await;
        says_only_what_it_knew(instance, &held, &ticket, &leased).await;
    }
    // Both accept the release of the same lock; it is released once.
    for instance in &all.instances {
        assert_eq!(instance.release(&held).await.status, 202);
    }
    all.ground.redis.resume();
    for instance in &all.instances {
        instance.grants().await;
    }
    let next = eventually("the release that was put off", async || {
        let polled = all.instances[0].poll(&ticket, "1s").await;
        (polled.status == 200).then(|| polled.lock())
    })
    .await;
    let [one, two] = &all.instances;
    assert!(next["fencing_token"].as_u64() > held["fencing_token"].as_u64());
    for instance in [one, two] {
        is_problem(&instance.show(&held).await, 410, "released");
        let shown = instance.show(&leased).await;
        assert_eq!(shown.body["lock"]["expires_at"], leased["expires_at"], "{}", shown.text);
        instance.acquire("free", "after", json!({"ttl": "1h"})).await.lock();
    }
}

/// It was renewed where Redis is reached: whoever accepted its release did not know of it.
#[tokio::test]
async fn a_lock_that_was_renewed_meanwhile_is_kept() {
    let all = Two::start().await;
    let [one, two] = &all.instances;
    let (_, _, leased) = all.prepare().await;
    all.links[0].cut();
    grants_nothing(one).await;
    assert_eq!(one.release(&leased).await.status, 202);
    assert_eq!(two.renew(&leased, "2h").await.status, 200);
    all.links[0].heal();
    one.grants().await;
    // It grants only when what it had accepted is settled.
    let shown = one.show(&leased).await;
    assert_eq!((shown.status, shown.body.get("confirmed")), (200, None), "{}", shown.text);
}
