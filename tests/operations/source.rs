//! The text of the program, without its tests.

use super::{file, read};
use std::path::Path;

/// What is compiled into the server, one string: continued string literals are joined, so that a phrase
/// stands in it as it is printed.
pub(super) fn source() -> String {
    let mut text = String::new();
    for folder in ["src", "actors/src", "store/src", "core/src", "config/src", "telemetry/src"] {
        add(&file(folder), &mut text);
    }
    text
}

fn add(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            // What tests say is no promise of the program.
            if !["tests", "testing", "conformance"].contains(&&*name) {
                add(&path, text);
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let whole = std::fs::read_to_string(&path).unwrap();
            let program = whole.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            text.push_str(&joined(program));
        }
    }
}

/// A backslash at a line's end leaves out the newline and the blanks after it.
fn joined(program: &str) -> String {
    let mut pieces = program.split("\\\n");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        text.push_str(piece.trim_start());
    }
    text
}

/// The codes of refusals.
pub(super) fn has_code(code: &str) -> bool {
    read("src/http/problem.rs").contains(&format!(" \"{code}\" "))
}
