//! Waiting for replicas.

use super::*;
use crate::testing::{RedisServer, until};

async fn replid(link: &Link, partition: u8) -> String {
    let info = link.command(Partition(partition), redis::cmd("INFO").arg("replication")).await.unwrap();
    let info: String = redis::from_redis_value(info).unwrap();
    info.lines().find_map(|line| line.strip_prefix("master_replid:")).unwrap().trim().to_owned()
}

#[tokio::test]
async fn replicas_are_counted_only_if_they_have_what_was_written() {
    let server = RedisServer::start();
    let replica = server.start_replica();
    until("the replica follows", LIMIT, || replica.info("master_link_status").as_deref() == Some("up"));
    let link = link(&options(server.url()));
    count(&link, 1).await.unwrap();
    let life = replid(&link, 1).await;
    let wait = |millis| link.wait_replicas(Partition(1), &life, 1, Duration::from_millis(millis));
    assert_eq!(wait(5000).await, Ok(1));
    replica.pause();
    count(&link, 1).await.unwrap();
    // Written by another connection than the one that waits: the heart of it.
    assert_eq!(wait(200).await, Ok(0));
    replica.resume();
    assert_eq!(wait(10_000).await, Ok(1));
    let other = link.wait_replicas(Partition(1), &"0".repeat(40), 1, Duration::from_secs(5)).await;
    assert!(matches!(other, Err(CallError::Unknown(_))), "{other:?}");
}

#[tokio::test]
async fn many_share_one_wait() {
    let server = RedisServer::start();
    let replica = server.start_replica();
    until("the replica follows", LIMIT, || replica.info("master_link_status").as_deref() == Some("up"));
    let link = link(&options(server.url()));
    let life = replid(&link, 1).await;
    let each = (0..200).map(|_| async {
        count(&link, 1).await.unwrap();
        link.wait_replicas(Partition(1), &life, 1, Duration::from_secs(10)).await
    });
    let all = futures_util::future::join_all(each).await;
    assert!(all.iter().all(|result| *result == Ok(1)), "{all:?}");
    let calls = server.info("cmdstat_wait").unwrap();
    let calls: u32 = calls.strip_prefix("calls=").unwrap().split(',').next().unwrap().parse().unwrap();
    assert!(calls < 100, "{calls} waits for 200 writes");
}

#[tokio::test]
async fn a_server_that_is_away_leaves_it_unknown() {
    let server = RedisServer::start();
    let link = link(&options(server.url()));
    let life = replid(&link, 1).await;
    server.kill9();
    let away = link.wait_replicas(Partition(1), &life, 1, Duration::from_millis(300)).await;
    assert!(matches!(away, Err(CallError::Unknown(_))), "{away:?}");
    server.restart();
    // Another life, though the address and the directory are the same.
    let other = link.wait_replicas(Partition(1), &life, 1, Duration::from_millis(300)).await;
    assert!(matches!(other, Err(CallError::Unknown(_))), "{other:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_old_master_wrote_is_unknown_after_a_failover() {
    let sentinels = Sentinels::start();
    let link = link(&to_sentinels(&sentinels));
    count(&link, 1).await.unwrap();
    let life = replid(&link, 1).await;
    assert_eq!(link.wait_replicas(Partition(1), &life, 1, Duration::from_secs(10)).await, Ok(1));
    sentinels.fail_over();
    eventually(async || count(&link, 1).await).await;
    let after = link.wait_replicas(Partition(1), &life, 1, Duration::from_secs(2)).await;
    assert!(matches!(after, Err(CallError::Unknown(_))), "{after:?}");
}
