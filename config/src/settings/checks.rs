//! Checks of text settings. Each says what is wrong, as the rest of a sentence about the text.

/// The longest instance id.
pub(crate) const INSTANCE_ID_CHARS_MAX: usize = 64;
/// What an instance id may be.
pub(crate) const INSTANCE_ID: &str = "empty, or 1 to 64 of the letters A-Z and a-z, digits, \"_\" and \"-\" (no dot: event ids are instance.sequence)";
/// What a log filter may be.
pub(crate) const LOG_FILTER: &str =
    "error, warn, info, debug, trace or off, or a list like \"info,lockkeeper_store=debug\"";

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

/// A VCS host, or nothing.
pub(crate) fn host(text: &str) -> Result<(), String> {
    plain_text(text, HOST_BYTES_MAX)
}

/// An instance id, or nothing.
pub(crate) fn instance_id(text: &str) -> Result<(), String> {
    if text.len() > INSTANCE_ID_CHARS_MAX {
        return Err("is too long".to_owned());
    }
    match text.chars().find(|c| !in_instance_id(*c)) {
        Some(c) => Err(format!("contains {c:?}")),
        None => Ok(()),
    }
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
