//! Small values of the command line: Go durations, `k=v` pairs, fresh ids.

use lockkeeper_core::Span;
use std::time::Duration;

/// A Go style duration, kept as it was written: that text is what the server gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoDuration {
    text: String,
    span: Span,
}

impl GoDuration {
    /// The text as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its length.
    #[must_use]
    pub fn to_std(&self) -> Duration {
        self.span.to_std()
    }
}

impl std::str::FromStr for GoDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match Span::parse(text) {
            Ok(span) => Ok(Self { text: text.to_owned(), span }),
            Err(error) => Err(format!("{text:?} {error}")),
        }
    }
}

/// A standard duration as the API writes it.
pub(crate) fn go_text(duration: Duration) -> String {
    Span::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)).to_string()
}

/// Reads `KEY=VALUE`; the value may be empty and may contain further `=`.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not KEY=VALUE")),
    }
}

/// Checks that a text is an RFC 3339 time in UTC and keeps it as it is.
pub(crate) fn utc_time(text: &str) -> Result<String, String> {
    match humantime::parse_rfc3339(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("{text:?} is not a time like 2026-01-31T12:00:00Z")),
    }
}

/// A request id nobody used before.
pub(crate) fn fresh_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// The unique part of a run's owner: short, since people read it.
pub(crate) fn run_id() -> String {
    format!("{:012x}", rand::random::<u64>() >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        let ttl: GoDuration = "1h30m".parse().unwrap();
        assert_eq!((ttl.text(), ttl.to_std()), ("1h30m", Duration::from_secs(5400)));
        for bad in ["", "10", "1d", "-1s"] {
            assert!(bad.parse::<GoDuration>().is_err(), "{bad:?}");
        }
        assert_eq!(go_text(Duration::from_millis(1500)), "1.5s");
    }

    #[test]
    fn pairs_keep_what_follows_the_first_equals_sign() {
        assert_eq!(key_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(key_value("a="), Ok(("a".into(), String::new())));
        assert!(key_value("=b").is_err() && key_value("ab").is_err());
    }

    #[test]
    fn times_are_checked_before_they_are_sent() {
        assert!(utc_time("2026-01-31T12:00:00Z").is_ok());
        assert!(utc_time("2026-01-31T12:00:00.123Z").is_ok());
        assert!(utc_time("yesterday").is_err());
    }
}
