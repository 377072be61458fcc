//! Modes: who may hold the resource at the same time.

use super::kit::{Room, ask};
use crate::{Mode, Refusal};

#[test]
fn exclusion_shared_locks_join_and_exclusive_ones_wait_for_all_of_them() {
    let mut room = Room::new();
    let one = room.lock(&ask("a").shared());
    let two = room.lock(&ask("b").shared());
    room.queue(&ask("c"));
    assert_eq!(room.hand_on(&one), None);
    assert_eq!(room.owners(), ["b"]);
    assert!(room.hand_on(&two).is_some());
    assert_eq!(room.owners(), ["c"]);
}

#[test]
fn handoff_from_exclusive_to_shared_grants_all_in_front() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a"));
    for owner in ["b", "c"] {
        room.queue(&ask(owner).shared());
    }
    room.queue(&ask("d"));
    room.queue(&ask("e").shared());
    let first = room.hand_on(&lock).unwrap();
    assert_eq!(&*first.intent.owner.id, "b");
    assert_eq!((room.owners(), room.queued()), (vec!["b".into(), "c".into()], vec!["d".into(), "e".into()]));
    let tokens: Vec<u64> = room.document.locks().map(|lock| lock.token).collect();
    assert!(lock.token < tokens[0] && tokens[0] < tokens[1]);
}

#[test]
fn exclusion_never_more_counted_holders_than_the_limit() {
    let mut room = Room::new();
    let first = room.lock(&ask("a").counted(2));
    room.lock(&ask("b").counted(2));
    assert!(matches!(room.ask(&ask("c").counted(2)), Err(Refusal::Held { .. })));
    room.queue(&ask("c").counted(2));
    room.queue(&ask("d").counted(2));
    room.hand_on(&first);
    assert_eq!((room.owners(), room.queued()), (vec!["b".into(), "c".into()], vec!["d".into()]));
}

#[test]
fn holders_and_waiters_name_the_same_limit() {
    let mut room = Room::new();
    let exclusive = room.lock(&ask("a"));
    let waiting = room.queue(&ask("b").counted(2));
    assert!(matches!(room.ask(&ask("c").counted(3).queue()), Err(Refusal::ModeConflict(_))));
    room.cancel(waiting.seq).unwrap();
    // The last one that named it is gone: another limit may be named.
    room.queue(&ask("c").counted(3));
    room.hand_on(&exclusive);
    assert_eq!(room.document.locks().next().unwrap().intent.mode, Mode::Counted { limit: 3 });
    assert!(matches!(room.ask(&ask("d").counted(2)), Err(Refusal::ModeConflict(_))));
}

#[test]
fn modes_do_not_mix() {
    for (held, asked) in [
        (Mode::Shared, Mode::Counted { limit: 5 }),
        (Mode::Counted { limit: 5 }, Mode::Shared),
        (Mode::Exclusive, Mode::Shared),
        (Mode::Counted { limit: 5 }, Mode::Exclusive),
    ] {
        let mut room = Room::new();
        room.lock(&ask("a").mode(held));
        assert!(matches!(room.ask(&ask("b").mode(asked)), Err(Refusal::Held { .. })), "{held:?} {asked:?}");
    }
}
