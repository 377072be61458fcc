//! Disks that fail at exact points.

use super::super::disk_faults::{DiskCall, DiskFaults};
use super::super::read;
use super::super::shared::Slot;
use super::{Place, exists, fill, until_well};
use crate::conformance::make::{created, id};
use crate::contract::{Committed, Store, StoreError};
use std::io::ErrorKind;
use std::sync::Arc;

/// Fails each disk call of a commit in turn; what is said about the commit must be true, now and
/// after a restart, and the store must come back by itself.
#[tokio::test]
async fn every_failing_call_of_a_commit_is_survived_and_told_truly() {
    for call in [DiskCall::Write, DiskCall::Sync, DiskCall::SetLen] {
        for after in 0..6 {
            for kind in [ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem, ErrorKind::Other] {
                let place = Place::new();
                let faults = Arc::new(DiskFaults::default());
                let store = place.open_on(&faults);
                fill(&*store, 0..3).await;
                faults.fail(call, after, 1, kind);
                let what = format!("{call:?} {after} {kind:?}");
                let outcome = store.commit(created(id(1, 100), 1)).await;
                let landed = match &outcome {
                    Ok(done) => {
                        assert_eq!(*done, Committed::Done);
                        Some(true)
                    }
                    Err(StoreError::Unavailable(_)) => Some(false),
                    Err(StoreError::OutcomeUnknown(_)) => None,
                    Err(other) => panic!("{what}: {other}"),
                };
                faults.heal();
                until_well(&*store).await;
                let there = exists(&*store, id(1, 100)).await;
                assert!(landed.is_none_or(|landed| landed == there), "{what}: {outcome:?}, but {there}");
                fill(&*store, 200..201).await;
                drop(store);
                let store = place.open();
                assert_eq!(exists(&*store, id(1, 100)).await, there, "{what}");
                assert!(exists(&*store, id(1, 2)).await && exists(&*store, id(1, 200)).await, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_panic_in_a_batch_is_answered_and_the_writer_goes_on() {
    for call in [DiskCall::Write, DiskCall::Sync] {
        let place = Place::new();
        let faults = Arc::new(DiskFaults::default());
        let store = place.open_on(&faults);
        fill(&*store, 0..3).await;
        faults.panic(call, 0);
        let outcome = store.commit(created(id(1, 100), 1)).await;
        until_well(&*store).await;
        let there = exists(&*store, id(1, 100)).await;
        match outcome {
            Ok(Committed::Done) => assert!(there),
            Err(StoreError::Damaged(text)) => assert!(text.contains("panicked") && !there, "{text}"),
            other => panic!("{other:?}"),
        }
        fill(&*store, 3..6).await;
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_but_still_reads_and_says_why() {
    let place = Place::new();
    let faults = Arc::new(DiskFaults::default());
    let store = place.open_on(&faults);
    fill(&*store, 0..3).await;
    faults.fail(DiskCall::Write, 0, u64::MAX, ErrorKind::StorageFull);
    for _ in 0..20 {
        let Err(StoreError::Unavailable(text) | StoreError::OutcomeUnknown(text)) =
            store.commit(created(id(1, 100), 1)).await
        else {
            panic!("a full disk took a commit");
        };
        assert!(text.contains("no space left on the data directory's disk"), "{text}");
    }
    assert!(matches!(store.probe().await, Err(StoreError::Unavailable(_))));
    faults.heal();
    until_well(&*store).await;
    assert_eq!(store.commit(created(id(1, 101), 1)).await, Ok(Committed::Done));
    assert!(!exists(&*store, id(1, 100)).await);
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_again_makes_an_unknown_outcome_then_recovers() {
    let place = Place::new();
    let faults = Arc::new(DiskFaults::default());
    let store = place.open_on(&faults);
    fill(&*store, 0..3).await;
    faults.fail(DiskCall::Sync, 0, u64::MAX, ErrorKind::Other);
    faults.fail(DiskCall::Open, 0, u64::MAX, ErrorKind::PermissionDenied);
    let outcome = store.commit(created(id(1, 100), 1)).await;
    assert!(matches!(outcome, Err(StoreError::OutcomeUnknown(_))), "{outcome:?}");
    // While it is away everything is answered at once, with the cause.
    for outcome in [store.load(id(1, 1)).await.map(drop), store.probe().await] {
        let Err(StoreError::Unavailable(text)) = outcome else { panic!("{outcome:?}") };
        assert!(text.contains("permission"), "{text}");
    }
    faults.heal();
    // Reads alone must see it come back: the writer tries by itself.
    let start = std::time::Instant::now();
    while store.load(id(1, 1)).await.is_err() {
        assert!(start.elapsed() < super::DEADLINE);
        tokio::task::yield_now().await;
    }
    until_well(&*store).await;
    let there = exists(&*store, id(1, 100)).await;
    let again = store.commit(created(id(1, 100), 1)).await.unwrap();
    assert_eq!(matches!(again, Committed::Conflict(_)), there);
}

#[tokio::test]
async fn the_writer_opens_the_file_again_without_being_asked() {
    let place = Place::new();
    let faults = Arc::new(DiskFaults::default());
    let store = place.open_on(&faults);
    faults.fail(DiskCall::Sync, 0, 1, ErrorKind::Other);
    faults.fail(DiskCall::Open, 0, 3, ErrorKind::PermissionDenied);
    assert!(store.probe().await.is_err());
    let start = std::time::Instant::now();
    while !matches!(*store.shared.slot.read(), Slot::Open(_)) {
        assert!(start.elapsed() < super::DEADLINE);
        std::thread::yield_now();
    }
    assert_eq!(store.load(id(1, 1)).await.map(|loaded| loaded.floor), Ok(0));
}

#[tokio::test]
async fn a_reader_that_is_overtaken_by_a_reopening_gets_an_error() {
    let place = Place::new();
    // Closed in between, so that it is in the table.
    fill(&*place.open(), 0..500).await;
    let faults = Arc::new(DiskFaults::default());
    let options = crate::EmbeddedOptions { cache_bytes: 0, ..place.options() };
    let store = crate::EmbeddedStore::open_with_faults(options, Arc::clone(&faults)).unwrap();
    let view = store.shared.view(read::pending_all).unwrap();
    faults.fail(DiskCall::Sync, 0, 1, ErrorKind::Other);
    // The write is on the disk by the time the file is open again, so the outcome is a success.
    assert_eq!(store.probe().await, Ok(()));
    assert!(read::list(view, None, 500).is_err());
    until_well(&*store).await;
    fill(&*store, 500..600).await;
    assert!(exists(&*store, id(1, 250)).await);
}

#[tokio::test]
async fn a_failed_read_heals_without_a_write() {
    let place = Place::new();
    fill(&*place.open(), 0..500).await;
    let faults = Arc::new(DiskFaults::default());
    let options = crate::EmbeddedOptions { cache_bytes: 0, ..place.options() };
    let store = crate::EmbeddedStore::open_with_faults(options, Arc::clone(&faults)).unwrap();
    faults.fail(DiskCall::Read, 0, 1, ErrorKind::Other);
    let outcome = store.load(id(1, 1)).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    let start = std::time::Instant::now();
    while store.load(id(1, 1)).await.is_err() {
        assert!(start.elapsed() < super::DEADLINE);
        tokio::task::yield_now().await;
    }
    assert!(exists(&*store, id(1, 499)).await);
}
