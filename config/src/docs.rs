//! The table of `docs/configuration.md`.

use std::fmt::Write as _;

use crate::settings::SCHEMA;

/// Every setting as a row of a Markdown table.
#[must_use]
pub fn markdown_table() -> String {
    let mut out = String::from("| setting | default | allowed | meaning |\n| --- | --- | --- | --- |\n");
    for setting in SCHEMA.settings {
        let default = if setting.default.is_empty() { "\"\"" } else { setting.default };
        let secret = if setting.secret { " Secret." } else { "" };
        let live = if setting.restart { "" } else { " A change takes effect without a restart." };
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "| `{}` | `{default}` | {} | {}{secret}{live} |",
            setting.name,
            setting.kind.allowed(),
            setting.help
        );
    }
    out
}
