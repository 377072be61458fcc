//! Who may open a directory, and what of.

use super::super::layout::{FORMAT, META, META_FORMAT};
use super::super::{EmbeddedStore, LOCK_FILE, OpenError};
use super::{Place, exists, fill};
use crate::conformance::make::id;
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn a_second_opener_is_told_who_has_it() {
    let place = Place::new();
    let store = place.open();
    fill(&*store, 0..1).await;
    let error = EmbeddedStore::open(place.options()).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    let text = error.to_string();
    for part in [place.data_dir().to_str().unwrap(), &std::process::id().to_string(), "stop that server"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(exists(&*store, id(1, 0)).await);
    drop(store);
    assert!(exists(&*place.open(), id(1, 0)).await, "free again");
}

#[tokio::test]
async fn a_lock_file_without_a_holder_is_no_obstacle() {
    let place = Place::new();
    fs::create_dir_all(place.data_dir()).unwrap();
    fs::write(place.data_dir().join(LOCK_FILE), "4294967 some rubbish \u{fffd}").unwrap();
    drop(place.open());
}

#[test]
fn the_directory_and_its_files_are_private() {
    let place = Place::new();
    drop(place.open());
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(place.data_dir()), 0o700);
    assert_eq!(mode(place.file()), 0o600);
    assert_eq!(mode(place.data_dir().join(LOCK_FILE)), 0o600);
}

#[test]
fn a_newer_format_is_refused_with_advice_and_left_alone() {
    let place = Place::new();
    drop(place.open());
    let set = |format: u64| {
        let db = redb::Database::open(place.file()).unwrap();
        let txn = db.begin_write().unwrap();
        txn.open_table(META).unwrap().insert(META_FORMAT, format).unwrap();
        txn.commit().unwrap();
    };
    set(FORMAT + 1);
    let before = fs::read(place.file()).unwrap();
    let error = EmbeddedStore::open(place.options()).unwrap_err();
    assert!(matches!(error, OpenError::NewerFormat { found: 2, supported: 1, .. }), "{error:?}");
    assert!(error.to_string().contains("newer Lockkeeper"), "{error}");
    assert!(fs::read(place.file()).unwrap() == before);
    set(0);
    assert!(matches!(EmbeddedStore::open(place.options()), Err(OpenError::Damaged { .. })));
}

#[test]
fn another_programs_redb_file_is_refused() {
    let place = Place::new();
    fs::create_dir_all(place.data_dir()).unwrap();
    let db = redb::Database::create(place.file()).unwrap();
    let error = EmbeddedStore::open(place.options()).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "open in that program: {error}");
    drop(db);
    let error = EmbeddedStore::open(place.options()).unwrap_err();
    assert!(error.to_string().contains("not one of Lockkeeper"), "{error}");
}

#[tokio::test]
async fn what_a_crash_during_creation_left_is_no_obstacle() {
    let place = Place::new();
    fs::create_dir_all(place.data_dir()).unwrap();
    fs::write(place.data_dir().join("lockkeeper.redb.new"), b"half a datab").unwrap();
    let store = place.open();
    fill(&*store, 0..1).await;
    assert!(!place.data_dir().join("lockkeeper.redb.new").exists());
}

#[test]
fn a_directory_that_cannot_be_used_is_named() {
    let place = Place::new();
    fs::write(place.data_dir(), "a file").unwrap();
    let error = EmbeddedStore::open(place.options()).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
    assert!(error.to_string().contains(place.data_dir().to_str().unwrap()), "{error}");
}

#[test]
fn an_empty_file_is_damage_and_called_empty() {
    let place = Place::new();
    drop(place.open());
    fs::write(place.file(), "").unwrap();
    let error = EmbeddedStore::open(place.options()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("the file is empty"), "{error}");
    assert_eq!(fs::metadata(place.file()).unwrap().len(), 0);
}
