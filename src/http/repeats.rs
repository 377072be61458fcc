//! Requests that may be sent twice: request ids and what is derived from them.
//!
//! Everything is hashed over length-prefixed parts, so that no two lists of parts are alike.

use super::fields;
use super::problem::{Complaints, Problem};
use actix_web::HttpRequest;
use lockkeeper_actors::fresh_nonce;
use lockkeeper_core::{EntryId, RequestKey};
use sha2::{Digest, Sha256};

/// The header that carries a request id.
pub(super) const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// A hash over parts.
pub(super) struct Parts(Sha256);

impl Parts {
    pub(super) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(super) fn text(&mut self, part: &str) {
        self.number(part.len() as u64);
        self.0.update(part.as_bytes());
    }

    pub(super) fn number(&mut self, part: u64) {
        self.0.update(part.to_be_bytes());
    }

    /// An absent text differs from an empty one.
    pub(super) fn optional(&mut self, part: Option<&str>) {
        self.number(u64::from(part.is_some()));
        self.text(part.unwrap_or_default());
    }

    fn two(self) -> (u64, u64) {
        let hash: [u8; 32] = self.0.finalize().into();
        let number = |from: usize| hash[from..from + 8].iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        (number(0), number(8))
    }

    pub(super) fn one(self) -> u64 {
        self.two().0
    }
}

/// The `Idempotency-Key` of a request; it must be valid.
pub(super) fn header<'a>(req: &'a HttpRequest, complaints: &mut Complaints) -> Option<&'a str> {
    let value = req.headers().get("idempotency-key")?;
    let text = value.to_str().unwrap_or_default();
    fields::request_id(complaints, IDEMPOTENCY_KEY, text);
    Some(text)
}

/// Where the document remembers a request. Its resource need not be told: each has its own memory.
pub(super) fn key(operation: &str, owner: &str, request_id: &str) -> RequestKey {
    let mut parts = Parts::new();
    parts.text(operation);
    parts.text(owner);
    parts.text(request_id);
    let (first, second) = parts.two();
    RequestKey(first, second)
}

/// The nonce of a command on an entry: with an `Idempotency-Key` the same each time, so that the
/// same command gets the same answer; else its own.
pub(super) fn nonce(req: &HttpRequest, operation: &str, id: EntryId) -> Result<u64, Problem> {
    let mut complaints = Complaints::default();
    let header = header(req, &mut complaints);
    complaints.check()?;
    Ok(match header {
        None => fresh_nonce(),
        Some(header) => {
            let mut parts = Parts::new();
            parts.text(operation);
            parts.number(id.resource.0);
            parts.number(id.seq.0);
            parts.text(header);
            // 0 stands for what time ended.
            parts.one().max(1)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use lockkeeper_core::{ResourceId, Seq};

    #[test]
    fn keys_do_not_run_into_each_other() {
        assert_eq!(key("acquire", "a", "b"), key("acquire", "a", "b"));
        let others = [key("acquire", "ab", ""), key("acquire", "", "ab"), key("release", "a", "b")];
        assert!(others.iter().all(|other| *other != key("acquire", "a", "b")));
    }

    #[test]
    fn the_same_command_has_the_same_nonce() {
        let id = EntryId { resource: ResourceId(1), seq: Seq(2) };
        let request = |key: Option<&str>| {
            let request = TestRequest::default();
            key.map_or(TestRequest::default(), |key| request.insert_header((IDEMPOTENCY_KEY, key)))
                .to_http_request()
        };
        let keyed = |operation| nonce(&request(Some("k")), operation, id).unwrap();
        assert_eq!(keyed("release"), keyed("release"));
        assert_ne!(keyed("release"), keyed("cancel"));
        assert_ne!(
            nonce(&request(None), "release", id).unwrap(),
            nonce(&request(None), "release", id).unwrap()
        );
        let refused = nonce(&request(Some(&"x".repeat(129))), "release", id).unwrap_err();
        assert_eq!(refused.errors()[0].field, IDEMPOTENCY_KEY);
    }
}
