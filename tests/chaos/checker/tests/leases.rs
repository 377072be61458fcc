//! Renewals that are refused leave leases as they were.

use super::super::kit::{Story, acquired, ask, lock, refused_until, until};
use crate::chaos::history::{Answer, Ask, Call};

fn held() -> Story {
    Story::new().acquire(0..10, ask("a"), acquired(lock("A", "a", 1, 1000)))
}

#[test]
fn a_refusal_names_no_later_end() {
    held().renew(100..110, "A", refused_until(Some(1000))).holds();
    held().renew(100..110, "A", refused_until(Some(900))).holds();
    held().renew(100..110, "A", refused_until(Some(1001))).breaks("leases", "was ever confirmed");
    held().renew(100..110, "A", refused_until(None)).breaks("leases", "was ever confirmed");
    let hold = Ask { ttl_ms: 0, ..ask("a") };
    let taken = acquired(lock("A", "a", 1, 0));
    Story::new().acquire(0..10, hold, taken).renew(100..110, "A", refused_until(None)).holds();
}

#[test]
fn what_was_renewed_or_may_have_been_ends_later() {
    let renewed = Answer::Lock(until(lock("A", "a", 1, 1000), 1500));
    held().renew(500..510, "A", renewed).renew(600..610, "A", refused_until(Some(1500))).holds();
    // It may have begun anew at 600, and the clocks may be apart by the grace.
    let unknown = || held().renew(500..510, "A", Answer::Lost("timeout"));
    unknown().renew(590..600, "A", refused_until(Some(2600))).holds();
    unknown().renew(590..600, "A", refused_until(Some(2601))).breaks("leases", "was ever confirmed");
}

#[test]
fn a_client_that_waits_is_told_of_the_same_lease() {
    held()
        .op(100..110, Call::Poll { id: "A".into(), wait_ms: 0 }, refused_until(Some(1200)))
        .breaks("leases", "was ever confirmed");
}
