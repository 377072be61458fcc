//! A cluster: whom to ask, while masters die and slots move.

use super::*;
use crate::redis::options::Secret;
use crate::testing::RedisServer;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn slot_of(partition: u8) -> u16 {
    super::super::slots::slot(&key(partition))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_partition_is_served_and_told_of() {
    let cluster = RedisCluster::start();
    let link = link(&to_cluster(&cluster));
    let mut servers = BTreeSet::new();
    for partition in 0..=255 {
        let answer = link.script_at(Partition(partition), &COUNT, &[key(partition)], &[]).await.unwrap();
        assert_eq!(answer.value, Value::Int(1));
        let tag = tag("lk", Partition(partition));
        assert_eq!(cluster.slot_of(&tag), slot_of(partition));
        servers.insert(answer.server.to_string());
    }
    assert_eq!(servers.len(), 3);
    let masters = link.each_master(redis::cmd("INFO").arg("server")).await;
    assert_eq!(masters.iter().map(|(server, _)| server.to_string()).collect::<BTreeSet<_>>(), servers);
    let mut told = link.subscribe();
    followed(&mut told, 0..=255).await;
    for partition in 0..=255 {
        let channel = format!("{}:e:0", tag("lk", Partition(partition)));
        let value =
            link.command(Partition(partition), redis::cmd("SPUBLISH").arg(&channel).arg(&channel)).await;
        assert_eq!(value, Ok(Value::Int(1)), "{channel}");
        assert_eq!(message(&mut told, &channel).await, channel.as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_master_is_found_after_a_death() {
    let cluster = RedisCluster::start();
    let link = link(&to_cluster(&cluster));
    let mut told = link.subscribe();
    followed(&mut told, 0..=255).await;
    count(&link, 1).await.unwrap();
    cluster.fail_over(slot_of(1));
    eventually(async || count(&link, 1).await).await;
    followed(&mut told, [1]).await;
    let publish =
        async || link.command(Partition(1), redis::cmd("SPUBLISH").arg("{lk001}:e:0").arg("after")).await;
    assert_eq!(eventually(publish).await, Value::Int(1));
    message(&mut told, "after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_held_is_left_for_the_new_one() {
    let cluster = RedisCluster::start();
    let link = link(&to_cluster(&cluster));
    let mut told = link.subscribe();
    followed(&mut told, 0..=255).await;
    let old = cluster.master_of(slot_of(1));
    assert_eq!(server(&link, 1).await, Ok(old.address()));
    old.pause();
    let new = eventually(async || server(&link, 1).await).await;
    assert_ne!(new, old.address());
    followed(&mut told, [1]).await;
    // It still takes itself for the master until another node tells it.
    old.resume();
    assert_eq!(eventually(async || server(&link, 1).await).await, new);
    cluster.wait_until_whole();
    assert_eq!(eventually(async || server(&link, 1).await).await, new);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_replicas_and_the_end_of_a_cluster() {
    let cluster = RedisCluster::start_with(RedisServer::builder().password("right"));
    let with = |password: &str| RedisOptions {
        password: Some(Secret::from(password)),
        timeout: Duration::from_secs(1),
        ..to_cluster(&cluster)
    };
    let error = count(&link(&with("wrong")), 1).await.unwrap_err();
    assert_eq!(error.code(), Some("WRONGPASS"), "{error:?}");
    let link = link(&with("right"));
    for partition in [1, 100, 200] {
        count(&link, partition).await.unwrap();
        let info = link.command(Partition(partition), redis::cmd("INFO").arg("replication")).await.unwrap();
        let info: String = redis::from_redis_value(info).unwrap();
        let life = info.lines().find_map(|line| line.strip_prefix("master_replid:")).unwrap().trim();
        let wait = |life: &str| {
            let life = life.to_owned();
            let link = &link;
            async move { link.wait_replicas(Partition(partition), &life, 1, LIMIT).await }
        };
        assert_eq!(wait(life).await, Ok(1));
        assert!(matches!(wait("another").await, Err(CallError::Unknown(_))));
    }
    cluster.nodes().iter().for_each(RedisServer::kill9);
    let _ = count(&link, 1).await;
    let error = count(&link, 1).await.unwrap_err();
    assert!(matches!(error, CallError::NotSent(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_move_while_they_are_used() {
    let cluster = RedisCluster::start();
    let link = Arc::new(link(&to_cluster(&cluster)));
    let mut told = link.subscribe();
    followed(&mut told, 0..=255).await;
    let stop = Arc::new(AtomicBool::new(false));
    let caller = {
        let (link, stop) = (Arc::clone(&link), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut expected = 0;
            while !stop.load(Ordering::Relaxed) {
                // No error at all, and nothing done twice.
                expected += 1;
                assert_eq!(count(&link, 7).await, Ok(expected));
            }
            expected
        })
    };
    let slot = slot_of(7);
    for _ in 0..3 {
        let to = cluster.other_master(slot);
        tokio::task::block_in_place(|| cluster.migrate_slot(slot, to));
        followed(&mut told, [7]).await;
        let publish =
            link.command(Partition(7), redis::cmd("SPUBLISH").arg("{lk007}:e:0").arg("moved")).await;
        assert_eq!(publish, Ok(Value::Int(1)));
        message(&mut told, "moved").await;
    }
    stop.store(true, Ordering::Relaxed);
    assert!(caller.await.unwrap() > 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_on_their_way_are_asked_for_where_they_go() {
    let cluster = RedisCluster::start();
    let link = link(&to_cluster(&cluster));
    let slot = slot_of(9);
    let to = cluster.other_master(slot);
    cluster.begin_migration(slot, to);
    // The key is missing where the slot was: ASK sends it on, and its script is not known there.
    let answer = link.script_at(Partition(9), &SET, &[key(9)], &[b"x".to_vec()]).await.unwrap();
    assert_eq!(*answer.server, *to.address());
    cluster.end_migration(slot, to);
    let value = eventually(async || link.command(Partition(9), redis::cmd("GET").arg(key(9))).await).await;
    assert_eq!(value, Value::BulkString(b"x".to_vec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_connections_may_break_at_once() {
    let cluster = RedisCluster::start();
    let link = link(&to_cluster(&cluster));
    let mut told = link.subscribe();
    followed(&mut told, 0..=255).await;
    for partition in 0..=255 {
        count(&link, partition).await.unwrap();
    }
    for node in cluster.nodes() {
        for kind in ["normal", "pubsub"] {
            let _ = node.cli(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]);
        }
    }
    for partition in 0..=255 {
        eventually(async || count(&link, partition).await).await;
    }
    followed(&mut told, 0..=255).await;
}
