//! Reading what is large, or many.

use super::{joined, opened, tickets};
use crate::conformance::make::{id, on, ticket};
use crate::contract::{Committed, Store};
use crate::shared::SharedStore;
use lockkeeper_core::Partition;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const FIELDS: u64 = 100_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_document_is_read_whole_while_it_changes() {
    let (_server, place, store) = opened().await;
    for (place, first) in (0..FIELDS).step_by(10_000).enumerate() {
        let version = place as u64;
        let fields = tickets(first..first + 10_000, "first");
        let commit = on(&*store).changed(id(1, 1), (version > 0).then_some(version), version + 1, fields);
        assert_eq!(store.commit(commit).await, Ok(Committed::Done));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (store, stop) = (joined(&place).await, Arc::clone(&stop));
        async move {
            let mut version = 10;
            while !stop.load(Relaxed) {
                // Both ends say the version, and one field gives way to another.
                let text = Some((version + 1).to_string().into_bytes());
                let fields = vec![
                    (ticket(0), text.clone()),
                    (ticket(FIELDS - 1), text.clone()),
                    (ticket(version), None),
                    (ticket(FIELDS + version), text),
                ];
                let commit = on(&*store).changed(id(1, 1), Some(version), version + 1, fields);
                assert_eq!(store.commit(commit).await, Ok(Committed::Done));
                version += 1;
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
            version
        }
    });
    let mut versions = Vec::new();
    for _ in 0..5 {
        let document = store.load(id(1, 1)).await.unwrap().document.unwrap();
        let counter = document.version.counter;
        assert_eq!(document.header, format!("header {counter}").into_bytes());
        let value = |number| {
            let found = document.fields.binary_search_by_key(&ticket(number), |(field, _)| *field);
            found.ok().map(|at| String::from_utf8(document.fields[at].1.clone()).unwrap())
        };
        assert_eq!(document.fields.len() as u64, FIELDS, "one went for each that came");
        if counter > 10 {
            assert_eq!(value(0), Some(counter.to_string()));
            assert_eq!(value(FIELDS - 1), Some(counter.to_string()));
        }
        for version in 10..counter {
            assert_eq!(value(version), None);
            assert_eq!(value(FIELDS + version), Some((version + 1).to_string()));
        }
        assert!(value(counter).is_some() && value(FIELDS + counter).is_none());
        versions.push(counter);
    }
    stop.store(true, Relaxed);
    let last = writer.await.unwrap();
    assert!(versions[0] < versions[4] && versions[4] <= last, "{versions:?}: it changed meanwhile");
}

#[tokio::test]
async fn many_documents_are_listed_and_their_changes_found() {
    let (_server, _place, store) = opened().await;
    let partition = Partition(1);
    // Commits of many documents, so that pages of ids end in the middle of one.
    for first in (0..2_500).step_by(700) {
        let deltas =
            (first..2_500.min(first + 700)).map(|number| on(&*store).delta(id(1, number), None, Some(1)));
        assert_eq!(store.commit(on(&*store).commit(deltas.collect())).await, Ok(Committed::Done));
    }
    let all = store.changed_since(partition, 0).await.unwrap();
    assert_eq!(all.documents.len(), 2_500);
    assert_eq!(all.marker.sequence, 4);
    let version = on(&*store).version(id(1, 0), 1);
    assert!((0..).zip(&all.documents).all(|(number, found)| *found == (id(1, number), version)));
    assert_eq!(store.changed_since(partition, 3).await.unwrap().documents.len(), 400);
    assert_eq!(store.changed_since(partition, 4).await.unwrap().documents, []);
    // Deleted ones are missing.
    let delete = on(&*store).commit(vec![on(&*store).delta(id(1, 7), Some(1), None)]);
    assert_eq!(store.commit(delete).await, Ok(Committed::Done));
    let after = store.changed_since(partition, 4).await.unwrap();
    assert_eq!((after.marker.sequence, after.documents.len()), (5, 0));
    assert_eq!(store.changed_since(partition, 0).await.unwrap().documents.len(), 2_499);
}
