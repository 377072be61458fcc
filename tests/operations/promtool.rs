//! Prometheus's own tool judges rules and expressions.

use super::file;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where `scripts/test` puts it when the system has none.
fn program() -> PathBuf {
    let own = file("target/tools/promtool");
    if own.exists() { own } else { "promtool".into() }
}

/// It has nothing to complain of.
pub(super) fn accepts(arguments: &[&str], file: &Path) {
    let output = Command::new(program())
        .args(arguments)
        .arg(file)
        .output()
        .unwrap_or_else(|error| panic!("{error}: ./scripts/test installs promtool"));
    assert!(
        output.status.success(),
        "promtool {arguments:?}: {}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
