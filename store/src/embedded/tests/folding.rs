//! Readers while the writer folds.

use super::Place;
use crate::conformance::make::{changed, id, ticket, version};
use crate::contract::{Committed, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rounds of changes.
const ROUNDS: u64 = 150;
/// Documents that change in each.
const DOCUMENTS: u64 = 8;

/// Every reader sees each document whole, and never an older one than it saw before.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn readers_see_whole_documents_and_never_go_back() {
    let place = Place::new();
    let store = place.open_folding();
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (store, done) = (Arc::clone(&store), Arc::clone(&done));
            tokio::spawn(async move {
                let mut seen = [0; DOCUMENTS as usize];
                while !done.load(Ordering::Relaxed) {
                    for document in store.list(None, 100).await.unwrap().documents {
                        let number = (document.id.0 - id(1, 0).0) as usize;
                        let counter = document.version.counter;
                        assert!(counter >= seen[number], "{counter} after {}", seen[number]);
                        seen[number] = counter;
                        let fields: Vec<_> = document.fields;
                        let name = counter.to_be_bytes().to_vec();
                        assert_eq!(fields, [(ticket(0), name.clone()), (ticket(counter), name)]);
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for counter in 1..=ROUNDS {
        let name = || Some(counter.to_be_bytes().to_vec());
        for number in 0..DOCUMENTS {
            let mut fields = vec![(ticket(counter), name()), (ticket(0), name())];
            fields.extend((counter > 1).then(|| (ticket(counter - 1), None)));
            let change =
                changed(id(1, number), counter.checked_sub(1).filter(|old| *old > 0), counter, fields);
            assert_eq!(store.commit(change).await, Ok(Committed::Done));
            let loaded = store.load(id(1, number)).await.unwrap().document.unwrap();
            assert_eq!(loaded.version, version(counter), "what is answered can be read");
        }
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
}
