//! Locks, tickets and resources as answers show them. They borrow and serialise directly.

use super::instant::Instant;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use lockkeeper_core::{
    Document, EntryId, Lock, Metadata, Owner, Priority, Resource, ResourceId, Seq, Span, Ticket, Timestamp,
};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use std::fmt::Display;
use std::sync::Arc;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Bytes that most answers fit in.
const ANSWER_BYTES: usize = 1024;

/// A JSON answer.
pub(super) fn json(
    status: StatusCode,
    body: &impl Serialize,
) -> Result<HttpResponse, super::problem::Problem> {
    let mut bytes = Vec::with_capacity(ANSWER_BYTES);
    serde_json::to_writer(&mut bytes, body).map_err(|error| {
        super::problem::Problem::internal(format!("an answer cannot be written: {error}"))
    })?;
    Ok(HttpResponse::build(status).insert_header((CONTENT_TYPE, JSON)).body(bytes))
}

/// 200 with a body.
pub(super) fn ok(body: &impl Serialize) -> Result<HttpResponse, super::problem::Problem> {
    json(StatusCode::OK, body)
}

/// Writes a value as the text it shows.
pub(super) struct Shown<T>(pub(super) T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Atlantis's form of a resource.
pub(super) struct Key<'a>(pub(super) &'a Resource);

impl Serialize for Key<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Resource { namespace, path, workspace, project_name, .. } = self.0;
        serializer.collect_str(&format_args!("{namespace}/{path}/{workspace}/{project_name}"))
    }
}

/// What is locked.
#[derive(Clone, Copy)]
pub(super) struct ResourceView<'a> {
    pub(super) id: ResourceId,
    pub(super) resource: &'a Resource,
}

impl<'a> ResourceView<'a> {
    pub(super) fn of(document: &'a Document) -> Self {
        Self { id: document.id(), resource: document.resource() }
    }

    pub(super) fn lock(self, lock: &'a Lock, now: Timestamp) -> LockView<'a> {
        LockView { of: self, lock, now }
    }

    pub(super) fn locks(self, locks: &'a [Arc<Lock>], now: Timestamp) -> LockViews<'a> {
        LockViews { of: self, locks, now }
    }

    pub(super) fn ticket(self, ticket: &'a Ticket, place: Place) -> TicketView<'a> {
        TicketView { of: self, ticket, place }
    }

    fn entry(self, seq: Seq) -> Shown<EntryId> {
        Shown(EntryId { resource: self.id, seq })
    }
}

impl Serialize for ResourceView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Resource { kind, host, namespace, path, workspace, project_name } = self.resource;
        let mut map = serializer.serialize_map(Some(7))?;
        map.serialize_entry("id", &Shown(self.id))?;
        map.serialize_entry("type", kind.as_str())?;
        map.serialize_entry("host", &**host)?;
        map.serialize_entry("namespace", &**namespace)?;
        map.serialize_entry("path", &**path)?;
        map.serialize_entry("workspace", &**workspace)?;
        map.serialize_entry("project_name", &**project_name)?;
        map.end()
    }
}

struct OwnerView<'a>(&'a Owner);

impl Serialize for OwnerView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Pull<'a> {
            num: u64,
            url: Option<&'a str>,
            author: Option<&'a str>,
            head_commit: Option<&'a str>,
            base_branch: Option<&'a str>,
        }
        let pull = self.0.pull.as_deref().map(|pull| Pull {
            num: pull.num,
            url: pull.url.as_deref(),
            author: pull.author.as_deref(),
            head_commit: pull.head_commit.as_deref(),
            base_branch: pull.base_branch.as_deref(),
        });
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("id", &*self.0.id)?;
        map.serialize_entry("user", &self.0.user.as_deref())?;
        map.serialize_entry("pull", &pull)?;
        map.end()
    }
}

struct MetadataView<'a>(Option<&'a Metadata>);

impl Serialize for MetadataView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self.0.into_iter().flatten();
        serializer.collect_map(entries.map(|(name, value)| (&**name, &**value)))
    }
}

/// A lock, as of `now`.
#[derive(Clone, Copy)]
pub(super) struct LockView<'a> {
    of: ResourceView<'a>,
    lock: &'a Lock,
    now: Timestamp,
}

