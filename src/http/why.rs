//! Why someone waits: who holds the resource, who is ahead, what can be done.

use super::instant::Instant;
use super::locks::{entry_id, failed, no_query};
use super::pages::beside;
use super::problem::{self, Problem};
use super::query::{Query, Which};
use super::views::{self, JSON, Key, LockView, ResourceView, TicketView, ok};
use super::{Door, answers, fields};
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use lockkeeper_actors::Sight;
use lockkeeper_core::resource::NAME_MAX_BYTES;
use lockkeeper_core::{Document, EntryId, Lock, Reply, Ticket, Timestamp};
use serde::Serialize;
use std::fmt::Write;
use std::sync::Arc;

/// Tickets ahead that are shown one by one.
const AHEAD_SHOWN: usize = 100;
/// Holders that are shown one by one.
const HOLDERS_SHOWN: usize = 100;
/// Holders that are named in words.
const HOLDERS_IN_WORDS: usize = 3;
/// Tickets ahead that are named in words.
const AHEAD_IN_WORDS: usize = 3;
/// Tickets and locks of a pull request that are explained.
const ENTRIES_MAX: usize = 100;

/// Why one ticket waits.
#[derive(Serialize)]
struct Explanation<'a> {
    resource: ResourceView<'a>,
    key: Key<'a>,
    ticket: Option<TicketView<'a>>,
    lock: Option<LockView<'a>>,
    holders: Vec<LockView<'a>>,
    ahead: Vec<TicketView<'a>>,
    ahead_total: usize,
    /// Owners that wait for each other; none are looked for yet.
    cycle: Option<()>,
    can_do: Vec<String>,
    text: String,
}

impl<'a> Explanation<'a> {
    fn of_ticket(document: &'a Document, ticket: &'a Ticket, now: Timestamp) -> Self {
        let of = ResourceView::of(document);
        let position = document.position(ticket);
        let holders: Vec<&Arc<Lock>> = document.locks().filter(|lock| !lock.is_over(now)).collect();
        let ahead = document.tickets().take(position.saturating_sub(1).min(AHEAD_SHOWN)).enumerate();
        let can_do = vec![
            format!("wait: GET /api/v1/tickets/{}?wait=25s", document.entry_id(ticket.seq)),
            "ask the holder to finish and release".into(),
            format!("leave the queue: DELETE /api/v1/tickets/{}", document.entry_id(ticket.seq)),
            "if the holder is gone for good, have an operator force the release of its lock".into(),
        ];
        Self {
            resource: of,
            key: Key(of.resource),
            ticket: Some(of.ticket(ticket, views::Place::Queued(position))),
            lock: None,
            text: in_words(document, ticket, position, &holders, now),
            holders: holders.into_iter().take(HOLDERS_SHOWN).map(|lock| of.lock(lock, now)).collect(),
            ahead: ahead.map(|(place, ticket)| of.ticket(ticket, views::Place::Queued(place + 1))).collect(),
            ahead_total: position - 1,
            cycle: None,
            can_do,
        }
    }

    fn of_lock(of: ResourceView<'a>, lock: &'a Lock, now: Timestamp) -> Self {
        let owner = &lock.intent.owner.id;
        let key = of.resource.key();
        let id = EntryId { resource: of.id, seq: lock.seq };
        let (text, can_do) = if lock.is_reserved() {
            (
                format!("{owner} waits no longer: {key} is reserved for it{}.", until(lock)),
                vec![format!("claim it: GET /api/v1/tickets/{id}")],
            )
        } else {
            let since = views::whole_millis(now.since(lock.acquired_at));
            (
                format!("{owner} holds {key} since {} ({since}){}.", Instant(lock.acquired_at), until(lock)),
                vec![format!("release it: DELETE /api/v1/locks/{id}?fencing_token=…")],
            )
        };
        Self {
            resource: of,
            key: Key(of.resource),
            ticket: None,
            lock: Some(of.lock(lock, now)),
            holders: Vec::new(),
            ahead: Vec::new(),
            ahead_total: 0,
            cycle: None,
            can_do,
            text,
        }
    }
}

fn until(lock: &Lock) -> String {
    lock.expires_at.map_or(", without an end of its own".into(), |at| format!(", until {}", Instant(at)))
}

