//! Locks and tickets in columns and in words.

use super::Table;
use super::human::{ago, expires, field, resource};
use serde_json::Value;

/// Locks, one per row.
pub(crate) fn locks_table<'a>(locks: impl IntoIterator<Item = &'a Value>, wide: bool) -> String {
    let mut header = vec!["ID", "RESOURCE", "OWNER", "MODE", "TOKEN", "ACQUIRED", "EXPIRES"];
    if wide {
        header.extend(["STATE", "PRIORITY", "USER", "CREATED BY", "RENEWED", "METADATA"]);
    }
    let mut table = Table::new(&header);
    for lock in locks {
        let mut cells = vec![
            field(lock, "/id"),
            resource(&lock["resource"]),
            field(lock, "/owner/id"),
            field(lock, "/mode"),
            field(lock, "/fencing_token"),
            ago(&lock["acquired_at"]),
            expires(lock),
        ];
        if wide {
            cells.extend([
                field(lock, "/state"),
                field(lock, "/priority"),
                field(lock, "/owner/user"),
                field(lock, "/created_by"),
                ago(&lock["renewed_at"]),
                metadata(&lock["metadata"]),
            ]);
        }
        table.row(cells);
    }
    table.render()
}

fn metadata(value: &Value) -> String {
    let entries = value.as_object().into_iter().flatten();
    let pairs: Vec<String> = entries
        .map(|(key, value)| format!("{key}={}", value.as_str().map_or_else(|| value.to_string(), Into::into)))
        .collect();
    pairs.join(",")
}

/// Tickets, one per row.
pub(crate) fn ticket_table<'a>(tickets: impl IntoIterator<Item = &'a Value>, wide: bool) -> String {
    let mut header = vec!["TICKET", "RESOURCE", "OWNER", "PRIORITY", "POSITION", "QUEUED", "LEAVES"];
    if wide {
        header.extend(["ESTIMATED WAIT", "USER"]);
    }
    let mut table = Table::new(&header);
    for ticket in tickets {
        let mut cells = vec![
            field(ticket, "/id"),
            resource(&ticket["resource"]),
            field(ticket, "/owner/id"),
            field(ticket, "/priority"),
            field(ticket, "/position"),
            ago(&ticket["enqueued_at"]),
            ago(&ticket["deadline"]),
        ];
        if wide {
            cells.extend([field(ticket, "/estimated_wait"), field(ticket, "/owner/user")]);
        }
        table.row(cells);
    }
    table.render()
}

/// Who has it, since when and how long: `acme/infra#41 (alice) since 12m ago (lease ends in 18m
/// unless renewed)`.
pub(crate) fn held_by(holders: &[Value]) -> String {
    /// Holders named in one sentence.
    const NAMED_MAX: usize = 3;
    let mut words: Vec<String> = holders.iter().take(NAMED_MAX).map(one).collect();
    if holders.len() > NAMED_MAX {
        words.push(format!("{} more", holders.len() - NAMED_MAX));
    }
    words.join(" and ")
}

fn one(lock: &Value) -> String {
    let mut text = field(lock, "/owner/id");
    let user = field(lock, "/owner/user");
    if !user.is_empty() {
        text.push_str(&format!(" ({user})"));
    }
    let since = ago(&lock["acquired_at"]);
    if !since.is_empty() {
        text.push_str(&format!(" since {since}"));
    }
    let end = expires(lock);
    match (end.as_str(), field(lock, "/state").as_str()) {
        ("never" | "", _) => text,
        (end, "reserved") => format!("{text} (reserved, goes on {end} unless fetched)"),
        (end, _) => format!("{text} (lease ends {end} unless renewed)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_and_missing_fields_do_no_harm() {
        let lock = json!({"id": "L", "resource": {"namespace": "a/b", "path": ".", "workspace": "w"},
            "owner": {"id": "a/b#1"}, "fencing_token": 7, "brand_new": {"x": 1}, "metadata": {"run": "1"}});
        let text = locks_table([&lock], true);
        assert!(text.contains("a/b:.:w") && text.contains("run=1"), "{text}");
        assert_eq!(locks_table([], false), "");
    }

    #[test]
    fn holders_are_named_and_counted() {
        let holder = json!({"owner": {"id": "o", "user": "u"}});
        assert_eq!(held_by(std::slice::from_ref(&holder)), "o (u)");
        assert!(held_by(&vec![holder.clone(); 5]).ends_with("and 2 more"));
        let mut lock = holder;
        lock["acquired_at"] = json!("2026-01-01T00:00:00Z");
        lock["expires_in"] = json!("27m0s");
        let text = held_by(std::slice::from_ref(&lock));
        assert!(
            text.starts_with("o (u) since ") && text.ends_with("(lease ends in 27m unless renewed)"),
            "{text}"
        );
        lock["state"] = json!("reserved");
        let text = held_by(std::slice::from_ref(&lock));
        assert!(text.ends_with("(reserved, goes on in 27m unless fetched)"), "{text}");
    }
}
