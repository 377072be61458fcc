//! `GET /api/v1/events`: what happens, as server-sent events.

use super::Door;
use super::answers::overloaded;
use super::client::Client;
use super::instant::Instant;
use super::locks::failed;
use super::places::Taken;
use super::problem::{self, Problem};
use super::query::Query;
use super::views::{Key, LockView, Place, ResourceView, TicketView};
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use lockkeeper_actors::events::{
    EventId, EventLog, LoggedEvent, Occurrence, ResumeError, SubscribeError, Subscription,
};
use lockkeeper_actors::{Bound, Locks};
use lockkeeper_core::resource::NAMESPACE_MAX_BYTES;
use lockkeeper_core::{EndReason, EventKind, Former};
use serde::Serialize;
use std::convert::Infallible;
use std::fmt::Write;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior};

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
/// How long a client pauses before it comes back after a lost connection.
const RETRY_MILLIS: u32 = 2000;
/// How often a stream shows that it is alive.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// Events that are sent in one piece.
const BATCH_MAX: usize = 64;
/// Bytes that most events fit in.
const EVENT_BYTES: usize = 1024;

/// Types besides those of locks and tickets. Some come only with parts that this version lacks:
/// whoever asks for them is not wrong, there just are none yet.
const SERVICE_TYPES: &[&str] = &[
    "deadlock.detected",
    "deadlock.resolved",
    "backend.unhealthy",
    "backend.recovered",
    "breaker.opened",
    "breaker.half_open",
    "breaker.closed",
    "store.sealed",
    "store.opened",
    "store.conflict",
    "mode.changed",
    "phase.changed",
];

fn types() -> impl Iterator<Item = &'static str> {
    EventKind::ALL.iter().map(|kind| kind.as_str()).chain(SERVICE_TYPES.iter().copied())
}

/// Which events a client wants.
#[derive(Debug)]
struct Filter {
    namespace: Option<String>,
    /// Empty: all.
    types: Vec<&'static str>,
}

impl Filter {
    fn takes(&self, event: &LoggedEvent) -> bool {
        let kind = event.what.kind();
        if !self.types.is_empty() && !self.types.contains(&kind) {
            return false;
        }
        match (&self.namespace, &event.what) {
            (None, _) => true,
            (Some(namespace), Occurrence::Entry(event)) => *event.resource.namespace == **namespace,
            // What concerns all is not of one namespace, unless it was asked for by name.
            (Some(_), _) => !self.types.is_empty(),
        }
    }
}

fn read_types(query: &mut Query<'_>) -> Vec<&'static str> {
    let Some(text) = query.get("type").map(str::to_owned) else { return Vec::new() };
    let mut wanted = Vec::new();
    for word in text.split(',').map(str::trim) {
        match types().find(|known| *known == word) {
            Some(known) => wanted.push(known),
            None => {
                let known: Vec<&str> = types().collect();
                query.complain("type", format!("names no type of event; known: {}", known.join(", ")));
            }
        }
    }
    wanted
}

fn gone(log: &EventLog, error: ResumeError) -> Problem {
    let now = log.id(log.last());
    Problem::new(
        &problem::EVENTS_GONE,
        format!("the stream cannot be resumed: {error}; the latest event is {now}"),
    )
}

/// Where the stream begins: after the event named by the client, or now.
fn start(req: &HttpRequest, from_query: Option<&str>, log: &EventLog) -> Result<u64, Problem> {
    let header = match req.headers().get("last-event-id").map(HeaderValue::to_str) {
        // A browser repeats the query as it was, and tells in the header how far it has come.
        None => None,
        Some(Ok(text)) => Some(text),
        Some(Err(_)) => return Err(gone(log, ResumeError::Foreign)),
    };
    match header.or(from_query).filter(|text| !text.is_empty()) {
        None => Ok(log.last()),
        Some(text) => {
            text.parse::<EventId>().and_then(|id| log.resume_after(&id)).map_err(|error| gone(log, error))
        }
    }
}

/// `GET /api/v1/events`.
pub(super) async fn follow(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    let mut query = Query::read(req.query_string(), &["namespace", "type", "last_event_id"]);
    let types = read_types(&mut query);
    let last = query.get("last_event_id").map(str::to_owned);
    let namespace = query.text("namespace", NAMESPACE_MAX_BYTES).map(Into::into);
    query.finish()?;
    let filter = Filter { namespace, types };
    let log = door.locks.events();
    let after = start(&req, last.as_deref(), log)?;

    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_TYPE, EVENT_STREAM));
    // Proxies that collect answers would keep events from their readers.
    response.insert_header(("x-accel-buffering", "no"));
    if req.method() == Method::HEAD {
        return Ok(response.finish());
    }
    let taken = door.subscribes(Client::asking(&req))?;
    let subscribed = door.locks.subscribe(after, move |event| filter.takes(event)).await.map_err(failed)?;
    let subscription = subscribed.map_err(|error| match error {
        SubscribeError::Resume(error) => gone(log, error),
        SubscribeError::Full(limit) => overloaded(Bound::EventStreams, limit),
    })?;
    let greeting = format!("retry: {RETRY_MILLIS}\nid: {}\n\n", log.id(after));
    let feed = Feed {
        greeting: Some(Bytes::from(greeting)),
        subscription,
        locks: door.locks.clone(),
        pings: ping_interval(),
        _taken: taken,
    };
    Ok(response.streaming(stream::unfold(feed, |mut feed| async move {
        let chunk = feed.next().await?;
        Some((Ok::<_, Infallible>(chunk), feed))
    })))
}

