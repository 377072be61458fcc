//! A disk that is really full, where this machine allows to mount a small one.

use super::{Place, exists, until_well};
use crate::EmbeddedStore;
use crate::conformance::make::{changed, id, ticket};
use crate::contract::{Committed, Store, StoreError};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small disk in memory; unmounted at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(at).output();
        mount.is_ok_and(|output| output.status.success()).then(|| Self(at.to_path_buf()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "cannot unmount {}", self.0.display());
    }
}

#[tokio::test]
async fn a_disk_that_runs_full_is_survived_and_recovers_with_space() {
    let place = Place::new();
    let Some(disk) = SmallDisk::mount(&place.data_dir()) else {
        eprintln!("SKIPPED: this machine lets us mount no tmpfs, so no disk was really full");
        return;
    };
    let store = place.open();
    // Other files take the rest, so that the database finds no room to grow.
    let ballast = disk.0.join("ballast");
    let mut acknowledged = Vec::new();
    let mut error = None;
    for number in 0..10_000 {
        if number == 20 {
            assert!(fs::write(&ballast, vec![1; 8 << 20]).is_err(), "the disk is full to the last byte");
        }
        let commit = changed(id(1, number), None, 1, vec![(ticket(1), Some(vec![7; 4_000]))]);
        match store.commit(commit).await {
            Ok(done) => {
                assert_eq!(done, Committed::Done);
                acknowledged.push(number);
            }
            Err(refusal) => {
                error = Some(refusal);
                break;
            }
        }
    }
    match error {
        Some(StoreError::Unavailable(text)) => assert!(text.contains("no space left"), "{text}"),
        other => panic!("{other:?} after {}", acknowledged.len()),
    }
    assert!(exists(&*store, id(1, 0)).await, "reads go on");
    fs::remove_file(&ballast).unwrap();
    until_well(&*store).await;
    let commit = changed(id(2, 1), None, 1, vec![(ticket(1), Some(vec![7; 4_000]))]);
    assert_eq!(store.commit(commit).await, Ok(Committed::Done));
    drop(store);
    let store: std::sync::Arc<EmbeddedStore> = place.open();
    for number in &acknowledged {
        assert!(exists(&*store, id(1, *number)).await, "{number}");
    }
    assert!(!exists(&*store, id(1, acknowledged.len() as u64)).await, "what was refused is not there");
}
