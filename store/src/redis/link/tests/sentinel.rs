//! Behind Sentinels.

use super::*;
use crate::redis::options::Secret;
use crate::testing::RedisServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_new_master_is_found_after_a_failover() {
    let sentinels = Sentinels::start();
    let link = link(&to_sentinels(&sentinels));
    let mut told = link.subscribe();
    followed(&mut told, 0..=255).await;
    assert_eq!(count(&link, 1).await, Ok(1));
    let next_master = sentinels.replica().address();
    sentinels.fail_over();
    assert_eq!(eventually(async || server(&link, 1).await).await, next_master);
    followed(&mut told, 0..=255).await;
    let publish =
        async || link.command(Partition(1), redis::cmd("PUBLISH").arg("{lk001}:e:0").arg("a")).await;
    assert_eq!(eventually(publish).await, Value::Int(1));
    assert_eq!(message(&mut told, "a").await, b"{lk001}:e:0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_held_is_left_for_the_new_one() {
    let sentinels = Sentinels::start();
    let link = link(&to_sentinels(&sentinels));
    let mut told = link.subscribe();
    followed(&mut told, 0..=255).await;
    assert_eq!(count(&link, 1).await, Ok(1));
    let (old, new) = (sentinels.master(), sentinels.replica());
    old.pause();
    sentinels.wait_for_master(new);
    eventually(async || count(&link, 1).await).await;
    followed(&mut told, 0..=255).await;
    // It still takes itself for the master until a sentinel tells it.
    old.resume();
    assert_eq!(eventually(async || server(&link, 1).await).await, new.address());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_and_servers_have_passwords_of_their_own() {
    let sentinels = Sentinels::start_with(RedisServer::builder().password("data"), Some("watch"));
    let password = |data: &str, watch: &str| RedisOptions {
        password: Some(Secret::from(data)),
        sentinel_password: Some(Secret::from(watch)),
        ..to_sentinels(&sentinels)
    };
    assert_eq!(count(&link(&password("data", "watch")), 1).await, Ok(1));
    for (data, watch) in [("wrong", "watch"), ("data", "wrong")] {
        let error = count(&link(&password(data, watch)), 1).await.unwrap_err();
        assert_eq!(error.code(), Some("WRONGPASS"), "{error:?}");
    }
    // One sentinel that is away does no harm.
    sentinels.sentinels()[0].kill9();
    assert_eq!(count(&link(&password("data", "watch")), 1).await, Ok(2));
    let stranger =
        RedisOptions { topology: Topology::Sentinel { master: "other".into() }, ..password("data", "watch") };
    assert!(count(&link(&stranger), 1).await.is_err());
}
