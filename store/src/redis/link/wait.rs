//! Waiting for replicas.
//!
//! `WAIT` counts the replicas that have all that the server had written when *the same connection*
//! wrote last. On a connection of its own, which writes nothing, it would count for nothing (up to
//! Redis 7.0 any command moves that mark, later only one that is replicated): so a small write goes
//! ahead of it, after which the mark is behind all commits that were answered before; and `INFO
//! replication`, which says whether the server still lives the same life. All go in one piece.
//! `WAIT` blocks its connection, so it has one to itself; and one `WAIT` serves all callers who came
//! before it was sent.

use super::error::CallError;
use super::server::Server;
use super::wire::Wire;
use parking_lot::Mutex;
use redis::{FromRedisValue, Pipeline, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// How long `WAIT`'s answer may take beyond the time it waits.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// How long the small write is kept.
const WRITTEN_FOR_MILLIS: u64 = 60_000;

/// Those who wait for a server's replicas.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Waiter>,
    /// A task serves them.
    served: bool,
    wire: Option<Wire>,
}

#[derive(Debug)]
struct Waiter {
    /// A key of a partition that this server keeps.
    key: String,
    replid: String,
    replicas: u32,
    deadline: Instant,
    answer: oneshot::Sender<Result<u32, CallError>>,
}

impl Server {
    /// See [`Link::wait_replicas`](super::Link::wait_replicas).
    pub(super) async fn wait_replicas(
        self: &Arc<Self>,
        key: String,
        replid: &str,
        replicas: u32,
        timeout: Duration,
    ) -> Result<u32, CallError> {
        let deadline = Instant::now() + timeout;
        let (answer, answered) = oneshot::channel();
        let waiter = Waiter { key, replid: replid.to_owned(), replicas, deadline, answer };
        let served = {
            let mut state = self.waiters.state.lock();
            state.waiting.push(waiter);
            std::mem::replace(&mut state.served, true)
        };
        if !served {
            let serving = Serving { server: Arc::clone(self), finished: false };
            self.runtime().spawn(async move { serving.run().await });
        }
        match timeout_at(deadline + ANSWER_WITHIN, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(unknown("the wait was given up")),
            Err(_) => Err(unknown("no answer in time")),
        }
    }
}

/// Serves until nobody waits. Dropped earlier (with its runtime), it lets the next caller begin.
struct Serving {
    server: Arc<Server>,
    finished: bool,
}

impl Serving {
    async fn run(mut self) {
        while let Some((waiting, wire)) = self.take() {
            let wire = match wire.filter(|wire| self.server.is_current(wire)) {
                Some(wire) => Ok(wire),
                None => self.server.open(None).await,
            };
            let outcome = match &wire {
                Ok(wire) => ask(wire, &waiting).await,
                Err(error) => Err(error.clone()),
            };
            if outcome.is_ok() {
                self.server.waiters.state.lock().wire = wire.ok();
            }
            for waiter in waiting {
                let result = match &outcome {
                    Ok((replid, _)) if *replid != waiter.replid => {
                        Err(unknown("the server began another life meanwhile"))
                    }
                    Ok((_, replicas)) => Ok(*replicas),
                    Err(error) => Err(unknown(error)),
                };
                let _ = waiter.answer.send(result);
            }
        }
    }

    /// All who wait now, or the end of it.
    fn take(&mut self) -> Option<(Vec<Waiter>, Option<Wire>)> {
        let mut state = self.server.waiters.state.lock();
        if state.waiting.is_empty() {
            state.served = false;
            self.finished = true;
            return None;
        }
        Some((std::mem::take(&mut state.waiting), state.wire.take()))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if !self.finished {
            let mut state = self.server.waiters.state.lock();
            state.served = false;
            // They hear that it was given up.
            state.waiting.clear();
        }
    }
}

/// The server's life and how many replicas have all of it.
async fn ask(wire: &Wire, waiting: &[Waiter]) -> Result<(String, u32), CallError> {
    let now = Instant::now();
    let replicas = waiting.iter().map(|waiter| waiter.replicas).max().unwrap_or(0);
    let longest = waiting.iter().map(|waiter| waiter.deadline).max().unwrap_or(now) - now;
    // 0 would wait for ever.
    let millis = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX).max(1);
    let key = waiting.first().map_or("", |waiter| waiter.key.as_str());
    let mut commands = Pipeline::with_capacity(3);
    commands.cmd("SET").arg(key).arg(1).arg("PX").arg(WRITTEN_FOR_MILLIS);
    commands.cmd("INFO").arg("replication").cmd("WAIT").arg(replicas).arg(millis);
    let deadline = now + longest + ANSWER_WITHIN;
    let mut values = wire.ask_all(&commands, deadline).await?.into_iter();
    let (Some(written), Some(info), Some(count)) = (values.next(), values.next(), values.next()) else {
        return Err(unknown("no answer"));
    };
    let _: String = answer(written)?;
    let info: String = answer(info)?;
    let count = answer(count)?;
    let replid = info.lines().find_map(|line| line.strip_prefix("master_replid:"));
    match replid {
        Some(replid) => Ok((replid.trim().to_owned(), count)),
        None => Err(unknown("the server does not say which life it lives")),
    }
}

fn answer<T: FromRedisValue>(value: Value) -> Result<T, CallError> {
    if let Value::ServerError(error) = &value {
        return Err(CallError::refused(error));
    }
    T::from_redis_value(value).map_err(unknown)
}

pub(super) fn unknown(reason: impl std::fmt::Display) -> CallError {
    CallError::Unknown(format!("cannot tell how many replicas have it: {reason}"))
}
