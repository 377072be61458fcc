//! What people operate by is true: alert rules, their own unit tests, the dashboard and the cards of
//! the operations guide speak of metrics, labels, codes, log lines, commands and settings that exist.

mod alerts;
mod cards;
mod dashboard;
mod guide;
mod promql;
mod promtool;
mod rules;
mod source;

use std::path::PathBuf;

/// A file of the repository.
fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Its text.
fn read(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
