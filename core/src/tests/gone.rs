//! Clients that went away before they were answered: nothing is left to nobody, and nobody who was
//! told of a lock loses it.

use super::kit::{MINUTE, Room, SECOND, ask};
use crate::EndReason;

#[test]
fn without_a_request_id_a_lock_that_nobody_was_told_of_is_undone() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a").hold());
    let ticket = room.queue(&ask("b"));
    room.untold(&lock, lock.intent.nonce);
    assert_eq!(room.reason(lock.seq), Some(EndReason::Abandoned));
    assert!(room.document.lock(ticket.seq).is_some(), "the next one has it");
}

#[test]
fn without_a_request_id_a_ticket_is_cancelled_at_once() {
    let mut room = Room::new();
    room.lock(&ask("a"));
    let ticket = room.queue(&ask("b"));
    room.gone(ticket.seq, ticket.intent.nonce);
    assert_eq!(room.reason(ticket.seq), Some(EndReason::Cancelled));
}

#[test]
fn with_a_request_id_the_ticket_stays_and_the_lock_must_be_claimed() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a").hold().request(1));
    let ticket = room.queue(&ask("b").request(2));
    room.gone(ticket.seq, ticket.intent.nonce);
    assert_eq!(room.queued(), ["b"]);
    room.untold(&lock, lock.intent.nonce);
    let reserved = room.document.lock(lock.seq).unwrap();
    assert!(reserved.is_reserved());
    assert_eq!(reserved.expires_at, Some(room.now + MINUTE), "not a hold of nobody's");
    assert_eq!(room.lock(&ask("a").hold().request(1)).expires_at, None);
}

#[test]
fn a_client_that_came_by_the_ticket_undoes_nothing_when_it_goes() {
    let mut room = Room::new();
    let first = room.lock(&ask("a"));
    let ticket = room.queue(&ask("b"));
    room.gone(ticket.seq, 4711);
    assert_eq!(room.queued(), ["b"]);
    room.hand_on(&first);
    room.poll(ticket.seq).unwrap();
    let claimed = room.document.lock(ticket.seq).cloned().unwrap();
    room.untold(&claimed, 4711);
    assert!(room.document.lock(ticket.seq).unwrap().is_reserved(), "it can be fetched again");
}

#[test]
fn a_lock_that_was_told_of_is_left_alone() {
    // Each of these was answered to somebody; only then comes the news that another was not.
    for told in ["renewed", "polled", "re-entered"] {
        for request in [false, true] {
            let mut room = Room::new();
            let wish = if request { ask("a").request(1) } else { ask("a") };
            let lock = room.lock(&wish.ttl(MINUTE));
            room.pass(SECOND);
            match told {
                "renewed" => drop(room.renew(&lock, None)),
                "polled" => drop(room.poll(lock.seq)),
                _ => drop(room.lock(&ask("a").ttl(MINUTE))),
            }
            let known = room.document.lock(lock.seq).cloned();
            room.untold(&lock, lock.intent.nonce);
            assert_eq!(room.document.lock(lock.seq).cloned(), known, "{told} {request}");
        }
    }
}

/// Found by simulation: an instance notices late that a client stopped waiting; meanwhile the same
/// client has claimed the lock through another instance.
#[test]
fn a_lock_that_another_connection_claimed_is_left_alone() {
    for request in [false, true] {
        let mut room = Room::new();
        let first = room.lock(&ask("a"));
        let wish = if request { ask("b").request(1) } else { ask("b") };
        let ticket = room.queue(&wish);
        room.hand_on(&first);
        room.pass(SECOND);
        room.lock(&ask("b"));
        let known = room.document.lock(ticket.seq).cloned();
        assert!(known.as_ref().is_some_and(|lock| !lock.is_reserved() && lock.touch == 0));
        room.gone(ticket.seq, ticket.intent.nonce);
        assert_eq!(room.document.lock(ticket.seq).cloned(), known);
        // Nor does the report of an older lease concern it.
        room.untold(&first, ticket.intent.nonce);
        assert_eq!(room.document.lock(ticket.seq).cloned(), known);
    }
}

#[test]
fn what_has_ended_or_never_was_is_left_alone() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a"));
    room.release(&lock).unwrap();
    let version = room.shelf.version;
    room.gone(lock.seq, lock.intent.nonce);
    room.gone(crate::Seq(1), 1);
    assert_eq!(room.shelf.version, version);
    assert_eq!(room.reason(lock.seq), Some(EndReason::Released));
}
