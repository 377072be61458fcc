//! Clients that are at work while instances come and go: each acquires, and releases what it got.

use crate::support::{Client, DEADLINE, Reply, acquire_body, eventually};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// What they do about a request without an answer.
#[derive(Clone, Copy)]
pub(super) enum Trouble {
    /// It fails the test.
    Never,
    /// They ask again, with the same `request_id`, until they are told.
    Repeated,
}

/// Resources that they fight for, and clients at each.
const PATHS: [&str; 3] = ["x", "y", "z"];
const CLIENTS: usize = 2;
/// Before they ask again.
const PAUSE: Duration = Duration::from_millis(20);
/// What they must have done since something happened for it to be over.
const MUCH: usize = 60;

/// They, at work.
pub(super) struct Work {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    done: AtomicBool,
    rounds: AtomicUsize,
    /// Path and token of each grant, noted while it was held.
    grants: Mutex<Vec<(&'static str, u64)>>,
}

impl Work {
    /// They begin; `client` makes one for each.
    pub(super) fn begin(client: impl Fn() -> Client, trouble: Trouble) -> Self {
        let shared = Arc::new(Shared::default());
        let workers = PATHS.into_iter().flat_map(|path| (0..CLIENTS).map(move |number| (path, number)));
        let tasks = workers
            .map(|(path, number)| {
                let worker = Worker { client: client(), trouble, path, owner: format!("{path}-{number}") };
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    for round in 0.. {
                        if shared.done.load(Ordering::Relaxed) {
                            break;
                        }
                        worker.round(round, &shared).await;
                    }
                })
            })
            .collect();
        Self { shared, tasks }
    }

    /// Waits until much more was done.
    pub(super) async fn goes_on(&self) {
        let before = self.shared.rounds.load(Ordering::Relaxed);
        eventually("the clients go on", async || {
            assert!(self.tasks.iter().all(|task| !task.is_finished()), "a client has given up");
            (self.shared.rounds.load(Ordering::Relaxed) >= before + MUCH).then_some(())
        })
        .await;
    }

    /// They end; fails if one of them met trouble, or a token did not grow.
    pub(super) async fn ends(self) {
        self.shared.done.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        let grants = self.shared.grants.lock().unwrap();
        for path in PATHS {
            let tokens: Vec<u64> =
                grants.iter().filter(|(of, _)| *of == path).map(|(_, token)| *token).collect();
            assert!(tokens.len() > 1 && tokens.is_sorted_by(|one, next| one < next), "{path}: {tokens:?}");
        }
    }
}

struct Worker {
    client: Client,
    trouble: Trouble,
    path: &'static str,
    owner: String,
}

impl Worker {
    async fn round(&self, round: usize, shared: &Shared) {
        let request = format!("{}-{round}", self.owner);
        let more = json!({"queue": true, "wait": "50s", "ttl": "1h", "request_id": request});
        let body = acquire_body(self.path, &self.owner, more);
        let mut reply = self.send("POST", "/api/v1/locks", Some(&body)).await;
        // Who waits at an instance that leaves gets the ticket, and waits on at another one.
        while reply.status == 202 {
            let ticket = reply.body["ticket"]["id"].as_str().unwrap().to_owned();
            reply = self.send("GET", &format!("/api/v1/tickets/{ticket}?wait=50s"), None).await;
        }
        let lock = reply.lock();
        let token = lock["fencing_token"].as_u64().unwrap();
        shared.grants.lock().unwrap().push((self.path, token));
        let path = format!("/api/v1/locks/{}?fencing_token={token}", lock["id"].as_str().unwrap());
        let released = self.send("DELETE", &path, None).await;
        let repeated = matches!(self.trouble, Trouble::Repeated) && released.what() == (410, "released");
        assert!(released.status == 200 || repeated, "{}: {}", released.status, released.text);
        shared.rounds.fetch_add(1, Ordering::Relaxed);
    }

    async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        match self.trouble {
            Trouble::Never => {
                let sent = self.client.try_send(method, path, body).await;
                let reply = sent.unwrap_or_else(|error| panic!("{method} {path}: {error:?}"));
                assert!(reply.status < 500, "{method} {path}: {} {}", reply.status, reply.text);
                reply
            }
            Trouble::Repeated => self.insist(method, path, body).await,
        }
    }

    /// Asks until an instance has answered.
    async fn insist(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let begun = Instant::now();
        loop {
            match self.client.try_send(method, path, body).await {
                Ok(reply) if reply.status < 500 => return reply,
                trouble => assert!(begun.elapsed() < DEADLINE, "{method} {path}: {trouble:?}"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
