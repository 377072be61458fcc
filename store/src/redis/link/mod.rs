//! How scripts and commands reach Redis: connections, who is master, and what an error means.
//!
//! Nothing here repeats a call that may have been carried out. A call is bounded by
//! [`RedisOptions::timeout`], connecting included.

mod error;
mod script;

pub(crate) use error::CallError;
pub(crate) use script::ScriptText;

use super::options::{OptionsError, RedisOptions};
use lockkeeper_core::Partition;
use redis::{Cmd, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Messages that may wait for their reader; if there are more, it is told that some are lost.
pub(crate) const TOLD_MAX: usize = 8192;

/// Which server a call goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The one that has this partition.
    Partition(Partition),
    /// The one that has this key.
    Key(Vec<u8>),
    /// Any master.
    Any,
}

impl From<Partition> for Route {
    fn from(partition: Partition) -> Self {
        Self::Partition(partition)
    }
}

/// One run of a script.
#[derive(Clone, Debug)]
pub(crate) struct ScriptCall {
    pub(crate) partition: Partition,
    pub(crate) script: &'static ScriptText,
    pub(crate) keys: Vec<Vec<u8>>,
    pub(crate) args: Vec<Vec<u8>>,
}

/// An answer and who gave it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) value: Value,
    /// The server's address: clocks differ from server to server.
    pub(crate) server: Arc<str>,
}

/// What a subscription tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// A message.
    Message {
        /// Where it was published.
        channel: Vec<u8>,
        /// What.
        payload: Vec<u8>,
    },
    /// Messages may have been missed: told after every subscription of everything, the first one
    /// included, and after an overflow.
    Lost,
    /// The same for some partitions: their server was connected again or is another one now.
    LostIn(Vec<Partition>),
}

/// The way to Redis.
#[derive(Debug)]
pub(crate) struct Link {
    options: RedisOptions,
}

impl Link {
    /// Looks at the settings and reads the TLS files; connects when it is first used.
    pub(crate) fn new(options: &RedisOptions) -> Result<Self, OptionsError> {
        options.check()?;
        Ok(Self { options: options.clone() })
    }

    /// Runs a script. All keys lie in one slot.
    pub(crate) async fn script(
        &self,
        route: impl Into<Route>,
        script: &'static ScriptText,
        keys: &[Vec<u8>],
        args: &[Vec<u8>],
    ) -> Result<Value, CallError> {
        self.script_at(route, script, keys, args).await.map(|answer| answer.value)
    }

    /// Like [`Self::script`]; says which server answered.
    pub(crate) async fn script_at(
        &self,
        route: impl Into<Route>,
        script: &'static ScriptText,
        keys: &[Vec<u8>],
        args: &[Vec<u8>],
    ) -> Result<Answer, CallError> {
        let _ = (route.into(), script.digest(), script.text(), keys, args, &self.options);
        Err(CallError::NotSent("not built yet".into()))
    }

    /// Runs several scripts at once; the answers are in the order of the calls.
    pub(crate) async fn scripts(&self, calls: &[ScriptCall]) -> Vec<Result<Answer, CallError>> {
        let _ = calls;
        Vec::new()
    }

    /// Runs a command.
    pub(crate) async fn command(&self, route: impl Into<Route>, command: &Cmd) -> Result<Value, CallError> {
        let _ = (route.into(), command);
        Err(CallError::NotSent("not built yet".into()))
    }

    /// Runs a command on every master; with each one's address. An error of its own means that
    /// the masters are not known.
    pub(crate) async fn each_master(&self, command: &Cmd) -> Vec<(Arc<str>, Result<Value, CallError>)> {
        let _ = command;
        Vec::new()
    }

    /// Follows the partitions' channels, `{<prefix>NNN}:e:<database>`, for as long as the receiver lives.
    pub(crate) fn subscribe(&self) -> mpsc::Receiver<Told> {
        mpsc::channel(TOLD_MAX).1
    }

    /// Waits until `replicas` have all that the partition's server had written before this call,
    /// at most for `timeout`; tells how many have. The server must still live the life `replid`.
    /// Every error means: unknown.
    pub(crate) async fn wait_replicas(
        &self,
        partition: Partition,
        replid: &str,
        replicas: u32,
        timeout: Duration,
    ) -> Result<u32, CallError> {
        let _ = (partition, replid, replicas, timeout);
        Err(CallError::Unknown("not built yet".into()))
    }
}
