//! The changes that one instance hears of another are lost, doubled or in another order.

use super::shared::{Side, with_two};
use super::{lock_of, release, request};
use lockkeeper_store::faulty::{Gate, HintFault};

/// What the instance tells of a resource, until its last event is of this kind.
async fn told(side: &Side, last: &str) -> Vec<&'static str> {
    crate::support::eventually(&format!("{last} as the last event"), async || {
        let told: Vec<_> =
            side.events().read_after(0, 1000).ok()?.iter().map(|event| event.what.kind()).collect();
        (told.last() == Some(&last)).then_some(told)
    })
    .await
    .into_iter()
    .filter(|kind| kind.starts_with("lock."))
    .collect()
}

#[test]
fn a_lost_hint_is_made_up_for() {
    with_two(|one, other| async move {
        other.store.on_next_change(HintFault::Lose);
        let lock = lock_of(&one.acquire(request("p", "first")).await.unwrap());
        // Nothing else happens in its partition: only the sweep can find it.
        other.comes_to_see("p", true).await;
        other.store.on_next_change(HintFault::Lose);
        release(&one, "p", &lock).await;
        other.comes_to_see("p", false).await;
    });
}

/// A gap in the numbers is noticed with the next change.
#[test]
fn a_lost_hint_is_missed_when_the_next_comes() {
    with_two(|one, other| async move {
        other.store.on_next_change(HintFault::Lose);
        let lost = lock_of(&one.acquire(request("p", "first")).await.unwrap());
        lock_of(&one.acquire(request("q", "first")).await.unwrap());
        for path in ["p", "q"] {
            other.comes_to_see(path, true).await;
        }
        release(&other, "p", &lost).await;
    });
}

#[test]
fn a_doubled_hint_counts_once() {
    with_two(|one, other| async move {
        for _ in 0..4 {
            other.store.on_next_change(HintFault::Double);
        }
        let lock = lock_of(&one.acquire(request("p", "first")).await.unwrap());
        release(&one, "p", &lock).await;
        other.comes_to_see("p", false).await;
        let lock = lock_of(&one.acquire(request("p", "second")).await.unwrap());
        other.comes_to_see("p", true).await;
        release(&one, "p", &lock).await;
        other.comes_to_see("p", false).await;
        assert!(other.store.changes() >= 4);
        lock_of(&other.acquire(request("p", "third")).await.unwrap());
    });
}

#[test]
fn a_doubled_hint_tells_its_events_once() {
    with_two(|one, other| async move {
        for _ in 0..2 {
            other.store.on_next_change(HintFault::Double);
        }
        let lock = lock_of(&one.acquire(request("p", "first")).await.unwrap());
        release(&one, "p", &lock).await;
        assert_eq!(told(&other, "lock.released").await, ["lock.acquired", "lock.released"]);
    });
}

#[test]
fn an_overtaken_hint_undoes_nothing() {
    with_two(|one, other| async move {
        other.store.on_next_change(HintFault::Overtaken);
        let lock = lock_of(&one.acquire(request("p", "first")).await.unwrap());
        release(&one, "p", &lock).await;
        let last = lock_of(&one.acquire(request("q", "first")).await.unwrap());
        other.comes_to_see("q", true).await;
        other.comes_to_see("p", false).await;
        release(&other, "q", &last).await;
        let anew = lock_of(&other.acquire(request("p", "second")).await.unwrap());
        assert!(anew.token > lock.token);
    });
}

/// Everything that is told comes late, after this instance has gone on by itself.
#[test]
fn a_hint_of_the_past_changes_nothing() {
    with_two(|one, other| async move {
        let gate = Gate::new();
        other.store.on_next_change(HintFault::Hold(gate.clone()));
        let first = lock_of(&one.acquire(request("p", "first")).await.unwrap());
        gate.reached().await;
        release(&other, "p", &first).await;
        let second = lock_of(&other.acquire(request("p", "second")).await.unwrap());
        gate.open();
        let third = lock_of(&one.acquire(request("q", "third")).await.unwrap());
        other.comes_to_see("q", true).await;
        let seen = other.sees("p").unwrap();
        assert_eq!(seen.locks().next().map(|lock| lock.token), Some(second.token));
        release(&one, "p", &second).await;
        release(&other, "q", &third).await;
    });
}
