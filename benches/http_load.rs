//! Acquire and release over HTTP: distinct resources, and one that everyone wants.

use crate::client::{Client, grant};
use crate::redis::{Persistence, Redis};
use crate::server::Server;
use crate::table::{Latencies, row, time, title};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const SECONDS: Duration = Duration::from_secs(8);
const REDIS_OPERATIONS: usize = 300_000;

pub(crate) async fn run() {
    title("HTTP: acquire and release, each counted as one operation");
    row("", &["ops/s", "of SET NX", "median", "p99"].map(String::from));
    let redis = Redis::start(Persistence::None);
    if redis.is_none() {
        println!("redis-server is not installed: no ratios");
    }
    for connections in [1, 16, 64, 256] {
        let set_nx = redis.as_ref().map(|redis| redis.set_nx_per_second(connections, REDIS_OPERATIONS));
        let directory = tempfile::tempdir().expect("a directory");
        let server = Server::start(directory.path());
        let (per_second, latencies) = distinct(server.address, connections).await;
        server.kill();
        print(&format!("distinct resources, {connections} connections"), per_second, set_nx, &latencies);
    }
    for connections in [64, 256] {
        let directory = tempfile::tempdir().expect("a directory");
        let server = Server::start(directory.path());
        let (per_second, latencies) = contended(&[server.address], connections).await;
        server.kill();
        print(&format!("one resource, {connections} clients queue"), per_second, None, &latencies);
    }
    if let Some(redis) = &redis {
        let figures: Vec<f64> = (0..3).map(|_| redis.set_nx_per_second(64, REDIS_OPERATIONS)).collect();
        println!("redis-benchmark -c 64 SET NX, three runs: {figures:.0?} ops/s");
    }
}

pub(crate) fn print(name: &str, per_second: f64, set_nx: Option<f64>, latencies: &Latencies) {
    let ratio = set_nx.map_or("-".to_owned(), |set_nx| format!("{:.2}", per_second / set_nx));
    row(
        name,
        &[format!("{per_second:.0}"), ratio, time(latencies.quantile(0.5)), time(latencies.quantile(0.99))],
    );
}

async fn gather(tasks: Vec<tokio::task::JoinHandle<Vec<Duration>>>, begun: Instant) -> (f64, Latencies) {
    let mut samples = Vec::new();
    for task in tasks {
        samples.extend(task.await.expect("no task fails"));
    }
    (samples.len() as f64 / begun.elapsed().as_secs_f64(), Latencies::new(samples))
}

pub(crate) async fn distinct(address: SocketAddr, connections: usize) -> (f64, Latencies) {
    let begun = Instant::now();
    let tasks = (0..connections).map(|connection| {
        tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            let mut samples = Vec::new();
            let mut number = 0u64;
            while begun.elapsed() < SECONDS {
                let path = format!("c{connection}/r{number}");
                number += 1;
                let start = Instant::now();
                let grant = client.acquire(&path, "acme/infra#1").await;
                samples.push(start.elapsed());
                let start = Instant::now();
                client.release(&grant).await;
                samples.push(start.elapsed());
            }
            samples
        })
    });
    gather(tasks.collect(), begun).await
}

/// Everyone acquires the same resource, waits in its queue, and hands it on.
pub(crate) async fn contended(addresses: &[SocketAddr], connections: usize) -> (f64, Latencies) {
    let begun = Instant::now();
    let tasks = (0..connections).map(|connection| {
        let address = addresses[connection % addresses.len()];
        tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            let mut samples = Vec::new();
            let body = format!(
                r#"{{"resource":{{"namespace":"acme/infra"}},"owner":{{"id":"acme/infra#{connection}"}},"queue":true,"wait":"50s"}}"#
            );
            while begun.elapsed() < SECONDS {
                let start = Instant::now();
                let (status, answer) = client.send("POST", "/api/v1/locks", &body).await;
                assert_eq!(status, 200, "{answer}");
                samples.push(start.elapsed());
                let start = Instant::now();
                client.release(&grant(&answer)).await;
                samples.push(start.elapsed());
            }
            samples
        })
    });
    gather(tasks.collect(), begun).await
}
