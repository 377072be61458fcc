//! Commits as a whole: versions, several documents, floors, what is refused.

use super::Place;
use super::make::{changed, commit, created, delta, id, stored, stored_version, ticket, version};
use crate::contract::{Committed, Conflict, StoreError};
use lockkeeper_core::{Delta, Version};

pub(super) async fn a_wrong_version_changes_nothing(place: &impl Place) {
    let store = place.open().await;
    let fields = |text: &[u8]| vec![(ticket(1), Some(text.to_vec()))];
    assert_eq!(store.commit(changed(id(1, 1), None, 5, fields(b"old"))).await, Ok(Committed::Done));
    let before = stored(&*store, id(1, 1)).await;
    for wrong in [Some(4), Some(6), None] {
        let mut change = changed(id(1, 1), wrong, 9, fields(b"new"));
        change.raise_floor = Some(9);
        let conflict = Committed::Conflict(Conflict::of([(id(1, 1), Some(version(5)))]));
        assert_eq!(store.commit(change).await, Ok(conflict), "expected {wrong:?}");
    }
    let other_generation =
        Delta { expected: Some(Version { generation: 1, counter: 5 }), ..delta(id(1, 1), None, Some(6)) };
    assert!(matches!(store.commit(commit(vec![other_generation])).await, Ok(Committed::Conflict(_))));
    assert_eq!(stored(&*store, id(1, 1)).await, before);
    assert_eq!(store.load(id(1, 1)).await.map(|loaded| loaded.floor), Ok(0), "the floor stays as well");
    assert_eq!(store.commit(changed(id(1, 1), Some(5), 6, fields(b"new"))).await, Ok(Committed::Done));
}

pub(super) async fn absence_can_be_expected(place: &impl Place) {
    let store = place.open().await;
    let absent = Committed::Conflict(Conflict::of([(id(1, 1), None)]));
    assert_eq!(store.commit(changed(id(1, 1), Some(1), 2, vec![])).await, Ok(absent));
    // Neither there before nor after: a way to ask that it is absent.
    let nothing = commit(vec![delta(id(1, 1), None, None)]);
    assert_eq!(store.commit(nothing.clone()).await, Ok(Committed::Done));
    assert_eq!(store.commit(created(id(1, 1), 3)).await, Ok(Committed::Done));
    let present = Committed::Conflict(Conflict::of([(id(1, 1), Some(version(3)))]));
    assert_eq!(store.commit(nothing).await, Ok(present.clone()));
    assert_eq!(store.commit(created(id(1, 1), 4)).await, Ok(present));
}

pub(super) async fn several_documents_change_together_or_not_at_all(place: &impl Place) {
    let store = place.open().await;
    for number in 0..3 {
        assert_eq!(store.commit(created(id(4, number), 1)).await, Ok(Committed::Done));
    }
    let change = |first: u64, second: u64| {
        commit(vec![
            delta(id(4, 0), Some(first), Some(first + 1)),
            delta(id(4, 1), Some(second), None),
            delta(id(4, 9), None, Some(1)),
        ])
    };
    // Only those documents are named that differ.
    let conflict = Committed::Conflict(Conflict::of([(id(4, 1), Some(version(1)))]));
    assert_eq!(store.commit(change(1, 2)).await, Ok(conflict));
    assert_eq!(stored_version(&*store, id(4, 0)).await, Some(version(1)));
    assert_eq!(stored_version(&*store, id(4, 9)).await, None);
    assert_eq!(store.commit(change(1, 1)).await, Ok(Committed::Done));
    assert_eq!(stored_version(&*store, id(4, 0)).await, Some(version(2)));
    assert_eq!(stored_version(&*store, id(4, 1)).await, None);
    assert_eq!(stored_version(&*store, id(4, 2)).await, Some(version(1)));
    assert_eq!(stored_version(&*store, id(4, 9)).await, Some(version(1)));
}

pub(super) async fn contract_breaches_are_refused(place: &impl Place) {
    let store = place.open().await;
    let two_partitions = commit(vec![delta(id(1, 1), None, Some(1)), delta(id(2, 1), None, Some(1))]);
    let twice = commit(vec![delta(id(1, 1), None, Some(1)), delta(id(1, 1), Some(1), Some(2))]);
    let fields_of_the_dead =
        commit(vec![Delta { fields: vec![(ticket(1), None)], ..delta(id(1, 1), None, None) }]);
    for breach in [two_partitions, twice, fields_of_the_dead] {
        let outcome = store.commit(breach.clone()).await;
        assert!(matches!(outcome, Err(StoreError::Refused(_))), "{breach:?}: {outcome:?}");
    }
    assert_eq!(stored_version(&*store, id(1, 1)).await, None);
    assert_eq!(stored_version(&*store, id(2, 1)).await, None);
}

pub(super) async fn a_floor_only_rises(place: &impl Place) {
    let store = place.open().await;
    for (raise, floor) in [(Some(10), 10), (Some(5), 10), (None, 10), (Some(1 << 52), 1 << 52)] {
        let mut change = commit(vec![delta(id(6, 1), None, None)]);
        change.raise_floor = raise;
        assert_eq!(store.commit(change).await, Ok(Committed::Done));
        assert_eq!(store.load(id(6, 42)).await.map(|loaded| loaded.floor), Ok(floor));
    }
    assert_eq!(store.load(id(7, 42)).await.map(|loaded| loaded.floor), Ok(0), "each partition has its own");
}
