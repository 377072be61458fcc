//! Requests as the contract writes them.

use crate::chaos::history::{Ask, Call, Mode, PRIORITIES};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use std::time::Duration;

impl Ask {
    fn body(&self, wait_ms: u64) -> Value {
        let (mode, limit) = match self.mode {
            Mode::Exclusive => ("exclusive", 1),
            Mode::Shared => ("shared", 1),
            Mode::Counted(limit) => ("counted", limit),
        };
        let mut body = json!({
            "resource": {"namespace": &*self.namespace, "path": &*self.path},
            "owner": {"id": &*self.owner, "pull": {"num": self.pull}},
            "mode": mode, "limit": limit, "priority": PRIORITIES[self.priority],
            "ttl": format!("{}ms", self.ttl_ms),
            "reentrant": self.reentrant,
        });
        if self.queue {
            body["queue"] = true.into();
            body["queue_timeout"] = format!("{}ms", self.queue_timeout_ms).into();
            body["attended"] = self.attended.into();
            body["wait"] = format!("{wait_ms}ms").into();
        }
        if let Some(request_id) = &self.request_id {
            body["request_id"] = Value::from(&**request_id);
        }
        body
    }
}

impl Call {
    /// How long it offers to wait.
    pub(super) fn wait(&self) -> Duration {
        match self {
            Self::Acquire { wait_ms, .. } | Self::Poll { wait_ms, .. } => Duration::from_millis(*wait_ms),
            _ => Duration::ZERO,
        }
    }

    pub(super) fn request(&self, http: &Client, url: &str) -> RequestBuilder {
        let locks = format!("{url}/api/v1/locks");
        let tickets = format!("{url}/api/v1/tickets");
        match self {
            Self::Acquire { ask, wait_ms } => http.post(locks).json(&ask.body(*wait_ms)),
            Self::Poll { id, wait_ms: 0 } => http.get(format!("{tickets}/{id}")),
            Self::Poll { id, wait_ms } => http.get(format!("{tickets}/{id}?wait={wait_ms}ms")),
            Self::Show { id } => http.get(format!("{locks}/{id}")),
            Self::Renew { id, token } => {
                http.post(format!("{locks}/{id}/renew")).json(&json!({"fencing_token": token}))
            }
            Self::Release { id, token, key } => {
                let request = http.delete(format!("{locks}/{id}?fencing_token={token}"));
                match key {
                    Some(key) => request.header("Idempotency-Key", &**key),
                    None => request,
                }
            }
            Self::ReleasePull { namespace, pull, .. } => http
                .post(format!("{locks}/release-by-pull"))
                .json(&json!({"namespace": &**namespace, "pull": pull})),
            Self::Force { id } => {
                http.post(format!("{locks}/{id}/force-release")).json(&json!({"reason": "chaos"}))
            }
            Self::Cancel { id } => http.delete(format!("{tickets}/{id}")),
            Self::List => http.get(format!("{locks}?limit=1000")),
            Self::ListStored => http.get(format!("{locks}?consistent=true&limit=1000")),
        }
    }
}
