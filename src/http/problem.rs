//! Refusals as clients see them: RFC 9457 problem documents, and the one table of their codes.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A kind of refusal.
#[derive(Debug)]
pub(super) struct Code {
    /// The machine word.
    pub(super) word: &'static str,
    /// HTTP status.
    pub(super) status: u16,
    /// What it means, for people.
    pub(super) title: &'static str,
    /// The same request may succeed later.
    pub(super) retryable: bool,
    /// What the caller can do.
    pub(super) hint: &'static str,
}

macro_rules! codes {
    ($($name:ident $word:literal $status:literal $retryable:literal $title:literal $hint:literal;)+) => {
        $(pub(super) static $name: Code =
            Code { word: $word, status: $status, title: $title, retryable: $retryable, hint: $hint };)+

        /// Every code, in the order of their statuses.
        #[cfg(test)]
        pub(super) static CODES: &[&Code] = &[$(&$name),+];
    };
}

codes! {
    INVALID_REQUEST "invalid_request" 400 false "The request is not valid"
        "correct the fields named in errors and send it again; nothing was changed";
    NOT_FOUND "not_found" 404 false "Not found"
        "check the id or path; what ended more than 10 minutes ago is forgotten";
    METHOD_NOT_ALLOWED "method_not_allowed" 405 false "This path does not take that method"
        "use one of the methods in the Allow header; /api/docs lists all of them";
    REQUEST_TIMEOUT "request_timeout" 408 true "The request did not arrive in time"
        "send it again, the whole body at once; nothing was changed";
    HELD "held" 409 true "The resource is held"
        "try again later, or send \"queue\": true to get a place in the queue";
    STALE_TOKEN "stale_token" 409 false "The fencing token is not the lock's"
        "use the fencing_token of the answer that granted this lock; if you do not have it, the lock is not yours";
    MODE_CONFLICT "mode_conflict" 409 false "The modes cannot be had together"
        "ask with the mode and limit that the present holders and waiters use, or wait until they are gone";
    REQUEST_ID_REUSED "request_id_reused" 409 false "The request id was used for another request"
        "use a new request_id for a new request; repeat one only with an identical body";
    ALREADY_GRANTED "already_granted" 409 false "The ticket has become a lock"
        "release the lock with its id and fencing_token if it is not wanted any more";
    AMBIGUOUS "ambiguous" 409 false "The key fits several resources"
        "use the id of one of the candidates";
    RELEASED "released" 410 false "The lock was released"
        "acquire again if it is still needed";
    EXPIRED "expired" 410 false "The lease ran out"
        "stop the work it protected, and acquire again; renew well before expires_at, or use a longer ttl";
    CANCELLED "cancelled" 410 false "The ticket was cancelled"
        "acquire again if it is still needed";
    ABANDONED "abandoned" 410 false "Its client went away"
        "acquire again; ask for a waiting ticket more often than every abandon-after, or set \"attended\": false";
    UNCLAIMED "unclaimed" 410 false "It was granted and not fetched in time"
        "acquire again, and ask for the ticket before the time its lock is reserved for";
    QUEUE_TIMEOUT "queue_timeout" 410 false "The ticket waited as long as it wanted to"
        "acquire again with a longer queue_timeout";
    FORCED "forced" 410 false "An operator ended the lock"
        "stop the work it protected; detail says who ended it and why";
    LOST "lost" 410 false "It was lost with data of the store"
        "stop the work it protected, and acquire again";
    EVENTS_GONE "events_gone" 410 false "The stream cannot be resumed there"
        "follow the events anew without Last-Event-ID, then read the present locks and tickets";
    PAYLOAD_TOO_LARGE "payload_too_large" 413 false "The body is too large"
        "send at most 64 KiB";
    UNSUPPORTED_MEDIA_TYPE "unsupported_media_type" 415 false "The body is not plain JSON"
        "send a JSON body with the header Content-Type: application/json, and without Content-Encoding";
    QUEUE_FULL "queue_full" 429 true "The queue is full"
        "try again later; so many tickets for one resource often mean that a holder does not release it";
    RATE_LIMITED "rate_limited" 429 true "The client asks for too much at once"
        "nothing was changed; send it again after Retry-After. limit names the setting that was reached, value what it allows";
    INTERNAL "internal" 500 false "A mistake of this server"
        "nothing was acknowledged; report it with the X-Request-Id of this answer";
    BACKEND_UNAVAILABLE "backend_unavailable" 503 true "The store cannot be used"
        "nothing was changed; try again after Retry-After. /readyz tells when locks can be granted again";
    SHUTTING_DOWN "shutting_down" 503 true "This instance gives no new grants"
        "nothing was granted; try again after Retry-After, or ask another instance. Tickets and locks stay";
    OVERLOADED "overloaded" 503 true "The server is overloaded"
        "nothing was changed; try again after Retry-After, with growing pauses. limit names the setting that was reached, if there is one";
    OUTCOME_UNKNOWN "outcome_unknown" 503 true "It may have happened"
        "send the same request again with the same request_id (or Idempotency-Key): the answer tells what became of it";
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct FieldProblem {
    /// Its full path in the body, its name in the query, or the header's name.
    pub(super) field: Cow<'static, str>,
    /// What is wrong and what is allowed.
    pub(super) message: Cow<'static, str>,
}

/// Everything wrong with a request that was found so far.
#[derive(Debug, Default)]
pub(super) struct Complaints(Vec<FieldProblem>);

impl Complaints {
    /// Notes a complaint, unless this field, or what it lies in, was complained about before.
    pub(super) fn add(&mut self, field: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) {
        let field = field.into();
        let within = |known: &FieldProblem| {
            field.strip_prefix(&*known.field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if !self.0.iter().any(within) {
            self.0.push(FieldProblem { field, message: message.into() });
        }
    }

    /// True while nothing is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The refusal, if there is something wrong.
    pub(super) fn check(self) -> Result<(), Problem> {
        if self.is_empty() { Ok(()) } else { Err(Problem::invalid(self.0)) }
    }
}

/// A refusal, ready to be sent.
#[derive(Debug)]
pub(super) struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: &'static Code,
    detail: Cow<'static, str>,
    errors: Vec<FieldProblem>,
    /// Extension members: name and JSON.
    extensions: Vec<(&'static str, String)>,
    retry_after_secs: Option<u32>,
    allow: Option<HeaderValue>,
    /// Part of the body was not read: the connection cannot be used again.
    close: bool,
}

impl Problem {
    /// A refusal with what is to be said of this very case.
    pub(super) fn new(code: &'static Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            extensions: Vec::new(),
            retry_after_secs: matches!(code.status, 429 | 503).then_some(1),
            allow: None,
            close: false,
        }))
    }

    /// Bad input.
    pub(super) fn invalid(errors: Vec<FieldProblem>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{} {}", one.field, one.message),
            several => format!("{} fields are wrong", several.len()),
        };
        let mut problem = Self::new(&INVALID_REQUEST, detail);
        problem.0.errors = errors;
        problem
    }

    /// Bad input in one field.
    pub(super) fn field(field: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::invalid(vec![FieldProblem { field: field.into(), message: message.into() }])
    }

    /// A mistake of this program.
    pub(super) fn internal(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(&INTERNAL, detail)
    }

    /// Adds an extension member.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: &impl Serialize) -> Self {
        if let Ok(json) = serde_json::to_string(value) {
            self.0.extensions.push((name, json));
        }
        self
    }

    /// When to send it again; at least a second from now.
    #[must_use]
    pub(super) fn after(mut self, wait: Duration) -> Self {
        self.0.retry_after_secs = Some(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1));
        self
    }

    #[must_use]
    pub(super) fn allowing(mut self, methods: HeaderValue) -> Self {
        self.0.allow = Some(methods);
        self
    }

    #[must_use]
    pub(super) fn closing(mut self) -> Self {
        self.0.close = true;
        self
    }

    pub(super) fn code(&self) -> &'static Code {
        self.0.code
    }

    pub(super) fn detail(&self) -> &str {
        &self.0.detail
    }

    #[cfg(test)]
    pub(super) fn errors(&self) -> &[FieldProblem] {
        &self.0.errors
    }

    fn body(&self) -> Vec<u8> {
        let Inner { code, detail, errors, extensions, .. } = &*self.0;
        let document = Document {
            kind: format!("/api/docs#{}", code.word),
            title: code.title,
            status: code.status,
            detail,
            code: code.word,
            retryable: code.retryable,
            hint: code.hint,
            errors,
        };
        let mut body = serde_json::to_vec(&document).unwrap_or_default();
        for (name, json) in extensions {
            body.pop();
            body.extend_from_slice(format!(",\"{name}\":{json}}}").as_bytes());
        }
        body
    }
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    retryable: bool,
    hint: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldProblem],
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.word, self.0.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((CONTENT_TYPE, PROBLEM_JSON));
        if let Some(seconds) = self.0.retry_after_secs {
            response.insert_header((RETRY_AFTER, seconds));
        }
        if let Some(allow) = &self.0.allow {
            response.insert_header((ALLOW, allow.clone()));
        }
        if self.0.close {
            response.force_close();
        }
        response.body(self.body())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_code_has_one_row_and_a_hint() {
        for (place, code) in CODES.iter().enumerate() {
            assert!(CODES[..place].iter().all(|other| other.word != code.word), "{}", code.word);
            assert!(!code.title.is_empty() && !code.hint.is_empty(), "{}", code.word);
            assert!(
                StatusCode::from_u16(code.status).is_ok_and(|s| s.is_client_error() || s.is_server_error())
            );
        }
        assert!(CODES.is_sorted_by_key(|code| code.status));
    }

    #[test]
    fn the_document_has_every_member() {
        let problem = Problem::field("owner.id", "is required").with("holders", &[1, 2]).with("waiting", &3);
        let body: Value = serde_json::from_slice(&problem.body()).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "/api/docs#invalid_request", "title": INVALID_REQUEST.title, "status": 400,
                "detail": "owner.id is required", "code": "invalid_request", "retryable": false,
                "hint": INVALID_REQUEST.hint,
                "errors": [{"field": "owner.id", "message": "is required"}], "holders": [1, 2], "waiting": 3,
            })
        );
    }

    #[test]
    fn one_complaint_for_a_field_and_what_it_lies_in() {
        let mut complaints = Complaints::default();
        complaints.add("owner", "must be an object");
        complaints.add("owner.id", "is required");
        complaints.add("owners", "is not a field");
        complaints.add("owner", "is required");
        let Err(problem) = complaints.check() else { panic!() };
        let fields: Vec<_> = problem.errors().iter().map(|error| &*error.field).collect();
        assert_eq!(fields, ["owner", "owners"]);
        assert_eq!(problem.detail(), "2 fields are wrong");
    }
}