impl Serialize for LockView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let lock = self.lock;
        let intent = &*lock.intent;
        let mut map = serializer.serialize_map(Some(15))?;
        map.serialize_entry("id", &self.of.entry(lock.seq))?;
        map.serialize_entry("state", lock.state.as_str())?;
        map.serialize_entry("key", &Key(self.of.resource))?;
        map.serialize_entry("resource", &self.of)?;
        map.serialize_entry("owner", &OwnerView(&intent.owner))?;
        map.serialize_entry("created_by", &*intent.created_by)?;
        map.serialize_entry("mode", intent.mode.as_str())?;
        map.serialize_entry("priority", intent.priority.as_str())?;
        map.serialize_entry("fencing_token", &lock.token)?;
        map.serialize_entry("acquired_at", &Instant(lock.acquired_at))?;
        map.serialize_entry("expires_at", &lock.expires_at.map(Instant))?;
        map.serialize_entry(
            "expires_in",
            &lock.expires_at.map(|at| Shown(whole_millis(at.since(self.now)))),
        )?;
        map.serialize_entry("renewed_at", &Instant(lock.renewed_at))?;
        map.serialize_entry("protected", &intent.protected)?;
        map.serialize_entry("metadata", &MetadataView(intent.metadata.as_deref()))?;
        map.end()
    }
}

/// Locks of one resource.
#[derive(Clone, Copy)]
pub(super) struct LockViews<'a> {
    of: ResourceView<'a>,
    locks: &'a [Arc<Lock>],
    now: Timestamp,
}

impl Serialize for LockViews<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A lease that is over holds nothing, though its record may still be there.
        let live = self.locks.iter().filter(|lock| !lock.is_over(self.now));
        let mut list = serializer.serialize_seq(None)?;
        for lock in live {
            list.serialize_element(&self.of.lock(lock, self.now))?;
        }
        list.end()
    }
}

/// Where a ticket stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// In the queue: 1 is next.
    Queued(usize),
    /// In the queue, at a place that is not known here.
    Somewhere,
    /// It was given back.
    Cancelled,
    /// It has ended in another way, which the answer says beside it.
    Ended,
}

/// A ticket.
#[derive(Clone, Copy)]
pub(super) struct TicketView<'a> {
    of: ResourceView<'a>,
    ticket: &'a Ticket,
    place: Place,
}

impl Serialize for TicketView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (state, position) = match self.place {
            Place::Queued(position) => ("queued", Some(position)),
            Place::Somewhere => ("queued", None),
            Place::Cancelled => ("cancelled", None),
            Place::Ended => ("ended", None),
        };
        let ticket = self.ticket;
        let mut map = serializer.serialize_map(Some(10))?;
        map.serialize_entry("id", &self.of.entry(ticket.seq))?;
        map.serialize_entry("state", state)?;
        map.serialize_entry("key", &Key(self.of.resource))?;
        map.serialize_entry("resource", &self.of)?;
        map.serialize_entry("owner", &OwnerView(&ticket.intent.owner))?;
        map.serialize_entry("priority", ticket.intent.priority.as_str())?;
        map.serialize_entry("position", &position)?;
        map.serialize_entry("enqueued_at", &Instant(ticket.enqueued_at))?;
        map.serialize_entry("deadline", &Instant(ticket.deadline))?;
        // Nothing that could be said honestly is known: how long holders work is theirs to decide.
        map.serialize_entry("estimated_wait", &None::<&str>)?;
        map.end()
    }
}

/// Counts by priority.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Depth(pub(super) [usize; Priority::COUNT]);

impl Depth {
    pub(super) fn total(self) -> usize {
        self.0.iter().sum()
    }

    pub(super) fn add(&mut self, other: Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
    }
}

impl Serialize for Depth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The most urgent first.
        serializer
            .collect_map(Priority::ALL.iter().rev().map(|class| (class.as_str(), self.0[*class as usize])))
    }
}

/// How long the oldest ticket of a document has waited.
pub(super) fn oldest_wait(document: &Document, now: Timestamp) -> Option<Span> {
    document.oldest_ticket().map(|ticket| whole_millis(now.since(ticket.enqueued_at)))
}

