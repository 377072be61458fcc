//! Queues: who holds a resource and who waits for it.

use super::Door;
use super::instant::Instant;
use super::locks::failed;
use super::pages::{Order, Place, Wanted, beside};
use super::problem::{self, Problem};
use super::query::Query;
use super::views::{self, Depth, JSON, Key, LockView, ResourceView, Shown, TicketView};
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use lockkeeper_actors::Locks;
use lockkeeper_core::{Document, Partition, ResourceId, Span, Timestamp};
use serde::Serialize;
use std::sync::Arc;

/// Holders and tickets of each queue in a list; a single queue shows more.
const SHOWN_IN_LIST: usize = 10;
/// Holders that a single queue shows.
const HOLDERS_SHOWN: usize = 1000;
/// Resources that an ambiguous key names.
const CANDIDATES_MAX: usize = 100;
/// Bytes a key may have: its four parts and what separates them.
const KEY_MAX_BYTES: usize = 512 + 1024 + 256 + 256 + 3;

#[derive(Serialize)]
struct QueueView<'a> {
    resource: ResourceView<'a>,
    key: Key<'a>,
    depth: Depth,
    holders: Vec<LockView<'a>>,
    holders_total: usize,
    tickets: Vec<TicketView<'a>>,
    tickets_total: usize,
    oldest_wait: Option<Shown<Span>>,
}

impl<'a> QueueView<'a> {
    fn of(document: &'a Document, now: Timestamp, holders_max: usize, tickets_max: usize) -> Self {
        let of = ResourceView::of(document);
        let live = || document.locks().filter(|lock| !lock.is_over(now));
        let tickets = document.tickets().take(tickets_max).enumerate();
        Self {
            resource: of,
            key: Key(of.resource),
            depth: Depth(document.depths()),
            holders: live().take(holders_max).map(|lock| of.lock(lock, now)).collect(),
            holders_total: live().count(),
            // They come in the order in which they would be granted.
            tickets: tickets
                .map(|(place, ticket)| of.ticket(ticket, views::Place::Queued(place + 1)))
                .collect(),
            tickets_total: document.waiting(),
            oldest_wait: views::oldest_wait(document, now).map(Shown),
        }
    }
}

fn is_there(document: &Document, now: Timestamp) -> bool {
    document.waiting() > 0 || document.locks().any(|lock| !lock.is_over(now))
}

#[derive(Serialize)]
struct List<'a> {
    queues: Vec<QueueView<'a>>,
    next_cursor: Option<String>,
    as_of: Instant,
}

/// The one queue that the given fields fit, also as a list for those who read one.
#[derive(Serialize)]
struct Only<'a> {
    #[serde(flatten)]
    queue: QueueView<'a>,
    #[serde(flatten)]
    list: List<'a>,
}

fn answer(body: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, JSON)).body(body)
}

fn write(value: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value)
        .map_err(|error| Problem::internal(format!("a queue cannot be written: {error}")))
}

/// `GET /api/v1/queues`: many by filter, or one by `key` or by the fields of its place.
pub(super) async fn list(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    let known = ["type", "host", "namespace", "path", "workspace", "project_name", "key", "limit", "cursor"];
    let mut query = Query::read(req.query_string(), &known);
    let key: Option<String> = query.text("key", KEY_MAX_BYTES).map(Into::into);
    if key.is_some() && query.get("cursor").is_some() {
        query.complain("cursor", "cannot be combined with key, which names one queue");
    }
    let which = query.which();
    // Whoever pages wants a list, whatever is in it.
    let one_place = which.names_place() && query.get("cursor").is_none() && query.get("limit").is_none();
    let wanted = Wanted::read(&mut query, Order::Resource);
    query.finish()?;

    let locks = door.locks.clone();
    let body = beside(locks.view().len(), move || {
        let now = locks.now();
        let mut documents = locks.view().documents(which.partition());
        documents.retain(|document| which.takes(document) && is_there(document, now));
        match key {
            Some(key) => one_of(&documents, &key, now),
            None if one_place => at_place(&documents, &wanted, now, locks.as_of(now)),
            None => page(&documents, &wanted, now, locks.as_of(now)),
        }
        .map_err(|problem| unless_unconfirmed(&locks, which.partition(), problem))
    })
    .await??;
    Ok(answer(body))
}

fn page(
    documents: &[Arc<Document>],
    wanted: &Wanted,
    now: Timestamp,
    as_of: Timestamp,
) -> Result<Vec<u8>, Problem> {
    let found = documents
        .iter()
        .map(|document| (Place::by_resource(document.id()), document))
        .filter(|(place, _)| wanted.takes(place))
        .collect();
    let (page, next_cursor) = wanted.page(found);
    let queues =
        page.iter().map(|(_, document)| QueueView::of(document, now, SHOWN_IN_LIST, SHOWN_IN_LIST)).collect();
    write(&List { queues, next_cursor, as_of: Instant(as_of) })
}