fn ping_interval() -> Interval {
    let begin = tokio::time::Instant::now() + PING_INTERVAL;
    let mut interval = tokio::time::interval_at(begin, PING_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// One client's stream.
struct Feed {
    /// Sent first; its id is the place from which a client that has seen nothing yet may resume.
    greeting: Option<Bytes>,
    subscription: Subscription,
    locks: Locks,
    pings: Interval,
    /// One of those that its client may have.
    _taken: Taken,
}

impl Feed {
    /// What is sent next; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(greeting) = self.greeting.take() {
            return Some(greeting);
        }
        tokio::select! {
            biased;
            event = self.subscription.events.recv() => Some(self.batch(&*event?)),
            () = self.locks.drained() => None,
            _ = self.pings.tick() => Some(Bytes::from_static(b": ping\n\n")),
        }
    }

    /// An event with those that wait behind it.
    fn batch(&mut self, first: &LoggedEvent) -> Bytes {
        let mut text = String::with_capacity(EVENT_BYTES);
        let log = self.locks.events();
        render(&mut text, log, first);
        for _ in 1..BATCH_MAX {
            match self.subscription.events.try_recv() {
                Ok(event) => render(&mut text, log, &event),
                // Empty, or closed: then the next look at it ends the stream.
                Err(_) => break,
            }
        }
        text.into()
    }
}

#[derive(Serialize)]
struct EventView<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    at: Instant,
    resource: Option<ResourceView<'a>>,
    key: Option<Key<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<LockView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<TicketView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<PhaseChange>,
    reason: Option<&'a str>,
    note: Option<&'a str>,
}

#[derive(Serialize)]
struct PhaseChange {
    from: &'static str,
    to: &'static str,
}

