//! How long a release takes to reach the client that waits, beside a plain acquire.

use crate::client::{Client, grant, ticket};
use crate::server::Server;
use crate::table::{Latencies, row, time, title};
use std::collections::VecDeque;
use std::time::Instant;

const ROUNDS: usize = 1_000;
const QUEUES: [usize; 3] = [1, 1_000, 10_000];

pub(crate) async fn run() {
    title("Handoff: from sending the release to the grant at the waiting client");
    row("", &["median", "p99", "plain acquire", "ratio"].map(String::from));
    for length in QUEUES {
        let directory = tempfile::tempdir().expect("a directory");
        let server = Server::start(directory.path());
        let mut one = Client::connect(server.address).await;

        let mut plain = Vec::new();
        for number in 0..ROUNDS {
            let start = Instant::now();
            let held = one.acquire(&format!("plain/{number}"), "acme/infra#1").await;
            plain.push(start.elapsed());
            one.release(&held).await;
        }
        let plain = Latencies::new(plain);

        // A holder, and tickets behind it in one class, so that each release goes to the oldest.
        let body = |owner: usize| {
            format!(
                r#"{{"resource":{{"namespace":"acme/infra","path":"hot"}},"owner":{{"id":"o{owner}"}},"queue":true,"attended":false,"queue_timeout":"1h"}}"#
            )
        };
        let (status, answer) = one.send("POST", "/api/v1/locks", &body(0)).await;
        assert_eq!(status, 200, "{answer}");
        let mut held = grant(&answer);
        let mut queue = VecDeque::new();
        let mut free = None;
        let mut owner = 0;
        let mut samples = Vec::new();
        for _ in 0..ROUNDS {
            while queue.len() < length {
                owner += 1;
                let (status, answer) = one.send("POST", "/api/v1/locks", &body(owner)).await;
                assert_eq!(status, 202, "{answer}");
                queue.push_back(ticket(&answer));
            }
            let next = queue.pop_front().expect("a ticket");
            let mut other = match free.take() {
                Some(client) => client,
                // Not before it is used: a connection that sends nothing is closed after a while.
                None => Client::connect(server.address).await,
            };
            let waiting = tokio::spawn(async move {
                let answer = other.send("GET", &format!("/api/v1/tickets/{next}?wait=50s"), "").await;
                (other, answer, Instant::now())
            });
            // The client must wait before the lock is released.
            loop {
                let (_, metrics) = one.send("GET", "/metrics", "").await;
                assert!(!waiting.is_finished(), "the client was answered before the release");
                if metrics.contains("\natlantis_enhanced_locking_waiting_clients 1\n") {
                    break;
                }
            }
            let start = Instant::now();
            one.release(&held).await;
            let (client, (status, answer), at) = waiting.await.expect("no task fails");
            assert_eq!(status, 200, "{answer}");
            free = Some(client);
            samples.push(at.duration_since(start));
            held = grant(&answer);
        }
        server.kill();
        let samples = Latencies::new(samples);
        let (median, base) = (samples.quantile(0.5), plain.quantile(0.5));
        row(
            &format!("{length} in the queue"),
            &[
                time(median),
                time(samples.quantile(0.99)),
                time(base),
                format!("{:.2}", median.as_secs_f64() / base.as_secs_f64()),
            ],
        );
    }
}
