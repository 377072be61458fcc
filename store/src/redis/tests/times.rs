//! Clocks, and who lives.

use super::{create, opened};
use crate::conformance::make::{id, on};
use crate::contract::{Committed, Store};
use crate::redis::{RedisOptions, RedisStore};
use crate::shared::{InstanceRecord, SharedStore};
use lockkeeper_core::{Partition, Timestamp};
use std::time::Duration;

const MINUTES: i64 = 60_000_000;

#[tokio::test]
async fn stores_whose_own_clocks_are_minutes_apart_agree() {
    let (server, place, reference) = opened().await;
    create(&reference, id(1, 1)).await;
    let options = RedisOptions { time_window: Duration::from_millis(500), ..place.options.clone() };
    let mut version = 1;
    for skew in [7 * MINUTES, -7 * MINUTES, 0] {
        let store = RedisStore::with_clock_skew(options.clone(), skew).unwrap();
        super::open(&store, Partition(1)).await;
        for _ in 0..3 {
            let commit = on(&*store).changed(id(1, 1), Some(version), version + 1, vec![]);
            assert_eq!(store.commit(commit).await, Ok(Committed::Done), "skew {skew}");
            version += 1;
        }
        let time = server.cli(&["TIME"]);
        let (seconds, micros) = time.split_once('\n').unwrap();
        let theirs = seconds.parse::<i64>().unwrap() * 1_000_000 + micros.parse::<i64>().unwrap();
        let ours = store.now_in(Partition(1)).as_micros().cast_signed();
        assert!((theirs - ours).abs() < 400_000, "skew {skew}: {}", theirs - ours);
        assert!(store.now() >= store.now_in(Partition(1)) || store.now_in(Partition(9)) > Timestamp::ZERO);
    }
}

#[tokio::test]
async fn a_store_that_guessed_the_time_wrong_is_told_it() {
    let (_server, place, reference) = opened().await;
    create(&reference, id(1, 1)).await;
    let store = RedisStore::with_clock_skew(place.options.clone(), 7 * MINUTES).unwrap();
    let commit = || {
        let generation = reference.known(Partition(1)).generation;
        let mut commit = on(&*store).changed(id(1, 1), Some(1), 2, vec![]);
        commit.deltas[0].expected.as_mut().unwrap().generation = generation;
        commit.deltas[0].next.as_mut().unwrap().version.generation = generation;
        commit
    };
    assert_eq!(store.commit(commit()).await, Ok(Committed::Late));
    assert_eq!(store.commit(commit()).await, Ok(Committed::Done));
}

#[tokio::test]
async fn instances_see_each_other_while_they_live() {
    let (_server, place, one) = opened().await;
    let other = place.store();
    let record = |id: &str| InstanceRecord {
        id: id.into(),
        incarnation: format!("{id}-1"),
        address: "http://example".into(),
        version: "1.2.3".into(),
        started_at: Timestamp::from_millis(5),
        seen_at: Timestamp::ZERO,
    };
    let lease = Duration::from_secs(30);
    let names =
        |records: Vec<InstanceRecord>| records.into_iter().map(|record| record.id).collect::<Vec<_>>();
    let alone = one.announce(record("a"), lease).await.unwrap();
    let seen = alone[0].seen_at;
    assert!(one.now() >= seen && one.now().since(seen).to_std() < Duration::from_secs(10));
    assert_eq!(alone, [InstanceRecord { seen_at: seen, ..record("a") }]);
    assert_eq!(names(other.announce(record("b"), lease).await.unwrap()), ["a", "b"]);
    // The same one again, with another lease: still one.
    let short = Duration::from_millis(50);
    assert_eq!(names(other.announce(record("b"), short).await.unwrap()), ["a", "b"]);
    tokio::time::sleep(short * 2).await;
    assert_eq!(names(one.announce(record("a"), lease).await.unwrap()), ["a"]);
    assert_eq!(one.leave().await, Ok(()));
    assert_eq!(one.leave().await, Ok(()));
    assert_eq!(names(other.announce(record("b"), lease).await.unwrap()), ["b"]);
}
