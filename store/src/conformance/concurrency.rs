//! Many callers at once.

use super::Place;
use super::make::{id, on, stored};
use crate::contract::{Committed, Store};
use lockkeeper_core::{Field, FieldKind};
use std::sync::Arc;

/// Callers at once.
const CALLERS: u64 = 16;
/// Increments of each.
const INCREMENTS: u64 = 25;

const NUMBER: Field = Field { kind: FieldKind::Lock, seq: 0 };

pub(super) async fn concurrent_increments_lose_nothing(place: &impl Place) {
    let store = place.open().await;
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for _ in 0..INCREMENTS {
                    increment(&*store).await;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("a caller finishes");
    }
    let document = stored(&*store, id(1, 1)).await.expect("the document is there");
    assert_eq!(document.version.counter, CALLERS * INCREMENTS);
    assert_eq!(document.fields, [(NUMBER, (CALLERS * INCREMENTS).to_be_bytes().to_vec())]);
}

/// Adds one to the number in the document, as often as it takes.
async fn increment(store: &dyn Store) {
    loop {
        let document = stored(store, id(1, 1)).await;
        let expected = document.as_ref().map(|document| document.version.counter);
        let number = document.map_or(0, |document| {
            document.fields[0].1.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
        });
        let fields = vec![(NUMBER, Some((number + 1).to_be_bytes().to_vec()))];
        match store.commit(on(store).changed(id(1, 1), expected, expected.unwrap_or(0) + 1, fields)).await {
            Ok(Committed::Done) => return,
            Ok(Committed::Conflict(conflict)) => assert_eq!(conflict.moved.len(), 1),
            Ok(Committed::Late) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
