//! One document: its header, its fields, its end.

use super::Place;
use super::make::{header_of, id, on, stored, ticket};
use crate::contract::{Committed, Conflict, Loaded, StoredDocument};
use lockkeeper_core::{Field, FieldKind, Partition};

/// Fields of the large document.
const LARGE_FIELDS: u64 = 100_000;
/// Fields of it that one commit writes.
const FIELDS_PER_COMMIT: u64 = 20_000;

pub(super) async fn create_and_load(place: &impl Place) {
    let store = place.open().await;
    let on = on(&*store);
    let floor = store.known(Partition(3)).floor;
    assert_eq!(store.load(id(3, 7)).await, Ok(Loaded { document: None, floor }));
    assert_eq!(store.commit(on.created(id(3, 7), 5)).await, Ok(Committed::Done));
    let version = on.version(id(3, 7), 5);
    let document = StoredDocument { id: id(3, 7), version, header: header_of(5), fields: Vec::new() };
    assert_eq!(store.load(id(3, 7)).await, Ok(Loaded { document: Some(document), floor }));
    assert_eq!(store.load(id(3, 8)).await, Ok(Loaded { document: None, floor }));
    assert_eq!(store.probe().await, Ok(()));
}

pub(super) async fn fields_are_put_replaced_and_removed(place: &impl Place) {
    let store = place.open().await;
    let on = on(&*store);
    let identity = Field { kind: FieldKind::Identity, seq: 0 };
    let ended = Field { kind: FieldKind::Ended, seq: u64::MAX };
    // Neighbours, whose fields must not be touched.
    for neighbour in [id(9, 0), id(9, 2)] {
        let fields = vec![(ticket(1), Some(b"neighbour".to_vec()))];
        assert_eq!(store.commit(on.changed(neighbour, None, 1, fields)).await, Ok(Committed::Done));
    }
    let first = vec![
        (ended, Some(b"ended".to_vec())),
        (ticket(300), Some(b"late".to_vec())),
        (ticket(2), Some(Vec::new())),
        (identity, Some(b"who".to_vec())),
    ];
    assert_eq!(store.commit(on.changed(id(9, 1), None, 1, first)).await, Ok(Committed::Done));
    let second = vec![
        (ticket(2), Some(b"replaced".to_vec())),
        (ticket(300), None),
        (ticket(4), None),
        (ticket(5), Some(b"new".to_vec())),
    ];
    assert_eq!(store.commit(on.changed(id(9, 1), Some(1), 2, second)).await, Ok(Committed::Done));
    let document = stored(&*store, id(9, 1)).await.expect("the document is there");
    let expected = [
        (identity, b"who".to_vec()),
        (ticket(2), b"replaced".to_vec()),
        (ticket(5), b"new".to_vec()),
        (ended, b"ended".to_vec()),
    ];
    assert_eq!(document.fields, expected, "ordered by kind, then number");
    assert_eq!(document.header, header_of(2));
    for neighbour in [id(9, 0), id(9, 2)] {
        let document = stored(&*store, neighbour).await.expect("the neighbour is there");
        assert_eq!(document.fields, [(ticket(1), b"neighbour".to_vec())]);
    }
}

pub(super) async fn delete_removes_the_fields_and_allows_a_new_beginning(place: &impl Place) {
    let store = place.open().await;
    let on = on(&*store);
    let fields = (0..100).map(|seq| (ticket(seq), Some(vec![1; 50]))).collect();
    assert_eq!(store.commit(on.changed(id(1, 1), None, 1, fields)).await, Ok(Committed::Done));
    let neighbour = vec![(ticket(0), Some(b"stays".to_vec()))];
    assert_eq!(store.commit(on.changed(id(1, 2), None, 1, neighbour)).await, Ok(Committed::Done));
    let delete = on.commit(vec![on.delta(id(1, 1), Some(1), None)]);
    assert_eq!(store.commit(delete.clone()).await, Ok(Committed::Done));
    assert_eq!(stored(&*store, id(1, 1)).await, None);
    assert_eq!(store.commit(delete).await, Ok(Committed::Conflict(Conflict::of([(id(1, 1), None)]))));
    assert_eq!(store.commit(on.created(id(1, 1), 1_000)).await, Ok(Committed::Done));
    let again = stored(&*store, id(1, 1)).await.expect("it was made again");
    assert_eq!((again.version, again.fields), (on.version(id(1, 1), 1_000), Vec::new()));
    assert_eq!(stored(&*store, id(1, 2)).await.expect("the neighbour is there").fields.len(), 1);
}

pub(super) async fn a_large_document_is_whole(place: &impl Place) {
    let store = place.open().await;
    let on = on(&*store);
    let mut expected = None;
    for first in (0..LARGE_FIELDS).step_by(FIELDS_PER_COMMIT as usize) {
        let next = expected.unwrap_or(0) + 1;
        let fields = (first..first + FIELDS_PER_COMMIT)
            .map(|seq| (ticket(seq), Some(seq.to_be_bytes().to_vec())))
            .collect();
        assert_eq!(store.commit(on.changed(id(5, 5), expected, next, fields)).await, Ok(Committed::Done));
        expected = Some(next);
    }
    let fields = stored(&*store, id(5, 5)).await.expect("the document is there").fields;
    assert_eq!(fields.len() as u64, LARGE_FIELDS);
    for (seq, (field, bytes)) in (0..).zip(&fields) {
        assert_eq!((*field, bytes.as_slice()), (ticket(seq), seq.to_be_bytes().as_slice()));
    }
    // One end of it, as a grant takes it, and then all of it.
    let grant = on.changed(id(5, 5), expected, 100, vec![(ticket(0), None)]);
    assert_eq!(store.commit(grant).await, Ok(Committed::Done));
    let first = stored(&*store, id(5, 5)).await.expect("the document is there").fields[0].0;
    assert_eq!(first, ticket(1));
    assert_eq!(store.commit(on.commit(vec![on.delta(id(5, 5), Some(100), None)])).await, Ok(Committed::Done));
    assert_eq!(stored(&*store, id(5, 5)).await, None);
}

pub(super) async fn all_survives_reopening(place: &impl Place) {
    let store = place.open().await;
    let on = on(&*store);
    let fields = vec![(ticket(1), Some(b"kept".to_vec()))];
    let mut change = on.changed(id(2, 1), None, 1, fields);
    let floor = store.known(Partition(2)).floor + 77;
    change.raise_floor = Some(floor);
    assert_eq!(store.commit(change).await, Ok(Committed::Done));
    assert_eq!(store.commit(on.created(id(2, 2), 1)).await, Ok(Committed::Done));
    assert_eq!(store.commit(on.commit(vec![on.delta(id(2, 2), Some(1), None)])).await, Ok(Committed::Done));
    let before = (store.load(id(2, 1)).await, store.load(id(2, 2)).await, store.now());
    drop(store);
    let store = place.open().await;
    assert_eq!((store.load(id(2, 1)).await, store.load(id(2, 2)).await), (before.0, before.1));
    assert_eq!(store.load(id(2, 9)).await.map(|loaded| loaded.floor), Ok(floor));
    assert!(store.now() >= before.2, "the clock goes on");
}
