//! From start to ready with 100,000 locks on disk, after a kill -9.

use crate::client::Client;
use crate::memory::fill_with_locks;
use crate::server::Server;
use crate::table::{row, time, title};
use std::time::Instant;

const ROUNDS: usize = 5;

pub(crate) async fn run() {
    title("Start: until it answers /readyz, with 100,000 locks on disk, after kill -9");
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    fill_with_locks(server.address).await;
    server.kill();
    for round in 1..=ROUNDS {
        let start = Instant::now();
        let server = Server::start(directory.path());
        let mut client = Client::connect(server.address).await;
        let (status, answer) = client.send("GET", "/readyz", "").await;
        assert_eq!(status, 200, "{answer}");
        row(&format!("round {round}"), &[time(start.elapsed())]);
        server.kill();
    }
}