/// Without parts of a millisecond, which nobody reads: rounded down, so that no lease looks longer
/// than it is.
pub(super) fn whole_millis(span: Span) -> Span {
    Span::from_millis(span.as_micros() / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_core::{Intent, LockState, Mode, Pull, ResourceInput};
    use serde_json::{Value, json};

    fn intent() -> Arc<Intent> {
        let pull = Pull { num: 42, author: Some("bob".into()), ..Pull::default() };
        let owner =
            Owner { id: "acme/infra#42".into(), user: Some("alice".into()), pull: Some(Box::new(pull)) };
        Arc::new(Intent {
            owner,
            created_by: "anonymous".into(),
            mode: Mode::Exclusive,
            priority: Priority::High,
            ttl: Span::from_secs(1800),
            protected: true,
            attended: true,
            metadata: Some(Box::new(Metadata::from([("run".into(), "123".into())]))),
            nonce: 1,
            requests: Arc::default(),
        })
    }

    fn resource() -> Resource {
        let input =
            ResourceInput { namespace: Some("acme/infra"), path: Some("net/\"vpc\""), ..Default::default() };
        Resource::parse(&input, "").unwrap()
    }

    #[test]
    fn a_lock_has_the_members_of_the_contract() {
        let resource = resource();
        let of = ResourceView { id: resource.id(), resource: &resource };
        let now = Timestamp::from_millis(1_790_000_000_123);
        let mut lock = Lock {
            seq: Seq::default().next(now.as_millis()),
            intent: intent(),
            token: 7,
            state: LockState::Held,
            acquired_at: now,
            renewed_at: now,
            expires_at: Some(now + Span::from_secs(1800)),
            ttl: Span::from_secs(1800),
            touch: 0,
            enqueued_at: None,
        };
        let shown: Value = serde_json::to_value(of.lock(&lock, now + Span::from_millis(2))).unwrap();
        let expected = json!({
            "id": EntryId { resource: resource.id(), seq: lock.seq }.to_string(),
            "state": "held",
            "key": "acme/infra/net/\"vpc\"/default/",
            "resource": {"id": resource.id().to_string(), "type": "project", "host": "", "namespace": "acme/infra",
                         "path": "net/\"vpc\"", "workspace": "default", "project_name": ""},
            "owner": {"id": "acme/infra#42", "user": "alice", "pull": {"num": 42, "url": null, "author": "bob",
                      "head_commit": null, "base_branch": null}},
            "created_by": "anonymous", "mode": "exclusive", "priority": "high", "fencing_token": 7,
            "acquired_at": "2026-09-21T14:13:20.123Z", "expires_at": "2026-09-21T14:43:20.123Z",
            "expires_in": "29m59.998s", "renewed_at": "2026-09-21T14:13:20.123Z", "protected": true,
            "metadata": {"run": "123"},
        });
        assert_eq!(shown, expected);
        lock.expires_at = None;
        let shown = serde_json::to_value(of.lock(&lock, now)).unwrap();
        assert_eq!((&shown["expires_at"], &shown["expires_in"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn a_ticket_has_the_members_of_the_contract() {
        let resource = resource();
        let of = ResourceView { id: resource.id(), resource: &resource };
        let now = Timestamp::from_millis(1_790_000_000_123);
        let ticket = Ticket {
            seq: Seq::default().next(now.as_millis()),
            intent: intent(),
            enqueued_at: now,
            deadline: now + Span::from_secs(600),
            seen_until: now,
        };
        let shown = serde_json::to_value(of.ticket(&ticket, Place::Queued(3))).unwrap();
        let names: Vec<&str> = shown.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected = [
            "id",
            "state",
            "key",
            "resource",
            "owner",
            "priority",
            "position",
            "enqueued_at",
            "deadline",
            "estimated_wait",
        ];
        expected.sort_unstable();
        assert_eq!(names, expected);
        assert_eq!((&shown["position"], &shown["deadline"]), (&json!(3), &json!("2026-09-21T14:23:20.123Z")));
        assert_eq!(serde_json::to_value(of.ticket(&ticket, Place::Cancelled)).unwrap()["state"], "cancelled");
    }

    #[test]
    fn depths_are_named_from_the_most_urgent_on() {
        assert_eq!(
            serde_json::to_string(&Depth([1, 2, 3, 4])).unwrap(),
            r#"{"critical":4,"high":3,"normal":2,"low":1}"#
        );
    }
}
