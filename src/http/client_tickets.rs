//! How many tickets each client has waiting, as far as this instance made them.
//!
//! A ticket does not say which address asked for it, so that is noted here, beside the locking and
//! without a part in it. Whether a noted ticket still waits is looked up in the view, a few at each
//! request: there is no other bookkeeping that could go wrong. A request that is under way counts as
//! a ticket; one whose client went away counts until its owner has no ticket there any more.

use super::client::Client;
use super::problem::{Problem, QUEUE_FULL};
use lockkeeper_actors::view::View;
use lockkeeper_actors::{AcquireRequest, Answer};
use lockkeeper_core::{EntryId, Reply, ResourceId, Standing};
use lockkeeper_telemetry::metrics;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LIMIT: &str = "queue.max-tickets-per-client";
/// Tickets that are noted, of all clients.
const NOTED_MAX: usize = 1_000_000;
/// Notes of a client at its limit that are looked at before it is refused.
const LOOKS_AT_LIMIT: usize = 256;
/// Notes that are looked at with any request: more than one adds, so that none stay for ever.
const LOOKS: usize = 4;
/// How long after its client went away a request may still make its ticket.
const AFTERMATH: Duration = Duration::from_secs(10);

/// Something of a client that counts.
#[derive(Debug)]
enum Note {
    /// A request that may make a ticket, and has no answer yet. `until`: its client went away, and it
    /// counts until then in any case.
    Asked { resource: ResourceId, owner: Box<str>, until: Option<Instant> },
    /// A ticket.
    Ticket(EntryId),
}

impl Note {
    fn counts(&self, view: &View, now: Instant) -> bool {
        match self {
            Self::Ticket(id) => {
                view.get(id.resource).is_some_and(|document| document.ticket(id.seq).is_some())
            }
            Self::Asked { until: None, .. } => true,
            Self::Asked { resource, owner, until: Some(until) } => {
                now < *until
                    || view.get(*resource).is_some_and(|document| {
                        document.entries_of(owner).any(|seq| document.ticket(seq).is_some())
                    })
            }
        }
    }
}

/// One client's notes, in the order in which they were made.
#[derive(Default)]
struct Own {
    notes: BTreeMap<u64, Note>,
    /// Where the next look begins.
    next: u64,
}

impl Own {
    /// Looks at so many notes, and forgets those that count no more. How many were forgotten.
    fn look(&mut self, view: &View, now: Instant, looks: usize) -> usize {
        let before = self.notes.len();
        for _ in 0..looks.min(before) {
            let found = self.notes.range(self.next..).next().or_else(|| self.notes.iter().next());
            let Some((&number, note)) = found else { break };
            self.next = number + 1;
            if !note.counts(view, now) {
                self.notes.remove(&number);
            }
        }
        before - self.notes.len()
    }
}

#[derive(Default)]
struct Books {
    by: HashMap<Client, Own>,
    /// Each client that has an entry in `by`, in the order in which they are looked at.
    round: VecDeque<Client>,
    noted: usize,
    made: u64,
}

impl Books {
    /// Looks at the notes of whoever's turn it is.
    fn look_around(&mut self, view: &View, now: Instant) {
        let Some(client) = self.round.pop_front() else { return };
        let Some(own) = self.by.get_mut(&client) else { return };
        self.noted -= own.look(view, now, LOOKS);
        if own.notes.is_empty() {
            self.by.remove(&client);
        } else {
            self.round.push_back(client);
        }
    }
}

/// The notes of all clients.
#[derive(Default)]
pub(super) struct ClientTickets {
    books: Mutex<Books>,
}

impl ClientTickets {
    /// Notes that a client asks for what may become a ticket, unless it has `max` already. Without a
    /// limit nothing is noted.
    pub(super) fn ask(
        self: &Arc<Self>,
        client: Client,
        max: Option<NonZeroUsize>,
        view: &View,
        request: &AcquireRequest,
    ) -> Result<Option<Asked>, Problem> {
        let Some(max) = max else { return Ok(None) };
        let now = Instant::now();
        let mut books = self.books.lock();
        let books = &mut *books;
        books.look_around(view, now);
        let own = books.by.entry(client).or_insert_with(|| {
            books.round.push_back(client);
            Own::default()
        });
        let looks = if own.notes.len() >= max.get() { LOOKS_AT_LIMIT } else { LOOKS };
        books.noted -= own.look(view, now, looks);
        let refused = |detail: String| {
            metrics().limit_refused(LIMIT);
            Err(Problem::new(&QUEUE_FULL, detail).with("limit", &LIMIT).with("value", &max.get()))
        };
        if own.notes.len() >= max.get() {
            let has = own.notes.len();
            return refused(format!(
                "{has} tickets of this client wait already; at most {max} may ({LIMIT}); cancel those that are not needed"
            ));
        }
        if books.noted >= NOTED_MAX {
            return refused(format!(
                "so many tickets wait that those of a client cannot be counted ({LIMIT})"
            ));
        }
        books.made += 1;
        books.noted += 1;
        let (resource, owner) = (request.resource.id(), request.intent.owner.id.clone());
        own.notes.insert(books.made, Note::Asked { resource, owner, until: None });
        Ok(Some(Asked { tickets: Arc::clone(self), client, number: books.made, settled: false }))
    }

