//! Health, status, version, metrics.

use super::TestServer;
use crate::support::{eventually, has_members, is_time};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

#[tokio::test]
async fn a_running_server_is_well() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let health = client.get("/healthz").await;
    assert_eq!((health.status, &health.body["status"]), (200, &json!("ok")));
    assert!(health.body["enhanced_locking"].is_object(), "{}", health.text);
    for path in ["/readyz", "/readyz?for=traffic"] {
        let ready = client.get(path).await;
        assert_eq!(ready.status, 200, "{}", ready.text);
        has_members(
            &ready.body,
            &["can_grant", "phase", "since", "reason", "action", "hindered", "sealed_partitions"],
        );
        assert_eq!((&ready.body["can_grant"], &ready.body["phase"]), (&json!(true), &json!("granting")));
        assert_eq!((is_time(&ready.body["since"]), &ready.body["sealed_partitions"]), (true, &json!(0)));
    }
    assert_eq!(client.get("/readyz?for=else").await.what(), (400, "invalid_request"));
    let version = client.get("/version").await;
    assert_eq!((version.status, &version.body["api"]), (200, &json!("v1")));
    assert_eq!(version.body["version"], env!("CARGO_PKG_VERSION"));
    assert!(
        version.body["features"].as_array().is_some_and(|features| features.iter().all(Value::is_string))
    );
}

#[tokio::test]
async fn atlantis_reads_health_in_its_own_words() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let health = client.get("/api/locks/health").await;
    assert_eq!(health.status, 200);
    has_members(&health.body, &["overall", "enhanced", "legacy", "circuit_state", "warnings"]);
    has_members(&health.body, &["state", "reasons", "breaker", "history"]);
    for backend in ["enhanced", "legacy"] {
        has_members(&health.body[backend], &["healthy", "response_time"]);
    }
    let state = &health.body["state"];
    assert!(state == "healthy" || state == "degraded", "{}", health.text);
    assert_eq!((&health.body["overall"], &health.body["enhanced"]["healthy"]), (&json!(true), &json!(true)));
    assert_eq!(health.body["legacy"], json!({"healthy": false, "response_time": null}));
    assert_eq!(
        (&health.body["circuit_state"], &health.body["breaker"]["state"]),
        (&json!("closed"), &json!("closed"))
    );

    let status = client.get("/api/locks/compatibility/status").await;
    let names = ["enhanced_enabled", "enhanced_ops", "fallback_active", "fallback_ops", "legacy_ops", "mode"];
    has_members(&status.body, &names);
    assert!(status.body["mode"].is_string());
    assert_eq!(
        (&status.body["enhanced_enabled"], &status.body["fallback_active"]),
        (&json!(true), &json!(false))
    );
    for count in ["legacy_ops", "enhanced_ops", "fallback_ops"] {
        assert!(status.body[count].is_u64(), "{}", status.text);
    }
    let operations = async || {
        let replies = client.get_from_each("/api/locks/compatibility/status").await;
        replies.iter().map(|reply| reply.body["enhanced_ops"].as_u64().unwrap()).sum::<u64>()
    };
    let before = operations().await;
    client.lock("a", "me", json!({})).await;
    assert!(operations().await > before);
}

#[tokio::test]
async fn the_queue_status_counts() {
    let server = TestServer::start(&[]);
    let client = server.client();
    client.lock("a", "me", json!({})).await;
    client.lock("b", "me", json!({})).await;
    client.queue("a", "next", json!({"priority": "high"})).await;
    let status = client.get("/api/locks/queue-status").await;
    assert_eq!(status.status, 200);
    has_members(&status.body, &["totals", "resources"]);
    assert_eq!(status.body["resources"].as_array().unwrap().len(), 2, "{}", status.text);
    let totals = status.body["totals"].to_string();
    assert!(totals.contains('2') && totals.contains('1'), "{totals}");
    let stats = client.get("/api/v1/stats").await;
    assert!(stats.status == 200 && stats.body.is_object(), "{}", stats.text);
}

/// Name to (help, type, whether there are samples), as the text format has them.
fn exported(text: &str) -> BTreeMap<String, (bool, String, bool)> {
    let mut found: BTreeMap<String, (bool, String, bool)> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
            found.entry(name.to_owned()).or_default().0 = !help.is_empty();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            found.entry(name.to_owned()).or_default().1 = kind.to_owned();
        } else {
            let name = line.split(['{', ' ']).next().unwrap();
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| {
                name.strip_suffix(end)
                    .filter(|base| found.get(*base).is_some_and(|entry| entry.1 == "histogram"))
            });
            found.entry(base.unwrap_or(name).to_owned()).or_default().2 = true;
            let value = line.rsplit(' ').next().unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
    found
}

#[tokio::test]
async fn metrics_are_those_of_the_documentation() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "me", json!({})).await;
    client.queue("a", "next", json!({})).await;
    client.release(&lock).await;
    assert_eq!(client.get("/nothing").await.status, 404);
    // The process's own figures come a little after the start.
    let replies = eventually("the processes' figures", async || {
        let replies = client.get_from_each("/metrics").await;
        replies.iter().all(|reply| reply.text.contains("process_resident_memory_bytes")).then_some(replies)
    })
    .await;
    for reply in &replies {
        assert_eq!(reply.status, 200);
        assert!(reply.header("content-type").starts_with("text/plain; version=0.0.4"), "{:?}", reply.headers);
    }
    // Every sample that any of them has.
    let texts: Vec<&str> = replies.iter().map(|reply| reply.text.as_str()).collect();
    compare_with_the_documentation(&exported(&texts.join("\n")));
    for (line, value) in [
        ("acquisitions_success_total ", 1.0),
        ("grants_total{how=\"handoff\"} ", 1.0),
        ("ready ", replies.len() as f64),
        ("errors_total{code=\"not_found\"} ", 1.0),
    ] {
        let line = format!("atlantis_enhanced_locking_{line}");
        assert_eq!(client.metric(&line).await, Some(value), "{line}");
    }
}

fn compare_with_the_documentation(exported: &BTreeMap<String, (bool, String, bool)>) {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap();
    let table = docs.split("## Buckets").next().unwrap();
    let documented: BTreeMap<&str, &str> = table
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
            Some((cells.next()?.trim_end_matches('`'), cells.next()?))
        })
        .collect();
    assert!(documented.len() > 20, "{documented:?}");
    for (name, (help, kind, samples)) in exported {
        assert!(*help && *samples, "{name} has no HELP or no samples");
        assert_eq!(documented.get(name.as_str()), Some(&kind.as_str()), "{name} is not documented so");
    }
    // What has no labels that come with their first event is there from the start.
    let absent: BTreeSet<_> =
        documented.keys().filter(|name| !exported.contains_key(**name)).copied().collect();
    let late = [
        "_failed_total",
        "actor_restarts_total",
        "actors_unstable",
        "limit_refused_total",
        "mailbox_full_total",
        "probe_failures_total",
        "slow_clients_total",
    ];
    for name in absent {
        assert!(late.iter().any(|end| name.ends_with(end)), "{name} is documented and not exported");
    }
}
