//! Commits as a whole: versions, several documents, floors, what is refused.

use super::Place;
use super::make::{id, on, stored, stored_version, ticket};
use crate::contract::{Commit, Committed, Conflict, StoreError};
use lockkeeper_core::{Delta, Partition, Version};

pub(super) async fn a_wrong_version_changes_nothing(place: &impl Place) {
    let store = place.open().await;
    let on = on(&*store);
    let fields = |text: &[u8]| vec![(ticket(1), Some(text.to_vec()))];
    assert_eq!(store.commit(on.changed(id(1, 1), None, 5, fields(b"old"))).await, Ok(Committed::Done));
    let before = stored(&*store, id(1, 1)).await;
    let floor = store.known(Partition(1)).floor;
    for wrong in [Some(4), Some(6), None] {
        let mut change = on.changed(id(1, 1), wrong, 9, fields(b"new"));
        change.raise_floor = Some(floor + 9);
        let conflict = Committed::Conflict(Conflict::of([(id(1, 1), Some(on.version(id(1, 1), 5)))]));
        assert_eq!(store.commit(change).await, Ok(conflict), "expected {wrong:?}");
    }
    let other_generation = Delta {
        expected: Some(Version { generation: 1 << 50, counter: 5 }),
        ..on.delta(id(1, 1), None, Some(6))
    };
    assert!(matches!(store.commit(on.commit(vec![other_generation])).await, Ok(Committed::Conflict(_))));
    assert_eq!(stored(&*store, id(1, 1)).await, before);
    assert_eq!(store.load(id(1, 1)).await.map(|loaded| loaded.floor), Ok(floor), "the floor stays as well");
    assert_eq!(store.commit(on.changed(id(1, 1), Some(5), 6, fields(b"new"))).await, Ok(Committed::Done));
}

pub(super) async fn absence_can_be_expected(place: &impl Place) {
    let store = place.open().await;
    let on = on(&*store);
    let absent = Committed::Conflict(Conflict::of([(id(1, 1), None)]));
    assert_eq!(store.commit(on.changed(id(1, 1), Some(1), 2, vec![])).await, Ok(absent));
    // Neither there before nor after: a way to ask that it is absent.
    let nothing = on.commit(vec![on.delta(id(1, 1), None, None)]);
    assert_eq!(store.commit(nothing.clone()).await, Ok(Committed::Done));
    assert_eq!(store.commit(on.created(id(1, 1), 3)).await, Ok(Committed::Done));
    let present = Committed::Conflict(Conflict::of([(id(1, 1), Some(on.version(id(1, 1), 3)))]));
    assert_eq!(store.commit(nothing).await, Ok(present.clone()));
    assert_eq!(store.commit(on.created(id(1, 1), 4)).await, Ok(present));
}

pub(super) async fn several_documents_change_together_or_not_at_all(place: &impl Place) {
    let store = place.open().await;
    let on = on(&*store);
    for number in 0..3 {
        assert_eq!(store.commit(on.created(id(4, number), 1)).await, Ok(Committed::Done));
    }
    let change = |first: u64, second: u64| {
        on.commit(vec![
            on.delta(id(4, 0), Some(first), Some(first + 1)),
            on.delta(id(4, 1), Some(second), None),
            on.delta(id(4, 9), None, Some(1)),
        ])
    };
    // Only those documents are named that differ.
    let conflict = Committed::Conflict(Conflict::of([(id(4, 1), Some(on.version(id(4, 1), 1)))]));
    assert_eq!(store.commit(change(1, 2)).await, Ok(conflict));
    assert_eq!(stored_version(&*store, id(4, 0)).await, Some(on.version(id(4, 0), 1)));
    assert_eq!(stored_version(&*store, id(4, 9)).await, None);
    assert_eq!(store.commit(change(1, 1)).await, Ok(Committed::Done));
    assert_eq!(stored_version(&*store, id(4, 0)).await, Some(on.version(id(4, 0), 2)));
    assert_eq!(stored_version(&*store, id(4, 1)).await, None);
    assert_eq!(stored_version(&*store, id(4, 2)).await, Some(on.version(id(4, 2), 1)));
    assert_eq!(stored_version(&*store, id(4, 9)).await, Some(on.version(id(4, 9), 1)));
}

