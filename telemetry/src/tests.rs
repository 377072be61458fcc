//! Holds the table, what is rendered, and the documentation against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use crate::table::{METRICS, OTHER_NAMES, Successor};
use crate::*;

const BEGIN: &str = "<!-- generated from the table in telemetry/src/table.rs: begin -->\n";
const END: &str = "<!-- generated: end -->";

/// Uses every recording function at least once.
fn record_everything() -> Vec<Occupied> {
    let m = metrics();
    let ms = Duration::from_millis(3);
    for answer in [Acquisition::Acquired, Acquisition::Reentrant, Acquisition::Queued, Acquisition::Held] {
        m.acquisition(answer, ms);
    }
    m.acquisition(Acquisition::Refused("queue_full"), ms);
    Grant::ALL.iter().for_each(|how| m.granted(*how));
    for reason in ReleaseReason::ALL {
        HoldClass::ALL.iter().for_each(|class| m.released(*reason, *class, Duration::from_secs(90)));
    }
    m.operations("acquire").increment(1);
    m.error("queue_full");
    Retry::ALL.iter().for_each(|kind| m.retry(*kind));
    LockState::ALL.iter().for_each(|state| m.locks(*state).increment(1.0));
    for priority in Priority::ALL {
        m.queue_depth(*priority).increment(1.0);
        m.queue_wait(*priority, Duration::from_secs(700));
    }
    m.client_gone();
    m.sweep_overdue(2);
    m.backend_health("embedded", true);
    CommitOutcome::ALL.iter().for_each(|outcome| m.store_commit("embedded", *outcome, ms));
    m.store_commit_batch(17);
    m.sealed_partitions(3);
    m.written_back();
    m.store_conflict();
    m.hints_missed();
    m.instances(2);
    m.actor_restarted("queue");
    m.mailbox_full("queue");
    m.events_published(1);
    m.event_subscriber_dropped();
    m.http_request("/api/v1/locks", "POST", 200, ms);
    m.http_request("other", "BREW", 404, ms);
    m.build_info("0.1.0");
    m.ready(true);
    Phase::ALL.iter().for_each(|phase| m.phase(*phase));
    BackendState::ALL.iter().for_each(|state| m.backend_state(*state));
    m.probe("redis", Some(ms));
    m.probe("redis", None);
    BreakerState::ALL.iter().for_each(|state| m.breaker("redis", *state));
    m.breaker_refused();
    m.redis(1, 2, 3);
    m.journal_pending(2);
    m.journal_accepted();
    JournalOutcome::ALL.iter().for_each(|outcome| m.journal_outcome(*outcome));
    m.actors_unstable("queue", true);
    m.quarantined(1);
    m.limit_refused("rate-limit.per-client");
    m.slow_client("header");
    ConfigChange::ALL.iter().for_each(|outcome| m.config_change(*outcome));
    vec![m.waiting_client(), m.actor("queue"), m.event_subscriber(), m.in_work()]
}

/// Family name to its HELP text and TYPE word.
fn families(text: &str) -> BTreeMap<String, (String, String)> {
    let mut families = BTreeMap::<String, (String, String)>::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            families.entry(name.to_owned()).or_default().0 = help.to_owned();
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            families.entry(name.to_owned()).or_default().1 = kind.to_owned();
        }
    }
    families
}

