//! Request ids: a repetition is told what became of the request, and makes nothing.

use super::kit::{INSTANT, MINUTE, Room, SECOND, ask, gone_because};
use crate::rules::{REQUESTS_PER_ENTRY_MAX, RETENTION};
use crate::{EndReason, Refusal, Reply, RequestKey, Standing};

#[test]
fn idempotence_a_repeated_acquire_finds_its_lock() {
    let mut room = Room::new();
    let first = room.lock(&ask("a").request(1).anew());
    room.pass(SECOND);
    let again = room.lock(&ask("a").request(1).anew());
    assert_eq!((again.seq, again.token), (first.seq, first.token));
    assert_eq!(again.expires_at, first.expires_at, "the lease does not start anew");
    assert_eq!(room.owners(), ["a"]);
}

#[test]
fn idempotence_a_repeated_acquire_finds_its_ticket_and_later_its_lock() {
    let mut room = Room::new();
    let held = room.lock(&ask("a"));
    let ticket = room.queue(&ask("b").request(1).anew());
    assert_eq!(room.queue(&ask("b").request(1).anew()).seq, ticket.seq);
    assert_eq!(room.queued(), ["b"]);
    room.hand_on(&held);
    let lock = room.lock(&ask("b").request(1).anew());
    assert_eq!(lock.seq, ticket.seq);
    assert!(!lock.is_reserved(), "a repeated acquire claims");
}

#[test]
fn idempotence_a_repeated_acquire_is_told_of_the_end_and_gets_no_second_lock() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a").request(1));
    room.release(&lock).unwrap();
    let again = room.ask(&ask("a").request(1));
    assert_eq!(gone_because(&again), Some(EndReason::Released));
    assert!(!room.document.is_live());
}

#[test]
fn idempotence_another_body_is_refused_even_after_the_end() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a").request_with(1, 10));
    assert_eq!(room.ask(&ask("a").request_with(1, 11)), Err(Refusal::RequestIdReused));
    room.release(&lock).unwrap();
    assert_eq!(room.ask(&ask("a").request_with(1, 11)), Err(Refusal::RequestIdReused));
}

#[test]
fn idempotence_a_request_that_re_entered_leads_to_the_same_lock() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a").request(1));
    room.lock(&ask("a").request(2));
    room.release(&lock).unwrap();
    for id in [1, 2] {
        assert_eq!(gone_because(&room.ask(&ask("a").request(id))), Some(EndReason::Released), "{id}");
    }
    // A third one is a new request.
    assert_ne!(room.lock(&ask("a").request(3)).seq, lock.seq);
}

#[test]
fn an_entry_remembers_the_latest_requests() {
    let mut room = Room::new();
    for id in 0..=REQUESTS_PER_ENTRY_MAX as u64 {
        room.lock(&ask("a").request(id));
    }
    assert_eq!(room.document.request(RequestKey(0, 0)), None, "the oldest is forgotten");
    let seq = room.document.locks().next().unwrap().seq;
    for id in 1..=REQUESTS_PER_ENTRY_MAX as u64 {
        assert_eq!(room.document.request(RequestKey(id, id)), Some(seq), "{id}");
    }
}

#[test]
fn what_became_of_a_request_is_remembered_as_long_as_promised() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a").request(1));
    room.release(&lock).unwrap();
    room.pass_almost(RETENTION);
    room.settle();
    assert_eq!(gone_because(&room.ask(&ask("a").request(1))), Some(EndReason::Released));
    room.pass(INSTANT);
    room.settle();
    assert_eq!(room.poll(lock.seq), Err(Refusal::NotFound));
    assert!(room.lock(&ask("a").request(1)).seq > lock.seq, "forgotten: a new request");
}

#[test]
fn clearing_away_does_not_forget_a_request_that_lives() {
    let mut room = Room::new();
    let short = room.lock(&ask("a").request(1));
    room.release(&short).unwrap();
    let held = room.lock(&ask("b").request(2).hold());
    room.pass(RETENTION + MINUTE);
    room.settle();
    assert!(room.document.ended(short.seq).is_none());
    assert_eq!(room.lock(&ask("b").request(2)).seq, held.seq);
}

#[test]
fn a_retried_request_is_the_first_to_be_told_if_nobody_was() {
    let mut room = Room::new();
    let command = room.command(&ask("a").request(1));
    room.apply(command.clone()).unwrap();
    let again = room.again(&command);
    assert!(matches!(again, Ok(Reply::Standing(Standing::Acquired { news: true, .. }))), "{again:?}");
    // Another connection with the same request id is not the first.
    let other = room.ask(&ask("a").request(1));
    assert!(matches!(other, Ok(Reply::Standing(Standing::Acquired { news: false, .. }))), "{other:?}");
}
