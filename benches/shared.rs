//! Several instances and one Redis: what a shared store costs, beside `SET NX` on that same Redis.

use crate::client::{Client, grant};
use crate::http_load::{contended, distinct, print};
use crate::redis::{Persistence, Redis};
use crate::server::Server;
use crate::table::{Latencies, row, time, title};
use std::time::Instant;

const REDIS_OPERATIONS: usize = 300_000;
const ROUNDS: usize = 1_000;
const HANDOFFS: usize = 500;
const HOT_CLIENTS: usize = 200;

pub(crate) async fn run() {
    let Some(_) = Redis::start(Persistence::None) else {
        println!("redis-server is not installed: nothing to measure on a shared store");
        return;
    };
    load().await;
    round_trips().await;
    through_another().await;
    hot().await;
}

pub(crate) async fn ready(redis: &Redis) -> Server {
    let directory = tempfile::tempdir().expect("a directory").keep();
    let server = Server::start_on(&directory, &redis.url());
    let mut client = Client::connect(server.address).await;
    // A fresh Redis is sealed for the settle window, as any that may have lost data.
    while !client.send("GET", "/readyz", "").await.1.contains("\"can_grant\":true")
        || sealed(&mut client).await
    {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    server
}

async fn sealed(client: &mut Client) -> bool {
    !client.send("GET", "/readyz", "").await.1.contains("\"sealed_partitions\":0")
}

async fn load() {
    title("Redis, over HTTP: acquire and release of distinct resources, each counted as one operation");
    row("", &["ops/s", "of SET NX", "median", "p99"].map(String::from));
    for persistence in [Persistence::None, Persistence::EverySecond, Persistence::Always] {
        for connections in [16, 64, 256] {
            let redis = Redis::start(persistence).expect("redis-server");
            let set_nx = redis.set_nx_per_second(connections, REDIS_OPERATIONS);
            let server = ready(&redis).await;
            let (per_second, latencies) = distinct(server.address, connections).await;
            let name = format!("{}, {connections} connections", persistence.name());
            print(&name, per_second, Some(set_nx), &latencies);
        }
    }
}

async fn round_trips() {
    title("Redis calls per operation, by INFO commandstats");
    row("", &["script calls", "other calls", "median script time"].map(String::from));
    let redis = Redis::start(Persistence::None).expect("redis-server");
    let server = ready(&redis).await;
    let mut client = Client::connect(server.address).await;
    // Warmed up: connections, scripts.
    for number in 0..10 {
        let held = client.acquire(&format!("warm/{number}"), "acme/infra#1").await;
        client.release(&held).await;
    }
    let mut held = Vec::new();
    let before = redis.calls();
    for number in 0..ROUNDS {
        held.push(client.acquire(&format!("fresh/{number}"), "acme/infra#1").await);
    }
    report("acquire", &before, &redis.calls());
    let before = redis.calls();
    for grant in &held {
        let path = format!("/api/v1/locks/{}/renew", grant.id);
        let (status, answer) =
            client.send("POST", &path, &format!(r#"{{"fencing_token":{}}}"#, grant.token)).await;
        assert_eq!(status, 200, "{answer}");
    }
    report("renew", &before, &redis.calls());
    let before = redis.calls();
    for grant in &held {
        client.send("GET", &format!("/api/v1/locks/{}", grant.id), "").await;
    }
    report("show", &before, &redis.calls());
    let before = redis.calls();
    for grant in &held {
        client.release(grant).await;
    }
    report("release", &before, &redis.calls());
}

/// Health probes and markers go on meanwhile; they are in the numbers.
fn report(name: &str, before: &crate::redis::Calls, after: &crate::redis::Calls) {
    let per = |count: u64| format!("{:.2}", count as f64 / ROUNDS as f64);
    let scripts = after.scripts - before.scripts;
    let micros = (after.script_micros - before.script_micros) as f64 / scripts.max(1) as f64;
    row(name, &[per(scripts), per(after.others - before.others), format!("{micros:.0} µs (mean)")]);
}

async fn through_another() {
    title("A release at one instance, the grant at a client that waits at another");
    row("", &["median", "p99"].map(String::from));
    let redis = Redis::start(Persistence::None).expect("redis-server");
    let (one, other) = (ready(&redis).await, ready(&redis).await);
    let mut here = Client::connect(one.address).await;
    let mut there = Some(Client::connect(other.address).await);
    let body = |owner: usize, wait: &str| {
        format!(
            r#"{{"resource":{{"namespace":"acme/infra","path":"hot"}},"owner":{{"id":"o{owner}"}},"queue":true,"wait":"{wait}"}}"#
        )
    };
    let (status, answer) = here.send("POST", "/api/v1/locks", &body(0, "0s")).await;
    assert_eq!(status, 200, "{answer}");
    let mut held = grant(&answer);
    let mut samples = Vec::new();
    for owner in 1..=HANDOFFS {
        let mut client = there.take().expect("a client");
        let request = body(owner, "50s");
        let waiting = tokio::spawn(async move {
            let answer = client.send("POST", "/api/v1/locks", &request).await;
            (client, answer, Instant::now())
        });
        // The ticket must be in the queue, known here too, before the lock is released.
        loop {
            let (_, queue) = here.send("GET", "/api/v1/queues?namespace=acme/infra&path=hot", "").await;
            if queue.contains(&format!("\"id\":\"o{owner}\"")) {
                break;
            }
        }
        let start = Instant::now();
        here.release(&held).await;
        let (client, (status, answer), at) = waiting.await.expect("no task fails");
        assert_eq!(status, 200, "{answer}");
        samples.push(at.duration_since(start));
        held = grant(&answer);
        there = Some(client);
    }
    let samples = Latencies::new(samples);
    row("loopback", &[time(samples.quantile(0.5)), time(samples.quantile(0.99))]);
}

async fn hot() {
    title("Redis, one resource that everyone wants");
    row("", &["ops/s", "of one instance", "median", "p99"].map(String::from));
    let redis = Redis::start(Persistence::None).expect("redis-server");
    let one = ready(&redis).await;
    let (alone, latencies) = contended(&[one.address], HOT_CLIENTS).await;
    print(&format!("1 instance, {HOT_CLIENTS} clients"), alone, None, &latencies);
    let other = ready(&redis).await;
    let (both, latencies) = contended(&[one.address, other.address], HOT_CLIENTS).await;
    print(&format!("2 instances, {HOT_CLIENTS} clients"), both, Some(alone), &latencies);
}