fn in_words(
    document: &Document,
    ticket: &Ticket,
    position: usize,
    holders: &[&Arc<Lock>],
    now: Timestamp,
) -> String {
    let mut text = format!("{} waits for {}", ticket.intent.owner.id, document.resource().key());
    // Writing to a string does not fail.
    let _ = match position {
        1 => write!(text, " and is next."),
        _ => {
            let ahead = document.tickets().take(AHEAD_IN_WORDS.min(position - 1));
            let names: Vec<&str> = ahead.map(|ticket| &*ticket.intent.owner.id).collect();
            let more = position - 1 - names.len();
            let and_more = if more > 0 { format!(" and {more} more") } else { String::new() };
            write!(text, "; ahead of it: {}{and_more}.", names.join(", "))
        }
    };
    for lock in holders.iter().take(HOLDERS_IN_WORDS) {
        let verb = if lock.is_reserved() { "has it reserved" } else { "holds it" };
        let owner = &lock.intent.owner.id;
        let person = lock.intent.owner.user.as_deref().map_or(String::new(), |user| format!(" ({user})"));
        let since = views::whole_millis(now.since(lock.acquired_at));
        let _ = write!(
            text,
            " {owner}{person} {verb} since {} ({since}){}.",
            Instant(lock.acquired_at),
            until(lock)
        );
    }
    let more = holders.len().saturating_sub(HOLDERS_IN_WORDS);
    if more > 0 {
        let _ = write!(text, " So do {more} more.");
    }
    if holders.is_empty() {
        text.push_str(" Nobody holds it now: it rests after a lock that its owner did not release, or is about to be granted.");
    }
    let _ = write!(text, " The ticket gives up at {}.", Instant(ticket.deadline));
    text
}

#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    explanation: Explanation<'a>,
    as_of: Instant,
}

/// `GET /api/v1/tickets/{id}/why`.
pub(super) async fn ticket(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    let id = entry_id(&req)?;
    no_query(&req)?;
    let now = door.locks.now();
    if let Some(document) = door.locks.view().get(id.resource)
        && let Some(ticket) = document.ticket(id.seq)
    {
        let as_of = Instant(door.locks.as_of(now));
        return ok(&Told { explanation: Explanation::of_ticket(&document, ticket, now), as_of });
    }
    let answer = match door.locks.sight(id).await.map_err(failed)? {
        Sight::Confirmed(answer) => answer,
        Sight::Unconfirmed(seen) => {
            let of = ResourceView { id: id.resource, resource: &seen.resource };
            let Reply::Lock(lock) = &seen.reply else {
                return Err(Problem::internal("an answer of another kind than was asked for"));
            };
            let explanation = Explanation::of_lock(of, lock, seen.now);
            return ok(&Told { explanation, as_of: Instant(seen.as_of) });
        }
    };
    let of = answer.resource.as_deref().map(|resource| ResourceView { id: id.resource, resource });
    match (&answer.outcome, of) {
        (Ok(Reply::Lock(lock)), Some(of)) => ok(&Told {
            explanation: Explanation::of_lock(of, lock, answer.decided_at),
            as_of: Instant(answer.decided_at),
        }),
        (Ok(_), _) => Err(Problem::internal("an answer of another kind than was asked for")),
        (Err(refusal), of) => Err(answers::refusal(refusal, of, answer.decided_at)),
    }
}

#[derive(Serialize)]
struct PullExplanation<'a> {
    namespace: &'a str,
    pull: u64,
    tickets: Vec<Explanation<'a>>,
    locks: Vec<LockView<'a>>,
    cycle: Option<()>,
    text: String,
    as_of: Instant,
}

/// `GET /api/v1/why`: everything a pull request waits for and holds.
pub(super) async fn pull(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    let mut query = Query::read(req.query_string(), &["namespace", "pull", "host"]);
    let num = query.required_number("pull", 1..=fields::INTEGER_MAX);
    let host = query.get("host").map(str::to_owned);
    if host.as_ref().is_some_and(|host| host.len() > NAME_MAX_BYTES) {
        query.complain("host", format!("has more than {NAME_MAX_BYTES} bytes"));
    }
    let namespace = query.required_namespace().into_owned();
    query.finish()?;
    let which = Which::of_namespace(host.as_deref(), &namespace);
    let locks = door.locks.clone();
    let body = beside(locks.view().len(), move || {
        let mut documents = locks.view().documents(which.partition());
        documents.retain(|document| which.takes(document));
        let now = locks.now();
        let told = explain(&documents, &namespace, num, now, locks.as_of(now))?;
        // What is not in the view may be in the store.
        told.map_or_else(
            |nothing| Err(locks.confirms(which.partition()).map_or_else(failed, |()| nothing)),
            Ok,
        )
    })
    .await??;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, JSON)).body(body))
}

