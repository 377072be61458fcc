//! Hours of churn: memory and file size each minute. Only when asked for by name:
//! `LOCKKEEPER_SOAK_MINUTES=60 LOCKKEEPER_SOAK_RATE=500 cargo bench -- soak`.

use crate::client::Client;
use crate::server::Server;
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
    row("minute", &["resident", "file", "cycles"].map(String::from));
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
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
        let file = std::fs::metadata(directory.path().join("lockkeeper.redb")).expect("the file").len();
        row(&minute.to_string(), &[mib(server.resident_bytes()), mib(file), cycles.to_string()]);
    }
    server.kill();
}
