//! Tickets: what became of one, which there are, giving one back.

use super::client::Client;
use super::instant::Instant;
use super::locks::{entry_id, failed, no_query};
use super::pages::{Order, Place, Wanted, beside};
use super::problem::Problem;
use super::query::{Query, Which};
use super::views::{self, JSON, ResourceView, TicketView};
use super::{Door, answers, fields, repeats};
use actix_web::http::header::CONTENT_TYPE;
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use lockkeeper_core::{Document, EntryId, Priority, Ticket, Timestamp};
use serde::Serialize;
use std::sync::Arc;

const OWNER_MAX_BYTES: usize = 512;

/// `GET /api/v1/tickets/{id}`.
pub(super) async fn poll(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    let id = entry_id(&req)?;
    let mut query = Query::read(req.query_string(), &["wait"]);
    let wait = query.wait();
    query.finish()?;
    if req.method() == Method::HEAD {
        return glance(&door, id).await;
    }
    let wait = wait.to_std().min(door.tunables().max_wait);
    let _waiting = door.waits(Client::asking(&req), wait)?;
    let sight = door.locks.poll(id, wait).await.map_err(failed)?;
    answers::ticket_seen(id.resource, &sight)
}

/// `HEAD`: where it stands, without claiming what its answer could not carry.
async fn glance(door: &Door, id: EntryId) -> Result<HttpResponse, Problem> {
    let queued = door.locks.view().get(id.resource).is_some_and(|document| document.ticket(id.seq).is_some());
    if queued {
        return Ok(HttpResponse::build(StatusCode::ACCEPTED).insert_header((CONTENT_TYPE, JSON)).finish());
    }
    let sight = door.locks.sight(id).await.map_err(failed)?;
    answers::lock_seen(id.resource, &sight)
}

/// `DELETE /api/v1/tickets/{id}`.
pub(super) async fn cancel(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    let id = entry_id(&req)?;
    no_query(&req)?;
    let nonce = repeats::nonce(&req, "cancel", id)?;
    door.count_operation();
    let answer = door.locks.cancel(id, nonce).await.map_err(failed)?;
    answers::done(id.resource, &answer)
}

/// Which tickets are wanted.
struct Filter {
    which: Which,
    owner: Option<String>,
    pull: Option<u64>,
    priority: Option<Priority>,
}

impl Filter {
    fn takes(&self, ticket: &Ticket) -> bool {
        let intent = &ticket.intent;
        self.owner.as_deref().is_none_or(|owner| *intent.owner.id == *owner)
            && self.pull.is_none_or(|num| fields::is_pull(intent.owner.pull.as_deref(), num))
            && self.priority.is_none_or(|priority| intent.priority == priority)
    }
}

#[derive(Serialize)]
struct List<'a> {
    tickets: Vec<TicketView<'a>>,
    next_cursor: Option<String>,
    as_of: Instant,
}

/// `GET /api/v1/tickets`.
pub(super) async fn list(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    let known = [
        "type",
        "host",
        "namespace",
        "path",
        "workspace",
        "project_name",
        "owner",
        "pull",
        "priority",
        "limit",
        "cursor",
    ];
    let mut query = Query::read(req.query_string(), &known);
    let pull = query.pull();
    let filter = Filter {
        which: query.which(),
        owner: query.text("owner", OWNER_MAX_BYTES).map(Into::into),
        pull,
        priority: query.word("priority", "critical, high, normal, low", Priority::from_word),
    };
    let wanted = Wanted::read(&mut query, Order::Enqueued);
    query.finish()?;

    let locks = door.locks.clone();
    let body = beside(locks.view().len(), move || {
        let now = locks.now();
        let documents = locks.view().documents(filter.which.partition());
        render(&documents, &filter, &wanted, locks.as_of(now))
    })
    .await??;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, JSON)).body(body))
}

