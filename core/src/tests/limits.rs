//! The sizes that are promised: 100,000 tickets in one queue, and not one more than allowed.

use super::kit::{Room, START, ask};
use crate::{Command, Context, Nobody, Priority, Refusal, Reply, Rules, Standing, Ticket};
use std::sync::Arc;

const MANY: usize = 100_000;

/// A room with one lock and [`MANY`] tickets, filled in one batch as an actor would.
fn crowded() -> (Room, Vec<Arc<Ticket>>) {
    let mut room = Room::new();
    room.lock(&ask("holder").hold());
    let rules = Rules::default();
    let ctx = Context {
        now: START,
        opened_at: START,
        retried: false,
        granting: true,
        rules: &rules,
        presence: &Nobody,
    };
    let mut tickets = Vec::with_capacity(MANY);
    for number in 0..MANY {
        let priority = Priority::ALL[number % 4];
        let wish = ask(&format!("owner-{number}")).priority(priority).unattended().queue();
        match room.document.apply(&wish.command(1000 + number as u64), &ctx) {
            Ok(Reply::Standing(Standing::Queued { ticket, .. })) => tickets.push(ticket),
            other => panic!("{other:?}"),
        }
    }
    room.commit();
    (room, tickets)
}

#[test]
fn a_hundred_thousand_tickets_wait_in_one_queue() {
    let (mut room, tickets) = crowded();
    assert_eq!(room.document.waiting(), MANY);
    let refused = room.ask(&ask("one-too-many").queue());
    assert_eq!(refused, Err(Refusal::QueueFull { limit: MANY }));

    // From the middle of the classes: everyone behind moves up.
    let (ahead, middle, behind) = (&tickets[49_999], &tickets[50_003], &tickets[50_007]);
    let place = room.document.position(behind);
    assert_eq!(place, room.document.position(middle) + 1);
    let unmoved = room.document.position(ahead);
    room.cancel(middle.seq).unwrap();
    assert_eq!(room.document.position(behind), place - 1);
    assert_eq!(room.document.position(ahead), unmoved);
    assert_eq!(room.document.waiting(), MANY - 1);

    // The most urgent oldest one is next: number 3.
    let holder = room.document.locks().next().unwrap().clone();
    let next = room.hand_on(&holder).unwrap();
    assert_eq!(&*next.intent.owner.id, "owner-3");
    assert_eq!(room.shelf.load().unwrap().waiting(), MANY - 2);
}

/// A change touches what it changes, not the queue: this is what keeps a commit small.
#[test]
fn a_change_in_a_long_queue_writes_a_handful_of_fields() {
    let (mut room, tickets) = crowded();
    let nonce = room.nonce();
    let cancel = Command::Cancel(crate::command::Cancel { seq: tickets[777].seq, nonce });
    let ctx = Context {
        now: START,
        opened_at: START,
        retried: false,
        granting: true,
        rules: &room.rules,
        presence: &Nobody,
    };
    room.document.apply(&cancel, &ctx).unwrap();
    let (delta, _) = room.document.finish(0).unwrap();
    assert_eq!(delta.fields.len(), 2, "the ticket goes, what became of it comes");
}

#[test]
fn a_full_queue_refuses_newcomers_and_not_those_who_are_in_it() {
    let mut room = Room::with(Rules { queue_max: 2, ..Rules::default() });
    room.lock(&ask("a"));
    let ticket = room.queue(&ask("b").request(1));
    room.queue(&ask("c"));
    assert_eq!(room.ask(&ask("d").queue()), Err(Refusal::QueueFull { limit: 2 }));
    assert_eq!(room.queue(&ask("b").request(1)).seq, ticket.seq);
    assert_eq!(room.queue(&ask("b")).seq, ticket.seq);
}

#[test]
fn answers_name_a_bounded_number_of_holders() {
    let mut room = Room::new();
    for number in 0..150 {
        room.lock(&ask(&format!("s-{number}")).shared());
    }
    let Err(Refusal::Held { holders, .. }) = room.ask(&ask("e")) else { panic!() };
    assert_eq!(holders.len(), crate::rules::HOLDERS_SHOWN_MAX);
}
