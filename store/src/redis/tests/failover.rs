//! Masters die, and others take over.

use super::{Place, create, joined, open, open_all};
use crate::conformance::make::{id, on, stored};
use crate::contract::{Committed, Store, StoreError, StoredDocument};
use crate::redis::{RedisOptions, RedisStore, RedisUrl, Topology};
use crate::shared::{Change, MarkerState, SharedStore, Signature, WrittenBack};
use crate::testing::{RedisCluster, Sentinels};
use lockkeeper_core::Partition;
use std::time::{Duration, Instant};

/// Long enough that only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(40);
const WRITING: Signature = Signature { generation: 0, token: 0, finished: false };

/// Loads until the store knows whether it can.
async fn settled(store: &RedisStore, number: u8) -> Result<Option<StoredDocument>, StoreError> {
    let begun = Instant::now();
    loop {
        match store.load(id(number, 1)).await {
            Err(StoreError::Unavailable(text)) => assert!(begun.elapsed() < DEADLINE, "{text}"),
            other => return other.map(|loaded| loaded.document),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_promoted_replica_is_believed_after_all_is_written_back() {
    let sentinels = Sentinels::start();
    let mut place = Place::new(RedisOptions {
        urls: sentinels.urls().into_iter().map(RedisUrl::from).collect(),
        topology: Topology::Sentinel { master: sentinels.master_name().into() },
        ..RedisOptions::new("")
    });
    place.options.timeout = Duration::from_secs(2);
    let store = joined(&place).await;
    let mut changes = store.follow();
    assert_eq!(changes.recv().await, Some(Change::Missed(None)));
    create(&store, id(1, 1)).await;
    let copy = stored(&*store, id(1, 1)).await.unwrap();
    let known = store.known(Partition(1));
    sentinels.master().kill9();
    assert_eq!(settled(&store, 1).await, Err(StoreError::Sealed(Partition(1))));
    let change = on(&*store).changed(id(1, 1), Some(1), 2, vec![]);
    assert_eq!(store.commit(change).await, Err(StoreError::Sealed(Partition(1))));
    store.sign(Partition(1), WRITING).await.unwrap();
    let written = store.write_back(copy.clone()).await.unwrap();
    assert!(matches!(written, WrittenBack::Same | WrittenBack::Taken), "{written:?}");
    let generation = open(&store, Partition(1)).await;
    assert!(generation > known.generation && store.known(Partition(1)).floor > known.floor);
    assert_eq!(stored(&*store, id(1, 1)).await, Some(copy.clone()));
    let mut change = on(&*store).changed(id(1, 1), Some(1), 2, vec![]);
    change.deltas[0].expected = Some(copy.version);
    assert_eq!(store.commit(change).await, Ok(Committed::Done));
    // The changes are followed on the new master, sooner or later.
    let begun = Instant::now();
    for version in 2.. {
        let change = on(&*store).changed(id(1, 1), Some(version), version + 1, vec![]);
        assert_eq!(store.commit(change).await, Ok(Committed::Done));
        let heard = tokio::time::timeout(Duration::from_millis(200), async {
            while let Some(change) = changes.recv().await {
                if matches!(change, Change::Committed(change) if change.generation == generation) {
                    return;
                }
            }
        });
        if heard.await.is_ok() {
            break;
        }
        assert!(begun.elapsed() < DEADLINE);
    }
}

#[tokio::test]
async fn a_cluster_that_lost_one_master_seals_what_was_there_and_nothing_else() {
    let cluster = RedisCluster::start();
    let mut place = Place::new(RedisOptions {
        urls: cluster.urls().into_iter().map(RedisUrl::from).collect(),
        topology: Topology::Cluster,
        ..RedisOptions::new("")
    });
    place.options.timeout = Duration::from_secs(2);
    let store = place.store();
    open_all(&store).await;
    for number in 0..=u8::MAX {
        create(&store, id(number, 1)).await;
    }
    let key = String::from_utf8(store.keys.marker(Partition(7))).unwrap();
    cluster.kill_master_of(cluster.slot_of(&key));
    assert_eq!(settled(&store, 7).await, Err(StoreError::Sealed(Partition(7))));
    let begun = Instant::now();
    let markers = loop {
        match store.markers().await {
            Ok(markers) => break markers,
            Err(error) => assert!(begun.elapsed() < DEADLINE, "{error}"),
        }
    };
    let open = markers.iter().filter(|marker| marker.state == MarkerState::Open).count();
    assert!((100..=220).contains(&open), "{open} of 256 are on the other masters");
    for marker in markers {
        let number = marker.partition.0;
        let found = settled(&store, number).await;
        match marker.state {
            MarkerState::Open => assert!(found.unwrap().is_some()),
            MarkerState::Sealed(_) => assert_eq!(found, Err(StoreError::Sealed(marker.partition))),
        }
    }
    open_all(&store).await;
    assert!(store.markers().await.unwrap().iter().all(|marker| marker.state == MarkerState::Open));
    assert_eq!(store.probe().await, Ok(()));
}
