//! `GET /api/v1/locks`: locks by what they are.

use super::instant::Instant;
use super::locks::failed;
use super::pages::{Order, Place, Wanted, beside};
use super::problem::Problem;
use super::query::{Query, Which};
use super::views::{JSON, LockView, ResourceView};
use super::{Door, fields};
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use lockkeeper_core::{Document, Lock, LockState, Priority, Span, Timestamp};
use serde::Serialize;
use std::sync::Arc;

const OWNER_MAX_BYTES: usize = 512;

/// Which locks are wanted.
struct Filter {
    which: Which,
    owner: Option<String>,
    pull: Option<u64>,
    priority: Option<Priority>,
    state: Option<LockState>,
    held_longer_than: Option<Span>,
}

impl Filter {
    fn takes(&self, lock: &Lock, now: Timestamp) -> bool {
        let intent = &lock.intent;
        // A lease that is over holds nothing, though its record may still be there.
        !lock.is_over(now)
            && self.owner.as_deref().is_none_or(|owner| *intent.owner.id == *owner)
            && self.pull.is_none_or(|num| fields::is_pull(intent.owner.pull.as_deref(), num))
            && self.priority.is_none_or(|priority| intent.priority == priority)
            && self.state.is_none_or(|state| lock.state == state)
            && self.held_longer_than.is_none_or(|span| lock.held_for(now) > span)
    }
}

#[derive(Serialize)]
struct List<'a> {
    locks: Vec<LockView<'a>>,
    next_cursor: Option<String>,
    as_of: Instant,
}

/// `GET /api/v1/locks`.
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
        "state",
        "held_longer_than",
        "sort",
        "limit",
        "cursor",
        "consistent",
    ];
    let mut query = Query::read(req.query_string(), &known);
    let pull = query.pull();
    let filter = Filter {
        which: query.which(),
        owner: query.text("owner", OWNER_MAX_BYTES).map(Into::into),
        pull,
        priority: query.word("priority", "critical, high, normal, low", Priority::from_word),
        state: query.word("state", "held, reserved", |word| match word {
            "held" => Some(LockState::Held),
            "reserved" => Some(LockState::Reserved),
            _ => None,
        }),
        held_longer_than: query.age("held_longer_than"),
    };
    let order =
        query.word("sort", "acquired_at, -acquired_at, key", Order::of_locks).unwrap_or(Order::Acquired);
    let wanted = Wanted::read(&mut query, order);
    let consistent = query.flag("consistent");
    query.finish()?;

    let partition = filter.which.partition();
    let body = if consistent {
        // What is read is judged by the clock of before: a lease may be renewed meanwhile.
        let now = door.locks.now();
        let documents = door.locks.documents_from_store(partition).await.map_err(failed)?;
        beside(documents.len(), move || render(&documents, &filter, &wanted, now, now)).await?
    } else {
        let locks = door.locks.clone();
        beside(locks.view().len(), move || {
            let documents = locks.view().documents(partition);
            let now = locks.now();
            render(&documents, &filter, &wanted, now, locks.as_of(now))
        })
        .await?
    };
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, JSON)).body(body?))
}

fn render(
    documents: &[Arc<Document>],
    filter: &Filter,
    wanted: &Wanted,
    now: Timestamp,
    as_of: Timestamp,
) -> Result<Vec<u8>, Problem> {
    let mut found = Vec::new();
    for document in documents.iter().filter(|document| filter.which.takes(document)) {
        for lock in document.locks().filter(|lock| filter.takes(lock, now)) {
            let place = place(wanted.order, document, lock);
            if wanted.takes(&place) {
                found.push((place, (document, lock)));
            }
        }
    }
    let (page, next_cursor) = wanted.page(found);
    let locks = page.iter().map(|(_, (document, lock))| ResourceView::of(document).lock(lock, now)).collect();
    serde_json::to_vec(&List { locks, next_cursor, as_of: Instant(as_of) })
        .map_err(|error| Problem::internal(format!("a list cannot be written: {error}")))
}

