//! Acquire: free, held, already one's own.

use super::kit::{MINUTE, Room, SECOND, ask, resource};
use crate::command::{Acquire, Standing};
use crate::{Command, EventKind, Intent, LockState, Mode, Refusal, Reply, Resource, Span};
use std::sync::Arc;

#[test]
fn a_free_resource_is_granted_at_once() {
    let mut room = Room::new();
    let lock = room.lock(&ask("acme/infra#1").ttl(MINUTE));
    assert_eq!(lock.state, LockState::Held);
    assert_eq!(lock.acquired_at, room.now);
    assert_eq!(lock.expires_at, Some(room.now + MINUTE));
    assert_eq!(room.effects.events[0].kind, EventKind::LockAcquired);
}

#[test]
fn exclusion_a_second_owner_is_refused_and_told_who_holds_it() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a"));
    let before = room.shelf.version;
    let refused = room.ask(&ask("b"));
    assert_eq!(refused, Err(Refusal::Held { holders: vec![lock], waiting: 0 }));
    assert_eq!(room.shelf.version, before, "a refusal writes nothing");
    assert_eq!(room.owners(), ["a"]);
}

#[test]
fn exclusion_nobody_passes_those_who_wait() {
    let mut room = Room::new();
    let held = room.lock(&ask("a").shared());
    room.queue(&ask("b"));
    // It would fit, and it comes after.
    let refused = room.ask(&ask("c").shared());
    assert_eq!(refused, Err(Refusal::Held { holders: vec![held], waiting: 1 }));
}

#[test]
fn whoever_waits_is_told_where_it_stands() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a"));
    room.queue(&ask("b"));
    let outcome = room.ask(&ask("c").queue().timeout(MINUTE).wait(SECOND));
    let Ok(Reply::Standing(Standing::Queued { ticket, position, holders })) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!((position, holders), (2, vec![lock]));
    assert_eq!(ticket.deadline, room.now + MINUTE);
    assert_eq!(ticket.seen_until, room.now + SECOND + room.rules.abandon_after);
    assert_eq!(room.effects.events[0].kind, EventKind::TicketQueued);
}

fn re_enter(room: &mut Room, ttl: Span) -> Arc<crate::Lock> {
    match room.ask(&ask("a").ttl(ttl)) {
        Ok(Reply::Standing(Standing::Acquired { lock, reentrant: true, news: false })) => lock,
        other => panic!("{other:?}"),
    }
}

#[test]
fn asking_again_returns_the_same_lock_and_its_lease_only_grows() {
    let mut room = Room::new();
    let first = room.lock(&ask("a").ttl(MINUTE));
    room.pass(SECOND);
    let shorter = re_enter(&mut room, SECOND);
    assert_eq!((shorter.seq, shorter.token), (first.seq, first.token));
    assert_eq!((shorter.expires_at, shorter.ttl), (first.expires_at, MINUTE));
    let longer = re_enter(&mut room, Span::from_secs(300));
    assert_eq!(longer.expires_at, Some(room.now + Span::from_secs(300)));
    assert_eq!(longer.ttl, Span::from_secs(300));
    assert_eq!(re_enter(&mut room, Span::ZERO).expires_at, None, "a hold is the longest lease");
    assert_eq!(re_enter(&mut room, MINUTE).expires_at, None, "and does not shrink to a lease");
    // It adds no hold: one release ends it.
    room.release(&first).unwrap();
    assert!(!room.document.is_live());
}

#[test]
fn asking_again_keeps_the_place_in_the_queue() {
    let mut room = Room::new();
    room.lock(&ask("a"));
    let first = room.queue(&ask("b"));
    room.queue(&ask("c"));
    let again = room.queue(&ask("b"));
    assert_eq!(again.seq, first.seq);
    assert_eq!(room.queued(), ["b", "c"]);
    assert!(matches!(room.ask(&ask("b")), Err(Refusal::Held { waiting: 2, .. })), "without queue: refused");
}

#[test]
fn without_re_entry_an_owner_is_like_anyone_else() {
    let mut room = Room::new();
    room.lock(&ask("a"));
    assert!(matches!(room.ask(&ask("a").anew()), Err(Refusal::Held { .. })));
    let ticket = room.queue(&ask("a").anew());
    let other = room.queue(&ask("a").anew());
    assert_ne!(ticket.seq, other.seq);
    // With re-entry the lock comes before the tickets.
    assert_eq!(room.lock(&ask("a")).intent.owner.id.as_ref(), "a");
}

#[test]
fn re_entry_does_not_change_the_mode() {
    let mut room = Room::new();
    room.lock(&ask("a").shared());
    assert!(matches!(room.ask(&ask("a")), Err(Refusal::ModeConflict(_))));
    room.queue(&ask("b"));
    assert!(matches!(room.ask(&ask("b").shared().queue()), Err(Refusal::ModeConflict(_))));
}

#[test]
fn re_entry_claims_a_reserved_lock_and_is_the_first_to_tell_of_it() {
    let mut room = Room::new();
    let first = room.lock(&ask("a"));
    room.queue(&ask("b").ttl(MINUTE));
    let reserved = room.hand_on(&first).unwrap();
    assert!(reserved.is_reserved());
    let nonce = room.nonce();
    let outcome = room.apply(ask("b").ttl(MINUTE).command(nonce));
    let Ok(Reply::Standing(Standing::Acquired { lock, reentrant: true, news: true })) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(lock.expires_at, Some(room.now + MINUTE));
    // That answer is lost as well: whoever comes next must find it unclaimed, not held by nobody.
    room.untold(&lock, nonce);
    assert!(room.document.lock(lock.seq).unwrap().is_reserved());
}

#[test]
fn an_identity_that_shares_the_id_is_refused() {
    let mut room = Room::new();
    room.lock(&ask("a"));
    let other = Resource { workspace: "staging".into(), ..(*resource()).clone() };
    let intent: Intent = ask("b").intent;
    let outcome = room.apply(Command::Acquire(Acquire {
        resource: Arc::new(other),
        intent: Arc::new(Intent { mode: Mode::Shared, ..intent }),
        reentrant: true,
        queue: true,
        queue_timeout: MINUTE,
        wait: Span::ZERO,
    }));
    assert_eq!(outcome, Err(Refusal::IdTaken));
}

#[test]
fn an_acquire_sent_again_finds_what_it_made() {
    let mut room = Room::new();
    let command = room.command(&ask("a").anew());
    let first = room.apply(command.clone()).unwrap();
    let again = room.again(&command).unwrap();
    // Nobody was told the first time, so the second time is the first again.
    assert_eq!(first, again);
    let command = room.command(&ask("b").anew().queue());
    room.apply(command.clone()).unwrap();
    room.again(&command).unwrap();
    assert_eq!(room.queued(), ["b"]);
}
