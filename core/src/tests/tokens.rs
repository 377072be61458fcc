//! Fencing tokens: a later grant has a greater one, over the whole life of a resource.

use super::kit::{INSTANT, Room, SECOND, START, ask, resource};
use crate::rules::{EMPTY_STAYS, RETENTION, TOKEN_LIMIT};
use crate::{Document, Span, Timestamp};

#[test]
fn tokens_every_grant_has_a_greater_one() {
    let mut room = Room::new();
    let mut last = 0;
    for _ in 0..50 {
        let lock = room.lock(&ask("a"));
        assert!(lock.token > last);
        last = lock.token;
        room.queue(&ask("b"));
        let next = room.hand_on(&lock).unwrap();
        assert!(next.token > last);
        last = next.token;
        room.release(&next).unwrap();
    }
}

#[test]
fn tokens_start_at_the_time_of_creation_and_stay_below_what_json_can_carry() {
    let mut room = Room::new();
    assert_eq!(room.lock(&ask("a")).token, START.as_micros());
    assert!(START.as_micros() < TOKEN_LIMIT);
}

#[test]
fn tokens_start_at_the_partition_floor_where_that_is_greater() {
    let mut room = Room::new();
    let floor = START.as_micros() + 1_000_000;
    room.shelf.floor = floor;
    room.document = Document::new(resource(), floor);
    assert_eq!(room.lock(&ask("a")).token, floor);
}

/// Ends a lock, lets the document be cleaned away, and returns the token it had.
fn live_and_be_deleted(room: &mut Room) -> u64 {
    let lock = room.lock(&ask("a"));
    room.release(&lock).unwrap();
    room.pass(EMPTY_STAYS);
    room.settle();
    assert!(room.shelf.load().is_none(), "it is deleted");
    lock.token
}

#[test]
fn tokens_grow_across_deletion_even_if_the_clock_is_set_back() {
    let mut room = Room::new();
    let token = live_and_be_deleted(&mut room);
    assert_eq!(room.shelf.floor, token + 1);
    room.now = START - Span::from_secs(3600);
    room.document = Document::new(resource(), room.shelf.floor);
    assert!(room.lock(&ask("a")).token > token);
}

#[test]
fn the_copy_that_was_deleted_goes_on_where_a_new_one_would() {
    let mut room = Room::new();
    let token = live_and_be_deleted(&mut room);
    let old = room.lock(&ask("b"));
    assert!(old.token > token);
    assert!(old.seq.millis() >= room.now.as_millis());
}

#[test]
fn a_document_is_deleted_when_its_time_has_come_and_not_before() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a"));
    assert_eq!(room.document.delete_at(), None, "it is live");
    room.release(&lock).unwrap();
    let at = room.document.delete_at().unwrap();
    assert_eq!(at, room.now + EMPTY_STAYS);
    room.now = Timestamp::from_micros(at.as_micros() - 1);
    room.settle();
    assert!(room.shelf.load().is_some());
    // Cleaning up on the way does not put it off.
    assert_eq!(room.document.delete_at(), Some(at));
    room.now = at;
    room.settle();
    assert!(room.shelf.load().is_none());
}

/// Found by the model: a batch in which the clean-up comes first, and then somebody acquires.
#[test]
fn durability_a_lock_granted_in_the_batch_of_the_clean_up_is_kept() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a"));
    room.release(&lock).unwrap();
    room.pass(EMPTY_STAYS);
    let ctx = crate::Context {
        now: room.now,
        opened_at: room.opened_at,
        retried: false,
        granting: true,
        rules: &room.rules,
        presence: &crate::Nobody,
    };
    room.document.apply(&crate::Command::Settle, &ctx).unwrap();
    room.document.apply(&ask("b").command(99), &ctx).unwrap();
    room.commit();
    assert_eq!(room.owners(), ["b"]);
    assert_eq!(room.shelf.load().unwrap().locks().count(), 1);
}

#[test]
fn versions_never_come_back() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a"));
    room.release(&lock).unwrap();
    let last = room.shelf.version.unwrap();
    room.pass(EMPTY_STAYS);
    room.settle();
    room.pass(SECOND);
    room.lock(&ask("b"));
    assert!(room.shelf.version.unwrap() > last);
    assert!(RETENTION < EMPTY_STAYS, "whoever may ask is answered before the document goes");
}

#[test]
fn nothing_is_deleted_soon_after_an_opening() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a"));
    room.release(&lock).unwrap();
    room.pass(EMPTY_STAYS);
    // Whoever knows more of it must have the time to come back.
    room.opened_at = room.now;
    room.apply(crate::Command::Settle).unwrap();
    assert!(room.shelf.version.is_some());
    room.pass_almost(EMPTY_STAYS);
    room.apply(crate::Command::Settle).unwrap();
    assert!(room.shelf.version.is_some());
    room.pass(INSTANT);
    room.apply(crate::Command::Settle).unwrap();
    assert!(room.shelf.version.is_none());
}