/// The queue at a place; a list if there are several (of other projects, hosts, types).
fn at_place(
    documents: &[Arc<Document>],
    wanted: &Wanted,
    now: Timestamp,
    as_of: Timestamp,
) -> Result<Vec<u8>, Problem> {
    match documents {
        [] => Err(nothing()),
        [document] => write(&Only {
            queue: QueueView::of(document, now, HOLDERS_SHOWN, TICKETS_SHOWN),
            list: List {
                queues: vec![QueueView::of(document, now, SHOWN_IN_LIST, SHOWN_IN_LIST)],
                next_cursor: None,
                as_of: Instant(as_of),
            },
        }),
        several => page(several, wanted, now, as_of),
    }
}

/// Tickets that a single queue shows unless the caller says otherwise.
const TICKETS_SHOWN: usize = 100;

fn one_of(documents: &[Arc<Document>], key: &str, now: Timestamp) -> Result<Vec<u8>, Problem> {
    let mut fitting = documents.iter().filter(|document| document.resource().key() == key);
    match (fitting.next(), fitting.next()) {
        (None, _) => Err(nothing()),
        (Some(document), None) => write(&QueueView::of(document, now, HOLDERS_SHOWN, TICKETS_SHOWN)),
        (Some(first), Some(second)) => {
            let all = [first, second].into_iter().chain(fitting);
            let candidates: Vec<_> =
                all.take(CANDIDATES_MAX).map(|document| ResourceView::of(document)).collect();
            let detail = format!("{} resources have this key", candidates.len());
            Err(Problem::new(&problem::AMBIGUOUS, detail).with("candidates", &candidates))
        }
    }
}

fn nothing() -> Problem {
    Problem::new(&problem::NOT_FOUND, "nobody holds this resource and nobody waits for it")
}

/// What the view lacks is denied only while the store can be asked.
fn unless_unconfirmed(locks: &Locks, partition: Option<Partition>, problem: Problem) -> Problem {
    match locks.confirms(partition) {
        Err(failure) if problem.code().status == 404 => failed(failure),
        _ => problem,
    }
}