fn render(
    documents: &[Arc<Document>],
    filter: &Filter,
    wanted: &Wanted,
    as_of: Timestamp,
) -> Result<Vec<u8>, Problem> {
    let mut found = Vec::new();
    for document in documents.iter().filter(|document| filter.which.takes(document)) {
        for ticket in document.tickets().filter(|ticket| filter.takes(ticket)) {
            let place = Place::by_time(ticket.enqueued_at, document.entry_id(ticket.seq));
            if wanted.takes(&place) {
                found.push((place, (document, ticket)));
            }
        }
    }
    let (page, next_cursor) = wanted.page(found);
    let tickets = page
        .iter()
        .map(|(_, (document, ticket))| {
            ResourceView::of(document).ticket(ticket, views::Place::Queued(document.position(ticket)))
        })
        .collect();
    serde_json::to_vec(&List { tickets, next_cursor, as_of: Instant(as_of) })
        .map_err(|error| Problem::internal(format!("a list cannot be written: {error}")))
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{TestDoor, code, fields_of};
    use serde_json::json;

    #[actix_web::test]
    async fn a_ticket_waits_and_becomes_a_lock() {
        let door = TestDoor::start().await;
        let lock = door.lock("net", "one").await;
        let ticket = door.ticket("net", "two").await;
        assert_eq!(
            (&ticket["state"], &ticket["position"], &ticket["key"]),
            (&json!("queued"), &json!(1), &lock["key"])
        );
        let path = format!("/api/v1/tickets/{}", ticket["id"].as_str().unwrap());
        let (status, queued) = door.get(&path).await;
        assert_eq!(
            (status, &queued["status"], &queued["holders"][0]["id"]),
            (202, &json!("queued"), &lock["id"])
        );
        assert_eq!(door.head(&path).await, 202);

        let released = door.release(&lock).await;
        assert_eq!(
            (&released["granted_to"]["id"], &released["granted_to"]["state"]),
            (&ticket["id"], &json!("reserved"))
        );
        // A look does not claim it: its answer carries no lock.
        assert_eq!(door.head(&path).await, 200);
        let (_, shown) = door.get(&format!("/api/v1/locks/{}", ticket["id"].as_str().unwrap())).await;
        assert_eq!(shown["lock"]["state"], "reserved");
        let (status, acquired) = door.get(&format!("{path}?wait=1s")).await;
        assert_eq!(
            (status, &acquired["status"], &acquired["lock"]["state"]),
            (200, &json!("acquired"), &json!("held"))
        );
        let (status, late) = door.delete_keyed(&path, None).await;
        assert_eq!((status, code(&late), &late["lock"]["id"]), (409, "already_granted", &ticket["id"]));
    }

    #[actix_web::test]
    async fn a_waiting_request_is_answered_when_its_turn_comes() {
        let door = TestDoor::start().await;
        let lock = door.lock("net", "one").await;
        let mut ask = door.ask("net", "two");
        ask["queue"] = json!(true);
        ask["wait"] = json!("30s");
        let waiting = door.post("/api/v1/locks", &ask);
        let releasing = async {
            while door.get("/api/v1/tickets?owner=two").await.1["tickets"][0].is_null() {
                actix_web::rt::task::yield_now().await;
            }
            door.release(&lock).await
        };
        let ((status, granted), released) = futures_util::future::join(waiting, releasing).await;
        assert_eq!((status, &granted["lock"]["state"]), (200, &json!("held")));
        assert_eq!(released["granted_to"]["id"], granted["lock"]["id"]);
    }

    #[actix_web::test]
    async fn a_ticket_is_given_back_once() {
        let door = TestDoor::start().await;
        door.lock("net", "one").await;
        let ticket = door.ticket("net", "two").await;
        let path = format!("/api/v1/tickets/{}", ticket["id"].as_str().unwrap());
        assert_eq!(door.delete_keyed(&path, Some("k")).await.0, 204);
        assert_eq!(door.delete_keyed(&path, Some("k")).await.0, 204);
        let (status, gone) = door.delete_keyed(&path, None).await;
        assert_eq!((status, code(&gone)), (410, "cancelled"));
        assert_eq!(door.get(&path).await.0, 410);
        let (status, unknown) = door.get("/api/v1/tickets/01ARZ3NDEKTSV4RRFFQ69G5FAV").await;
        assert_eq!((status, code(&unknown)), (404, "not_found"));
    }

    #[actix_web::test]
    async fn tickets_are_chosen_and_paged() {
        let door = TestDoor::start().await;
        door.lock("net", "one").await;
        for owner in ["two", "three", "four"] {
            door.ticket("net", owner).await;
        }
        let (_, mine) = door.get("/api/v1/tickets?owner=three&namespace=acme/infra").await;
        assert_eq!(
            (mine["tickets"].as_array().unwrap().len(), &mine["tickets"][0]["position"]),
            (1, &json!(2))
        );
        let (_, first) = door.get("/api/v1/tickets?limit=2").await;
        let cursor = first["next_cursor"].as_str().unwrap();
        let (_, second) = door.get(&format!("/api/v1/tickets?limit=2&cursor={cursor}")).await;
        assert_eq!(
            (first["tickets"].as_array().unwrap().len(), second["tickets"].as_array().unwrap().len()),
            (2, 1)
        );
    }

    #[actix_web::test]
    async fn bad_input_is_named_and_changes_nothing() {
        let door = TestDoor::start().await;
        door.lock("net", "one").await;
        let ticket = door.ticket("net", "two").await;
        let path = format!("/api/v1/tickets/{}", ticket["id"].as_str().unwrap());
        for (path, field) in [
            ("/api/v1/tickets/short".to_owned(), "id"),
            (format!("{path}?wait=61s"), "wait"),
            (format!("{path}?wait=5"), "wait"),
            (format!("{path}?wait="), "wait"),
            (format!("{path}?timeout=5s"), "timeout"),
            ("/api/v1/tickets?pull=3".into(), "namespace"),
            ("/api/v1/tickets?limit=0".into(), "limit"),
            ("/api/v1/tickets?state=held".into(), "state"),
            ("/api/v1/tickets?cursor=1".into(), "cursor"),
        ] {
            let (status, answer) = door.get(&path).await;
            assert_eq!((status, fields_of(&answer)), (400, vec![field.to_owned()]), "{path}");
        }
        for (path, field) in
            [("/api/v1/tickets/short".to_owned(), "id"), (format!("{path}?force=1"), "force")]
        {
            let (status, answer) = door.delete_keyed(&path, None).await;
            assert_eq!((status, fields_of(&answer)), (400, vec![field.to_owned()]), "{path}");
        }
        assert_eq!(door.get(&path).await.0, 202);
    }
}
