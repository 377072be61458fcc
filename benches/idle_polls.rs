//! What clients cost that only wait: memory of each, and processor time of all.

use crate::client::Client;
use crate::server::Server;
use crate::table::{row, title};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const POLLS: usize = 10_000;
/// Connections that are opened at once; the server's backlog has room for them.
const BATCH: usize = 200;
/// How long the processor time of idleness is measured; within one wait.
const MEASURED: Duration = Duration::from_secs(20);
const GAUGE: &str = "\natlantis_enhanced_locking_waiting_clients ";

pub(crate) async fn run() {
    title("10,000 idle long polls, on resources of their own and on one");
    row("", &["resident idle", "with polls", "each", "of one core"].map(String::from));
    for (name, distinct) in [("each in a queue of its own", true), ("all in one queue", false)] {
        let directory = tempfile::tempdir().expect("a directory");
        let server = Server::start(directory.path());
        let mut one = Client::connect(server.address).await;
        let resources = if distinct { POLLS } else { 1 };
        let body = |number: usize, owner: &str, more: &str| {
            let path = number % resources;
            format!(
                r#"{{"resource":{{"namespace":"acme/infra-{}","path":"p{path}"}},"owner":{{"id":"{owner}"}},"ttl":"2h"{more}}}"#,
                path % 500
            )
        };
        for number in 0..resources {
            let (status, answer) = one.send("POST", "/api/v1/locks", &body(number, "holder", "")).await;
            assert_eq!(status, 200, "{answer}");
        }
        let idle = server.resident_bytes();
        let mut polls = Vec::with_capacity(POLLS);
        for number in 0..POLLS {
            let mut stream = TcpStream::connect(server.address).await.expect("the server accepts");
            let body = body(number, &format!("w{number}"), r#","queue":true,"wait":"50s""#);
            let request = format!(
                "POST /api/v1/locks HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(request.as_bytes()).await.expect("the server reads");
            polls.push(stream);
            if polls.len().is_multiple_of(BATCH) {
                until_waiting(&mut one, polls.len()).await;
            }
        }
        // What the making cost is over.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let full = server.resident_bytes();
        let (before, begun) = (server.cpu_time(), Instant::now());
        tokio::time::sleep(MEASURED).await;
        let share = (server.cpu_time() - before).as_secs_f64() / begun.elapsed().as_secs_f64();
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / 1024.0 / 1024.0);
        let each = full.saturating_sub(idle) / POLLS as u64;
        row(name, &[mib(idle), mib(full), format!("{each} B"), format!("{:.2}%", share * 100.0)]);
        drop(polls);
        server.kill();
    }
}

async fn until_waiting(client: &mut Client, count: usize) {
    loop {
        let (_, metrics) = client.send("GET", "/metrics", "").await;
        let waiting = metrics.split(GAUGE).nth(1).and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
        if waiting.is_some_and(|waiting| waiting >= count) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
