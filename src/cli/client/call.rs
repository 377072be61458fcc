//! One request, described so that it can be sent again.

use super::super::clock::BootTime;
use reqwest::Method;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// How long a server may take to answer, beyond the wait that was asked of it.
const REPLY_WITHIN: Duration = Duration::from_secs(15);

/// May a call be sent again after its answer was lost?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Yes: reads, renewals, and whatever carries a request id or a fencing token.
    Freely,
    /// Only while it certainly was not carried out.
    IfNotDone,
}

/// How long to go on trying.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// A few rounds over all servers: somebody sits at the terminal.
    Rounds,
    /// Until then.
    Until(Instant),
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(super) method: Method,
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
    pub(super) idempotency_key: Option<String>,
    pub(super) repeat: Repeat,
    pub(super) reply_within: Duration,
}

/// A 2xx answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// Its JSON; null for 204.
    pub(crate) body: Value,
    /// When the request was sent that it answers: leases count from here.
    pub(crate) sent: BootTime,
}

impl Call {
    fn new(method: Method, path: &[&str]) -> Self {
        Self {
            method,
            path: path.iter().map(|&segment| segment.to_owned()).collect(),
            query: Vec::new(),
            body: None,
            idempotency_key: None,
            repeat: Repeat::Freely,
            reply_within: REPLY_WITHIN,
        }
    }

    /// A read. Path segments are given one by one and escaped when sent.
    pub(crate) fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path)
    }

    /// A command with a body.
    pub(crate) fn post(path: &[&str], body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::POST, path) }
    }

    /// A change of what is there.
    pub(crate) fn patch(path: &[&str], body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::PATCH, path) }
    }

    /// A removal.
    pub(crate) fn delete(path: &[&str]) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// Adds a query parameter.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Adds a query parameter if there is a value.
    pub(crate) fn with_some(self, name: &'static str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Sends this request id as `Idempotency-Key`, the same with every attempt.
    pub(crate) fn idempotency_key(mut self, id: String) -> Self {
        self.idempotency_key = Some(id);
        self
    }

    /// Says whether it may be sent again after a lost answer.
    pub(crate) fn repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }

    /// How long one attempt may wait for its answer.
    pub(crate) fn reply_within(mut self, span: Duration) -> Self {
        self.reply_within = span;
        self
    }
}
