//! Priorities, their bound, places in the queue and ways to leave it.

use super::kit::{INSTANT, MINUTE, Room, SECOND, ask, gone_because};
use crate::{EndReason, EventKind, Priority, Refusal, Reply, Span, Standing, Timestamp};

#[test]
fn the_most_urgent_goes_first_and_the_oldest_of_a_class() {
    let mut room = Room::new();
    let mut lock = room.lock(&ask("first"));
    for (owner, priority) in [
        ("low", Priority::Low),
        ("normal-1", Priority::Normal),
        ("high", Priority::High),
        ("normal-2", Priority::Normal),
        ("critical", Priority::Critical),
    ] {
        room.queue(&ask(owner).priority(priority));
        room.pass(SECOND);
    }
    let order = ["critical", "high", "normal-1", "normal-2", "low"];
    assert_eq!(room.queued(), order);
    for owner in order {
        lock = room.hand_on(&lock).unwrap();
        assert_eq!(&*lock.intent.owner.id, owner);
    }
}

/// Urgent ones come without end; the ticket is granted after `AGING_BOUND` of them at the latest.
fn grants_before(owner: &str, room: &mut Room) -> usize {
    let mut lock = room.lock(&ask("first").anew());
    room.queue(&ask(owner).priority(Priority::Low).unattended());
    for passed in 0..100 {
        room.queue(&ask("urgent").priority(Priority::Critical).anew());
        lock = room.hand_on(&lock).unwrap();
        if &*lock.intent.owner.id == owner {
            return passed;
        }
    }
    panic!("never granted");
}

#[test]
fn no_starvation_after_sixteen_overtakes_the_oldest_goes_next() {
    assert_eq!(grants_before("patient", &mut Room::new()), 16);
}

#[test]
fn no_starvation_newcomers_that_are_granted_at_once_are_counted_too() {
    let mut room = Room::new();
    let mut held = vec![room.lock(&ask("s").shared().anew())];
    room.queue(&ask("exclusive").priority(Priority::Low));
    // Shared ones of a higher class join past it, until it is due.
    for _ in 0..16 {
        held.push(room.lock(&ask("s").shared().anew().priority(Priority::High)));
    }
    let refused = room.ask(&ask("s").shared().anew().priority(Priority::High));
    assert!(matches!(refused, Err(Refusal::Held { waiting: 1, .. })), "{refused:?}");
    for lock in held {
        room.release(&lock).unwrap();
    }
    assert_eq!(room.owners(), ["exclusive"]);
}

/// Found by the model: the sixteenth overtake makes a ticket due that fits, while the one before it
/// did not. It must not wait for the next command.
#[test]
fn no_starvation_an_overtake_may_itself_make_room() {
    let mut room = Room::new();
    // In the end: s holds, `blocked` is next and does not fit, `due` is older and would.
    let first = room.lock(&ask("e").anew());
    room.queue(&ask("due").shared());
    room.queue(&ask("s").shared().anew().priority(Priority::Critical));
    room.queue(&ask("blocked").priority(Priority::High));
    room.release(&first).unwrap();
    assert_eq!(room.owners(), ["s"]);
    for overtakes in 2..=16 {
        room.lock(&ask("s").shared().anew().priority(Priority::Critical));
        let granted = room.owners().contains(&"due".to_owned());
        assert_eq!(granted, overtakes == 16, "after {overtakes}");
    }
}

#[test]
fn no_starvation_of_several_due_tickets_the_oldest_goes_first() {
    let mut room = Room::new();
    let mut lock = room.lock(&ask("first").anew());
    room.queue(&ask("older").priority(Priority::Low).unattended());
    room.queue(&ask("younger").priority(Priority::Normal).unattended());
    let mut order = Vec::new();
    for _ in 0..20 {
        room.queue(&ask("urgent").priority(Priority::Critical).anew());
        lock = room.hand_on(&lock).unwrap();
        order.push(lock.intent.owner.id.to_string());
    }
    assert_eq!(order.iter().position(|owner| owner == "older"), Some(16));
    assert_eq!(order.iter().position(|owner| owner == "younger"), Some(17));
}

#[test]
fn a_new_oldest_ticket_starts_counting_anew() {
    let mut room = Room::new();
    let mut lock = room.lock(&ask("first").anew());
    let first = room.queue(&ask("gives-up").priority(Priority::Low).unattended());
    room.queue(&ask("patient").priority(Priority::Low).unattended());
    for round in 0..30 {
        if round == 10 {
            room.cancel(first.seq).unwrap();
        }
        room.queue(&ask("urgent").priority(Priority::Critical).anew());
        lock = room.hand_on(&lock).unwrap();
        if &*lock.intent.owner.id == "patient" {
            assert_eq!(round, 26, "ten passed the other, sixteen passed this one");
            return;
        }
    }
    panic!("never granted");
}

