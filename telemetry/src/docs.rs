//! The tables of `docs/metrics.md`.

use std::fmt::Write as _;

use crate::declare::{Kind, Label};
use crate::table::{METRICS, OTHER_NAMES, Successor};

/// The declared metrics and the names that became them, as Markdown.
#[must_use]
pub fn markdown_table() -> String {
    let mut out =
        String::from("| metric | kind | unit | labels | meaning |\n| --- | --- | --- | --- | --- |\n");
    for metric in METRICS {
        let labels = metric.labels.iter().map(label).collect::<Vec<_>>().join("<br>");
        let (kind, unit) = (metric.kind.word(), metric.unit.word());
        // Writing to a string cannot fail.
        let _ = writeln!(out, "| `{}` | {kind} | {unit} | {labels} | {} |", metric.name, metric.help);
    }
    out.push_str("\n## Buckets\n\n| metric | upper bounds |\n| --- | --- |\n");
    for metric in METRICS {
        if let Kind::Histogram(buckets) = metric.kind {
            let bounds = buckets.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
            let _ = writeln!(out, "| `{}` | {bounds} |", metric.name);
        }
    }
    out.push_str("\n## Names from elsewhere\n\n| name | here |\n| --- | --- |\n");
    for (name, successor) in OTHER_NAMES {
        let _ = match successor {
            Successor::Is(metric) => writeln!(out, "| `{name}` | `{metric}` |"),
            Successor::None(instead) => writeln!(out, "| `{name}` | {instead} |"),
        };
    }
    out
}

fn label(label: &Label) -> String {
    let values = label.values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
    let separator = if values.is_empty() { "" } else { ": " };
    format!("`{}` ({}){separator}{values}", label.name, label.help)
}
