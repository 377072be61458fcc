//! The Redis store against real servers.

use super::{RedisOptions, RedisStore};
use crate::conformance;
use crate::contract::{Store, StoreFuture};
use crate::shared::{Opening, SharedStore, Signature, Signed};
use crate::testing::RedisServer;
use futures_util::{StreamExt, stream};
use lockkeeper_core::Partition;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Partitions that are opened at once.
const OPENINGS: usize = 32;
/// Long enough that only a hang reaches it.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_conforms_on_one_server() {
    let server = RedisServer::start();
    conformance::run_all(|| Place::on(&server)).await;
}
