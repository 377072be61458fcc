//! Resident memory per held lock and per waiting ticket, at 100,000 of each.

use crate::client::Client;
use crate::server::Server;
use crate::table::{row, title};
use std::net::SocketAddr;

const COUNT: usize = 100_000;
const CONNECTIONS: usize = 32;

pub(crate) async fn run() {
    title("Memory: resident, at 100,000");
    row("", &["idle", "with 100,000", "each"].map(String::from));
    for (name, body) in
        [("held locks", locks as fn(usize) -> String), ("waiting tickets of one resource", tickets)]
    {
        let directory = tempfile::tempdir().expect("a directory");
        let server = Server::start(directory.path());
        let idle = server.resident_bytes();
        fill(server.address, body).await;
        // Queue actors go to rest after 10 s without work, in two rounds.
        tokio::time::sleep(std::time::Duration::from_secs(25)).await;
        let full = server.resident_bytes();
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / 1024.0 / 1024.0);
        row(name, &[mib(idle), mib(full), format!("{} B", full.saturating_sub(idle) / COUNT as u64)]);
        server.kill();
    }
}

fn locks(number: usize) -> String {
    format!(
        r#"{{"resource":{{"namespace":"acme/infra-{}","path":"modules/m{number}","workspace":"production"}},"owner":{{"id":"acme/infra-{}#{number}","user":"alice"}},"ttl":"2h"}}"#,
        number % 500,
        number % 500
    )
}

fn tickets(number: usize) -> String {
    format!(
        r#"{{"resource":{{"namespace":"acme/infra"}},"owner":{{"id":"acme/infra#{number}","user":"alice"}},"queue":true,"attended":false,"queue_timeout":"2h"}}"#
    )
}

pub(crate) async fn fill(address: SocketAddr, body: fn(usize) -> String) {
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|connection| {
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                for number in (connection..COUNT).step_by(CONNECTIONS) {
                    let (status, answer) = client.send("POST", "/api/v1/locks", &body(number)).await;
                    assert!(status == 200 || status == 202, "{answer}");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task fails");
    }
}

/// Fills a server with held locks.
pub(crate) async fn fill_with_locks(address: SocketAddr) {
    fill(address, locks).await;
}
