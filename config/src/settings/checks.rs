//! Checks of text settings. Each says what is wrong, as the rest of a sentence about the text.

use std::net::IpAddr;

use crate::redis_url::host_and_port;

/// The longest instance id.
pub(crate) const INSTANCE_ID_CHARS_MAX: usize = 64;
/// What an instance id may be.
pub(crate) const INSTANCE_ID: &str = "empty, or 1 to 64 of the letters A-Z and a-z, digits, \"_\" and \"-\" (no dot: event ids are instance.sequence)";
/// What a log filter may be.
pub(crate) const LOG_FILTER: &str =
    "error, warn, info, debug, trace or off, or a list like \"info,lockkeeper_store=debug\"";

/// What an advertised address may be.
pub(crate) const ADVERTISE: &str = "empty, or HOST:PORT, like 10.0.0.7:4142 or locks-1.example.org:4142";
/// What the name of a Sentinel's master may be.
pub(crate) const SENTINEL: &str =
    "empty, or 1 to 128 of the letters A-Z and a-z, digits, \".\", \"-\" and \"_\"";
/// What the beginning of keys may be.
pub(crate) const KEY_PREFIX: &str = "1 to 64 of the letters A-Z and a-z, digits, \"_\", \"-\", \".\", \":\" and \"/\", not beginning with \"pr\"";
/// What a user or a password may be.
pub(crate) const CREDENTIAL: &str = "up to 4096 bytes without control characters";
/// What the path of a file that need not be may be.
pub(crate) const OPTIONAL_PATH: &str = "empty, or a path of 1 to 4096 bytes";

const SENTINEL_CHARS_MAX: usize = 128;
const KEY_PREFIX_CHARS_MAX: usize = 64;
const CREDENTIAL_BYTES_MAX: usize = 4096;
const PATH_BYTES_MAX: usize = 4096;
const HOST_BYTES_MAX: usize = 256;
const LOG_FILTER_BYTES_MAX: usize = 4096;
const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

/// A path.
pub(crate) fn path(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    plain_text(text, PATH_BYTES_MAX)
}

/// A path, or nothing.
pub(crate) fn optional_path(text: &str) -> Result<(), String> {
    plain_text(text, PATH_BYTES_MAX)
}

/// A user's name, a password, or nothing. A control character is a file's second line, or a mistake in
/// an escape; it would only be noticed as "wrong password".
pub(crate) fn credential(text: &str) -> Result<(), String> {
    plain_text(text, CREDENTIAL_BYTES_MAX)
}

/// The name of a master as Sentinel allows them, or nothing.
pub(crate) fn sentinel(text: &str) -> Result<(), String> {
    only(text, SENTINEL_CHARS_MAX, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

/// The beginning of keys. What it may not be would put locks of different servers, or of Atlantis, into
/// each other's way, or spread one partition over several nodes.
pub(crate) fn key_prefix(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.starts_with("pr") {
        return Err("begins with \"pr\", as Atlantis's own locks do: an Atlantis with the same Redis lists every key that begins so, and would take these for its locks".to_owned());
    }
    if text.contains(['{', '}']) {
        return Err("contains a brace: braces tell a Cluster which keys belong together, and are put around it already".to_owned());
    }
    only(text, KEY_PREFIX_CHARS_MAX, |c| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/')
    })
}

/// Where clients reach this instance, or nothing.
pub(crate) fn advertise(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    if text.contains("://") {
        return Err("is a URL".to_owned());
    }
    let (host, port) = host_and_port(text)?;
    if port.is_none() {
        return Err("has no port".to_owned());
    }
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    if address.is_ok_and(|address| address.to_canonical().is_unspecified()) {
        return Err(
            "stands for all addresses of a host, which is something to listen on and not to reach".to_owned()
        );
    }
    Ok(())
}

fn only(text: &str, chars_max: usize, allowed: fn(char) -> bool) -> Result<(), String> {
    if text.len() > chars_max {
        return Err("is too long".to_owned());
    }
    match text.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(format!("contains {c:?}")),
        None => Ok(()),
    }
}

/// A VCS host, or nothing.
pub(crate) fn host(text: &str) -> Result<(), String> {
    plain_text(text, HOST_BYTES_MAX)
}

/// An instance id, or nothing.
pub(crate) fn instance_id(text: &str) -> Result<(), String> {
    only(text, INSTANCE_ID_CHARS_MAX, in_instance_id)
}

/// Whether a character may be in an instance id.
pub(crate) fn in_instance_id(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

/// A level, or directives `target=level`. The subscriber itself takes any word for the name of a
/// target, so that `inof` would log nothing and say nothing; here a bare word must be a level.
pub(crate) fn log_filter(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    plain_text(text, LOG_FILTER_BYTES_MAX)?;
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    let in_target = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-' | '.');
    for directive in text.split(',').map(str::trim) {
        let (target, level) = directive.rsplit_once('=').unwrap_or(("", directive));
        if !is_level(level) {
            return Err(format!("has {level:?} where a level must be"));
        }
        if directive.contains('=') && (target.is_empty() || !target.chars().all(in_target)) {
            return Err(format!("has {target:?} where a part of the program must be, like lockkeeper_store"));
        }
    }
    Ok(())
}

fn plain_text(text: &str, bytes_max: usize) -> Result<(), String> {
    if text.len() > bytes_max {
        return Err(format!("is longer than {bytes_max} bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err("contains a control character".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_filters() {
        for good in
            ["info", "INFO", "off", "info,lockkeeper_store=debug", "warn, actix_web::server=trace", "a=off"]
        {
            assert_eq!(log_filter(good), Ok(()), "{good}");
        }
        for bad in ["", "inof", "info,", ",", "=debug", "a=", "a=loud", "lockkeeper", "a b=debug", "1"] {
            assert!(log_filter(bad).is_err(), "{bad}");
        }
    }
}
