//! Releases that were accepted while the store was away.

use super::super::kit::{Story, acquired, ask, lock, refused};
use crate::chaos::history::{Answer, Ask, Call};

fn held() -> Ask {
    Ask { ttl_ms: 0, ..ask("a") }
}

fn release() -> Call {
    Call::Release { id: "A".into(), token: 1, key: None }
}

fn pending() -> Answer {
    Answer::Pending(lock("A", "a", 1, 0))
}

fn put_off() -> Story {
    Story::new().acquire(0..10, held(), acquired(lock("A", "a", 1, 0))).op(100..110, release(), pending())
}

fn still_there() -> Answer {
    Answer::Lock(lock("A", "a", 1, 0))
}

#[test]
fn what_was_accepted_is_carried_out() {
    put_off().asked_at_the_end(9000..9010, "A", refused(410, "released")).holds();
    put_off().asked_at_the_end(9000..9010, "A", still_there()).breaks("put off", "never carried out");
    // Only who asks once all is over may expect it.
    put_off().show(9000..9010, "A", still_there()).holds();
}

#[test]
fn whoever_renews_meanwhile_keeps_it() {
    put_off().renew(200..210, "A", still_there()).asked_at_the_end(9000..9010, "A", still_there()).holds();
    put_off()
        .renew(200..210, "A", Answer::Lost("timeout"))
        .asked_at_the_end(9000..9010, "A", still_there())
        .holds();
    put_off()
        .renew(200..210, "A", refused(503, "backend_unavailable"))
        .asked_at_the_end(9000..9010, "A", still_there())
        .breaks("put off", "never carried out");
}

#[test]
fn who_is_cut_off_may_not_know_what_others_renewed() {
    let renew = Call::Renew { id: "A".into(), token: 1 };
    let renewed_at = |instance, at: u64| {
        Story::new()
            .acquire(0..10, held(), acquired(lock("A", "a", 1, 0)))
            .op_at(instance, at..at + 10, renew.clone(), still_there())
            .op(60_000..60_010, release(), pending())
            .asked_at_the_end(90_000..90_010, "A", still_there())
    };
    renewed_at(1, 50_000).holds();
    renewed_at(1, 20_000).breaks("put off", "never carried out");
    renewed_at(0, 50_000).breaks("put off", "never carried out");
}

#[test]
fn it_is_not_granted_to_another_before_it_is_asked_for() {
    let other = |at: u64| put_off().acquire(at..at + 10, ask("b"), acquired(lock("B", "b", 2, 1000)));
    // From then on its client does not rely on it.
    other(105).holds();
    other(50).breaks("exclusion", "held by several");
}

#[test]
fn what_its_instance_lost_with_the_store_need_not_be_carried_out() {
    put_off().loss(200..300).absence(0, 150..400).asked_at_the_end(9000..9010, "A", still_there()).holds();
    put_off()
        .loss(200..300)
        .asked_at_the_end(9000..9010, "A", still_there())
        .breaks("put off", "never carried out");
}
