//! Faults that are there when an instance starts: what only waiting mends is waited for, what an
//! operator must mend stops the start and names the fix.

use super::super::ground::{Ground, Instance, flags};
use super::fake::FakeRedis;
use super::{is_back_in_service, is_out_of_service};
use crate::support::{DEADLINE, serve_command};
use lockkeeper_store::testing::RedisServer;

/// Starts an instance that must refuse; what it says.
async fn refused(url: &str, settings: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let command = serve_command(directory.path(), &flags("one", &[url.to_owned()], settings));
    let output =
        tokio::process::Command::from(command).kill_on_drop(true).stdin(std::process::Stdio::null()).output();
    let output = tokio::time::timeout(DEADLINE, output).await.expect("it starts").unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

#[track_caller]
fn names(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} in:\n{said}");
    }
}

#[tokio::test]
async fn redis_is_down_and_comes_up() {
    let redis = RedisServer::start();
    redis.kill9();
    let one = Instance::launch("one", &[redis.url()], &[]);
    is_out_of_service(&one, "refused").await;
    redis.restart();
    is_back_in_service(&one, "refused").await;
}

#[tokio::test]
async fn the_password_is_wrong() {
    let redis = RedisServer::builder().password("right").start();
    names(&refused(&redis.url(), &["redis.password=wrong"]).await, &["redis.password"]);
    names(&refused(&redis.url(), &[]).await, &["redis.password"]);
    let one = Instance::launch("one", &[redis.url()], &["redis.password=right"]);
    one.grants().await;
    assert!(one.server.log().iter().all(|line| !line.contains("right")), "a password in the log");
}

#[tokio::test]
async fn a_right_is_missing() {
    let redis = RedisServer::start();
    let user = ["redis.username=keeper", "redis.password=x"];
    for (taken, named) in
        [("-zadd", "zadd"), ("-publish", "publish"), ("-info", "info"), ("-evalsha", "evalsha")]
    {
        let set = redis.cli(&["ACL", "SETUSER", "keeper", "reset", "on", ">x", "~*", "&*", "+@all", taken]);
        assert_eq!(set, "OK");
        names(&refused(&redis.url(), &user).await, &[named, "docs/redis-acl.md"]);
    }
    assert_eq!(
        redis.cli(&["ACL", "SETUSER", "keeper", "reset", "on", ">x", "~*", "resetchannels", "+@all"]),
        "OK"
    );
    names(&refused(&redis.url(), &user).await, &["channels", "docs/redis-acl.md"]);
    assert_eq!(redis.cli(&["ACL", "SETUSER", "keeper", "reset", "on", ">x", "~*", "&*", "+@all"]), "OK");
    Instance::launch("one", &[redis.url()], &user).grants().await;
}

#[tokio::test]
async fn an_evicting_policy_is_set() {
    let redis = RedisServer::with(&["maxmemory-policy allkeys-lru"]);
    names(&refused(&redis.url(), &[]).await, &["allkeys-lru", "maxmemory-policy noeviction"]);
    assert_eq!(redis.cli(&["DBSIZE"]), "0", "something was written");
}

#[tokio::test]
async fn the_server_is_a_replica() {
    let ground = Ground::start().await;
    let replica = ground.redis.start_replica();
    let one = Instance::launch("one", &[replica.url()], &[]);
    is_out_of_service(&one, "replica").await;
    assert_eq!(replica.cli(&["REPLICAOF", "NO", "ONE"]), "OK");
    is_back_in_service(&one, "replica").await;
}

#[tokio::test]
async fn the_version_is_too_old() {
    let fake = FakeRedis::of_version("6.2.0");
    names(&refused(&fake.url(), &[]).await, &["6.2.0", "7.0"]);
}

/// What listens there is no Redis.
#[tokio::test]
async fn garbage_is_answered() {
    let fake = FakeRedis::of_garbage();
    let one = Instance::launch("one", &[fake.url()], &[]);
    is_out_of_service(&one, "").await;
}
