//! Forms that answers have throughout: problems, times, members.

use super::Reply;
use serde_json::Value;

/// The object has these members; others may stand beside them.
pub(crate) fn has_members(value: &Value, names: &[&str]) {
    let object = value.as_object().unwrap_or_else(|| panic!("not an object: {value}"));
    let missing: Vec<_> = names.iter().filter(|name| !object.contains_key(**name)).collect();
    assert!(missing.is_empty(), "{missing:?} are missing in {value}");
}

/// A problem document with everything that the contract promises.
pub(crate) fn is_problem(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.what(), (status, code), "{}", reply.text);
    assert_eq!(reply.header("content-type"), "application/problem+json", "{}", reply.text);
    assert!(!reply.header("x-request-id").is_empty(), "{:?}", reply.headers);
    has_members(&reply.body, &["type", "title", "status", "detail", "code", "retryable", "hint"]);
    assert_eq!(reply.body["status"], status);
    for text in ["type", "title", "detail", "hint"] {
        assert!(reply.body[text].as_str().is_some_and(|text| !text.is_empty()), "{text} in {}", reply.text);
    }
    assert!(reply.body["retryable"].is_boolean(), "{}", reply.text);
    if matches!(status, 429 | 503) {
        assert!(
            reply.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0),
            "{:?}",
            reply.headers
        );
        assert_eq!(reply.body["retryable"], true, "{}", reply.text);
    }
    for error in reply.body["errors"].as_array().into_iter().flatten() {
        has_members(error, &["field", "message"]);
    }
}

/// RFC 3339, UTC, milliseconds, `Z`.
pub(crate) fn is_time(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    text.len() == 24
        && text.bytes().zip("0000-00-00T00:00:00.000Z".bytes()).all(|(is, form)| match form {
            b'0' => is.is_ascii_digit(),
            form => is == form,
        })
}

/// A time's milliseconds since the epoch.
pub(crate) fn millis_of(value: &Value) -> u64 {
    assert!(is_time(value), "{value}");
    let time = humantime::parse_rfc3339(value.as_str().unwrap()).unwrap();
    time.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64
}
