//! A Redis that cannot keep locks: each reason is named once in the log and in `/readyz`, nothing is
//! granted, and the service comes back by itself when the reason is gone.

mod at_start;
mod fake;
mod in_service;

use super::ground::Instance;
use crate::support::{eventually, is_problem};
use serde_json::json;

/// What is logged when a reason is named.
const NAMED: &str = "the store is unhealthy";

/// The instance says that it cannot grant for this reason, wherever it is asked, and does not.
async fn is_out_of_service(instance: &Instance, cause: &str) {
    eventually(&format!("{cause:?} in /readyz"), async || {
        let ready = instance.get("/readyz").await;
        let reason = ready.body["reason"].as_str().unwrap_or_default();
        reason.contains(cause).then(|| {
            assert_eq!((ready.status, &ready.body["phase"]), (503, &json!("hold_only")), "{}", ready.text);
            assert_eq!(ready.body["can_grant"], false);
            assert!(!ready.header("retry-after").is_empty());
        })
    })
    .await;
    instance.logs(cause, 1).await;
    let health = instance.get("/api/locks/health").await;
    assert_eq!((health.status, &health.body["overall"]), (200, &json!(false)), "{}", health.text);
    assert_eq!(health.body["enhanced"]["healthy"], false);
    assert_eq!(instance.get("/healthz").await.status, 200);
    assert_eq!(instance.get("/readyz?for=traffic").await.status, 200);
    let refused = instance.acquire("nothing", "nobody", json!({})).await;
    assert!(matches!(refused.code(), "backend_unavailable" | "outcome_unknown"), "{}", refused.text);
    is_problem(&refused, 503, refused.code());
}

/// It grants again, and what it refused was not granted.
async fn is_back_in_service(instance: &Instance, cause: &str) {
    instance.grants().await;
    let named: Vec<String> = instance
        .server
        .log()
        .into_iter()
        .filter(|line| line.contains(NAMED) && line.contains(cause))
        .collect();
    assert_eq!(named.len(), 1, "{named:#?}");
    assert_eq!(instance.get("/api/locks/health").await.body["overall"], true);
    assert!(instance.locks().await.iter().all(|lock| lock["resource"]["path"] != "nothing"));
    let lock = instance.lock("something", "somebody", json!({})).await;
    assert_eq!(instance.release(&lock).await.status, 200);
}
