//! Times and fields in words.

use super::super::clock::wall;
use lockkeeper_core::Span;
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// A length of time in at most two units: `450ms`, `3s`, `12m`, `3h12m`, `2d4h`.
pub(crate) fn span(duration: Duration) -> String {
    let secs = duration.as_secs();
    let two = |big: u64, big_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{big}{big_unit}"),
        small => format!("{big}{big_unit}{small}{small_unit}"),
    };
    match secs {
        0 => format!("{}ms", duration.as_millis()),
        1..60 => format!("{secs}s"),
        60..600 => two(secs / 60, "m", secs % 60, "s"),
        600..3600 => format!("{}m", secs / 60),
        3600..86_400 => two(secs / 3600, "h", secs / 60 % 60, "m"),
        _ => two(secs / 86_400, "d", secs / 3600 % 24, "h"),
    }
}

/// A number of things: `1 lock`, `2 locks`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// How long ago an RFC 3339 time was, like `3s ago`; in the future `in 27m`.
pub(crate) fn ago(time: &Value) -> String {
    ago_at(time, wall())
}

fn ago_at(time: &Value, now: SystemTime) -> String {
    let Some(text) = time.as_str() else { return String::new() };
    let Ok(time) = humantime::parse_rfc3339(text) else { return text.to_owned() };
    match now.duration_since(time) {
        Ok(past) if past < Duration::from_secs(1) => "just now".into(),
        Ok(past) => format!("{} ago", span(past)),
        Err(future) => in_future(future.duration()),
    }
}

fn in_future(left: Duration) -> String {
    format!("in {}", span(left))
}

/// When a lock ends. `expires_in` is preferred: this machine's clock may be wrong.
pub(crate) fn expires(lock: &Value) -> String {
    if let Some(left) = lock["expires_in"].as_str().and_then(|text| Span::parse(text).ok()) {
        return in_future(left.to_std());
    }
    if lock["expires_at"].is_null() { "never".into() } else { ago(&lock["expires_at"]) }
}

/// A field as text: strings bare, numbers and the rest as JSON, null as nothing.
pub(crate) fn field(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// A resource as RESOURCE is written on the command line.
pub(crate) fn resource(resource: &Value) -> String {
    let of = |name: &str| field(resource, name);
    let (namespace, path, workspace, project) =
        (of("/namespace"), of("/path"), of("/workspace"), of("/project_name"));
    let mut text = format!("{namespace}:{path}:{workspace}");
    if !project.is_empty() {
        text.push(':');
        text.push_str(&project);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lengths_are_short_words() {
        for (secs, text) in [
            (3, "3s"),
            (60, "1m"),
            (90, "1m30s"),
            (725, "12m"),
            (3600, "1h"),
            (11_525, "3h12m"),
            (187_200, "2d4h"),
        ] {
            assert_eq!(span(Duration::from_secs(secs)), text);
        }
        assert_eq!(span(Duration::from_millis(450)), "450ms");
    }

    #[test]
    fn one_thing_is_not_told_as_several() {
        assert_eq!([0, 1, 2].map(|number| count(number, "lock")), ["0 locks", "1 lock", "2 locks"]);
    }

    #[test]
    fn times_are_told_from_now() {
        let now = humantime::parse_rfc3339("2026-01-31T12:00:00Z").unwrap();
        for (time, text) in [
            ("2026-01-31T11:59:57.000Z", "3s ago"),
            ("2026-01-31T11:48:00.000Z", "12m ago"),
            ("2026-01-31T12:27:00.000Z", "in 27m"),
            ("2026-01-31T11:59:59.900Z", "just now"),
            ("odd", "odd"),
        ] {
            assert_eq!(ago_at(&json!(time), now), text);
        }
        assert_eq!(ago_at(&Value::Null, now), "");
    }

    #[test]
    fn a_lease_is_told_by_its_length() {
        assert_eq!(expires(&json!({"expires_in": "27m0s", "expires_at": "2001-01-01T00:00:00Z"})), "in 27m");
        assert_eq!(expires(&json!({"expires_at": null})), "never");
    }
}
