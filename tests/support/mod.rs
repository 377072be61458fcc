//! What every topic uses: a real server, a client, waiting with a deadline.

mod client;
mod server;

pub(crate) use client::{Client, Reply, acquire_body};
pub(crate) use server::TestServer;

use std::future::Future;
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine; a test that reaches it has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until the condition gives a value.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(begun.elapsed() < DEADLINE, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
