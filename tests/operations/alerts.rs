//! The alert rules.

use super::promql::Expression;
use super::rules::{RULES, rules};
use super::{file, promtool, read, source};
use crate::support::{TestServer, eventually};
use serde_json::json;
use std::collections::BTreeSet;

/// The unit tests of the rules.
const TESTS: &str = "deploy/prometheus/lockkeeper-alerts.test.yaml";

/// Names under which users of other documents look for these alerts.
const KNOWN: [&str; 8] = [
    "EnhancedLockingDown",
    "HighLockFailureRate",
    "ExtremelyHighLatency",
    "MassiveQueueBacklog",
    "ModeratePerformanceDegradation",
    "HighQueueDepth",
    "CircuitBreakerActive",
    "HighResourceUsage",
];

#[test]
fn prometheus_takes_the_rules() {
    promtool::accepts(&["check", "rules"], &file(RULES));
}

#[test]
fn the_rules_pass_their_unit_tests() {
    promtool::accepts(&["test", "rules"], &file(TESTS));
}

#[test]
fn each_alert_is_seen_to_fire_and_not_to_fire() {
    let tests = read(TESTS);
    for rule in rules() {
        let fires = format!("labels: '{{alertname=\"{}\", severity=\"{}\"}}'", rule.name, rule.severity);
        assert!(tests.contains(&fires), "{} fires in no unit test", rule.name);
        let does_not = format!("ALERTS{{alertname=\"{}\", alertstate=\"firing\"}}", rule.name);
        let held_back = tests
            .split(&does_not)
            .skip(1)
            .any(|after| after.lines().take(3).any(|line| line.trim() == "exp_samples: []"));
        assert!(held_back, "no unit test comes near {}", rule.name);
    }
}

#[test]
fn the_rules_speak_of_what_exists() {
    let rules = rules();
    assert!(rules.len() > 30, "{rules:?}");
    let mut wrong = Vec::new();
    for rule in &rules {
        let expression = Expression::read(&rule.expression);
        assert!(!expression.selections.is_empty(), "{rule:?}");
        for complaint in expression.complaints() {
            wrong.push(format!("{}: {complaint}", rule.name));
        }
        for code in expression.selections.iter().flat_map(|selection| &selection.matchers) {
            let unknown = |code: &&str| !source::has_code(code);
            if code.label == "code" {
                wrong.extend(code.value.split('|').filter(unknown).map(|code| format!("no code {code}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn somebody_is_woken_for_two_things_only() {
    let rules = rules();
    let names: BTreeSet<&str> = rules.iter().map(|rule| &*rule.name).collect();
    assert_eq!(names.len(), rules.len(), "two alerts have one name");
    let missing: Vec<_> = KNOWN.iter().filter(|name| !names.contains(**name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let pages: Vec<&str> =
        rules.iter().filter(|rule| rule.severity == "page").map(|rule| &*rule.name).collect();
    // No instance can grant; what does not go away without a person.
    let woken = [
        "EnhancedLockingDown",
        "LockPartitionsSealed",
        "PendingReleasesStuck",
        "LockActorStorm",
        "LockInstancesApart",
    ];
    assert_eq!(pages, woken);
    for rule in &rules {
        assert!(["page", "ticket", "info"].contains(&&*rule.severity), "{rule:?}");
        assert!(!rule.summary.is_empty() && !rule.description.is_empty(), "{rule:?}");
    }
}

/// What a server exports: the words of its `# TYPE` lines, and its samples.
async fn exported(server: &TestServer) -> (BTreeSet<String>, Vec<String>) {
    let client = server.client();
    let text = eventually("the process's own metrics", async || {
        let text = client.get("/metrics").await.text;
        text.contains("process_resident_memory_bytes").then_some(text)
    })
    .await;
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let types = types.map(ToOwned::to_owned).collect();
    (types, text.lines().filter(|line| !line.starts_with('#')).map(ToOwned::to_owned).collect())
}

#[tokio::test]
async fn a_server_exports_what_rules_and_dashboard_name() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "one", json!({})).await;
    client.acquire("a", "two", json!({})).await;
    client.release(&lock).await;
    let (types, samples) = exported(&server).await;
    let texts = rules().into_iter().map(|rule| rule.expression);
    let mut missing = BTreeSet::new();
    for text in texts.chain(super::dashboard::expressions()) {
        for selection in Expression::read(&text).selections {
            let Some((metric, _)) = selection.metric() else { continue };
            // Series of open families come with their first event.
            let open = metric.labels.iter().any(|label| label.values.is_empty());
            if !types.contains(metric.name) && !open {
                missing.insert(metric.name);
            }
            let of_it = samples.iter().find(|line| line.starts_with(&format!("{}{{", selection.name)));
            for label in
                selection.matchers.iter().filter(|matcher| !["job", "instance"].contains(&&*matcher.label))
            {
                if let Some(line) = of_it {
                    assert!(line.contains(&format!("{}=\"", label.label)), "{} in {line}", label.label);
                }
            }
        }
    }
    assert!(missing.is_empty(), "not exported by a running server: {missing:?}");
}
