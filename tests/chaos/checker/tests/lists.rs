//! Lists of what the store has.

use super::super::kit::{Story, acquired, ask, lock};
use crate::chaos::history::{Answer, Call};

fn listed(during: std::ops::Range<u64>, ids: &[&str]) -> Story {
    let locks = ids.iter().map(|id| lock(id, &id.to_lowercase(), 1, 900)).collect();
    Story::new()
        .acquire(0..10, ask("a"), acquired(lock("A", "a", 1, 1000)))
        .release(500..510, lock("A", "a", 1, 500), None)
        .op(during, Call::ListStored, Answer::Listed(locks))
}

#[test]
fn what_is_held_is_listed() {
    listed(100..110, &["A"]).holds();
    listed(100..110, &[]).breaks("lists", "is not listed");
}

#[test]
fn what_ended_is_not() {
    listed(600..610, &[]).holds();
    listed(600..610, &["A"]).breaks("lists", "is listed as");
    // While it ends it may be there or not.
    listed(490..505, &["A"]).holds();
    listed(490..505, &[]).holds();
}