fn render(text: &mut String, log: &EventLog, event: &LoggedEvent) {
    let id = log.id(event.sequence).to_string();
    let kind = event.what.kind();
    let bare = EventView {
        id: &id,
        kind,
        at: Instant(event.at),
        resource: None,
        key: None,
        lock: None,
        ticket: None,
        phase: None,
        reason: None,
        note: None,
    };
    let sealed;
    let view = match &event.what {
        Occurrence::BackendRecovered
        | Occurrence::StoreOpened
        | Occurrence::BreakerHalfOpen
        | Occurrence::BreakerClosed => bare,
        Occurrence::PhaseChanged { from, to, reason } => EventView {
            phase: Some(PhaseChange { from: from.as_str(), to: to.as_str() }),
            reason: reason.as_deref(),
            ..bare
        },
        Occurrence::StoreSealed(partitions) => {
            sealed = format!("{partitions} partitions are sealed: the store may have lost data");
            EventView { reason: Some(&sealed), ..bare }
        }
        Occurrence::StoreConflict(resource) => EventView {
            resource: Some(ResourceView { id: resource.id(), resource }),
            key: Some(Key(resource)),
            reason: Some("the store's state stands over what this instance knew"),
            ..bare
        },
        Occurrence::BackendUnhealthy(reason) | Occurrence::BreakerOpened(reason) => {
            EventView { reason: Some(reason), ..bare }
        }
        Occurrence::Entry(entry) => {
            let of = ResourceView { id: entry.resource.id(), resource: &entry.resource };
            let (lock, ticket) = match &entry.subject {
                Former::Lock(lock) => (Some(of.lock(lock, entry.at)), None),
                Former::Ticket(ticket) => {
                    let place = match entry.reason {
                        None => Place::Somewhere,
                        Some(EndReason::Cancelled) => Place::Cancelled,
                        Some(_) => Place::Ended,
                    };
                    (None, Some(of.ticket(ticket, place)))
                }
            };
            EventView {
                at: Instant(entry.at),
                resource: Some(of),
                key: Some(Key(of.resource)),
                lock,
                ticket,
                reason: entry.reason.map(EndReason::as_str),
                note: entry.note.as_deref(),
                ..bare
            }
        }
    };
    // JSON on one line: nothing in it can end the event early.
    let data = serde_json::to_string(&view).unwrap_or_default();
    let _ = write!(text, "id: {id}\nevent: {kind}\ndata: {data}\n\n");
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{TestDoor, code, fields_of};
    use actix_web::body::MessageBody;
    use serde_json::{Value, json};

    /// The events of an open stream, one chunk after the other.
    struct Reader(actix_web::body::BoxBody);

    impl Reader {
        async fn chunk(&mut self) -> Option<String> {
            let chunk = std::future::poll_fn(|cx| std::pin::Pin::new(&mut self.0).poll_next(cx)).await?;
            Some(String::from_utf8(chunk.unwrap().to_vec()).unwrap())
        }

        async fn events(&mut self, count: usize) -> Vec<Value> {
            let mut events = Vec::new();
            while events.len() < count {
                let chunk = self.chunk().await.unwrap();
                let data = chunk.lines().filter_map(|line| line.strip_prefix("data: "));
                events.extend(data.map(|data| serde_json::from_str::<Value>(data).unwrap()));
            }
            events
        }
    }

    async fn open(door: &TestDoor, path: &str, last: Option<&str>) -> Reader {
        let (status, body) = door.open(path, last).await;
        assert_eq!(status, 200);
        Reader(body)
    }

    #[actix_web::test]
    async fn what_happens_is_told_in_order() {
        let door = TestDoor::start().await;
        let mut reader = open(&door, "/api/v1/events?namespace=acme/infra", None).await;
        let greeting = reader.chunk().await.unwrap();
        assert!(greeting.starts_with("retry: 2000\nid: ") && greeting.ends_with(".0\n\n"), "{greeting}");
        let lock = door.lock("net", "one").await;
        door.ticket("net", "two").await;
        door.release(&lock).await;
        let events = reader.events(4).await;
        let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["lock.acquired", "ticket.queued", "lock.released", "lock.reserved"]);
        assert_eq!((&events[0]["lock"]["id"], &events[0]["key"]), (&lock["id"], &lock["key"]));
        assert_eq!(
            (&events[2]["reason"], &events[1]["ticket"]["state"]),
            (&json!("released"), &json!("queued"))
        );

        let last = events[1]["id"].as_str().unwrap();
        let mut resumed = open(&door, "/api/v1/events?type=lock.released,lock.reserved", Some(last)).await;
        let rest = resumed.events(2).await;
        assert_eq!((&rest[0]["id"], &rest[1]["id"]), (&events[2]["id"], &events[3]["id"]));
        door.locks().begin_drain();
        while reader.chunk().await.is_some() {}
    }

    #[actix_web::test]
    async fn a_place_that_is_gone_and_bad_filters_are_refused() {
        let door = TestDoor::start().await;
        for last in ["nonsense", "other-instance.1", "test.99"] {
            let (status, answer) = door.get(&format!("/api/v1/events?last_event_id={last}")).await;
            assert_eq!((status, code(&answer)), (410, "events_gone"), "{last}");
        }
        for (query, field) in [
            ("type=lock.stolen", "type"),
            ("type=", "type"),
            ("type=lock.acquired,,x", "type"),
            ("namespace=", "namespace"),
            ("path=a", "path"),
        ] {
            let (status, answer) = door.get(&format!("/api/v1/events?{query}")).await;
            assert_eq!((status, fields_of(&answer)), (400, vec![field.to_owned()]), "{query}");
        }
        assert_eq!(door.head("/api/v1/events").await, 200);
    }
}
