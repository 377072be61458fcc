//! The Redis store against real servers.

mod commits;
mod conforming;
mod failover;
mod fitness;
mod following;
mod loss;
mod reading;
mod rights;
mod times;

use super::{RedisOptions, RedisStore};
use crate::conformance;
use crate::conformance::make::{on, ticket};
use crate::contract::{Committed, Store, StoreFuture};
use crate::shared::{Opening, SharedStore, Signature, Signed};
use crate::testing::RedisServer;
use futures_util::{StreamExt, stream};
use lockkeeper_core::{Field, Partition, ResourceId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Partitions that are opened at once.
const OPENINGS: usize = 32;
/// Every place has keys of its own on a server that many share.
static PLACES: AtomicU64 = AtomicU64::new(0);

/// A part of a Redis that nobody else uses.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) options: RedisOptions,
}

impl Place {
    pub(super) fn new(mut options: RedisOptions) -> Self {
        options.key_prefix = format!("t{}-", PLACES.fetch_add(1, Relaxed));
        // A slow machine must not turn a good outcome into an unknown one.
        options.timeout = Duration::from_secs(10);
        options.connect_timeout = Duration::from_secs(5);
        options.time_window = Duration::from_secs(5);
        Self { options }
    }

    pub(super) fn on(server: &RedisServer) -> Self {
        Self::new(RedisOptions::new(server.url()))
    }

    /// A store as it is before anybody has opened its partitions.
    pub(super) fn store(&self) -> Arc<RedisStore> {
        RedisStore::new(self.options.clone()).unwrap()
    }

    /// A store whose partitions are open.
    pub(super) async fn open_store(&self) -> Arc<RedisStore> {
        let store = self.store();
        open_all(&store).await;
        store
    }
}

/// Opens every partition that is sealed.
pub(super) async fn open_all(store: &RedisStore) {
    stream::iter(0..=u8::MAX)
        .for_each_concurrent(OPENINGS, |number| async move {
            open(store, Partition(number)).await;
        })
        .await;
}

/// Opens a partition, if it is sealed, with nothing to write back; gives its generation.
pub(super) async fn open(store: &RedisStore, partition: Partition) -> u64 {
    let signature = Signature { generation: 0, token: 0, finished: true };
    match store.sign(partition, signature).await.unwrap() {
        Signed::Open { generation } => generation,
        Signed::Sealed(_) => match store.open(partition, Duration::ZERO, Duration::ZERO).await.unwrap() {
            Opening::Open { generation } => generation,
            other => panic!("{other:?}"),
        },
    }
}

impl conformance::Place for Place {
    fn open(&self) -> StoreFuture<'_, Arc<dyn Store>> {
        Box::pin(async { self.open_store().await as Arc<dyn Store> })
    }
}

/// A server, and a store on it whose first partitions are open.
pub(super) async fn opened() -> (RedisServer, Place, Arc<RedisStore>) {
    let server = RedisServer::start();
    let place = Place::on(&server);
    let store = place.store();
    open_some(&store).await;
    (server, place, store)
}

/// Another store of a place whose first partitions are open: it learns so.
pub(super) async fn joined(place: &Place) -> Arc<RedisStore> {
    let store = place.store();
    open_some(&store).await;
    store
}

/// Opens the partitions that the tests use.
pub(super) async fn open_some(store: &RedisStore) {
    for number in 0..4 {
        open(store, Partition(number)).await;
    }
}

/// Fields to put.
pub(super) fn tickets(numbers: std::ops::Range<u64>, text: &str) -> Vec<(Field, Option<Vec<u8>>)> {
    numbers.map(|seq| (ticket(seq), Some(format!("{text} {seq}").into_bytes()))).collect()
}

/// The number of a partition's latest commit.
pub(super) async fn sequence(store: &RedisStore, partition: u8) -> u64 {
    store.changed_since(Partition(partition), u64::MAX >> 12).await.unwrap().marker.sequence
}

/// Makes a document with the version 1.
pub(super) async fn create(store: &RedisStore, id: ResourceId) {
    assert_eq!(store.commit(on(store).created(id, 1)).await, Ok(Committed::Done));
}

/// Has redis-cli do something whose outcome shows elsewhere.
pub(super) fn tell(server: &RedisServer, args: &[&str]) {
    let answer = server.cli(args);
    assert!(!answer.starts_with("ERR"), "{args:?}: {answer}");
}