fn explain(
    documents: &[Arc<Document>],
    namespace: &str,
    num: u64,
    now: Timestamp,
    as_of: Timestamp,
) -> Result<Result<Vec<u8>, Problem>, Problem> {
    let (mut tickets, mut locks) = (Vec::new(), Vec::new());
    for document in documents {
        let of = ResourceView::of(document);
        let mine = |pull: &Option<Box<lockkeeper_core::Pull>>| fields::is_pull(pull.as_deref(), num);
        let held = document.locks().filter(|lock| !lock.is_over(now) && mine(&lock.intent.owner.pull));
        locks.extend(held.map(|lock| of.lock(lock, now)));
        let waiting = document.tickets().filter(|ticket| mine(&ticket.intent.owner.pull));
        tickets.extend(
            waiting
                .take(ENTRIES_MAX.saturating_sub(tickets.len()))
                .map(|ticket| Explanation::of_ticket(document, ticket, now)),
        );
    }
    if tickets.is_empty() && locks.is_empty() {
        let detail = format!("pull request {num} of {namespace} holds nothing and waits for nothing");
        return Ok(Err(Problem::new(&problem::NOT_FOUND, detail)));
    }
    let mut text =
        format!("Pull request {num} of {namespace} holds {} and waits for {}.", locks.len(), tickets.len());
    for explanation in &tickets {
        text.push(' ');
        text.push_str(&explanation.text);
    }
    locks.truncate(ENTRIES_MAX);
    let whole =
        PullExplanation { namespace, pull: num, tickets, locks, cycle: None, text, as_of: Instant(as_of) };
    serde_json::to_vec(&whole)
        .map(Ok)
        .map_err(|error| Problem::internal(format!("an explanation cannot be written: {error}")))
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{TestDoor, code, fields_of};
    use serde_json::json;

    #[actix_web::test]
    async fn it_says_who_holds_and_who_is_ahead() {
        let door = TestDoor::start().await;
        let mut ask = door.ask("net", "acme/infra#1");
        ask["owner"]["user"] = json!("alice");
        let (_, lock) = door.post("/api/v1/locks", &ask).await;
        let second = door.ticket("net", "acme/infra#2").await;
        let mut ask = door.ask("net", "acme/infra#3");
        ask["queue"] = json!(true);
        ask["owner"]["pull"] = json!({"num": 3});
        let (_, third) = door.post("/api/v1/locks", &ask).await;

        let (status, why) =
            door.get(&format!("/api/v1/tickets/{}/why", third["ticket"]["id"].as_str().unwrap())).await;
        assert_eq!(
            (status, &why["holders"][0]["id"], &why["cycle"]),
            (200, &lock["lock"]["id"], &json!(null))
        );
        assert_eq!((&why["ahead"][0]["id"], &why["ahead_total"]), (&second["id"], &json!(1)));
        let text = why["text"].as_str().unwrap();
        let words = "acme/infra#3 waits for acme/infra/net/default/; ahead of it: acme/infra#2. acme/infra#1 (alice) holds it since ";
        assert!(text.starts_with(words), "{text}");

        let (status, pull) = door.get("/api/v1/why?namespace=acme/infra&pull=3").await;
        assert_eq!((status, &pull["tickets"][0]["ticket"]["id"]), (200, &third["ticket"]["id"]));
        let path = format!("/api/v1/tickets/{}/why", lock["lock"]["id"].as_str().unwrap());
        let (status, holder) = door.get(&path).await;
        assert_eq!(
            (status, &holder["lock"]["id"], &holder["ticket"]),
            (200, &lock["lock"]["id"], &json!(null))
        );
        assert!(
            holder["text"].as_str().unwrap().starts_with("acme/infra#1 holds acme/infra/net/default/ since ")
        );
    }

    #[actix_web::test]
    async fn what_is_not_there_and_what_is_wrong_is_said() {
        let door = TestDoor::start().await;
        for path in ["/api/v1/tickets/01ARZ3NDEKTSV4RRFFQ69G5FAV/why", "/api/v1/why?namespace=a&pull=1"] {
            let (status, answer) = door.get(path).await;
            assert_eq!((status, code(&answer)), (404, "not_found"), "{path}");
        }
        for (path, fields) in [
            ("/api/v1/tickets/x/why", &["id"][..]),
            ("/api/v1/tickets/01ARZ3NDEKTSV4RRFFQ69G5FAV/why?deep=1", &["deep"]),
            ("/api/v1/why", &["pull", "namespace"]),
            ("/api/v1/why?namespace=&pull=0", &["pull", "namespace"]),
            ("/api/v1/why?namespace=a&pull=1&owner=x", &["owner"]),
        ] {
            let (status, answer) = door.get(path).await;
            assert_eq!(
                (status, fields_of(&answer)),
                (400, fields.iter().map(|f| (*f).to_owned()).collect()),
                "{path}"
            );
        }
    }
}
