//! The server's refusals (RFC 9457 problem details), and how people are told of them.

use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// Characters of an answer that is not a problem document to show.
const FOREIGN_TEXT_MAX_CHARS: usize = 200;

/// One refusal.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    /// HTTP status.
    pub(crate) status: u16,
    /// The machine word; empty when the answer was not one of ours (a proxy's error page).
    pub(crate) code: String,
    /// Who answered.
    pub(crate) server: String,
    /// `X-Request-Id` of the answer.
    pub(crate) request_id: Option<String>,
    /// `Retry-After` of the answer.
    pub(crate) retry_after: Option<Duration>,
    /// The whole document.
    pub(crate) body: Value,
}

impl Problem {
    /// Reads an error answer's body; anything that is no problem document becomes one.
    pub(crate) fn new(status: u16, server: &str, body: &[u8]) -> Self {
        let body = match serde_json::from_slice::<Value>(body) {
            Ok(body) if body.is_object() => body,
            _ => {
                let text: String =
                    String::from_utf8_lossy(body).chars().take(FOREIGN_TEXT_MAX_CHARS).collect();
                serde_json::json!({ "detail": text.trim() })
            }
        };
        let code = body["code"].as_str().unwrap_or_default().to_owned();
        Self { status, code, server: server.to_owned(), request_id: None, retry_after: None, body }
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.body[field].as_str().filter(|text| !text.is_empty())
    }

    /// What to do. Where the server's words are about bodies, the command line has its own.
    fn hint(&self) -> Option<&str> {
        match self.code.as_str() {
            "held" => Some(
                "try again later, or wait for it with --wait 10m, or take a place in the queue with acquire --queue",
            ),
            "queue_timeout" => Some("ask again with a longer --wait or --queue-timeout, like --wait 10m"),
            "abandoned" => {
                Some("ask again, and stay for it with --wait 10m, or acquire with --queue --unattended")
            }
            _ => self.text("hint"),
        }
    }

    /// The locks that stand in the way.
    pub(crate) fn holders(&self) -> &[Value] {
        self.body["holders"].as_array().map_or(&[], Vec::as_slice)
    }

    /// True when the asked-for lock is not ours because somebody else has it, or because its
    /// ticket came to an end: an answer, not an error.
    pub(crate) fn is_not_acquired(&self) -> bool {
        matches!(
            self.code.as_str(),
            "held"
                | "queue_full"
                | "cancelled"
                | "abandoned"
                | "unclaimed"
                | "queue_timeout"
                | "deadlock_victim"
                | "preempted"
                | "released"
                | "expired"
                | "forced"
                | "lost"
        )
    }
}

impl fmt::Display for Problem {
    /// Several lines: what, why, which fields, what to do, and the id to quote.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = self.text("title").unwrap_or("the server refused");
        match (self.code.as_str(), self.status) {
            ("", status) => write!(f, "{title} (HTTP {status} from {})", self.server)?,
            (code, status) => write!(f, "{title} ({code}, {status})")?,
        }
        if let Some(detail) = self.text("detail").filter(|detail| *detail != title) {
            write!(f, ": {detail}")?;
        }
        for error in self.body["errors"].as_array().into_iter().flatten() {
            let of = |name: &str| error[name].as_str().unwrap_or_default();
            write!(f, "\n  {}: {}", of("field"), of("message"))?;
        }
        if let Some(hint) = self.hint() {
            write!(f, "\n  hint: {hint}")?;
        }
        if let Some(id) = &self.request_id {
            write!(f, "\n  request id: {id}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_a_person_can_use_is_shown() {
        let body = br#"{"title": "Invalid request", "status": 400, "code": "invalid_request", "detail": "2 fields are wrong",
            "hint": "see /api/docs", "errors": [{"field": "ttl", "message": "must be at most 720h"}]}"#;
        let mut problem = Problem::new(400, "http://s", body);
        problem.request_id = Some("r1".into());
        assert_eq!(
            problem.to_string(),
            "Invalid request (invalid_request, 400): 2 fields are wrong\n  ttl: must be at most 720h\n  \
             hint: see /api/docs\n  request id: r1"
        );
    }

    #[test]
    fn hints_speak_command_line() {
        for (status, code, flag) in [
            (409, "held", "--wait 10m"),
            (409, "held", "--queue"),
            (410, "queue_timeout", "--wait 10m"),
            (410, "abandoned", "--unattended"),
        ] {
            let body = serde_json::json!({"code": code, "hint": "send \"queue\": true"}).to_string();
            let text = Problem::new(status, "http://s", body.as_bytes()).to_string();
            assert!(text.contains(flag) && !text.contains("send"), "{text}");
        }
    }

    #[test]
    fn a_foreign_error_page_names_who_sent_it() {
        let problem = Problem::new(502, "http://proxy", b"<html>Bad Gateway</html>");
        assert_eq!(problem.code, "");
        assert_eq!(
            problem.to_string(),
            "the server refused (HTTP 502 from http://proxy): <html>Bad Gateway</html>"
        );
    }
}