fn place(order: Order, document: &Document, lock: &Lock) -> Place {
    let id = document.entry_id(lock.seq);
    match order {
        Order::AcquiredLast => Place::by_time_backwards(lock.acquired_at, id),
        Order::Key => Place::by_text(document.resource().key(), id),
        Order::Acquired | Order::Resource | Order::Enqueued => Place::by_time(lock.acquired_at, id),
    }
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{TestDoor, fields_of};
    use serde_json::{Value, json};

    fn paths(answer: &Value) -> Vec<&str> {
        let locks = answer["locks"].as_array().unwrap();
        locks.iter().map(|lock| lock["resource"]["path"].as_str().unwrap()).collect()
    }

    async fn filled() -> TestDoor {
        let door = TestDoor::start().await;
        for (path, owner, priority) in [("c", "one", "high"), ("a", "two", "normal"), ("b", "one", "normal")]
        {
            let mut ask = door.ask(path, owner);
            ask["priority"] = json!(priority);
            ask["owner"]["pull"] = json!({"num": if owner == "one" { 1 } else { 2 }});
            assert_eq!(door.post("/api/v1/locks", &ask).await.0, 200);
        }
        door
    }

    #[actix_web::test]
    async fn locks_are_chosen_and_ordered() {
        let door = filled().await;
        for (query, expected) in [
            ("", &["c", "a", "b"][..]),
            ("sort=acquired_at", &["c", "a", "b"]),
            ("sort=-acquired_at", &["b", "a", "c"]),
            ("sort=key", &["a", "b", "c"]),
            ("owner=one", &["c", "b"]),
            ("namespace=acme/infra&pull=2", &["a"]),
            ("namespace=acme/infra&host=&path=./b/", &["b"]),
            ("namespace=acme", &[]),
            ("priority=high", &["c"]),
            ("state=held", &["c", "a", "b"]),
            ("state=reserved", &[]),
            ("held_longer_than=1h", &[]),
            ("workspace=default&type=project&project_name=&limit=2", &["c", "a"]),
            ("consistent=true&sort=key", &["a", "b", "c"]),
        ] {
            let (status, answer) = door.get(&format!("/api/v1/locks?{query}")).await;
            assert_eq!((status, paths(&answer)), (200, expected.to_vec()), "{query}");
            assert!(answer["as_of"].is_string());
        }
    }

    #[actix_web::test]
    async fn pages_follow_each_other() {
        let door = filled().await;
        let (_, first) = door.get("/api/v1/locks?sort=key&limit=2").await;
        let cursor = first["next_cursor"].as_str().unwrap();
        let (_, second) = door.get(&format!("/api/v1/locks?sort=key&limit=2&cursor={cursor}")).await;
        assert_eq!((paths(&first), paths(&second)), (vec!["a", "b"], vec!["c"]));
        assert_eq!(second["next_cursor"], json!(null));
        let (status, other) = door.get(&format!("/api/v1/locks?sort=acquired_at&cursor={cursor}")).await;
        assert_eq!((status, fields_of(&other)), (400, vec!["cursor".to_owned()]));
    }

    #[actix_web::test]
    async fn bad_filters_are_named() {
        let door = TestDoor::start().await;
        for (query, field) in [
            ("namespace=", "namespace"),
            ("path=..", "path"),
            ("type=x", "type"),
            ("owner=", "owner"),
            ("pull=1", "namespace"),
            ("namespace=a&pull=0", "pull"),
            ("namespace=a&pull=x", "pull"),
            ("priority=top", "priority"),
            ("state=free", "state"),
            ("held_longer_than=5", "held_longer_than"),
            ("sort=owner", "sort"),
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=ten", "limit"),
            ("cursor=xyz", "cursor"),
            ("consistent=yes", "consistent"),
            ("colour=red", "colour"),
            ("limit=1&limit=2", "limit"),
        ] {
            let (status, answer) = door.get(&format!("/api/v1/locks?{query}")).await;
            assert_eq!((status, fields_of(&answer)), (400, vec![field.to_owned()]), "{query}");
        }
    }
}
