//! How long a release takes to reach the client that waits, beside a plain acquire.

use crate::client::{Client, grant};
use crate::server::Server;
use crate::table::{Latencies, row, time, title};
use std::time::Instant;

const ROUNDS: usize = 2_000;
const QUEUES: [usize; 3] = [1, 1_000, 20_000];

pub(crate) async fn run() {
    title("Handoff: from sending the release to the grant at the waiting client");
    row("", &["median", "p99", "plain acquire", "ratio"].map(String::from));
    for length in QUEUES {
        let directory = tempfile::tempdir().expect("a directory");
        let server = Server::start(directory.path());
        let mut one = Client::connect(server.address).await;
        let mut other = Client::connect(server.address).await;

        let mut plain = Vec::new();
        for number in 0..ROUNDS {
            let start = Instant::now();
            let held = one.acquire(&format!("plain/{number}"), "acme/infra#1").await;
            plain.push(start.elapsed());
            one.release(&held).await;
        }
        let plain = Latencies::new(plain);

        // A first holder, then tickets of lower priority that make the queue long.
        let body = |owner: &str, more: &str| {
            format!(
                r#"{{"resource":{{"namespace":"acme/infra","path":"hot"}},"owner":{{"id":"{owner}"}},"mode":"exclusive"{more}}}"#
            )
        };
        let (status, answer) = one.send("POST", "/api/v1/locks", &body("first", "")).await;
        assert_eq!(status, 200, "{answer}");
        let mut held = grant(&answer);
        for number in 1..length {
            let waiting = body(
                &format!("w{number}"),
                r#","queue":true,"attended":false,"priority":"low","queue_timeout":"1h""#,
            );
            let (status, answer) = one.send("POST", "/api/v1/locks", &waiting).await;
            assert_eq!(status, 202, "{answer}");
        }
        let mut samples = Vec::new();
        for round in 0..ROUNDS {
            let asked = body(&format!("r{round}"), r#","queue":true,"priority":"critical","wait":"50s""#);
            let waiting = tokio::spawn(async move {
                let answer = other.send("POST", "/api/v1/locks", &asked).await;
                (other, answer, Instant::now())
            });
            // The waiting client must be in the queue before the lock is released.
            loop {
                let path = format!("/api/v1/tickets?owner=r{round}&namespace=acme%2Finfra");
                let (status, answer) = one.send("GET", &path, "").await;
                assert_eq!(status, 200, "{answer}");
                if answer.contains("\"position\"") {
                    break;
                }
            }
            let start = Instant::now();
            one.release(&held).await;
            let (client, (status, answer), at) = waiting.await.expect("no task fails");
            other = client;
            if status == 200 && !answer.contains("\"owner\":{\"id\":\"w") {
                samples.push(at.duration_since(start));
                held = grant(&answer);
            } else {
                panic!("{status} {answer}");
            }
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
