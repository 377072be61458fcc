//! Backup, restore, compaction.

use super::super::{DATA_FILE, OpenError, RestoreOptions, ToolError, backup, compact, restore};
use super::{Place, content, exists, fill};
use crate::conformance::make::{commit, delta, id, stored};
use crate::contract::{Committed, Store};
use std::fs;
use std::sync::Arc;

const REPLACE: RestoreOptions = RestoreOptions { force: true };
const KEEP: RestoreOptions = RestoreOptions { force: false };

fn names(dir: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_running_store_is_one_instant_of_it() {
    let place = Place::new();
    let store = place.open();
    fill(&*store, 0..200).await;
    let writer = tokio::spawn({
        let store = Arc::clone(&store);
        async move { fill(&*store, 200..400).await }
    });
    let dest = place.beside("backup");
    let report = tokio::task::block_in_place(|| store.backup_to(&dest)).unwrap();
    writer.await.unwrap();
    assert!(report.documents >= 200 && report.fields == report.documents * 3, "{report:?}");
    assert_eq!(report.bytes, fs::metadata(&dest).unwrap().len());
    assert!(matches!(store.backup_to(&dest), Err(ToolError::DestinationExists { .. })));
    let error = backup(&place.data_dir(), &place.beside("other")).unwrap_err();
    assert!(matches!(error, ToolError::Open(OpenError::InUse { .. })), "{error}");
    assert_eq!(names(place.beside("").as_path()), ["backup", "data"], "no remains");

    let other = Place::new();
    let restored = restore(&dest, &other.data_dir(), KEEP).unwrap();
    assert_eq!((restored.documents, restored.fields, restored.kept), (report.documents, report.fields, None));
    let copy = other.open();
    for number in 0..report.documents {
        let document = stored(&*copy, id(1, number)).await.unwrap();
        assert_eq!(document.fields[1].1, content(number, 1), "one after the other: no gaps");
    }
    assert!(!exists(&*copy, id(1, report.documents)).await);
}

#[tokio::test]
async fn a_restore_raises_every_floor_and_keeps_what_was_there() {
    let place = Place::new();
    let store = place.open();
    fill(&*store, 0..10).await;
    drop(store);
    let dest = place.beside("backup");
    assert_eq!(backup(&place.data_dir(), &dest).unwrap().documents, 10);

    let store = place.open();
    fill(&*store, 10..20).await;
    // A floor ahead of the wall clock, as after a clock that was set back.
    let ahead = store.now().as_micros() + 1_000_000_000_000;
    let mut floor = commit(vec![]);
    (floor.partition, floor.raise_floor) = (id(1, 0).partition(), Some(ahead));
    assert_eq!(store.commit(floor).await, Ok(Committed::Done));
    let in_use = restore(&dest, &place.data_dir(), REPLACE).unwrap_err();
    assert!(matches!(in_use, ToolError::Open(OpenError::InUse { .. })), "{in_use}");
    drop(store);

    let there = restore(&dest, &place.data_dir(), KEEP).unwrap_err();
    assert!(matches!(there, ToolError::DatabaseExists { .. }), "{there}");
    let before = fs::read(place.file()).unwrap();
    let report = restore(&dest, &place.data_dir(), REPLACE).unwrap();
    let kept = report.kept.unwrap();
    assert!(fs::read(&kept).unwrap() == before);
    assert!(report.floor >= ahead);
    let store = place.open();
    for partition in 0..=255 {
        assert_eq!(store.load(id(partition, 1)).await.unwrap().floor, report.floor);
    }
    assert!(store.now().as_micros() >= report.floor);
    assert!(exists(&*store, id(1, 9)).await && !exists(&*store, id(1, 10)).await);
    drop(store);
    let kept = kept.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(names(&place.data_dir()), ["lock", DATA_FILE, &kept]);
}

#[tokio::test]
async fn a_bad_backup_changes_nothing() {
    let place = Place::new();
    fill(&*place.open(), 0..100).await;
    let good = place.beside("good");
    backup(&place.data_dir(), &good).unwrap();
    let before = fs::read(place.file()).unwrap();
    let bad = place.beside("bad");
    let mut bytes = fs::read(&good).unwrap();
    let at = bytes.windows(12).position(|window| window == &content(50, 1)[..12]).unwrap();
    bytes[at] ^= 1;
    for rubbish in [&bytes[..], &bytes[..bytes.len() / 2], b"", b"rubbish"] {
        fs::write(&bad, rubbish).unwrap();
        let error = restore(&bad, &place.data_dir(), REPLACE).unwrap_err();
        assert!(matches!(error, ToolError::Open(OpenError::Damaged { .. })), "{error}");
        assert!(error.to_string().contains(bad.to_str().unwrap()), "{error}");
        assert_eq!(names(&place.data_dir()), ["lock", DATA_FILE]);
        assert!(fs::read(place.file()).unwrap() == before);
    }
    let missing = restore(&place.beside("none"), &place.data_dir(), REPLACE).unwrap_err();
    assert!(matches!(missing, ToolError::Missing { .. }), "{missing}");
    // A damaged database is exactly what gets replaced.
    fs::write(place.file(), b"").unwrap();
    restore(&good, &place.data_dir(), REPLACE).unwrap();
    assert!(exists(&*place.open(), id(1, 99)).await);
}

#[tokio::test]
async fn compaction_gives_space_back() {
    let place = Place::new();
    let store = place.open();
    fill(&*store, 0..3_000).await;
    for number in 10..3_000 {
        let end = commit(vec![delta(id(1, number), Some(1), None)]);
        assert_eq!(store.commit(end).await, Ok(Committed::Done));
    }
    drop(store);
    let report = compact(&place.data_dir()).unwrap();
    assert!(report.after_bytes < report.before_bytes, "{report:?}");
    assert_eq!(report.after_bytes, fs::metadata(place.file()).unwrap().len());
    let store = place.open();
    assert!(exists(&*store, id(1, 9)).await && !exists(&*store, id(1, 10)).await);
    assert!(matches!(compact(&place.data_dir()), Err(ToolError::Open(OpenError::InUse { .. }))));
    assert!(matches!(compact(&place.beside("nowhere")), Err(ToolError::Missing { .. })));
    assert!(!place.beside("nowhere").exists());
}