pub(super) async fn contract_breaches_are_refused(place: &impl Place) {
    let store = place.open().await;
    let on = on(&*store);
    let two_partitions =
        on.commit(vec![on.delta(id(1, 1), None, Some(1)), on.delta(id(2, 1), None, Some(1))]);
    let twice = on.commit(vec![on.delta(id(1, 1), None, Some(1)), on.delta(id(1, 1), Some(1), Some(2))]);
    let fields_of_the_dead =
        on.commit(vec![Delta { fields: vec![(ticket(1), None)], ..on.delta(id(1, 1), None, None) }]);
    for breach in [two_partitions, twice, fields_of_the_dead] {
        let outcome = store.commit(breach.clone()).await;
        assert!(matches!(outcome, Err(StoreError::Refused(_))), "{breach:?}: {outcome:?}");
    }
    assert_eq!(stored_version(&*store, id(1, 1)).await, None);
    assert_eq!(stored_version(&*store, id(2, 1)).await, None);
}

pub(super) async fn a_floor_only_rises(place: &impl Place) {
    let store = place.open().await;
    let on = on(&*store);
    let (first, neighbour) = (store.known(Partition(6)).floor, store.known(Partition(7)).floor);
    let steps =
        [(Some(first + 10), 10), (Some(first + 5), 10), (None, 10), (Some(first + (1 << 40)), 1 << 40)];
    for (raise, raised) in steps {
        let mut change = on.commit(vec![on.delta(id(6, 1), None, None)]);
        change.raise_floor = raise;
        assert_eq!(store.commit(change).await, Ok(Committed::Done));
        assert_eq!(store.load(id(6, 42)).await.map(|loaded| loaded.floor), Ok(first + raised));
    }
    let other = store.load(id(7, 42)).await.map(|loaded| loaded.floor);
    assert_eq!(other, Ok(neighbour), "each partition has its own");
}

pub(super) async fn checks_alone_confirm_and_change_nothing(place: &impl Place) {
    let store = place.open().await;
    let on = on(&*store);
    assert_eq!(store.commit(on.created(id(3, 1), 7)).await, Ok(Committed::Done));
    let before = (store.load(id(3, 1)).await, store.load(id(3, 2)).await);
    let right = on.checking(vec![(id(3, 1), Some(7)), (id(3, 2), None)]);
    assert_eq!(store.commit(right).await, Ok(Committed::Done));
    let seven = Some(on.version(id(3, 1), 7));
    for (wrong, moved) in [
        (vec![(id(3, 1), Some(6)), (id(3, 2), None)], vec![(id(3, 1), seven)]),
        (vec![(id(3, 1), None)], vec![(id(3, 1), seven)]),
        (vec![(id(3, 1), Some(7)), (id(3, 2), Some(7))], vec![(id(3, 2), None)]),
        (vec![(id(3, 2), Some(1)), (id(3, 1), Some(8))], vec![(id(3, 2), None), (id(3, 1), seven)]),
    ] {
        let conflict = Committed::Conflict(Conflict::of(moved));
        assert_eq!(store.commit(on.checking(wrong.clone())).await, Ok(conflict), "{wrong:?}");
    }
    assert_eq!((store.load(id(3, 1)).await, store.load(id(3, 2)).await), before);
}

pub(super) async fn checks_stand_beside_deltas(place: &impl Place) {
    let store = place.open().await;
    let on = on(&*store);
    for number in [1, 2] {
        assert_eq!(store.commit(on.created(id(3, number), 1)).await, Ok(Committed::Done));
    }
    let with_check = |check: Option<u64>, next| {
        let checks = on.checking(vec![(id(3, 2), check), (id(3, 9), None)]).checks;
        Commit { checks, ..on.commit(vec![on.delta(id(3, 1), Some(next - 1), Some(next))]) }
    };
    // A wrong check: the delta, though right, is not carried out.
    for wrong in [Some(2), None] {
        let conflict = Committed::Conflict(Conflict::of([(id(3, 2), Some(on.version(id(3, 2), 1)))]));
        assert_eq!(store.commit(with_check(wrong, 2)).await, Ok(conflict));
        assert_eq!(stored_version(&*store, id(3, 1)).await, Some(on.version(id(3, 1), 1)));
    }
    assert_eq!(store.commit(with_check(Some(1), 2)).await, Ok(Committed::Done));
    assert_eq!(stored_version(&*store, id(3, 1)).await, Some(on.version(id(3, 1), 2)));
    assert_eq!(stored_version(&*store, id(3, 2)).await, Some(on.version(id(3, 2), 1)));
    // Both are wrong: both are named.
    let conflict =
        Conflict::of([(id(3, 1), Some(on.version(id(3, 1), 2))), (id(3, 2), Some(on.version(id(3, 2), 1)))]);
    assert_eq!(store.commit(with_check(None, 2)).await, Ok(Committed::Conflict(conflict)));
    // A document is changed or checked, and not both.
    let checks = vec![(id(3, 1), Some(on.version(id(3, 1), 2)))];
    let both = Commit { checks, ..on.commit(vec![on.delta(id(3, 1), Some(2), Some(3))]) };
    assert!(matches!(store.commit(both).await, Err(StoreError::Refused(_))));
}
