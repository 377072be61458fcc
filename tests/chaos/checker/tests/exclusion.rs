//! Two holders at once, and what only looks like it.

use super::super::kit::{RESOURCE, Story, acquired, ask, lock, queued, refused};
use crate::chaos::history::{Answer, Ask, Call, Mode};

fn in_mode(owner: &str, mode: Mode) -> Ask {
    Ask { mode, ..ask(owner) }
}

#[test]
fn one_after_the_other_is_in_order() {
    Story::new()
        .acquire(0..10, ask("a"), acquired(lock("A", "a", 1, 1000)))
        .acquire(20..30, ask("b"), queued("B", "b"))
        .release(100..110, lock("A", "a", 1, 900), Some(lock("B", "b", 2, 1000)))
        .poll(105..120, "B", acquired(lock("B", "b", 2, 1000)))
        .holds();
}

#[test]
fn two_leases_at_once_are_found() {
    Story::new()
        .acquire(0..10, ask("a"), acquired(lock("A", "a", 1, 1000)))
        .acquire(500..510, ask("b"), acquired(lock("B", "b", 2, 1000)))
        .breaks("exclusion", RESOURCE);
}

#[test]
fn the_client_counts_its_lease_from_when_it_asked() {
    // The answer took 600 ms: of its second 400 are left to rely on.
    Story::new()
        .acquire(0..600, ask("a"), acquired(lock("A", "a", 1, 1000)))
        .acquire(1000..1010, ask("b"), acquired(lock("B", "b", 2, 1000)))
        .holds();
    Story::new()
        .acquire(0..600, ask("a"), acquired(lock("A", "a", 1, 1000)))
        .acquire(900..990, ask("b"), acquired(lock("B", "b", 2, 1000)))
        .breaks("exclusion", RESOURCE);
}

#[test]
fn an_answer_that_came_after_its_lease_gives_nothing() {
    Story::new()
        .acquire(0..2000, ask("a"), acquired(lock("A", "a", 1, 1000)))
        .acquire(1500..1510, ask("b"), acquired(lock("B", "b", 2, 1000)))
        .holds();
}

#[test]
fn a_hold_lasts_until_its_release_is_asked_for() {
    let taken = |at: u64| {
        Story::new()
            .acquire(0..10, ask("a"), acquired(lock("A", "a", 1, 0)))
            .release(5000..5010, lock("A", "a", 1, 0), None)
            .acquire(at..at + 10, ask("b"), acquired(lock("B", "b", 2, 1000)))
    };
    taken(5000).holds();
    taken(4000).breaks("exclusion", RESOURCE);
}

#[test]
fn a_renewed_lease_counts_from_the_renewal() {
    let taken = |at: u64| {
        Story::new()
            .acquire(0..10, ask("a"), acquired(lock("A", "a", 1, 1000)))
            .renew(900..910, "A", Answer::Lock(lock("A", "a", 1, 1000)))
            .acquire(at..at + 5, ask("b"), acquired(lock("B", "b", 2, 1000)))
    };
    taken(1900).holds();
    taken(1800).breaks("exclusion", RESOURCE);
}

#[test]
fn whoever_is_forced_out_relies_on_nothing() {
    let forced = Answer::Released { lock: lock("A", "a", 1, 500), granted_to: None };
    Story::new()
        .acquire(0..10, ask("a"), acquired(lock("A", "a", 1, 1000)))
        .op(100..300, Call::Force { id: "A".into() }, forced)
        .acquire(200..210, ask("b"), acquired(lock("B", "b", 2, 1000)))
        .holds();
}

#[test]
fn a_lock_that_is_shown_is_there_even_if_nobody_relies_on_it() {
    // A paused instance that confirms what is gone: shown long after another had it.
    Story::new()
        .acquire(0..10, ask("a"), acquired(lock("A", "a", 1, 1000)))
        .acquire(2500..2510, ask("b"), acquired(lock("B", "b", 2, 5000)))
        .show(3000..3010, "A", Answer::Lock(lock("A", "a", 1, 1000)))
        .breaks("exclusion", RESOURCE);
    // The same for one that is reserved for its client.
    let mut reserved = lock("B", "b", 2, 5000);
    reserved.held = false;
    Story::new()
        .acquire(0..5, ask("a"), acquired(lock("A", "a", 1, 0)))
        .acquire(5..10, ask("b"), queued("B", "b"))
        .release(100..110, lock("A", "a", 1, 0), Some(reserved.clone()))
        .acquire(200..210, Ask { queue: false, ..ask("c") }, acquired(lock("C", "c", 3, 1000)))
        .show(1000..1010, "B", Answer::Lock(reserved))
        .breaks("exclusion", RESOURCE);
}

#[test]
fn shared_locks_share_and_exclude_the_exclusive() {
    let story =
        || {
            Story::new()
                .acquire(0..10, in_mode("a", Mode::Shared), acquired(lock("A", "a", 1, 1000)))
                .acquire(20..30, in_mode("b", Mode::Shared), acquired(lock("B", "b", 2, 1000)))
        };
    story().holds();
    story().acquire(500..510, ask("c"), acquired(lock("C", "c", 3, 1000))).breaks("exclusion", RESOURCE);
}

#[test]
fn a_counted_resource_has_no_more_holders_than_its_limit() {
    let counted = |owner: &str| in_mode(owner, Mode::Counted(2));
    let story = || {
        Story::new().acquire(0..10, counted("a"), acquired(lock("A", "a", 1, 1000))).acquire(
            20..30,
            counted("b"),
            acquired(lock("B", "b", 2, 1000)),
        )
    };
    story().acquire(1000..1010, counted("c"), acquired(lock("C", "c", 3, 1000))).holds();
    story().acquire(500..510, counted("c"), acquired(lock("C", "c", 3, 1000))).breaks("exclusion", RESOURCE);
}

#[test]
fn a_renewal_that_is_refused_extends_nothing() {
    Story::new()
        .acquire(0..10, ask("a"), acquired(lock("A", "a", 1, 1000)))
        .renew(900..910, "A", refused(503, "backend_unavailable"))
        .acquire(1000..1010, ask("b"), acquired(lock("B", "b", 2, 1000)))
        .holds();
}
