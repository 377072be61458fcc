//! Instances in columns.

use super::Table;
use super::human::{ago, field};
use serde_json::Value;

/// Instances, one per row; the one that answered is marked.
pub(crate) fn instances_table(instances: &[Value], wide: bool) -> String {
    let mut header = vec!["INSTANCE", "ADDRESS", "VERSION", "STARTED", "SEEN", "SELF"];
    if wide {
        header.push("INCARNATION");
    }
    let mut table = Table::new(&header);
    for instance in instances {
        let mut cells = vec![
            field(instance, "/id"),
            field(instance, "/address"),
            field(instance, "/version"),
            ago(&instance["started_at"]),
            ago(&instance["seen_at"]),
            if instance["self"] == true { "yes".into() } else { String::new() },
        ];
        if wide {
            cells.push(field(instance, "/incarnation"));
        }
        table.row(cells);
    }
    table.render()
}
