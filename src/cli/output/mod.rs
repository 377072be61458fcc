//! How answers are printed: one file per kind of thing, one for columns, one for human times.

mod actors;
mod human;
mod instances;
mod lock;
mod queue;
mod settings;
mod table;

pub(crate) use actors::actors_table;
pub(crate) use human::{ago, count, field, span};
pub(crate) use instances::instances_table;
pub(crate) use lock::{held_by, locks_table, ticket_table};
pub(crate) use queue::{queue_detail, queues_table};
pub(crate) use settings::{changes_table, settings_table};
pub(crate) use table::Table;

use super::context::Console;
use super::options::Format;
use serde_json::Value;
use std::io;

/// Prints one document: `json` and `jsonl` whole, `name` by its ids, tables as the caller draws.
///
/// # Errors
/// When stdout cannot take it.
pub(crate) fn print(
    console: &Console,
    whole: &Value,
    ids: &[&str],
    draw: impl FnOnce(bool) -> String,
) -> io::Result<()> {
    match console.format() {
        Format::Json => console.data(&pretty(whole)),
        Format::Jsonl => console.data(&line(whole)),
        Format::Name => console.data(&ids.iter().map(|id| format!("{id}\n")).collect::<String>()),
        Format::Table => console.data(&draw(false)),
        Format::Wide => console.data(&draw(true)),
    }
}

/// A document over several lines.
pub(crate) fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// A document on one line.
pub(crate) fn line(value: &Value) -> String {
    format!("{value}\n")
}
