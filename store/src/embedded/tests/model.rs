//! Random commits against a model, while everything folds, closes, dies and comes back.

use super::super::disk_faults::DiskCall;
use super::super::{RestoreOptions, backup, compact, restore};
use super::{Dice, Place, until_well};
use crate::conformance::make::{commit, header_of, id, ticket, version};
use crate::contract::{Commit, Committed, Conflict, Store, StoreError, StoredDocument};
use lockkeeper_core::{Delta, Field, Header, ResourceId};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

/// Different documents.
const DOCUMENTS: u64 = 14;
/// Different fields of a document.
const FIELDS: u64 = 7;

/// What the store should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    documents: BTreeMap<ResourceId, (u64, BTreeMap<Field, Vec<u8>>)>,
    /// For versions that never come back.
    counter: u64,
}

impl Model {
    /// A random change of one to three documents that the store must take.
    fn change(&mut self, dice: &mut Dice) -> Commit {
        let mut numbers: Vec<u64> = (0..1 + dice.below(3)).map(|_| dice.below(DOCUMENTS)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        commit(numbers.into_iter().map(|number| self.delta(id(1, number), dice)).collect())
    }

    fn delta(&mut self, id: ResourceId, dice: &mut Dice) -> Delta {
        self.counter += 1;
        let old = self.documents.get(&id).map(|(counter, _)| version(*counter));
        if old.is_some() && dice.below(5) == 0 {
            self.documents.remove(&id);
            return Delta { id, expected: old, next: None, fields: Vec::new() };
        }
        let (counter, stored) = self.documents.entry(id).or_default();
        *counter = self.counter;
        // Now and then so many that they are sorted in.
        let most = if dice.below(8) == 0 { 20 } else { 4 };
        let fields: Vec<_> = (0..dice.below(most))
            .map(|_| (ticket(dice.below(FIELDS)), (dice.below(3) > 0).then(|| record(dice))))
            .collect();
        for (field, record) in &fields {
            match record {
                Some(record) => drop(stored.insert(*field, record.clone())),
                None => drop(stored.remove(field)),
            }
        }
        let next = Header { version: version(*counter), bytes: header_of(*counter) };
        Delta { id, expected: old, next: Some(next), fields }
    }

    fn documents_from(&self, from: ResourceId) -> Vec<StoredDocument> {
        let stored = |(id, (counter, fields)): (&ResourceId, &(u64, BTreeMap<Field, Vec<u8>>))| {
            let fields = fields.iter().map(|(field, record)| (*field, record.clone())).collect();
            StoredDocument { id: *id, version: version(*counter), header: header_of(*counter), fields }
        };
        self.documents.range(from..).map(stored).collect()
    }

    async fn check_page(&self, store: &dyn Store, from: u64, limit: usize, what: &str) {
        let from = id(1, from);
        let page = store.list(Some(from), limit).await.unwrap();
        let mut expected = self.documents_from(from);
        let next = expected.get(limit).map(|document| document.id);
        expected.truncate(limit);
        assert_eq!((page.documents, page.next), (expected, next), "{what}");
    }

    async fn check_document(&self, store: &dyn Store, number: u64, what: &str) {
        let found = store.load(id(1, number)).await.unwrap().document;
        let expected = self.documents_from(id(1, number)).into_iter().next();
        assert_eq!(found, expected.filter(|document| document.id == id(1, number)), "{what}");
    }
}

fn record(dice: &mut Dice) -> Vec<u8> {
    vec![dice.below(256) as u8; dice.below(90) as usize]
}

async fn all(store: &dyn Store) -> Vec<StoredDocument> {
    store.list(None, 1_000).await.unwrap().documents
}

#[tokio::test]
async fn random_commits_folds_and_restarts_are_as_the_model_says() {
    for seed in 1..=12 {
        let mut dice = Dice(seed * 0x9e37_79b9);
        let mut model = Model::default();
        let mut place = Place::new();
        let mut store = place.open_folding();
        for step in 0..300 {
            let what = format!("seed {seed}, step {step}");
            match dice.below(60) {
                0 => {
                    drop(store);
                    store = place.open_folding();
                }
                1 => {
                    let killed = place.killed();
                    drop(store);
                    place = killed;
                    store = place.open_folding();
                }
                2 => {
                    drop(store);
                    let copy = place.beside("copy");
                    backup(&place.data_dir(), &copy).unwrap();
                    compact(&place.data_dir()).unwrap();
                    if dice.below(2) == 0 {
                        restore(&copy, &place.data_dir(), RestoreOptions { force: true }).unwrap();
                    }
                    std::fs::remove_file(copy).unwrap();
                    store = place.open_folding();
                }
                // The writer is idle, and folds.
                3..=8 => tokio::time::sleep(Duration::from_millis(1 + dice.below(4))).await,
                9..=14 => {
                    let (from, limit) = (dice.below(DOCUMENTS), 1 + dice.below(6) as usize);
                    model.check_page(&*store, from, limit, &what).await;
                }
                15..=24 => model.check_document(&*store, dice.below(DOCUMENTS), &what).await,
                25..=27 => {
                    let number = dice.below(DOCUMENTS);
                    let wrong = commit(vec![Delta {
                        id: id(1, number),
                        expected: Some(version(u64::MAX)),
                        next: None,
                        fields: Vec::new(),
                    }]);
                    let actual = model.documents.get(&id(1, number)).map(|(counter, _)| version(*counter));
                    let conflict = Committed::Conflict(Conflict::of([(id(1, number), actual)]));
                    assert_eq!(store.commit(wrong).await, Ok(conflict), "{what}");
                }
                _ => {
                    let change = model.change(&mut dice);
                    assert_eq!(store.commit(change).await, Ok(Committed::Done), "{what}");
                }
            }
        }
        assert_eq!(all(&*store).await, model.documents_from(ResourceId(0)), "seed {seed}");
    }
}

/// Takes what is on the disk before every single write of a store that commits and folds: each
/// must open as the state before or after the commit that was under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_write_loses_nothing_acknowledged() {
    let place = Place::new();
    let faults = Arc::clone(&place.faults);
    let store = place.open_folding();
    let (mut dice, mut model) = (Dice(77), Model::default());
    let mut before = Vec::new();
    let mut copies = 0;
    for step in 0..40 {
        let change = model.change(&mut dice);
        let after = model.documents_from(ResourceId(0));
        let mut stall = faults.stall(DiskCall::Write);
        let task = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.commit(change).await }
        });
        let look = async |copies: &mut u32| {
            *copies += 1;
            let seen = all(&*place.killed().open_folding()).await;
            assert!(seen == before || seen == after, "step {step}, copy {copies}: {seen:?}");
        };
        while !task.is_finished() {
            if stall.is_reached() {
                look(&mut copies).await;
                let next = faults.stall(DiskCall::Write);
                stall.end();
                stall = next;
            } else {
                tokio::task::yield_now().await;
            }
        }
        stall.end();
        assert_eq!(task.await.unwrap(), Ok(Committed::Done));
        look(&mut copies).await;
        before = after;
    }
    assert!(copies > 120, "{copies}");
}