#[test]
fn positions_count_those_who_go_before() {
    let mut room = Room::new();
    room.lock(&ask("held"));
    let low = room.queue(&ask("low").priority(Priority::Low));
    let high = room.queue(&ask("high").priority(Priority::High));
    let normal = room.queue(&ask("normal"));
    let places = [&high, &normal, &low].map(|ticket| room.document.position(ticket));
    assert_eq!(places, [1, 2, 3]);
    room.cancel(high.seq).unwrap();
    assert_eq!([&normal, &low].map(|ticket| room.document.position(ticket)), [1, 2]);
}

#[test]
fn a_cancelled_ticket_says_so() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a"));
    let ticket = room.queue(&ask("b"));
    assert_eq!(room.cancel(lock.seq), Err(Refusal::AlreadyGranted(lock)));
    assert_eq!(room.cancel(ticket.seq), Ok(Reply::Done));
    assert_eq!(room.effects.events[0].kind, EventKind::TicketCancelled);
    assert_eq!(gone_because(&room.poll(ticket.seq)), Some(EndReason::Cancelled));
    assert_eq!(gone_because(&room.cancel(ticket.seq)), Some(EndReason::Cancelled), "another command");
}

#[test]
fn a_ticket_gives_up_at_its_deadline_and_not_before() {
    let mut room = Room::new();
    room.lock(&ask("a"));
    let ticket = room.queue(&ask("b").unattended().timeout(MINUTE));
    room.pass_almost(MINUTE);
    room.settle();
    assert_eq!(room.queued(), ["b"]);
    room.pass(INSTANT);
    room.settle();
    assert_eq!(room.reason(ticket.seq), Some(EndReason::QueueTimeout));
    assert_eq!(room.effects.events[0].kind, EventKind::TicketTimedOut);
}

#[test]
fn an_attended_ticket_is_abandoned_when_nobody_asks_for_it() {
    let mut room = Room::new();
    room.lock(&ask("a").hold());
    let silent = room.queue(&ask("b").wait(SECOND));
    let asking = room.queue(&ask("c"));
    let unattended = room.queue(&ask("d").unattended());
    for _ in 0..3 {
        room.pass(Span::from_secs(31));
        room.poll(asking.seq).unwrap();
    }
    assert_eq!(room.reason(silent.seq), Some(EndReason::Abandoned));
    assert!(room.document.ticket(asking.seq).is_some());
    assert!(room.document.ticket(unattended.seq).is_some());
}

#[test]
fn a_poll_is_written_only_when_half_the_patience_is_used_up() {
    let mut room = Room::new();
    room.lock(&ask("a"));
    let ticket = room.queue(&ask("b"));
    let version = room.shelf.version;
    room.pass(Span::from_secs(30));
    room.poll(ticket.seq).unwrap();
    assert_eq!(room.shelf.version, version);
    room.pass(SECOND);
    room.poll(ticket.seq).unwrap();
    assert!(room.shelf.version > version);
    assert_eq!(room.document.ticket(ticket.seq).unwrap().seen_until, room.now + MINUTE);
}

#[test]
fn an_outage_empties_no_queue() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a").ttl(SECOND));
    room.queue(&ask("b"));
    let reserved = room.hand_on(&lock).unwrap();
    let ticket = room.queue(&ask("c"));
    // The service was away for five minutes, so nobody could ask.
    room.pass(Span::from_secs(300));
    room.opened_at = room.now;
    room.settle();
    assert!(room.document.lock(reserved.seq).is_some(), "the grant can be fetched yet");
    assert!(room.document.ticket(ticket.seq).is_some());
    assert_eq!(room.document.next_deadline(), Some(room.now + room.rules.abandon_after));
    room.pass(room.rules.abandon_after);
    room.settle();
    assert_eq!(room.reason(reserved.seq), Some(EndReason::Unclaimed));
    assert_eq!(room.reason(ticket.seq), Some(EndReason::Abandoned));
}

#[test]
fn time_of_a_document_never_runs_backwards() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a").ttl(MINUTE));
    room.now = Timestamp::from_micros(room.now.as_micros() - 3_600_000_000);
    let ticket = room.queue(&ask("b"));
    assert_eq!(ticket.enqueued_at, lock.acquired_at);
    assert!(ticket.seq > lock.seq);
    let next = room.hand_on(&lock).unwrap();
    assert!(next.token > lock.token);
    assert!(matches!(
        room.poll(next.seq),
        Ok(Reply::Standing(Standing::Acquired { lock, .. })) if lock.renewed_at >= ticket.enqueued_at
    ));
}
