//! Leases: they end by themselves, renewals begin them anew, what is over stays over.

use super::kit::{INSTANT, MINUTE, Room, SECOND, ask, gone_because};
use crate::command::Release;
use crate::{Command, EndReason, EventKind, LockState, Refusal, Reply, Rules, Span};

#[test]
fn exclusion_a_lease_ends_at_its_end_and_not_before() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a").ttl(MINUTE));
    room.pass_almost(MINUTE);
    assert!(matches!(room.ask(&ask("b")), Err(Refusal::Held { .. })));
    room.pass(INSTANT);
    let next = room.lock(&ask("b"));
    assert!(next.token > lock.token);
    assert_eq!(room.reason(lock.seq), Some(EndReason::Expired));
    assert_eq!(room.effects.events[0].kind, EventKind::LockExpired);
}

#[test]
fn exclusion_an_expired_lock_cannot_be_renewed_released_or_claimed() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a").ttl(MINUTE).request(1));
    room.pass(MINUTE);
    assert_eq!(gone_because(&room.renew(&lock, None)), Some(EndReason::Expired));
    assert_eq!(gone_because(&room.release(&lock)), Some(EndReason::Expired));
    assert_eq!(gone_because(&room.poll(lock.seq)), Some(EndReason::Expired));
    assert_eq!(gone_because(&room.apply(Command::Show(lock.seq))), Some(EndReason::Expired));
    assert_eq!(gone_because(&room.ask(&ask("a").request(1))), Some(EndReason::Expired));
    assert!(!room.document.is_live());
}

#[test]
fn a_renewal_begins_the_lease_anew() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a").ttl(MINUTE));
    room.pass(SECOND);
    let Ok(Reply::Lock(renewed)) = room.renew(&lock, None) else { panic!() };
    assert_eq!(renewed.expires_at, Some(room.now + MINUTE));
    assert_eq!((renewed.token, renewed.renewed_at), (lock.token, room.now));
    let Ok(Reply::Lock(renewed)) = room.renew(&lock, Some(SECOND)) else { panic!() };
    assert_eq!((renewed.expires_at, renewed.ttl), (Some(room.now + SECOND), SECOND));
    let Ok(Reply::Lock(hold)) = room.renew(&lock, Some(Span::ZERO)) else { panic!() };
    assert_eq!(hold.expires_at, None);
    assert_eq!(room.document.next_deadline(), None);
    assert_eq!(room.effects.events[0].kind, EventKind::LockRenewed);
}

#[test]
fn a_stale_token_changes_nothing() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a"));
    let stale = crate::Lock { token: lock.token - 1, ..(*lock).clone() };
    let version = room.shelf.version;
    assert_eq!(room.renew(&stale, None), Err(Refusal::StaleToken));
    assert_eq!(room.release(&stale), Err(Refusal::StaleToken));
    assert_eq!(room.shelf.version, version);
}

#[test]
fn a_hold_lasts_until_it_is_released() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a").hold());
    room.pass(Span::from_secs(86_400 * 365));
    room.settle();
    assert_eq!(room.owners(), ["a"]);
    room.release(&lock).unwrap();
    assert!(!room.document.is_live());
}

#[test]
fn exclusion_the_grace_of_other_clocks_passes_before_the_next_grant() {
    let mut room = Room::with(Rules { lease_grace: SECOND, ..Rules::default() });
    room.lock(&ask("a").ttl(MINUTE));
    room.queue(&ask("b").unattended());
    // Half the grace after the end, late: the rest counts from the end.
    room.pass(MINUTE + Span::from_millis(500));
    room.settle();
    assert_eq!((room.owners(), room.queued()), (vec![], vec!["b".to_owned()]));
    assert_eq!(room.document.next_deadline(), Some(room.now + Span::from_millis(500)));
    assert!(matches!(room.ask(&ask("c")), Err(Refusal::Held { .. })), "a newcomer waits too");
    room.pass(Span::from_millis(500));
    room.settle();
    assert_eq!(room.owners(), ["b"]);
}

