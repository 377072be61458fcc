//! Queues in columns.

use super::Table;
use super::human::{field, resource, span};
use super::lock::{locks_table, ticket_table};
use lockkeeper_core::Span;
use serde_json::Value;

/// Queues, one per row.
pub(crate) fn queues_table<'a>(queues: impl IntoIterator<Item = &'a Value>, wide: bool) -> String {
    let mut header = vec!["RESOURCE", "HELD BY", "WAITING", "OLDEST WAIT"];
    if wide {
        header.extend(["CRITICAL", "HIGH", "NORMAL", "LOW", "RESOURCE ID"]);
    }
    let mut table = Table::new(&header);
    for queue in queues {
        let holders: Vec<String> = items(queue, "holders").map(|lock| field(lock, "/owner/id")).collect();
        let mut cells = vec![
            resource(&queue["resource"]),
            holders.join(","),
            depth(queue).to_string(),
            length(&queue["oldest_wait"]),
        ];
        if wide {
            for class in ["critical", "high", "normal", "low"] {
                cells.push(field(&queue["depth"], &format!("/{class}")));
            }
            cells.push(field(queue, "/resource/id"));
        }
        table.row(cells);
    }
    table.render()
}

/// One queue: who holds it, then who waits, in order.
pub(crate) fn queue_detail(queue: &Value, wide: bool) -> String {
    let mut parts = Vec::new();
    let holders = locks_table(items(queue, "holders"), wide);
    if !holders.is_empty() {
        parts.push(holders);
    }
    let tickets = ticket_table(items(queue, "tickets"), wide);
    if !tickets.is_empty() {
        parts.push(tickets);
    }
    parts.join("\n")
}

fn items<'a>(queue: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    queue[name].as_array().into_iter().flatten()
}

fn depth(queue: &Value) -> u64 {
    match queue["depth"].as_object() {
        Some(classes) => classes.values().filter_map(Value::as_u64).sum(),
        None => items(queue, "tickets").count() as u64,
    }
}

fn length(value: &Value) -> String {
    let Some(text) = value.as_str() else { return String::new() };
    Span::parse(text).map_or_else(|_| text.to_owned(), |length| span(length.to_std()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_queue_shows_holder_depth_and_age() {
        let queue = json!({"resource": {"namespace": "a/b", "path": ".", "workspace": "w"},
            "depth": {"critical": 0, "high": 1, "normal": 2, "low": 0},
            "holders": [{"id": "L", "owner": {"id": "a/b#1"}}], "tickets": [{"id": "T", "owner": {"id": "a/b#2"}}],
            "oldest_wait": "1m30s"});
        let text = queues_table([&queue], false);
        assert!(text.contains("a/b#1") && text.contains(" 3 ") && text.contains("1m30s"), "{text}");
        let detail = queue_detail(&queue, false);
        assert!(detail.contains("L ") && detail.contains("\n\nTICKET"), "{detail}");
    }
}
