//! Hours of churn: memory and file size each minute. Only when asked for by name:
//! `LOCKKEEPER_SOAK_MINUTES=60 LOCKKEEPER_SOAK_RATE=500 cargo bench -- soak`; with
//! `LOCKKEEPER_SOAK_STORE=redis` on a Redis of its own.

use crate::client::Client;
use crate::redis::{Persistence, Redis};
use crate::server::Server;
use crate::shared::ready;
use crate::table::{row, title};
use std::time::{Duration, Instant};

/// Distinct resources that the churn goes through before it comes back to the first.
const RESOURCES: u64 = 1_000_000;

pub(crate) async fn run() {
    let setting = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let minutes = setting("LOCKKEEPER_SOAK_MINUTES", 60);
    let rate = setting("LOCKKEEPER_SOAK_RATE", 500);
    title(&format!("Soak: {rate} acquires and releases a second, each on another resource"));
    let directory = tempfile::tempdir().expect("a directory");
    let on_redis = std::env::var("LOCKKEEPER_SOAK_STORE").is_ok_and(|store| store == "redis");
    let redis = on_redis.then(|| Redis::start(Persistence::EverySecond).expect("redis-server"));
    let server = match &redis {
        Some(redis) => ready(redis).await,
        None => Server::start(directory.path()),
    };
    row("minute", &["resident", if on_redis { "Redis" } else { "file" }, "cycles"].map(String::from));
    let mut samples = Vec::new();
    let mut client = Client::connect(server.address).await;
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / 1024.0 / 1024.0);
    let begun = Instant::now();
    let mut cycles = 0u64;
    for minute in 0..=minutes {
        while begun.elapsed() < Duration::from_secs(60 * minute) {
            let due = (begun.elapsed().as_secs_f64() * rate as f64) as u64;
            while cycles < due {
                let held = client.acquire(&format!("soak/{}", cycles % RESOURCES), "acme/infra#1").await;
                client.release(&held).await;
                cycles += 1;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let kept = match &redis {
            Some(redis) => redis.memory_bytes(),
            None => std::fs::metadata(directory.path().join("lockkeeper.redb")).expect("the file").len(),
        };
        let resident = server.resident_bytes();
        row(&minute.to_string(), &[mib(resident), mib(kept), cycles.to_string()]);
        samples.push((resident as f64, kept as f64));
    }
    // What is remembered of the ended is full after a quarter of an hour; from then on nothing may grow.
    let settled = &samples[samples.len().min(16).min(samples.len() / 2)..];
    let slope = |of: fn(&(f64, f64)) -> f64| {
        let hours = settled.len().saturating_sub(1).max(1) as f64 / 60.0;
        let grown = settled.last().map_or(0.0, of) - settled.first().map_or(0.0, of);
        format!("{:+.1} MiB/h", grown / hours / 1024.0 / 1024.0)
    };
    row("grows (second part)", &[slope(|sample| sample.0), slope(|sample| sample.1), String::new()]);
    server.kill();
}
