//! Handoff: ending one lock and granting the next is one change.

use super::kit::{Room, SECOND, ask};
use crate::command::Release;
use crate::{Command, EndReason, EventKind, Priority, Refusal, Reply};

#[test]
fn handoff_a_release_grants_the_next_in_the_same_commit() {
    let mut room = Room::new();
    let first = room.lock(&ask("a"));
    let ticket = room.queue(&ask("b"));
    let version = room.shelf.version.unwrap();
    let next = room.hand_on(&first).unwrap();
    assert_eq!(next.seq, ticket.seq);
    assert_eq!(room.shelf.version.unwrap().counter, version.counter + 1, "one commit");
    let stored = room.shelf.load().unwrap();
    assert!(stored.lock(next.seq).is_some() && stored.ended(first.seq).is_some());
    assert_eq!(stored.ended(first.seq).unwrap().granted_to, Some(next.seq));
    let kinds: Vec<EventKind> = room.effects.events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::LockReleased, EventKind::LockReserved]);
    assert_eq!(room.effects.changed, [first.seq, next.seq]);
}

#[test]
fn handoff_no_newcomer_gets_in_between() {
    let mut room = Room::new();
    let first = room.lock(&ask("a"));
    room.queue(&ask("b"));
    room.hand_on(&first);
    let refused = room.ask(&ask("critical").priority(Priority::Critical));
    assert!(matches!(refused, Err(Refusal::Held { .. })), "{refused:?}");
}

#[test]
fn handoff_follows_every_way_in_which_a_lock_ends() {
    // Released and forced are commands; expired is time; the others have tests of their own.
    for end in ["release", "force", "expire", "pull", "gone"] {
        let mut room = Room::new();
        let lock = room.lock(&ask("a").ttl(SECOND).of_pull(1));
        let ticket = room.queue(&ask("b"));
        match end {
            "release" => drop(room.release(&lock)),
            "force" => drop(room.force(&lock)),
            "expire" => {
                room.pass(SECOND);
                room.settle();
            }
            "pull" => drop(room.pull(1, None)),
            _ => room.untold(&lock, lock.intent.nonce),
        }
        assert!(room.document.lock(ticket.seq).is_some(), "{end}");
        assert!(room.document.ended(lock.seq).is_some(), "{end}");
    }
}

#[test]
fn handoff_whoever_leaves_the_head_of_the_queue_makes_way() {
    let mut room = Room::new();
    room.lock(&ask("a").shared());
    let exclusive = room.queue(&ask("b"));
    room.queue(&ask("c").shared());
    room.cancel(exclusive.seq).unwrap();
    assert_eq!(room.owners(), ["a", "c"]);
}

#[test]
fn a_release_sent_again_is_answered_again() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a"));
    room.queue(&ask("b"));
    let release = Command::Release(Release { seq: lock.seq, token: lock.token, touch: None, nonce: 77 });
    let first = room.apply(release.clone());
    let version = room.shelf.version;
    assert_eq!(room.again(&release), first);
    assert_eq!(room.shelf.version, version, "and nothing happens");
    let another = Command::Release(Release { seq: lock.seq, token: lock.token, touch: None, nonce: 78 });
    assert!(matches!(room.apply(another), Err(Refusal::Gone(ended)) if ended.reason == EndReason::Released));
}

#[test]
fn nothing_silent_a_forced_end_says_who_and_why() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a"));
    room.force(&lock).unwrap();
    let ended = room.document.ended(lock.seq).unwrap();
    assert_eq!((ended.reason, ended.note.as_deref()), (EndReason::Forced, Some("for a test")));
    let event = &room.effects.events[0];
    assert_eq!((event.kind, event.note.as_deref()), (EventKind::LockForced, Some("for a test")));
}

#[test]
fn an_unknown_lock_is_not_found() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a"));
    let stranger = crate::Lock { seq: crate::Seq(1), ..(*lock).clone() };
    for outcome in [
        room.release(&stranger),
        room.force(&stranger),
        room.renew(&stranger, None),
        room.poll(stranger.seq),
        room.cancel(stranger.seq),
        room.apply(Command::Show(stranger.seq)),
    ] {
        assert_eq!(outcome, Err(Refusal::NotFound));
    }
    assert!(matches!(room.apply(Command::Show(lock.seq)), Ok(Reply::Lock(_))));
}
