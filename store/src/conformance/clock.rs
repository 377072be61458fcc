//! The store's clock.

use super::Place;
use super::make::{id, on};
use crate::contract::Committed;
use lockkeeper_core::Timestamp;
use std::sync::Arc;

/// Readings of each thread.
const READINGS: usize = 10_000;

pub(super) async fn now_never_runs_backwards(place: &impl Place) {
    let store = place.open().await;
    assert!(store.now() > Timestamp::ZERO);
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::task::spawn_blocking(move || {
                let mut last = store.now();
                for _ in 0..READINGS {
                    let now = store.now();
                    assert!(now >= last, "{now:?} after {last:?}");
                    last = now;
                }
                last
            })
        })
        .collect();
    let mut latest = Timestamp::ZERO;
    for reader in readers {
        latest = latest.max(reader.await.expect("a reader finishes"));
    }
    // What one thread saw, no later reading of another undercuts.
    assert!(store.now() >= latest);
    assert_eq!(store.commit(on(&*store).created(id(0, 1), 1)).await, Ok(Committed::Done));
    drop(store);
    assert!(place.open().await.now() >= latest);
}
