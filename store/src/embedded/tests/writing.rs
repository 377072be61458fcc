//! The writer and its queue.

use super::super::disk_faults::{DiskCall, DiskFaults};
use super::super::fold::FoldLimits;
use super::super::{DATA_FILE, EmbeddedOptions, EmbeddedStore};
use super::{NEVER, Place, content, exists, fill, until_well};
use crate::conformance::make::{changed, commit, created, delta, id, stored, stored_version, version};
use crate::contract::{Commit, Committed, Conflict, Store, StoreError, StoreFuture};
use std::fs;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

#[tokio::test]
async fn a_batch_sees_its_earlier_commits_and_each_is_all_or_none() {
    let place = Place::new();
    let store = place.open();
    // While the first occupies the writer the others gather; whatever the batches are, the order
    // of one caller's commits is kept, so the outcome is the same.
    let outcomes = in_order(
        &store,
        vec![
            created(id(1, 1), 1),
            changed(id(1, 1), Some(1), 2, vec![]),
            commit(vec![delta(id(1, 2), None, Some(1)), delta(id(1, 1), Some(1), Some(9))]),
            commit(vec![delta(id(1, 1), Some(2), None), delta(id(1, 3), None, Some(1))]),
            created(id(1, 1), 50),
        ],
    )
    .await;
    let conflict = Committed::Conflict(Conflict::of([(id(1, 1), Some(version(2)))]));
    let done = || Ok(Committed::Done);
    assert_eq!(outcomes, [done(), done(), Ok(conflict), done(), done()]);
    assert_eq!(stored_version(&*store, id(1, 1)).await, Some(version(50)));
    assert!(!exists(&*store, id(1, 2)).await && exists(&*store, id(1, 3)).await);
}

/// Polls a call once, which hands it to the writer.
async fn hand_over<T>(call: &mut StoreFuture<'_, T>) -> Poll<T> {
    poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await
}

/// Hands over all commits in this order, then waits for all.
async fn in_order(store: &EmbeddedStore, commits: Vec<Commit>) -> Vec<Result<Committed, StoreError>> {
    let mut waiting: Vec<_> = commits.into_iter().map(|commit| store.commit(commit)).collect();
    for call in &mut waiting {
        if let Poll::Ready(outcome) = hand_over(call).await {
            *call = Box::pin(std::future::ready(outcome));
        }
    }
    let mut outcomes = Vec::new();
    for call in waiting {
        outcomes.push(call.await);
    }
    outcomes
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_the_abandoned_is_not_done() {
    let place = Place::new();
    let faults = Arc::new(DiskFaults::default());
    let options = EmbeddedOptions { queue_limit: 2, batch_limit: 1, ..place.options() };
    let store = EmbeddedStore::open_with_faults(options, Arc::clone(&faults)).unwrap();
    let stall = faults.stall(DiskCall::Sync);
    let mut first = store.commit(created(id(1, 1), 1));
    assert!(hand_over(&mut first).await.is_pending());
    stall.reached();
    // The writer stands in its fsync: two wait, the third is too many.
    let mut second = store.commit(created(id(1, 2), 1));
    let mut third = store.commit(created(id(1, 3), 1));
    assert!(hand_over(&mut second).await.is_pending() && hand_over(&mut third).await.is_pending());
    assert_eq!(store.commit(created(id(1, 4), 1)).await, Err(StoreError::Overloaded { limit: 2 }));
    drop(second);
    stall.end();
    assert_eq!((first.await, third.await), (Ok(Committed::Done), Ok(Committed::Done)));
    assert!(!exists(&*store, id(1, 2)).await && !exists(&*store, id(1, 4)).await);
}

#[tokio::test]
async fn a_disk_that_hangs_makes_the_outcome_unknown() {
    let place = Place::new();
    let faults = Arc::new(DiskFaults::default());
    let options = EmbeddedOptions { call_timeout: Duration::from_millis(1), ..place.options() };
    let store = EmbeddedStore::open_with_faults(options, Arc::clone(&faults)).unwrap();
    let stall = faults.stall(DiskCall::Sync);
    let outcome = store.commit(created(id(1, 1), 1)).await;
    assert!(matches!(outcome, Err(StoreError::OutcomeUnknown(_))), "{outcome:?}");
    stall.end();
    until_well(&*store).await;
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let place = Place::new();
    let store = place.open();
    store.close();
    store.close();
    assert_eq!(store.commit(created(id(1, 5), 1)).await, Err(StoreError::Closed));
    assert_eq!(store.load(id(1, 5)).await, Err(StoreError::Closed));
    assert_eq!(store.probe().await, Err(StoreError::Closed));
    drop(place.open());
}

#[tokio::test]
async fn a_kill_loses_nothing_that_was_acknowledged() {
    let place = Place::new();
    let store = place.open();
    fill(&*store, 0..50).await;
    // What a kill leaves is the file as it is now: nothing flushed, nothing closed.
    let after = Place::new();
    fs::create_dir(after.data_dir()).unwrap();
    fs::copy(place.file(), after.data_dir().join(DATA_FILE)).unwrap();
    let now = store.now();
    drop(store);
    let store = after.open();
    for number in 0..50 {
        let document = stored(&*store, id(1, number)).await.unwrap();
        assert_eq!(document.fields[2].1, content(number, 2));
    }
    assert!(store.now() >= now);
}

#[tokio::test]
async fn the_file_stays_flat_under_churn() {
    let place = Place::new();
    // With the real limits that is so as well, but only after some MiB.
    let limits = FoldLimits { documents: 100, journal_bytes: 64 * 1024, ..NEVER };
    let store = place.open_with(limits);
    let mut sizes = Vec::new();
    for round in 0..6 {
        for number in 0..300 {
            fill(&*store, number..number + 1).await;
            let end = commit(vec![delta(id(1, number), Some(1), None)]);
            assert_eq!(store.commit(end).await, Ok(Committed::Done), "round {round}");
        }
        sizes.push(fs::metadata(place.file()).unwrap().len());
    }
    assert!(sizes[5] <= sizes[1], "{sizes:?}");
}
