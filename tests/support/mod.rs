//! What every topic uses: a real server, a client, waiting with a deadline.

mod check;
mod cli;
mod client;
mod disk;
mod events;
mod instances;
mod raw;
mod server;

pub(crate) use check::{has_members, is_problem, is_time, millis_of};
pub(crate) use cli::{Cli, finish};
pub(crate) use client::{Client, Reply, acquire_body};
pub(crate) use disk::SmallDisk;
pub(crate) use events::EventStream;
pub(crate) use instances::{IDS, ThreeInstances};
pub(crate) use raw::Raw;
pub(crate) use server::{TestServer, fixed_address, lockkeeper, serve_command};

use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine; a test that reaches it has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until the condition gives a value.
pub(crate) async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(begun.elapsed() < DEADLINE, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
