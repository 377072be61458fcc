//! Where nothing may be granted (the kill switch): tickets stay, and go on as if nothing had been.

use super::kit::{MINUTE, Room, SECOND, ask};
use crate::{LockState, Priority, Refusal, Reply, Standing};

#[test]
fn nothing_is_handed_on_and_nobody_loses_its_place() {
    let mut room = Room::new();
    let lock = room.lock(&ask("first"));
    let low = room.queue(&ask("low").priority(Priority::Low));
    room.pass(SECOND);
    let high = room.queue(&ask("high").priority(Priority::High));
    room.granting = false;
    assert_eq!(room.hand_on(&lock), None);
    room.settle();
    assert_eq!(room.owners(), [""; 0]);
    assert_eq!(room.queued(), ["high", "low"]);
    // A look at one's place tells it, and grants nothing.
    let Ok(Reply::Standing(Standing::Queued { position, ticket, .. })) = room.poll(low.seq) else {
        panic!("a ticket")
    };
    assert_eq!((position, ticket.deadline, ticket.enqueued_at), (2, low.deadline, low.enqueued_at));
    // Whoever is next when granting goes on is whoever it was before.
    room.granting = true;
    room.settle();
    assert_eq!(room.owners(), ["high"]);
    assert_eq!(room.queued(), ["low"]);
    assert_eq!(room.document.lock(high.seq).unwrap().state, LockState::Reserved);
}

#[test]
fn a_free_resource_is_not_granted_and_a_place_may_be_had() {
    let mut room = Room::new();
    room.granting = false;
    assert_eq!(room.ask(&ask("a")), Err(Refusal::NotGranting));
    assert_eq!(room.owners(), [""; 0]);
    room.queue(&ask("b"));
    // The next in line is refused as anyone who does not want to wait.
    assert!(matches!(room.ask(&ask("c")), Err(Refusal::Held { waiting: 1, .. })));
    room.granting = true;
    // A newcomer does not pass who came before it, however the grant was put off.
    assert!(matches!(room.ask(&ask("c")), Err(Refusal::Held { waiting: 0, .. })));
    assert_eq!(room.owners(), ["b"]);
}

#[test]
fn locks_are_renewed_found_again_claimed_and_released() {
    let mut room = Room::new();
    let lock = room.lock(&ask("holder"));
    let ticket = room.queue(&ask("next"));
    let lock = room.hand_on(&lock).unwrap();
    assert_eq!((lock.seq, lock.state), (ticket.seq, LockState::Reserved));
    room.granting = false;
    // Its client hears only now of what was granted before.
    let Ok(Reply::Standing(Standing::Acquired { lock, .. })) = room.poll(ticket.seq) else {
        panic!("a lock")
    };
    let Ok(Reply::Lock(renewed)) = room.renew(&lock, None) else { panic!("a renewal") };
    assert!(matches!(
        room.ask(&ask("next")),
        Ok(Reply::Standing(Standing::Acquired { reentrant: true, .. }))
    ));
    assert_eq!(room.hand_on(&renewed), None);
    assert_eq!(room.owners(), [""; 0]);
}

#[test]
fn deadlines_go_on_and_make_no_grants() {
    let mut room = Room::new();
    room.lock(&ask("holder").ttl(SECOND));
    let short = room.queue(&ask("short").timeout(MINUTE).unattended());
    let long = room.queue(&ask("long").timeout(MINUTE + MINUTE).unattended());
    room.granting = false;
    room.pass(SECOND);
    room.settle();
    assert_eq!((room.owners(), room.queued().len()), (vec![], 2));
    // What was due is due still: whoever may grant is told so by the document itself.
    assert!(room.document.next_deadline().unwrap() <= room.now);
    room.pass(MINUTE);
    room.settle();
    assert_eq!(room.reason(short.seq), Some(crate::EndReason::QueueTimeout));
    room.granting = true;
    room.settle();
    assert!(room.document.lock(long.seq).is_some());
}
