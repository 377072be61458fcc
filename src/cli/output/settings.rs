//! Settings in columns.

use super::Table;
use super::human::field;
use serde_json::Value;

/// Settings, one per row.
pub(crate) fn settings_table(settings: &[Value], wide: bool) -> String {
    let mut header = vec!["SETTING", "VALUE", "SOURCE", "CHANGE"];
    if wide {
        header.extend(["DEFAULT", "ALLOWED"]);
    }
    let mut table = Table::new(&header);
    for setting in settings {
        let value = match &setting["pending"] {
            Value::Null => shown(&setting["value"]),
            pending => format!("{} ({} after a restart)", shown(&setting["value"]), shown(pending)),
        };
        let change = if setting["restart"] == true { "at a restart" } else { "while running" };
        let mut cells = vec![field(setting, "/name"), value, field(setting, "/source"), change.into()];
        if wide {
            cells.extend([shown(&setting["default"]), field(setting, "/allowed")]);
        }
        table.row(cells);
    }
    table.render()
}

/// What was changed, one setting per row.
pub(crate) fn changes_table(changes: &[Value]) -> String {
    if changes.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["SETTING", "FROM", "TO"]);
    for change in changes {
        table.row(vec![field(change, "/name"), shown(&change["from"]), shown(&change["to"])]);
    }
    table.render()
}

/// A value as it could stand in a variable.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "[]".into(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
