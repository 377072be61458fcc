//! Checks of single values, shared by bodies and queries. Each notes what is wrong and goes on, so
//! that a caller hears of everything at once.

use super::problem::Complaints;
use lockkeeper_core::resource::check_name;
use lockkeeper_core::{Pull, Span};
use std::borrow::Cow;
use std::ops::RangeInclusive;

/// The greatest integer that every JSON reader carries exactly.
pub(super) const INTEGER_MAX: u64 = (1 << 53) - 1;
/// Characters a request id may have.
pub(super) const REQUEST_ID_MAX_CHARS: usize = 128;
/// The shortest lease and queue timeout.
const SPAN_MIN: Span = Span::from_millis(100);
/// The longest lease.
const TTL_MAX: Span = Span::from_secs(720 * 3600);
/// The longest time a ticket may wait.
const QUEUE_TIMEOUT_MAX: Span = Span::from_secs(168 * 3600);
/// The longest time a request may wait.
const WAIT_MAX: Span = Span::from_secs(60);

/// A text with a length in bytes and without control characters.
pub(super) fn text(
    complaints: &mut Complaints,
    field: impl Into<Cow<'static, str>>,
    value: &str,
    max_bytes: usize,
    required: bool,
) {
    if let Err(message) = check_name(value, max_bytes, required) {
        complaints.add(field, message);
    }
}

/// A duration within bounds. `None` when it was complained about.
fn span(
    complaints: &mut Complaints,
    field: &'static str,
    value: &str,
    bounds: RangeInclusive<Span>,
    allowed: &str,
) -> Option<Span> {
    match Span::parse(value) {
        Err(error) => {
            complaints.add(field, error.to_string());
            None
        }
        Ok(span) if bounds.contains(&span) => Some(span),
        Ok(span) => {
            complaints.add(field, format!("is {span}; allowed is {allowed}"));
            None
        }
    }
}

/// A lease: zero (a hold), or from 100 ms to the configured maximum.
pub(super) fn ttl(complaints: &mut Complaints, value: &str, max: Span) -> Option<Span> {
    // Parts of a microsecond are cut off: "1ns" must not become a hold that lasts for ever.
    if Span::parse(value) == Ok(Span::ZERO) && !value.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
        return Some(Span::ZERO);
    }
    let max = max.min(TTL_MAX);
    let allowed = format!("\"0s\" (a hold, until it is released) or from 100ms to {}", brief(max));
    span(complaints, "ttl", value, SPAN_MIN..=max, &allowed)
}

/// How long a ticket waits.
pub(super) fn queue_timeout(complaints: &mut Complaints, value: &str) -> Option<Span> {
    span(complaints, "queue_timeout", value, SPAN_MIN..=QUEUE_TIMEOUT_MAX, "from 100ms to 168h")
}

/// How long a request waits.
pub(super) fn wait(complaints: &mut Complaints, value: &str) -> Option<Span> {
    span(complaints, "wait", value, Span::ZERO..=WAIT_MAX, "from 0s to 60s")
}

/// An age to compare with.
pub(super) fn age(complaints: &mut Complaints, field: &'static str, value: &str) -> Option<Span> {
    span(complaints, field, value, Span::ZERO..=Span::from_micros(u64::MAX), "any duration")
}

/// A whole number within bounds.
pub(super) fn number(
    complaints: &mut Complaints,
    field: impl Into<Cow<'static, str>>,
    value: u64,
    bounds: RangeInclusive<u64>,
) -> Option<u64> {
    if bounds.contains(&value) {
        return Some(value);
    }
    complaints.add(field, format!("must be from {} to {}", bounds.start(), bounds.end()));
    None
}

/// A request id: 1 to 128 printable ASCII characters.
pub(super) fn request_id(complaints: &mut Complaints, field: &'static str, value: &str) {
    if !is_request_id(value.as_bytes()) {
        let max = REQUEST_ID_MAX_CHARS;
        complaints.add(field, format!("must have from 1 to {max} printable ASCII characters"));
    }
}

/// Can these bytes be a request id?
pub(super) fn is_request_id(value: &[u8]) -> bool {
    (1..=REQUEST_ID_MAX_CHARS).contains(&value.len()) && value.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// `720h0m0s` says no more than `720h`.
fn brief(span: Span) -> String {
    let text = span.to_string();
    let text = text.strip_suffix("m0s").map_or(text.as_str(), |rest| &text[..=rest.len()]).to_owned();
    text.strip_suffix("h0m").map_or(text.as_str(), |rest| &text[..=rest.len()]).to_owned()
}

/// A URL without the credentials that CI systems put in front of the host.
pub(super) fn without_credentials(url: &str) -> Cow<'_, str> {
    let Some(start) = url.find("://").map(|place| place + 3) else { return url.into() };
    let end = url[start..].find(['/', '?', '#', '\\']).map_or(url.len(), |place| start + place);
    match url[start..end].rfind('@') {
        Some(at) => format!("{}{}", &url[..start], &url[start + at + 1..]).into(),
        None => url.into(),
    }
}

/// Is this the owner's pull request?
pub(super) fn is_pull(pull: Option<&Pull>, num: u64) -> bool {
    pull.is_some_and(|pull| pull.num == num)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_have_bounds_and_zero_means_a_hold() {
        let max = Span::from_secs(3600);
        for (text, span) in [("0s", 0), ("0h0m", 0), ("100ms", 100_000), ("1h", 3_600_000_000)] {
            let mut complaints = Complaints::default();
            assert_eq!(ttl(&mut complaints, text, max), Some(Span::from_micros(span)), "{text}");
        }
        for text in ["1ns", "0.0000001s", "99ms", "1h1s", "721h", "30", "1d", ""] {
            let mut complaints = Complaints::default();
            assert_eq!(ttl(&mut complaints, text, max), None, "{text}");
            assert_eq!(complaints.check().unwrap_err().errors()[0].field, "ttl", "{text}");
        }
        assert_eq!((brief(TTL_MAX), brief(Span::from_secs(90))), ("720h".into(), "1m30s".into()));
        assert_eq!(
            (brief(Span::from_secs(600)), brief(Span::from_secs(5400))),
            ("10m".into(), "1h30m".into())
        );
    }

    #[test]
    fn credentials_are_taken_out_of_urls() {
        for (given, kept) in [
            ("https://github.com/acme/infra/pull/42", "https://github.com/acme/infra/pull/42"),
            ("https://alice:secret@github.com/a", "https://github.com/a"),
            ("https://x-access-token@github.com", "https://github.com"),
            ("https://a@b:c@github.com/a@b", "https://github.com/a@b"),
            ("https://host/?mail=a@b", "https://host/?mail=a@b"),
            ("not a url", "not a url"),
        ] {
            assert_eq!(without_credentials(given), kept);
        }
    }

    #[test]
    fn request_ids_are_printable() {
        let longest = "x".repeat(128);
        for good in ["a", " ", "a b~", &longest] {
            assert!(is_request_id(good.as_bytes()), "{good:?}");
        }
        for bad in ["", "a\n", "é", "\u{7f}", &format!("{longest}x")] {
            assert!(!is_request_id(bad.as_bytes()), "{bad:?}");
        }
    }
}
