//! The link against real servers. Tests wait for conditions, never for some time.

mod cluster;
mod sentinel;
mod single;
mod subscribing;
mod tls;
mod waiting;

use super::{CallError, Link, ScriptText, Told, tag};
use crate::redis::options::{RedisOptions, RedisUrl, Topology};
use crate::testing::{RedisCluster, Sentinels};
use lockkeeper_core::Partition;
use redis::Value;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// Longer than anything here takes, however busy the machine is.
const LIMIT: Duration = Duration::from_secs(30);

/// Counts up and tells the new number.
static COUNT: ScriptText = ScriptText::new("return redis.call('INCR', KEYS[1])");
/// Sets to what it is given; repeating it does no harm.
static SET: ScriptText = ScriptText::new("redis.call('SET', KEYS[1], ARGV[1]) return {ARGV[1], 1}");

fn options(url: impl Into<RedisUrl>) -> RedisOptions {
    RedisOptions { timeout: Duration::from_secs(5), connect_timeout: LIMIT, ..RedisOptions::new(url) }
}

fn link(options: &RedisOptions) -> Link {
    Link::new(options).expect("good options")
}

fn to_sentinels(sentinels: &Sentinels) -> RedisOptions {
    RedisOptions {
        urls: sentinels.urls().into_iter().map(RedisUrl::from).collect(),
        topology: Topology::Sentinel { master: sentinels.master_name().into() },
        timeout: Duration::from_secs(2),
        connect_timeout: Duration::from_secs(2),
        ..options("")
    }
}

fn to_cluster(cluster: &RedisCluster) -> RedisOptions {
    RedisOptions {
        urls: cluster.urls().into_iter().map(RedisUrl::from).collect(),
        topology: Topology::Cluster,
        timeout: Duration::from_secs(2),
        connect_timeout: Duration::from_secs(2),
        ..options("")
    }
}

fn key(partition: u8) -> Vec<u8> {
    format!("{}:k", tag("lk", Partition(partition))).into_bytes()
}

async fn count(link: &Link, partition: u8) -> Result<i64, CallError> {
    let answer = link.script_at(Partition(partition), &COUNT, &[key(partition)], &[]).await?;
    match answer.value {
        Value::Int(number) => Ok(number),
        other => panic!("not a number: {other:?}"),
    }
}

/// Who serves a partition now.
async fn server(link: &Link, partition: u8) -> Result<String, CallError> {
    let answer = link.script_at(Partition(partition), &SET, &[key(partition)], &[b"1".to_vec()]).await?;
    Ok(answer.server.to_string())
}

/// Calls until it succeeds.
async fn eventually<T>(mut call: impl AsyncFnMut() -> Result<T, CallError>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        match call().await {
            Ok(value) => return value,
            Err(error) => assert!(Instant::now() < end, "still: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What is told next.
async fn next(told: &mut mpsc::Receiver<Told>) -> Told {
    timeout(LIMIT, told.recv()).await.expect("something is told").expect("the subscription lives")
}

/// Waits until messages of all these partitions may have been missed, and are followed again.
async fn followed(told: &mut mpsc::Receiver<Told>, partitions: impl IntoIterator<Item = u8>) {
    let mut missing: std::collections::BTreeSet<u8> = partitions.into_iter().collect();
    while !missing.is_empty() {
        match next(told).await {
            Told::Lost => missing.clear(),
            Told::LostIn(partitions) => missing.retain(|number| !partitions.contains(&Partition(*number))),
            Told::Message { .. } => {}
        }
    }
}

/// Waits for a message with this payload.
async fn message(told: &mut mpsc::Receiver<Told>, payload: &str) -> Vec<u8> {
    loop {
        if let Told::Message { channel, payload: got } = next(told).await
            && got == payload.as_bytes()
        {
            return channel;
        }
    }
}
