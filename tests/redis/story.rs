//! What clients were told before something happened, and must find again after it.

use super::ground::Instance;
use crate::support::{Reply, is_problem};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// A resource with a holder, a ticket nobody waits with, and a client that waits; and a lock that
/// was released.
pub(super) struct Story {
    held: Value,
    ticket: Value,
    asked: Value,
    waits: JoinHandle<Reply>,
    released: Value,
}

impl Story {
    /// Tells it to clients of both instances, and waits until both know all of it.
    pub(super) async fn begin(one: &Instance, other: &Instance) -> Self {
        let held = one.lock("told", "holder", json!({"ttl": "1h", "request_id": "holder-1"})).await;
        let asked =
            json!({"queue": true, "attended": false, "queue_timeout": "1h", "request_id": "second-1"});
        let ticket = other.acquire("told", "second", asked.clone()).await.ticket();
        let waits = other.acquires("told", "third", json!({"queue": true, "wait": "50s"}));
        one.sees_waiting("told", 2).await;
        let released = other.lock("ended", "former", json!({})).await;
        one.sees(&released).await;
        assert_eq!(one.release(&released).await.status, 200);
        for instance in [one, other] {
            instance.sees(&held).await;
            instance.sees_waiting("told", 2).await;
            is_problem(&instance.show(&released).await, 410, "released");
        }
        Self { held, ticket, asked, waits, released }
    }

    /// All of it still is so, at any instance, and goes on from there.
    pub(super) async fn goes_on(self, one: &Instance, other: &Instance) {
        let Self { held, ticket, asked, waits, released } = self;
        for instance in [one, other] {
            let shown = instance.show(&held).await;
            assert_eq!(shown.status, 200, "{}", shown.text);
            for member in ["id", "state", "owner", "fencing_token", "acquired_at", "expires_at"] {
                assert_eq!(shown.body["lock"][member], held[member], "{member}");
            }
            is_problem(&instance.show(&released).await, 410, "released");
            is_problem(&instance.release(&released).await, 410, "released");
            let again = instance.acquire("told", "holder", json!({"ttl": "1h", "request_id": "holder-1"}));
            assert_eq!(again.await.lock()["fencing_token"], held["fencing_token"]);
            let again = instance.acquire("told", "second", asked.clone()).await.ticket();
            assert_eq!((&again["id"], &again["position"]), (&ticket["id"], &json!(1)));
            is_problem(&instance.acquire("told", "newcomer", json!({})).await, 409, "held");
        }
        let renewed = other.renew(&held, "2h").await;
        assert_eq!(renewed.status, 200, "{}", renewed.text);
        let handed = one.release(&held).await;
        assert_eq!(handed.body["granted_to"]["owner"]["id"], "second", "{}", handed.text);
        let second = other.poll(&ticket, "").await.lock();
        assert!(second["fencing_token"].as_u64() > held["fencing_token"].as_u64());
        let handed = one.release(&second).await;
        assert_eq!(handed.body["granted_to"]["owner"]["id"], "third", "{}", handed.text);
        let third = waits.await.unwrap().lock();
        assert_eq!(third["id"], handed.body["granted_to"]["id"]);
        assert!(third["fencing_token"].as_u64() > second["fencing_token"].as_u64());
        assert_eq!(other.release(&third).await.status, 200);
        let anew = one.lock("ended", "former", json!({})).await;
        assert!(anew["fencing_token"].as_u64() > released["fencing_token"].as_u64());
    }
}
