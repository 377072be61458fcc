//! The table of `docs/configuration.md`.

use std::fmt::Write as _;

use crate::settings::SCHEMA;

/// Every setting as a row of a Markdown table.
#[must_use]
pub fn markdown_table() -> String {
    let mut out = String::from("| setting | default | allowed | meaning |\n| --- | --- | --- | --- |\n");
    for setting in SCHEMA.settings {
        let default = match setting.default {
            "" if setting.kind.is_list() => "[]",
            "" => "\"\"",
            default => default,
        };
        let secret = if setting.secret { " Secret." } else { "" };
        let also: String = SCHEMA.aliases_of(setting.name).map(|alias| format!(" Also `{alias}`.")).collect();
        let live = if setting.restart { "" } else { " A change takes effect without a restart." };
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "| `{}` | `{default}` | {} | {}{also}{secret}{live} |",
            setting.name,
            setting.kind.allowed(),
            setting.help
        );
    }
    out
}
