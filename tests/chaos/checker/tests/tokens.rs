//! Tokens that do not grow.

use super::super::kit::{Story, acquired, ask, lock, queued};
use crate::chaos::history::Answer;

#[test]
fn a_later_grant_with_a_smaller_token_is_found() {
    let second = |token: u64| {
        Story::new().acquire(0..10, ask("a"), acquired(lock("A", "a", 5, 100))).acquire(
            2000..2010,
            ask("b"),
            acquired(lock("B", "b", token, 100)),
        )
    };
    second(6).holds();
    second(4).breaks("tokens", "not greater than 5");
    second(5).breaks("tokens", "5");
}

#[test]
fn grants_that_overlap_in_time_may_have_happened_in_either_order() {
    Story::new()
        .acquire(0..1000, ask("a"), acquired(lock("A", "a", 7, 900)))
        .acquire(990..1010, ask("b"), acquired(lock("B", "b", 6, 100)))
        .holds();
}

#[test]
fn a_ticket_was_granted_after_it_was_last_said_to_wait() {
    Story::new()
        .acquire(0..10, ask("a"), queued("A", "a"))
        .acquire(0..20, ask("b"), acquired(lock("B", "b", 8, 100)))
        .poll(1500..1510, "A", queued("A", "a"))
        .poll(2500..2510, "A", acquired(lock("A", "a", 7, 100)))
        .breaks("tokens", "not greater than 8");
}

#[test]
fn a_lock_keeps_its_token() {
    Story::new()
        .acquire(0..10, ask("a"), acquired(lock("A", "a", 5, 1000)))
        .renew(100..110, "A", Answer::Lock(lock("A", "a", 6, 1000)))
        .breaks("tokens", "two tokens");
}

#[test]
fn tokens_grow_over_earlier_rounds_too() {
    let granted = || Story::new().acquire(0..10, ask("a"), acquired(lock("A", "a", 5, 100)));
    granted().earlier_token(4).holds();
    granted().earlier_token(5).breaks("tokens", "earlier round");
}
