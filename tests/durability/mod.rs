//! kill -9 of the real server under load: every acknowledged operation is there afterwards.

use crate::support::{Client, TestServer, acquire_body};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often the server is killed; `LOCKKEEPER_TEST_KILLS` for more.
const KILLS: usize = 100;
const CLIENTS: usize = 8;
/// Operations after which a round's server is killed.
const OPERATIONS_PER_ROUND: usize = 40;

/// What one client knows for sure, and what it does not know.
#[derive(Default)]
struct Ledger {
    /// Acknowledged and not released: lock id to token and resource path.
    held: HashMap<String, (u64, String)>,
    /// Acknowledged releases.
    released: HashSet<String>,
    /// Acknowledged tickets.
    queued: HashSet<String>,
    /// Sent, and no answer came: request bodies by request id.
    unknown: Vec<Value>,
    /// Releases sent, and no answer came.
    unknown_releases: HashSet<String>,
    /// The greatest token seen per resource.
    tokens: HashMap<String, u64>,
    next: usize,
}

#[tokio::test]
async fn a_hundred_kills_lose_nothing_that_was_acknowledged() {
    let kills = std::env::var("LOCKKEEPER_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    // The lock that everyone queues for is held for the whole test.
    let mut server = TestServer::start_in(&data, &[]);
    let blocker = server.client().acquire("hot", "blocker", json!({"ttl": "0s"})).await;
    assert_eq!(blocker.status, 200, "{}", blocker.text);
    let mut ledgers: Vec<Ledger> = (0..CLIENTS).map(|_| Ledger::default()).collect();
    for round in 0..kills {
        let stop = Arc::new(AtomicBool::new(false));
        let client = server.client();
        let tasks: Vec<_> = ledgers
            .drain(..)
            .enumerate()
            .map(|(number, ledger)| tokio::spawn(work(client.clone(), number, ledger, Arc::clone(&stop))))
            .collect();
        // The kill comes at another moment each time, in the middle of the clients' work.
        tokio::time::sleep(Duration::from_millis(10 + (round as u64 * 7) % 40)).await;
        server.kill();
        stop.store(true, Ordering::Release);
        for task in tasks {
            ledgers.push(task.await.unwrap());
        }
        server = TestServer::start_in(&data, &[]);
        let client = server.client();
        for (number, ledger) in ledgers.iter_mut().enumerate() {
            check(&client, number, ledger).await;
        }
    }
    let acknowledged: usize =
        ledgers.iter().map(|ledger| ledger.held.len() + ledger.released.len() + ledger.queued.len()).sum();
    assert!(acknowledged > kills, "only {acknowledged} operations were acknowledged");
}

/// Acquires, queues and releases until the server is gone.
async fn work(client: Client, number: usize, mut ledger: Ledger, stop: Arc<AtomicBool>) -> Ledger {
    let begun = Instant::now();
    for step in 0..OPERATIONS_PER_ROUND {
        if stop.load(Ordering::Acquire) || begun.elapsed() > crate::support::DEADLINE {
            break;
        }
        let request = format!("c{number}-{}", ledger.next);
        ledger.next += 1;
        if step % 3 == 2 && !ledger.held.is_empty() {
            let Some((id, (token, path))) = ledger.held.iter().next().map(|(id, v)| (id.clone(), v.clone()))
            else {
                break;
            };
            match client.try_send("DELETE", &format!("/api/v1/locks/{id}?fencing_token={token}"), None).await
            {
                Ok(reply) => {
                    assert_eq!(reply.status, 200, "{path}: {}", reply.text);
                    ledger.held.remove(&id);
                    ledger.released.insert(id);
                }
                Err(_) => {
                    ledger.held.remove(&id);
                    ledger.unknown_releases.insert(id);
                    break;
                }
            }
            continue;
        }
        let (path, more) = if step % 7 == 3 {
            (
                "hot".to_owned(),
                json!({"queue": true, "attended": false, "queue_timeout": "1h", "request_id": request}),
            )
        } else {
            (format!("c{number}/r{}", ledger.next % 17), json!({"request_id": request, "reentrant": false}))
        };
        let body = acquire_body(&path, &request, more);
        match client.try_send("POST", "/api/v1/locks", Some(&body)).await {
            Ok(reply) => learn(&mut ledger, &path, reply.status, &reply.body),
            Err(_) => {
                ledger.unknown.push(body);
                break;
            }
        }
    }
    ledger
}

fn learn(ledger: &mut Ledger, path: &str, status: u16, body: &Value) {
    match status {
        200 => {
            let (id, token) =
                (body["lock"]["id"].as_str().unwrap(), body["lock"]["fencing_token"].as_u64().unwrap());
            let before = ledger.tokens.insert(path.to_owned(), token).unwrap_or(0);
            assert!(before < token, "{path}: token {token} after {before}");
            ledger.held.insert(id.to_owned(), (token, path.to_owned()));
        }
        202 => {
            ledger.queued.insert(body["ticket"]["id"].as_str().unwrap().to_owned());
        }
        409 => assert_eq!(body["code"], "held", "{body}"),
        other => panic!("{other}: {body}"),
    }
}

/// After a restart: everything acknowledged is there, and what was unknown becomes known by asking
/// again with the same request id.
async fn check(client: &Client, number: usize, ledger: &mut Ledger) {
    for (id, (token, path)) in &ledger.held {
        let reply = client.get(&format!("/api/v1/locks/{id}")).await;
        assert_eq!(reply.status, 200, "client {number} lost its lock of {path}: {}", reply.text);
        assert_eq!(reply.body["lock"]["fencing_token"].as_u64(), Some(*token));
    }
    for id in &ledger.released {
        let reply = client.get(&format!("/api/v1/locks/{id}")).await;
        assert_eq!(reply.what(), (410, "released"), "a released lock came back: {}", reply.text);
    }
    for id in &ledger.queued {
        let reply = client.get(&format!("/api/v1/tickets/{id}")).await;
        assert_eq!(reply.status, 202, "client {number} lost its ticket: {}", reply.text);
    }
    for id in std::mem::take(&mut ledger.unknown_releases) {
        let reply = client.get(&format!("/api/v1/locks/{id}")).await;
        assert!(reply.status == 200 || reply.what() == (410, "released"), "{}", reply.text);
        if reply.status == 200 {
            let lock = &reply.body["lock"];
            let path = lock["resource"]["path"].as_str().unwrap().to_owned();
            ledger.held.insert(id, (lock["fencing_token"].as_u64().unwrap(), path));
        }
    }
    for body in std::mem::take(&mut ledger.unknown) {
        let path = body["resource"]["path"].as_str().unwrap().to_owned();
        let first = client.post("/api/v1/locks", body.clone()).await;
        let again = client.post("/api/v1/locks", body).await;
        if first.status == 200 {
            assert_eq!(first.body["lock"]["id"], again.body["lock"]["id"], "one request id made two locks");
        }
        learn(ledger, &path, first.status, &first.body);
    }
    // Old news need no second look.
    if ledger.released.len() > 50 {
        ledger.released.clear();
    }
    if ledger.held.len() > 12 {
        for (id, (token, _)) in std::mem::take(&mut ledger.held) {
            let reply = client.delete(&format!("/api/v1/locks/{id}?fencing_token={token}")).await;
            assert_eq!(reply.status, 200, "{}", reply.text);
        }
    }
    if ledger.queued.len() > 30 {
        ledger.queued.clear();
    }
}
