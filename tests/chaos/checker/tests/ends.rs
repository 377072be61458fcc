//! What ends needs a reason, and stays ended.

use super::super::kit::{Story, acquired, ask, lock, queued, refused};
use crate::chaos::history::{Answer, Ask, Call};

fn held() -> Story {
    Story::new().acquire(0..10, ask("a"), acquired(lock("A", "a", 1, 5000)))
}

fn waiting() -> Story {
    Story::new().acquire(0..10, ask("a"), queued("A", "a"))
}

#[test]
fn a_live_lease_does_not_expire() {
    held().renew(1000..1010, "A", refused(410, "expired")).breaks("nothing lost", "had at least");
    // Clocks may be apart by the grace.
    held().renew(4500..4510, "A", refused(410, "expired")).holds();
    held().renew(900..6000, "A", refused(410, "expired")).holds();
}

#[test]
fn a_hold_never_expires() {
    Story::new()
        .acquire(0..10, ask("a"), acquired(lock("A", "a", 1, 0)))
        .show(500_000..500_010, "A", refused(410, "expired"))
        .breaks("nothing lost", "had at least");
}

#[test]
fn what_is_held_or_waits_is_not_forgotten() {
    held().show(100..110, "A", refused(404, "not_found")).breaks("nothing lost", "forgotten");
    waiting().poll(100..110, "A", refused(404, "not_found")).breaks("nothing lost", "forgotten");
    // What ended is told of for ten minutes.
    held()
        .release(20..30, lock("A", "a", 1, 4000), None)
        .show(100..110, "A", refused(404, "not_found"))
        .breaks("nothing lost", "forgotten");
    held()
        .release(20..30, lock("A", "a", 1, 4000), None)
        .show(700_000..700_010, "A", refused(404, "not_found"))
        .holds();
}

#[test]
fn only_a_release_releases() {
    let released = || refused(410, "released");
    held().show(100..110, "A", released()).breaks("nothing lost", "nobody released it");
    let call = Call::Release { id: "A".into(), token: 1, key: None };
    held().op(50..60, call.clone(), Answer::Lost("timeout")).show(100..110, "A", released()).holds();
    for nothing_done in [Answer::NotSent, refused(503, "backend_unavailable")] {
        held()
            .op(50..60, call.clone(), nothing_done)
            .show(100..110, "A", released())
            .breaks("nothing lost", "nobody released it");
    }
    let pull = Call::ReleasePull { namespace: "acme/infra".into(), pull: 1, owner: "a".into() };
    held().op(50..60, pull, Answer::Lost("timeout")).show(100..110, "A", released()).holds();
}

#[test]
fn only_force_forces_and_only_a_cancellation_cancels() {
    held().show(100..110, "A", refused(410, "forced")).breaks("nothing lost", "nobody forced");
    waiting().poll(100..110, "A", refused(410, "cancelled")).breaks("nothing lost", "nobody cancelled");
    let cancel = Call::Cancel { id: "A".into() };
    waiting().op(20..30, cancel, Answer::Cancelled).poll(100..110, "A", refused(410, "cancelled")).holds();
}

#[test]
fn a_request_without_an_id_is_undone_with_its_connection() {
    let orphan = || Ask { request_id: None, ..ask("a") };
    Story::new()
        .acquire(0..10, orphan(), queued("A", "a"))
        .acquire(20..30, orphan(), Answer::Lost("vanished"))
        .poll(100..110, "A", refused(410, "cancelled"))
        .holds();
}

#[test]
fn a_client_that_asks_is_not_abandoned() {
    waiting().poll(1000..1010, "A", refused(410, "abandoned")).holds();
    waiting()
        .poll(1000..1010, "A", queued("A", "a"))
        .poll(1100..1110, "A", refused(410, "abandoned"))
        .breaks("nothing lost", "its client was there");
    held().poll(100..110, "A", refused(410, "abandoned")).breaks("nothing lost", "told that it holds");
    Story::new()
        .acquire(0..10, Ask { attended: false, ..ask("a") }, queued("A", "a"))
        .poll(4900..4910, "A", refused(410, "abandoned"))
        .breaks("nothing lost", "its client was there");
}

#[test]
fn what_was_fetched_is_not_unclaimed_and_what_waits_has_its_time() {
    held().renew(100..110, "A", refused(410, "unclaimed")).breaks("nothing lost", "told that it holds");
    waiting().poll(1000..1010, "A", refused(410, "unclaimed")).breaks("nothing lost", "no time to fetch");
    waiting().poll(3000..3010, "A", refused(410, "unclaimed")).holds();
    waiting().poll(3000..3010, "A", refused(410, "queue_timeout")).breaks("nothing lost", "waited 5000ms");
    waiting().poll(4800..4810, "A", refused(410, "queue_timeout")).holds();
}

#[test]
fn what_ended_does_not_come_back() {
    held()
        .release(20..30, lock("A", "a", 1, 4000), None)
        .show(40..50, "A", Answer::Lock(lock("A", "a", 1, 4000)))
        .breaks("nothing lost", "came back");
    // While it is being released it may still be seen.
    held()
        .release(20..60, lock("A", "a", 1, 4000), None)
        .show(40..50, "A", Answer::Lock(lock("A", "a", 1, 4000)))
        .holds();
    held()
        .release(20..30, lock("A", "a", 1, 4000), None)
        .op(25..26, Call::Force { id: "A".into() }, Answer::Lost("timeout"))
        .show(40..50, "A", refused(410, "forced"))
        .breaks("nothing lost", "in two ways");
}

#[test]
fn refusals_need_a_cause() {
    for (status, code) in
        [(409, "stale_token"), (500, "internal"), (409, "request_id_reused"), (400, "invalid_request")]
    {
        held().renew(100..110, "A", refused(status, code)).breaks("answers", code);
    }
    let now = Ask { queue: false, ..ask("b") };
    held().acquire(100..110, now, refused(409, "held")).holds();
    held().acquire(100..110, ask("b"), refused(409, "held")).breaks("answers", "wanted to wait");
    held().show(100..110, "A", Answer::Strange("<html>".into())).breaks("answers", "nobody understands");
}