    fn change(&self, client: Client, number: u64, change: impl FnOnce(&mut Note) -> bool) {
        let mut books = self.books.lock();
        let Some(own) = books.by.get_mut(&client) else { return };
        if own.notes.get_mut(&number).is_some_and(|note| !change(note)) {
            own.notes.remove(&number);
            books.noted -= 1;
        }
    }
}

/// A request under way, noted for its client.
pub(super) struct Asked {
    tickets: Arc<ClientTickets>,
    client: Client,
    number: u64,
    settled: bool,
}

impl Asked {
    /// It was answered: what counts now is the ticket, if it got one.
    pub(super) fn settle(mut self, answer: &Answer) {
        self.settled = true;
        self.tickets.change(self.client, self.number, |note| match (&*note, &answer.outcome) {
            (Note::Asked { resource, .. }, Ok(Reply::Standing(Standing::Queued { ticket, .. }))) => {
                *note = Note::Ticket(EntryId { resource: *resource, seq: ticket.seq });
                true
            }
            _ => false,
        });
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.settled {
            self.tickets.change(self.client, self.number, |note| {
                if let Note::Asked { until, .. } = note {
                    *until = Some(Instant::now() + AFTERMATH);
                }
                true
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::TestDoor;
    use actix_web::http::header::HeaderMap;
    use lockkeeper_actors::fresh_nonce;
    use lockkeeper_core::{Intent, Mode, Owner, Priority, Resource, ResourceInput, Span};

    fn client(number: u8) -> Client {
        Client::read(Some([10, 0, 0, number].into()), &HeaderMap::new(), &[])
    }

    fn request(path: &str, owner: &str) -> AcquireRequest {
        let input = ResourceInput { namespace: Some("acme/infra"), path: Some(path), ..Default::default() };
        AcquireRequest {
            resource: Arc::new(Resource::parse(&input, "").unwrap()),
            intent: Intent {
                owner: Owner { id: owner.into(), user: None, pull: None },
                created_by: "anonymous".into(),
                mode: Mode::Exclusive,
                priority: Priority::Normal,
                ttl: Span::from_secs(60),
                protected: false,
                attended: false,
                metadata: None,
                nonce: fresh_nonce(),
                requests: Arc::default(),
            },
            reentrant: true,
            queue: true,
            queue_timeout: Span::from_secs(60),
            wait: Duration::ZERO,
        }
    }

    #[actix_web::test]
    async fn tickets_count_while_they_wait() {
        let door = TestDoor::start().await;
        let tickets = Arc::new(ClientTickets::default());
        let max = NonZeroUsize::new(2);
        let ask =
            |number, request: &AcquireRequest| tickets.ask(client(number), max, door.locks().view(), request);
        door.lock("net", "holder").await;
        let mut made = Vec::new();
        for owner in ["one", "two"] {
            let request = request("net", owner);
            let asked = ask(1, &request).unwrap().unwrap();
            let answer = door.locks().acquire(request).await.unwrap();
            asked.settle(&answer);
            let Ok(Reply::Standing(Standing::Queued { ticket, .. })) = &answer.outcome else { panic!() };
            made.push(ticket.seq);
        }
        let refused = ask(1, &request("net", "three")).err().unwrap();
        assert_eq!(refused.code().word, "queue_full");
        assert!(refused.detail().contains("queue.max-tickets-per-client"), "{}", refused.detail());
        // Another client has its own.
        drop(ask(2, &request("net", "three")).unwrap());
        let cancelled = EntryId { resource: request("net", "").resource.id(), seq: made[0] };
        door.locks().cancel(cancelled, fresh_nonce()).await.unwrap();
        let asked = ask(1, &request("other", "one")).unwrap().unwrap();
        // What is granted at once leaves nothing behind.
        let answer = door.locks().acquire(request("other", "one")).await.unwrap();
        asked.settle(&answer);
        assert!(ask(1, &request("net", "three")).is_ok());
    }

    #[actix_web::test]
    async fn whoever_went_away_counts_while_its_ticket_is_there() {
        let door = TestDoor::start().await;
        let tickets = Arc::new(ClientTickets::default());
        let max = NonZeroUsize::new(1);
        let view = door.locks().view();
        door.lock("net", "holder").await;
        let request = request("net", "one");
        // Its client goes away before it is answered.
        drop(tickets.ask(client(1), max, view, &request).unwrap().unwrap());
        assert!(tickets.ask(client(1), max, view, &request).is_err());
        let forget = || {
            for own in tickets.books.lock().by.values_mut() {
                for note in own.notes.values_mut() {
                    if let Note::Asked { until, .. } = note {
                        *until = Some(Instant::now());
                    }
                }
            }
        };
        let answer = door.locks().acquire(request.clone()).await.unwrap();
        forget();
        assert!(tickets.ask(client(1), max, view, &request).is_err());
        let Ok(Reply::Standing(Standing::Queued { ticket, .. })) = &answer.outcome else { panic!() };
        let id = EntryId { resource: request.resource.id(), seq: ticket.seq };
        door.locks().cancel(id, fresh_nonce()).await.unwrap();
        drop(tickets.ask(client(1), max, view, &request).unwrap());
        forget();
        // Others' requests clear away what counts no more, clients included.
        for number in 2..200 {
            drop(tickets.ask(client(number), max, view, &request).unwrap());
            forget();
        }
        let books = tickets.books.lock();
        assert!(books.by.len() <= 3 && books.round.len() == books.by.len(), "{}", books.by.len());
        assert_eq!(books.noted, books.by.values().map(|own| own.notes.len()).sum::<usize>());
    }
}
