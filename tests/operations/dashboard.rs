//! The dashboard.

use super::promql::Expression;
use super::{promtool, read, source};
use serde_json::Value;
use std::collections::BTreeSet;

const DASHBOARD: &str = "deploy/grafana/lockkeeper.json";

/// The columns of Grafana's grid.
const COLUMNS: u64 = 24;

fn dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).unwrap_or_else(|error| panic!("{DASHBOARD}: {error}"))
}

fn panels(dashboard: &Value) -> &Vec<Value> {
    dashboard["panels"].as_array().unwrap()
}

/// Its expressions, with Grafana's variables in place of which something stands that Prometheus reads.
pub(super) fn expressions() -> Vec<String> {
    let dashboard = dashboard();
    let targets =
        panels(&dashboard).iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let annotations = dashboard["annotations"]["list"].as_array().unwrap();
    let of_both = targets.chain(annotations).filter_map(|target| target["expr"].as_str());
    let readable = |text: &str| {
        let text = text.replace("$__rate_interval", "5m").replace("$__range", "1h");
        text.replace("$job", "lockkeeper").replace("$instance", ".*")
    };
    of_both.map(readable).collect()
}

#[test]
fn it_speaks_of_what_exists() {
    let expressions = expressions();
    assert!(expressions.len() > 40, "{expressions:?}");
    let mut wrong = Vec::new();
    for text in &expressions {
        let expression = Expression::read(text);
        wrong.extend(expression.complaints().into_iter().map(|complaint| format!("{complaint} in {text}")));
        for matcher in expression.selections.iter().flat_map(|selection| &selection.matchers) {
            assert!(!matcher.value.contains('$'), "a variable that is not there: {text}");
            if matcher.label == "code" {
                assert!(matcher.value.split('|').all(source::has_code), "{text}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn prometheus_reads_its_expressions() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("panels.yaml");
    let mut rules = String::from("groups:\n  - name: panels\n    rules:\n");
    for (number, text) in expressions().iter().enumerate() {
        let quoted = serde_json::to_string(text).unwrap();
        rules.push_str(&format!("      - record: panel:{number}\n        expr: {quoted}\n"));
    }
    std::fs::write(&file, rules).unwrap();
    promtool::accepts(&["check", "rules"], &file);
}

#[test]
fn grafana_can_lay_it_out() {
    let dashboard = dashboard();
    assert!(dashboard["id"].is_null(), "an id belongs to one Grafana");
    assert!(dashboard["schemaVersion"].as_u64() >= Some(30), "{}", dashboard["schemaVersion"]);
    let mut ids = BTreeSet::new();
    let mut places = BTreeSet::new();
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().filter(|title| !title.is_empty()).unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is another panel's");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|name| panel["gridPos"][name].as_u64().unwrap());
        assert!(w > 0 && h > 0 && x + w <= COLUMNS, "{title}: beyond the grid");
        for place in (x..x + w).flat_map(|column| (y..y + h).map(move |line| (column, line))) {
            assert!(places.insert(place), "{title}: lies on another panel");
        }
        let targets = panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert_eq!(targets.is_empty(), panel["type"] == "row", "{title}");
        let letters: BTreeSet<&str> = targets.iter().filter_map(|target| target["refId"].as_str()).collect();
        assert_eq!(letters.len(), targets.len(), "{title}: two queries have one letter");
        for of in targets.iter().chain((panel["type"] != "row").then_some(panel)) {
            assert_eq!(of["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
}

#[test]
fn one_chooses_data_source_job_and_instance() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<&str> = variables.iter().filter_map(|variable| variable["name"].as_str()).collect();
    assert_eq!(names, ["datasource", "job", "instance"]);
    let rows: Vec<&str> = panels(&dashboard)
        .iter()
        .filter(|panel| panel["type"] == "row")
        .filter_map(|panel| panel["title"].as_str())
        .collect();
    let expected = [
        "Can it grant?",
        "Acquisitions",
        "Queues",
        "Holds",
        "Store and breaker",
        "Journal and sealing",
        "Actors",
        "Overload",
        "Process",
    ];
    assert_eq!(rows, expected);
}
