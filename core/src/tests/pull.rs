//! Release by pull request.

use super::kit::{Room, SECOND, ask};
use crate::command::ReleasePull;
use crate::{Command, EndReason, Reply};

#[test]
fn all_of_a_pull_request_ends_and_nothing_else() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a").of_pull(1));
    let mine = room.queue(&ask("b").of_pull(1));
    let other = room.queue(&ask("c").of_pull(11));
    let none = room.queue(&ask("d"));
    assert_eq!(room.pull(1, None), (vec![lock.seq], vec![mine.seq]));
    assert_eq!((room.owners(), room.queued()), (vec!["c".into()], vec!["d".into()]));
    assert_eq!(room.reason(lock.seq), Some(EndReason::Released));
    assert_eq!(room.reason(mine.seq), Some(EndReason::Cancelled));
    let note = room.document.ended(lock.seq).unwrap().note.clone().unwrap();
    assert!(note.contains("pull request 1 "), "{note}");
    assert!(room.document.lock(other.seq).is_some() && room.document.ticket(none.seq).is_some());
}

#[test]
fn handoff_never_to_a_ticket_of_the_same_pull_request() {
    let mut room = Room::new();
    room.lock(&ask("a").of_pull(1));
    let own = room.queue(&ask("b").of_pull(1));
    room.pull(1, None);
    assert!(room.effects.events.iter().all(|event| event.reason.is_some()), "nothing was granted");
    assert!(room.document.lock(own.seq).is_none());
}

#[test]
fn what_came_later_stays() {
    let mut room = Room::new();
    let early = room.lock(&ask("a").shared().of_pull(1));
    room.pass(SECOND);
    let closed_at = room.now;
    let late = room.lock(&ask("b").shared().of_pull(1));
    assert_eq!(room.pull(1, Some(closed_at)), (vec![early.seq], vec![]));
    assert!(room.document.lock(late.seq).is_some());
}

#[test]
fn what_was_enqueued_before_ends_even_if_it_was_granted_after() {
    let mut room = Room::new();
    let held = room.lock(&ask("a"));
    let ticket = room.queue(&ask("b").of_pull(1));
    room.pass(SECOND);
    let closed_at = room.now;
    room.pass(SECOND);
    room.hand_on(&held);
    assert_eq!(room.pull(1, Some(closed_at)), (vec![ticket.seq], vec![]));
}

#[test]
fn sent_again_it_tells_of_the_same_ends() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a").of_pull(1));
    let ticket = room.queue(&ask("b").of_pull(1));
    let command = Command::ReleasePull(ReleasePull { pull: 1, before: None, nonce: 9 });
    let first = room.apply(command.clone());
    assert_eq!(room.again(&command), first);
    let Ok(Reply::Pull { released, cancelled }) = first else { panic!() };
    assert_eq!((released[0].seq, cancelled[0].seq), (lock.seq, ticket.seq));
}
