//! What the journal does to the file.

use super::super::layout::{JOURNAL, RECORDS, document_key};
use super::super::shared::Slot;
use super::super::{EmbeddedStore, OpenError, backup, compact};
use super::{NEVER, Place, TINY, content, exists, fill};
use crate::conformance::make::{changed, commit, created, delta, id, stored, ticket};
use crate::contract::{Committed, Store, StoreError};
use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata};
use std::fs;
use std::path::Path;
use std::time::Instant;

/// Rows of the journal and of the documents' table.
fn rows(file: &Path) -> (u64, u64) {
    let db = redb::Database::open(file).unwrap();
    let txn = db.begin_read().unwrap();
    (txn.open_table(JOURNAL).unwrap().len().unwrap(), txn.open_table(RECORDS).unwrap().len().unwrap())
}

fn pending(store: &EmbeddedStore) -> usize {
    match &*store.shared.slot.read() {
        Slot::Open(base) => base.overlay.len(),
        other => panic!("{other:?}"),
    }
}

/// Waits until the idle writer has folded everything and removed the journal.
async fn until_folded(place: &Place, store: &EmbeddedStore) {
    let start = Instant::now();
    while pending(store) > 0 || rows(&place.killed().file()).0 > 0 {
        assert!(start.elapsed() < super::DEADLINE, "{} documents are still pending", pending(store));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_idle_writer_empties_the_journal() {
    let place = Place::new();
    let store = place.open_with(super::FoldLimits { idle: TINY.idle, ..NEVER });
    fill(&*store, 0..50).await;
    until_folded(&place, &store).await;
    assert_eq!(rows(&place.killed().file()), (0, 200));
    assert_eq!(stored(&*store, id(1, 49)).await.unwrap().fields[2].1, content(49, 2));
    // Again, on an empty journal.
    fill(&*store, 50..60).await;
    until_folded(&place, &store).await;
    assert_eq!(rows(&place.killed().file()), (0, 240));
}

#[tokio::test]
async fn a_commit_touches_no_document_until_it_is_folded() {
    let place = Place::new();
    let store = place.open_with(NEVER);
    fill(&*store, 0..50).await;
    assert_eq!(rows(&place.killed().file()), (50, 0));
    assert!(exists(&*place.killed().open(), id(1, 49)).await);
    store.close();
    assert_eq!(rows(&place.file()), (0, 200), "closing folds");
}

#[tokio::test]
async fn the_journal_stays_short_under_load() {
    for limits in [
        super::FoldLimits { documents: 20, ..NEVER },
        super::FoldLimits { bytes: 20_000, ..NEVER },
        super::FoldLimits { journal_bytes: 8_000, ..NEVER },
    ] {
        let place = Place::new();
        let store = place.open_with(limits);
        for round in 0..4 {
            fill(&*store, round * 200..round * 200 + 200).await;
            let (journal, _) = rows(&place.killed().file());
            assert!(journal < 160, "{limits:?}: {journal} rows");
            assert!(pending(&store) < 80, "{limits:?}");
        }
        let killed = place.killed().open();
        for number in 0..800 {
            assert!(exists(&*killed, id(1, number)).await, "{number}");
        }
    }
}

#[tokio::test]
async fn few_documents_that_change_forever_do_not_make_the_journal_grow() {
    let place = Place::new();
    let limits = super::FoldLimits { journal_bytes: 10_000, ..NEVER };
    let store = place.open_with(limits);
    for counter in 0..1_000_u64 {
        let expected = counter.checked_sub(1);
        let fields = vec![(ticket(counter % 5), Some(content(counter, 0)))];
        assert_eq!(store.commit(changed(id(1, 1), expected, counter, fields)).await, Ok(Committed::Done));
    }
    assert!(rows(&place.killed().file()).0 < 200);
    assert_eq!(stored(&*place.killed().open(), id(1, 1)).await.unwrap().fields.len(), 5);
}

#[tokio::test]
async fn what_comes_and_goes_between_folds_never_reaches_the_table() {
    let place = Place::new();
    let store = place.open_with(NEVER);
    for number in 0..20 {
        fill(&*store, number..number + 1).await;
        let lock = changed(id(1, number), Some(1), 2, vec![(ticket(0), None), (ticket(1), None)]);
        assert_eq!(store.commit(lock).await, Ok(Committed::Done));
        if number >= 10 {
            let end = commit(vec![delta(id(1, number), Some(2), None)]);
            assert_eq!(store.commit(end).await, Ok(Committed::Done));
        }
    }
    store.close();
    assert_eq!(rows(&place.file()), (0, 20), "ten documents with one field each");
}

#[tokio::test]
async fn a_large_document_folds_in_parts_and_is_whole_at_any_time() {
    const FIELDS: u64 = 5_000;
    let place = Place::new();
    let limits = super::FoldLimits { chunk_rows: 10, idle: TINY.idle, ..NEVER };
    let store = place.open_with(limits);
    // There once before, so that there is something to make void.
    let fields = |from: u64| (from..FIELDS).map(|seq| (ticket(seq), Some(content(seq, 0)))).collect();
    assert_eq!(store.commit(changed(id(1, 1), None, 1, fields(4_000))).await, Ok(Committed::Done));
    until_folded(&place, &store).await;
    assert_eq!(store.commit(commit(vec![delta(id(1, 1), Some(1), None)])).await, Ok(Committed::Done));
    assert_eq!(store.commit(changed(id(1, 1), None, 2, fields(0))).await, Ok(Committed::Done));
    let (start, mut parts) = (Instant::now(), 0);
    while pending(&store) > 0 {
        assert!(start.elapsed() < super::DEADLINE);
        for store in [&store, &place.killed().open()] {
            let document = stored(&**store, id(1, 1)).await.unwrap();
            assert_eq!(document.fields.len() as u64, FIELDS);
            assert!((0..).zip(&document.fields).all(|(seq, field)| *field == (ticket(seq), content(seq, 0))));
        }
        parts += 1;
    }
    assert!(parts > 3, "{parts}");
    until_folded(&place, &store).await;
    assert_eq!(rows(&place.killed().file()), (0, FIELDS + 1));
}

#[tokio::test]
async fn a_backup_has_no_journal_and_a_compacted_file_neither() {
    let place = Place::new();
    let store = place.open_with(NEVER);
    fill(&*store, 0..30).await;
    let running = place.beside("running");
    assert_eq!(store.backup_to(&running).unwrap().documents, 30);
    assert_eq!(rows(&running), (0, 120));
    let killed = place.killed();
    let (before, resting) = (fs::read(killed.file()).unwrap(), killed.beside("resting"));
    assert_eq!(backup(&killed.data_dir(), &resting).unwrap().fields, 90);
    assert_eq!(rows(&resting), (0, 120));
    assert!(fs::read(killed.file()).unwrap() == before, "a backup changes nothing");
    compact(&killed.data_dir()).unwrap();
    assert_eq!(rows(&killed.file()), (0, 120));
}

#[tokio::test]
async fn a_bad_or_missing_row_is_named_and_the_file_left_alone() {
    for missing in [false, true] {
        let place = Place::new();
        let store = place.open_with(NEVER);
        fill(&*store, 0..10).await;
        let killed = place.killed();
        let db = redb::Database::open(killed.file()).unwrap();
        let txn = db.begin_write().unwrap();
        {
            let mut journal = txn.open_table(JOURNAL).unwrap();
            let key = journal.first().unwrap().unwrap().0.value() + 5;
            let mut row = journal.remove(key).unwrap().unwrap().value().to_vec();
            if !missing {
                row[40] ^= 1;
                journal.insert(key, row.as_slice()).unwrap();
            }
        }
        txn.commit().unwrap();
        drop(db);
        let before = fs::read(killed.file()).unwrap();
        let error = EmbeddedStore::open(killed.options()).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("journal") && text.contains(killed.file().to_str().unwrap()), "{text}");
        assert!(fs::read(killed.file()).unwrap() == before);
    }
}

#[tokio::test]
async fn a_damaged_document_does_not_stop_the_folding_of_others() {
    let place = Place::new();
    fill(&*place.open(), 0..3).await;
    let store = place.open_with(NEVER);
    let change = changed(id(1, 1), Some(1), 2, vec![(ticket(7), Some(vec![7]))]);
    assert_eq!(store.commit(change.clone()).await, Ok(Committed::Done));
    let killed = place.killed();
    let db = redb::Database::open(killed.file()).unwrap();
    let txn = db.begin_write().unwrap();
    {
        let mut records = txn.open_table(RECORDS).unwrap();
        let key = document_key(id(1, 1));
        let mut row = records.remove(&key).unwrap().unwrap().value().to_vec();
        row[24] ^= 1;
        records.insert(&key, row.as_slice()).unwrap();
    }
    txn.commit().unwrap();
    drop(db);
    let store = killed.open_folding();
    for number in 100..150 {
        assert_eq!(store.commit(created(id(1, number), 1)).await, Ok(Committed::Done));
    }
    let start = Instant::now();
    while pending(&store) > 1 || rows(&killed.killed().file()).0 > 3 {
        assert!(start.elapsed() < super::DEADLINE, "{}", pending(&store));
        tokio::task::yield_now().await;
    }
    let outcome = store.load(id(1, 1)).await;
    assert!(matches!(outcome, Err(StoreError::Damaged(_))), "{outcome:?}");
    assert!(exists(&*store, id(1, 149)).await);
    // The way out: it can be deleted, and is then like any other.
    assert_eq!(store.commit(commit(vec![delta(id(1, 1), Some(2), None)])).await, Ok(Committed::Done));
    until_folded(&killed, &store).await;
    assert!(!exists(&*store, id(1, 1)).await);
}