/// `GET /api/v1/queues/{resource_id}`.
pub(super) async fn show(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    let id = req.match_info().get("resource_id").unwrap_or_default();
    let id: ResourceId = id.parse().map_err(|error: lockkeeper_core::resource::NotAResourceId| {
        Problem::field("resource_id", error.to_string())
    })?;
    let mut query = Query::read(req.query_string(), &["limit"]);
    let limit = query.limit();
    query.finish()?;
    let now = door.locks.now();
    let document = door.locks.view().get(id).filter(|document| is_there(document, now));
    let document =
        document.ok_or_else(|| unless_unconfirmed(&door.locks, Some(id.partition()), nothing()))?;
    Ok(answer(write(&QueueView::of(&document, now, HOLDERS_SHOWN, limit))?))
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{TestDoor, code, fields_of};
    use serde_json::json;

    #[actix_web::test]
    async fn a_queue_shows_holders_and_tickets_in_order() {
        let door = TestDoor::start().await;
        let lock = door.lock("net", "one").await;
        let normal = door.ticket("net", "two").await;
        let mut ask = door.ask("net", "three");
        ask["queue"] = json!(true);
        ask["priority"] = json!("high");
        let (_, high) = door.post("/api/v1/locks", &ask).await;
        let id = lock["resource"]["id"].as_str().unwrap();
        let (status, queue) = door.get(&format!("/api/v1/queues/{id}")).await;
        assert_eq!((status, &queue["resource"]["id"], &queue["key"]), (200, &json!(id), &lock["key"]));
        assert_eq!(queue["depth"], json!({"critical": 0, "high": 1, "normal": 1, "low": 0}));
        assert_eq!(
            (&queue["holders"][0]["id"], &queue["tickets"][0]["id"]),
            (&lock["id"], &high["ticket"]["id"])
        );
        assert_eq!(
            (&queue["tickets"][1]["id"], &queue["tickets"][1]["position"]),
            (&normal["id"], &json!(2))
        );
        assert_eq!((&queue["tickets_total"], queue["oldest_wait"].is_string()), (&json!(2), true));
        let (_, short) = door.get(&format!("/api/v1/queues/{id}?limit=1")).await;
        assert_eq!((short["tickets"].as_array().unwrap().len(), &short["tickets_total"]), (1, &json!(2)));

        let (_, list) =
            door.get("/api/v1/queues?namespace=acme/infra&path=net&workspace=default&project_name=").await;
        assert_eq!((list["queues"].as_array().unwrap().len(), &list["queues"][0]["key"]), (1, &lock["key"]));
        let (_, none) = door.get("/api/v1/queues?path=other").await;
        assert_eq!((&none["queues"], &none["next_cursor"]), (&json!([]), &json!(null)));
    }

    #[actix_web::test]
    async fn the_fields_of_a_place_name_one_queue() {
        let door = TestDoor::start().await;
        let lock = door.lock("net", "one").await;
        for waiting in 0..12 {
            door.ticket("net", &format!("w{waiting}")).await;
        }
        const PLACE: &str = "/api/v1/queues?namespace=acme/infra&path=./net/&workspace=default";
        let (status, queue) = door.get(PLACE).await;
        let id = lock["resource"]["id"].as_str().unwrap();
        let (_, by_id) = door.get(&format!("/api/v1/queues/{id}")).await;
        assert_eq!((status, &queue["next_cursor"], queue["as_of"].is_string()), (200, &json!(null), true));
        let volatile = ["oldest_wait", "holders"];
        for (name, value) in
            by_id.as_object().unwrap().iter().filter(|(name, _)| !volatile.contains(&&***name))
        {
            assert_eq!(&queue[name], value, "{name}");
        }
        assert_eq!(queue["holders"][0]["id"], lock["id"]);
        // In the list it is as long as in any list.
        let listed = queue["queues"].as_array().unwrap();
        assert_eq!((listed.len(), &listed[0]["resource"]), (1, &queue["resource"]));
        let shown = |queue: &serde_json::Value| queue["tickets"].as_array().unwrap().len();
        assert_eq!((shown(&queue), shown(&listed[0])), (12, 10));

        // Whoever pages gets a page.
        let (_, page) = door.get(&format!("{PLACE}&limit=5")).await;
        assert!(page.get("resource").is_none() && page["queues"].as_array().unwrap().len() == 1, "{page}");

        // Another project there: a list, unless it is named too.
        let mut ask = door.ask("net", "one");
        ask["resource"]["project_name"] = json!("vpc");
        assert_eq!(door.post("/api/v1/locks", &ask).await.0, 200);
        let (_, both) = door.get(PLACE).await;
        assert!(both.get("resource").is_none() && both["queues"].as_array().unwrap().len() == 2, "{both}");
        let (_, one) = door.get(&format!("{PLACE}&project_name=vpc")).await;
        assert_eq!(one["resource"]["project_name"], "vpc");

        let nowhere = "/api/v1/queues?namespace=acme/infra&path=other&workspace=default";
        let (status, none) = door.get(nowhere).await;
        assert_eq!((status, code(&none)), (404, "not_found"));
        let (status, empty) = door.get(&format!("{nowhere}&limit=5")).await;
        assert_eq!((status, &empty["queues"]), (200, &json!([])));
    }

    #[actix_web::test]
    async fn a_key_names_one_queue_or_is_ambiguous() {
        let door = TestDoor::start().await;
        let mut ask = door.ask("a/b", "one");
        ask["resource"]["workspace"] = json!("c");
        let (_, first) = door.post("/api/v1/locks", &ask).await;
        let key = first["lock"]["key"].as_str().unwrap().to_owned();
        let (status, queue) = door.get(&format!("/api/v1/queues?key={key}")).await;
        assert_eq!((status, &queue["holders"][0]["id"]), (200, &first["lock"]["id"]));
        ask["resource"]["path"] = json!("a");
        ask["resource"]["workspace"] = json!("b/c");
        assert_eq!(door.post("/api/v1/locks", &ask).await.0, 200);
        let (status, two) = door.get(&format!("/api/v1/queues?key={key}")).await;
        assert_eq!((status, code(&two), two["candidates"].as_array().unwrap().len()), (409, "ambiguous", 2));
        assert_eq!(door.get(&format!("/api/v1/queues?key={key}&path=a/b")).await.0, 200);
    }

    #[actix_web::test]
    async fn queues_are_paged_and_what_is_not_there_is_404() {
        let door = TestDoor::start().await;
        for path in ["a", "b", "c"] {
            door.lock(path, "one").await;
        }
        let (_, first) = door.get("/api/v1/queues?limit=2").await;
        let cursor = first["next_cursor"].as_str().unwrap();
        let (_, second) = door.get(&format!("/api/v1/queues?limit=2&cursor={cursor}")).await;
        assert_eq!(
            (first["queues"].as_array().unwrap().len(), second["queues"].as_array().unwrap().len()),
            (2, 1)
        );
        for path in ["/api/v1/queues/0123456789abcdef", "/api/v1/queues?key=nothing"] {
            let (status, answer) = door.get(path).await;
            assert_eq!((status, code(&answer)), (404, "not_found"), "{path}");
        }
        for (path, field) in [
            ("/api/v1/queues/short", "resource_id"),
            ("/api/v1/queues/0123456789abcdef?limit=0", "limit"),
            ("/api/v1/queues/0123456789abcdef?tickets=1", "tickets"),
            ("/api/v1/queues?key=", "key"),
            ("/api/v1/queues?namespace=", "namespace"),
            ("/api/v1/queues?owner=x", "owner"),
            ("/api/v1/queues?limit=1001", "limit"),
            ("/api/v1/queues?cursor=nonsense", "cursor"),
        ] {
            let (status, answer) = door.get(path).await;
            assert_eq!((status, fields_of(&answer)), (400, vec![field.to_owned()]), "{path}");
        }
    }
}
