//! Who is master, by the sentinels.

use super::error::CallError;
use super::server::Server;
use super::wire::Wire;
use crate::redis::options::Address;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use redis::{FromRedisValue, Value};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long the rest is waited for when most sentinels have answered.
const REST_WITHIN: Duration = Duration::from_millis(50);
/// How often the sentinels are asked while nothing fails: a master that was cut off from its
/// fellows may still serve us.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// The sentinels and what they last said.
#[derive(Debug)]
pub(super) struct Sentinels {
    sentinels: Vec<Arc<Server>>,
    master: String,
    timeout: Duration,
    known: Mutex<Option<Known>>,
    watched: AtomicBool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    /// Grows with every failover: of two answers the one with the greater epoch is newer.
    epoch: u64,
    address: Address,
}

impl Sentinels {
    pub(super) fn new(sentinels: Vec<Arc<Server>>, master: String, timeout: Duration) -> Self {
        Self { sentinels, master, timeout, known: Mutex::new(None), watched: AtomicBool::new(false) }
    }

    /// How they call the master.
    pub(super) fn master(&self) -> &str {
        &self.master
    }

    /// True unless the sentinels said that somebody else is.
    pub(super) fn is_master(&self, address: &Address) -> bool {
        self.known.lock().as_ref().is_none_or(|known| known.address == *address)
    }

    /// Asks all of them; takes the newest answer of those who answer in time.
    pub(super) async fn find(self: &Arc<Self>) -> Result<Address, CallError> {
        self.watch();
        let mut deadline = Instant::now() + self.timeout;
        let mut asked: FuturesUnordered<_> =
            self.sentinels.iter().map(|sentinel| self.ask(sentinel, deadline)).collect();
        let most = self.sentinels.len() / 2 + 1;
        let (mut best, mut answers, mut refusal): (Option<Known>, _, _) = (None, 0, None);
        while let Ok(Some(answer)) = timeout_at(deadline, asked.next()).await {
            match answer {
                Ok(known) => {
                    answers += 1;
                    if best.as_ref().is_none_or(|best| best.epoch < known.epoch) {
                        best = Some(known);
                    }
                    if answers == most {
                        deadline = deadline.min(Instant::now() + REST_WITHIN);
                    }
                }
                // What a sentinel says of us is worth more than that another one is away.
                Err(error @ CallError::Refused { .. }) => refusal = Some(error),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        match best {
            Some(best) => {
                let mut known = self.known.lock();
                // A sentinel that was away may still say what was.
                match known.as_ref().filter(|known| known.epoch > best.epoch && answers < most) {
                    Some(newer) => Ok(newer.address.clone()),
                    None => Ok(known.insert(best).address.clone()),
                }
            }
            None => Err(refusal.unwrap_or_else(|| {
                CallError::NotSent(format!("no sentinel says who is master of {:?}", self.master))
            })),
        }
    }

    /// Fails if the server does not call itself a master: the sentinels may be ahead of it or
    /// behind.
    pub(super) async fn prove_master(&self, wire: &Wire) -> Result<(), CallError> {
        let role = wire.ask(&redis::cmd("ROLE"), Instant::now() + self.timeout).await;
        let role = role.map_err(|error| match error {
            CallError::Unknown(reason) => CallError::NotSent(reason),
            error => error,
        })?;
        match role {
            Value::Array(values) if matches!(values.first(), Some(Value::BulkString(role)) if role == b"master") => {
                Ok(())
            }
            _ => Err(CallError::NotSent(format!("{} is not (yet) the master", wire.address()))),
        }
    }

    async fn ask(&self, sentinel: &Arc<Server>, deadline: Instant) -> Result<Known, CallError> {
        let mut command = redis::cmd("SENTINEL");
        command.arg("MASTER").arg(&self.master);
        let answer = sentinel.ask(&command, deadline).await.map_err(|error| match error {
            CallError::Unknown(reason) => CallError::NotSent(reason),
            error => error,
        })?;
        let fields: HashMap<String, String> = HashMap::from_redis_value(answer.value).unwrap_or_default();
        let number = |name: &str| fields.get(name).and_then(|text| text.parse::<u64>().ok());
        let known = || {
            let port = u16::try_from(number("port")?).ok()?;
            let address = Address { host: fields.get("ip")?.clone(), port };
            Some(Known { epoch: number("config-epoch")?, address })
        };
        known().ok_or_else(|| CallError::NotSent(format!("{} does not say who is master", answer.server)))
    }

    /// Keeps asking for as long as somebody uses this.
    fn watch(self: &Arc<Self>) {
        let Some(first) = self.sentinels.first() else { return };
        if self.watched.swap(true, Ordering::Relaxed) {
            return;
        }
        let weak = Arc::downgrade(self);
        first.runtime().spawn(async move {
            loop {
                tokio::time::sleep(WATCH_EVERY).await;
                let Some(sentinels) = weak.upgrade() else { return };
                // A failure says nothing new: what was known stays until somebody knows better.
                let _ = sentinels.find().await;
            }
        });
    }
}
