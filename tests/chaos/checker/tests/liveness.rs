//! After the faults.

use super::super::kit::{Story, ask, lock, queued, refused};
use crate::chaos::history::Answer;

#[test]
fn who_still_waits_after_the_bound_is_found() {
    let story = |at: u64| {
        Story::new().calm_since(1000).acquire(0..10, ask("a"), queued("A", "a")).poll(
            at..at + 10,
            "A",
            queued("A", "a"),
        )
    };
    story(2000).holds();
    story(6000).breaks("liveness", "still waits");
}

#[test]
fn service_is_back_after_the_bound() {
    let story = |at: u64, answer: Answer| Story::new().calm_since(1000).show(at..at + 10, "A", answer);
    for answer in [refused(503, "backend_unavailable"), Answer::NotSent, Answer::Lost("timeout")] {
        story(2000, answer.clone()).holds();
        story(6000, answer).breaks("liveness", "no service");
    }
    story(6000, Answer::Lost("vanished")).holds();
    story(6000, Answer::Lock(lock("A", "a", 1, 100))).holds();
}