#[test]
fn exclusion_a_resource_rests_after_an_end_that_its_holder_did_not_want() {
    let mut room = Room::with(Rules { lock_delay: SECOND, ..Rules::default() });
    let lock = room.lock(&ask("a"));
    assert!(matches!(room.force(&lock), Ok(Reply::Released { granted_to: None, .. })));
    let ticket = room.queue(&ask("b"));
    assert_eq!(room.document.next_deadline(), Some(room.now + SECOND));
    room.pass(SECOND);
    room.settle();
    let next = room.document.lock(ticket.seq).cloned().unwrap();
    // Its own release needs no rest.
    room.queue(&ask("c"));
    assert!(room.hand_on(&next).is_some());
}

#[test]
fn a_resource_that_rests_unasked_for_has_no_deadline() {
    let mut room = Room::with(Rules { lock_delay: SECOND, ..Rules::default() });
    let lock = room.lock(&ask("a"));
    room.force(&lock).unwrap();
    assert_eq!(room.document.next_deadline(), None);
}

#[test]
fn a_reserved_lock_is_claimed_by_its_client_and_the_lease_starts_then() {
    let mut room = Room::new();
    let first = room.lock(&ask("a"));
    let ticket = room.queue(&ask("b").ttl(MINUTE));
    let reserved = room.hand_on(&first).unwrap();
    assert_eq!(reserved.state, LockState::Reserved);
    assert_eq!(reserved.expires_at, Some(room.now + room.rules.abandon_after));
    room.pass(Span::from_secs(59));
    room.poll(ticket.seq).unwrap();
    let claimed = room.document.lock(ticket.seq).unwrap();
    assert_eq!((claimed.state, claimed.expires_at), (LockState::Held, Some(room.now + MINUTE)));
    assert_eq!(room.effects.events[0].kind, EventKind::LockAcquired);
}

#[test]
fn a_grant_that_nobody_fetches_goes_to_the_next() {
    let mut room = Room::new();
    let first = room.lock(&ask("a"));
    let absent = room.queue(&ask("b").unattended());
    let patient = room.queue(&ask("c").unattended().timeout(Span::from_secs(3600)));
    room.hand_on(&first);
    room.pass_almost(room.rules.claim_within);
    room.settle();
    assert_eq!(room.owners(), ["b"]);
    room.pass(INSTANT);
    room.settle();
    assert_eq!(room.reason(absent.seq), Some(EndReason::Unclaimed));
    assert!(room.document.lock(patient.seq).is_some());
    assert_eq!(gone_because(&room.poll(absent.seq)), Some(EndReason::Unclaimed));
}

#[test]
fn a_client_that_waits_here_needs_no_claim() {
    let mut room = Room::new();
    let first = room.lock(&ask("a"));
    let ticket = room.queue(&ask("b").ttl(MINUTE));
    room.present.0.insert(ticket.seq);
    let lock = room.hand_on(&first).unwrap();
    assert_eq!((lock.state, lock.expires_at), (LockState::Held, Some(room.now + MINUTE)));
}

#[test]
fn a_late_release_ends_only_what_was_not_kept_up_since() {
    let mut room = Room::new();
    let lock = room.lock(&ask("a").ttl(MINUTE).request(1));
    let late = |lock: &crate::Lock, nonce| {
        Command::Release(Release { seq: lock.seq, token: lock.token, touch: Some(lock.touch), nonce })
    };
    let before = late(&lock, 900);
    room.renew(&lock, None).unwrap();
    let version = room.shelf.version;
    assert_eq!(room.apply(before), Err(Refusal::Superseded));
    assert_eq!((room.shelf.version, room.owners()), (version, vec!["a".to_owned()]));

    let renewed = std::sync::Arc::clone(room.document.lock(lock.seq).unwrap());
    room.ask(&ask("a").request(2)).unwrap();
    assert_eq!(room.apply(late(&renewed, 901)), Err(Refusal::Superseded), "re-entered");

    room.queue(&ask("b"));
    let now = late(room.document.lock(lock.seq).unwrap(), 902);
    let first = room.apply(now.clone());
    assert!(matches!(&first, Ok(Reply::Released { granted_to: Some(_), .. })), "{first:?}");
    assert_eq!(room.again(&now), first, "carried out once, however often it is sent");
    assert_eq!(gone_because(&room.apply(late(&renewed, 903))), Some(EndReason::Released));
}
