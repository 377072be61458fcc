//! Repeated requests, refusals, and the queue's order.

use super::super::kit::{Story, acquired, ask, id_made_at, lock, queued, refused};
use crate::chaos::history::{Answer, Ask};

#[test]
fn one_request_makes_one_lock() {
    let twice = |id: &str, token: u64| {
        Story::new().acquire(0..10, ask("a"), acquired(lock("A", "a", 1, 10))).acquire(
            3000..3010,
            ask("a"),
            acquired(lock(id, "a", token, 1000)),
        )
    };
    twice("A", 1).holds();
    twice("B", 2).breaks("idempotence", "one request made");
    Story::new()
        .acquire(0..10, ask("a"), queued("A", "a"))
        .acquire(20..30, ask("a"), queued("B", "a"))
        .breaks("idempotence", "one request made");
    // Without an id it is another request.
    let plain = || Ask { request_id: None, ..ask("a") };
    Story::new()
        .acquire(0..10, plain(), acquired(lock("A", "a", 1, 10)))
        .acquire(3000..3010, plain(), acquired(lock("B", "a", 2, 1000)))
        .holds();
}

#[test]
fn a_second_lock_is_seen_in_others_answers_too() {
    let holder = Answer::Refused {
        status: 409,
        code: "held".into(),
        locks: vec![lock("B", "a", 2, 1000)],
        lease: None,
    };
    Story::new()
        .acquire(0..10, ask("a"), acquired(lock("A", "a", 1, 10)))
        .acquire(3000..3010, Ask { queue: false, ..ask("b") }, holder)
        .breaks("idempotence", "one request made");
}

#[test]
fn nobody_gets_another_ones_lock() {
    Story::new()
        .acquire(0..10, ask("a"), acquired(lock("B", "b", 1, 10)))
        .breaks("idempotence", "another's lock");
}

#[test]
fn whoever_was_refused_has_nothing() {
    let shown = || Answer::Refused {
        status: 409,
        code: "held".into(),
        locks: vec![lock("A", "a", 1, 1000)],
        lease: None,
    };
    let after = |first: Answer| {
        Story::new().acquire(0..10, Ask { queue: false, ..ask("a") }, first).acquire(
            100..110,
            Ask { queue: false, ..ask("b") },
            shown(),
        )
    };
    after(refused(503, "backend_unavailable")).breaks("denials", "always refused");
    after(refused(409, "held")).breaks("denials", "always refused");
    after(Answer::NotSent).breaks("denials", "always refused");
    after(refused(503, "outcome_unknown")).holds();
    after(Answer::Lost("timeout")).holds();
}

#[test]
fn a_request_that_was_refused_made_nothing() {
    let refused_and_repeated = |made: u64, first: Answer| {
        let id = id_made_at(made);
        Story::new().acquire(1000..5000, ask("a"), first).acquire(
            5100..5110,
            ask("a"),
            acquired(lock(&id, "a", 1, 900)),
        )
    };
    let unavailable = || refused(503, "backend_unavailable");
    refused_and_repeated(5105, unavailable()).holds();
    refused_and_repeated(1010, unavailable()).breaks("denials", "by a request that was refused");
    refused_and_repeated(1010, refused(503, "outcome_unknown")).holds();
}

fn one_waits() -> Story {
    Story::new()
        .acquire(0..10, ask("a"), acquired(lock("A", "a", 1, 0)))
        .acquire(20..30, ask("b"), queued("B", "b"))
        .poll(500..510, "B", queued("B", "b"))
}

#[test]
fn a_release_goes_to_who_waits() {
    let c = || lock("C", "c", 2, 1000);
    one_waits().release(600..610, lock("A", "a", 1, 0), None).holds();
    one_waits().release(100..110, lock("A", "a", 1, 0), None).breaks("handoff", "passed over");
    one_waits().release(100..110, lock("A", "a", 1, 0), Some(c())).holds();
}

#[test]
fn a_newcomer_does_not_pass_who_waits() {
    let newcomer = |priority: usize| {
        let now = Ask { queue: false, priority, ..ask("c") };
        one_waits().release(100..110, lock("A", "a", 1, 0), Some(lock("D", "d", 2, 1))).acquire(
            300..310,
            now,
            acquired(lock("C", "c", 3, 10)),
        )
    };
    newcomer(1).breaks("handoff", "passed over");
    newcomer(3).holds();
}
