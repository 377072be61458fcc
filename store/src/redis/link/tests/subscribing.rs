//! Following the channels of the partitions on one server.

use super::*;
use crate::testing::{Direction, Proxy, RedisServer};

#[tokio::test]
async fn messages_arrive_and_a_lost_connection_is_told() {
    let server = RedisServer::start();
    let link = link(&options(server.url()));
    let mut told = link.subscribe();
    assert_eq!(next(&mut told).await, Told::Lost);
    for channel in ["{lkx001}:e:0", "{lk001}:e:1", "{lk1}:e:0", "{lk001}:e:00"] {
        assert_eq!(server.cli(&["PUBLISH", channel, "not ours"]), "0", "{channel}");
    }
    assert_eq!(server.cli(&["PUBLISH", "{lk255}:e:0", "a"]), "1");
    let expected = Told::Message { channel: b"{lk255}:e:0".to_vec(), payload: b"a".to_vec() };
    assert_eq!(next(&mut told).await, expected);
    server.restart();
    assert_eq!(next(&mut told).await, Told::Lost);
    assert_eq!(server.cli(&["PUBLISH", "{lk000}:e:0", "b"]), "1");
    assert_eq!(message(&mut told, "b").await, b"{lk000}:e:0");
}

#[tokio::test]
async fn a_half_dead_connection_is_noticed() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let link = link(&RedisOptions { timeout: Duration::from_millis(300), ..options(proxy.url()) });
    let mut told = link.subscribe();
    assert_eq!(next(&mut told).await, Told::Lost);
    proxy.silence(Direction::ToClient);
    // It is given up without any word of its end.
    let end = Instant::now() + LIMIT;
    while proxy.accepted() < 2 {
        assert!(Instant::now() < end, "nobody connects again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    proxy.heal();
    assert_eq!(next(&mut told).await, Told::Lost);
}

#[tokio::test]
async fn a_subscription_ends_with_its_receiver() {
    let server = RedisServer::start();
    let link = link(&options(server.url()));
    let mut told = link.subscribe();
    assert_eq!(next(&mut told).await, Told::Lost);
    assert_eq!(server.cli(&["PUBSUB", "NUMPAT"]), "1");
    drop(told);
    let end = Instant::now() + LIMIT;
    while server.cli(&["PUBSUB", "NUMPAT"]) != "0" {
        assert!(Instant::now() < end);
        tokio::task::yield_now().await;
    }
}