#[test]
fn everything_declared_is_rendered_and_nothing_else() {
    let exporter = install().unwrap();
    let _alive = record_everything();
    exporter.upkeep();
    let text = exporter.render();
    let families = families(&text);
    for metric in METRICS {
        let (help, kind) = families.get(metric.name).unwrap_or_else(|| panic!("{} is missing", metric.name));
        assert_eq!(help, &metric.help.replace('\\', "\\\\"), "{}", metric.name);
        assert_eq!(kind, metric.kind.word(), "{}", metric.name);
        for label in metric.labels {
            assert!(
                text.lines().any(|l| l.starts_with(metric.name) && l.contains(&format!("{}=\"", label.name))),
                "{} lacks the label {}",
                metric.name,
                label.name
            );
        }
    }
    let declared: BTreeSet<_> = METRICS.iter().map(|metric| metric.name.to_owned()).collect();
    let rendered: BTreeSet<_> = families.into_keys().collect();
    assert_eq!(rendered.difference(&declared).collect::<Vec<_>>(), Vec::<&String>::new());
    for line in [
        "atlantis_enhanced_locking_acquisitions_total{result=\"refused\"} ",
        "atlantis_enhanced_locking_acquisitions_failed_total{code=\"queue_full\"} ",
        "atlantis_enhanced_locking_acquisition_duration_seconds_bucket{le=\"0.00005\"} ",
        "atlantis_enhanced_locking_queue_wait_duration_seconds_bucket{priority=\"low\",le=\"86400\"} ",
        "atlantis_enhanced_locking_store_commits_total{store=\"embedded\",outcome=\"conflict\"} ",
        "atlantis_enhanced_locking_http_requests_total{route=\"other\",method=\"other\",status=\"404\"} ",
        "atlantis_enhanced_locking_build_info{version=\"0.1.0\"} 1",
    ] {
        assert!(text.contains(line), "no {line} in\n{text}");
    }
}

#[test]
fn declarations_are_sound() {
    let mut names = BTreeSet::new();
    for metric in METRICS {
        assert!(names.insert(metric.name), "{} is declared twice", metric.name);
        assert!(
            metric.name.starts_with("atlantis_enhanced_locking_") || metric.name.starts_with("process_"),
            "{}",
            metric.name
        );
        assert!(metric.help.ends_with('.') && !metric.help.contains('|'), "{}: {}", metric.name, metric.help);
        if metric.kind == Kind::Counter {
            assert!(metric.name.ends_with("_total"), "{}", metric.name);
        }
        if let Kind::Histogram(buckets) = metric.kind {
            assert!(!buckets.is_empty() && buckets.is_sorted(), "{}", metric.name);
            assert_eq!(metric.unit == Unit::Seconds, metric.name.ends_with("_seconds"), "{}", metric.name);
        }
    }
    for (name, successor) in OTHER_NAMES {
        assert!(!names.contains(name), "{name} exists");
        if let Successor::Is(metric) = successor {
            assert!(names.contains(metric), "{metric} does not exist");
        }
    }
}

#[test]
fn several_servers_share_one_recorder() {
    let (one, two) = (install().unwrap(), install().unwrap());
    metrics().operations("shared_by_two").increment(1);
    for exporter in [one, two] {
        assert!(exporter.render().contains("operations_total{operation=\"shared_by_two\"} 1"));
    }
}

#[test]
fn what_ends_goes_down_again() {
    let exporter = install().unwrap();
    let line = "atlantis_enhanced_locking_actors{kind=\"short_lived\"}";
    let actor = metrics().actor("short_lived");
    assert!(exporter.render().contains(&format!("{line} 1")));
    drop(actor);
    assert!(exporter.render().contains(&format!("{line} 0")));
}

#[test]
fn the_documentation_lists_exactly_what_is_declared() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the begin mark");
    let (table, after) = rest.split_once(END).expect("the end mark");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}\n{}\n{END}{after}", markdown_table())).unwrap();
        return;
    }
    assert_eq!(
        table.trim(),
        markdown_table().trim(),
        "docs/metrics.md is old: run `UPDATE_DOCS=1 cargo test -p lockkeeper-telemetry`"
    );
    // The prose around the table must not speak of metrics that do not exist.
    let known: BTreeSet<_> =
        METRICS.iter().map(|metric| metric.name).chain(OTHER_NAMES.iter().map(|(name, _)| *name)).collect();
    for word in page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        if word.starts_with("atlantis_enhanced_") || word.starts_with("process_") {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| word.strip_suffix(suffix));
            assert!(
                known.contains(word) || base.is_some_and(|base| known.contains(base)),
                "docs/metrics.md names {word}, which is not declared"
            );
        }
    }
}