/// Fails one disk call after another while commits and folds go on.
#[tokio::test]
async fn a_failure_at_any_call_of_a_fold_is_told_truly() {
    for call in [DiskCall::Write, DiskCall::Sync, DiskCall::SetLen] {
        for after in (0..60).step_by(3) {
            let place = Place::new();
            let store = place.open_folding();
            let (mut dice, mut model) = (Dice(after + 5), Model::default());
            place.faults.fail(call, after, 1, ErrorKind::Other);
            for step in 0..25 {
                let what = format!("{call:?} {after}, step {step}");
                let before = model.clone();
                let change = model.change(&mut dice);
                match store.commit(change).await {
                    Ok(done) => assert_eq!(done, Committed::Done, "{what}"),
                    Err(StoreError::Unavailable(_)) => {
                        model = before;
                        until_well(&*store).await;
                    }
                    Err(StoreError::OutcomeUnknown(_)) => {
                        until_well(&*store).await;
                        if all(&*store).await == before.documents_from(ResourceId(0)) {
                            model = before;
                        }
                    }
                    Err(other) => panic!("{what}: {other}"),
                }
            }
            assert_eq!(all(&*store).await, model.documents_from(ResourceId(0)), "{call:?} {after}");
            drop(store);
            let store = place.open();
            assert_eq!(all(&*store).await, model.documents_from(ResourceId(0)), "{call:?} {after}, opened");
        }
    }
}
