//! How scripts and commands reach Redis: connections, who is master, and what an error means.
//!
//! Nothing here repeats a call that may have been carried out. A call is bounded by
//! [`RedisOptions::timeout`], connecting included.

mod backoff;
mod cluster;
mod dial;
mod error;
mod map;
mod request;
mod script;
mod sentinel;
mod server;
mod shards;
mod slots;
mod subscribe;
#[cfg(test)]
mod tests;
mod told;
mod wait;
mod wire;

pub(crate) use error::CallError;
pub(crate) use script::ScriptText;
pub(crate) use slots::tag;
pub(crate) use told::Told;

use super::options::{Login, OptionsError, RedisOptions, Topology};
use cluster::Cluster;
use dial::Dialer;
use futures_util::future::join_all;
use lockkeeper_core::Partition;
use redis::{Cmd, Value};
use request::Request;
use sentinel::Sentinels;
use server::{Access, Finder, Server};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use told::Teller;

/// An answer and who gave it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) value: Value,
    /// The server's address: clocks differ from server to server.
    pub(crate) server: Arc<str>,
}

/// The way to Redis.
#[derive(Debug)]
pub(crate) struct Link {
    servers: Servers,
    prefix: String,
    database: u32,
    timeout: Duration,
    dialer: Arc<Dialer>,
}

#[derive(Debug)]
enum Servers {
    One(Arc<Server>),
    Many(Arc<Cluster>),
}

impl Link {
    /// Looks at the settings and reads the TLS files; connects when it is first used. Connections
    /// live in the runtime this is called in.
    pub(crate) fn new(options: &RedisOptions) -> Result<Self, OptionsError> {
        let targets = options.targets()?;
        let dialer = Arc::new(Dialer::new(targets.tls.then_some(&options.tls), options.connect_timeout)?);
        let access = Access { dialer: Arc::clone(&dialer), login: targets.login, database: targets.database };
        let servers = match &options.topology {
            Topology::Single => {
                let finder = targets.seeds.into_iter().map(Finder::At).next();
                let finder = finder.ok_or_else(|| OptionsError::new("urls", "is empty"))?;
                Servers::One(Server::new(finder, access, options.connections))
            }
            Topology::Sentinel { master } => {
                let login = Login {
                    username: options.sentinel_username.clone(),
                    password: options.sentinel_password.clone(),
                };
                let to_sentinel = Access { dialer: Arc::clone(&dialer), login, database: 0 };
                let sentinels = targets.seeds.into_iter();
                let sentinels = sentinels.map(|at| Server::new(Finder::At(at), to_sentinel.clone(), 1));
                let sentinels = Sentinels::new(sentinels.collect(), master.clone(), options.timeout);
                Servers::One(Server::new(Finder::Ask(Arc::new(sentinels)), access, options.connections))
            }
            Topology::Cluster => {
                Servers::Many(Cluster::new(targets.seeds, access, options.connections, options.timeout))
            }
        };
        let prefix = options.key_prefix.clone();
        Ok(Self { servers, prefix, database: targets.database, timeout: options.timeout, dialer })
    }

    /// Runs a script; all its keys are of this partition. Says which server answered.
    pub(crate) async fn script_at(
        &self,
        partition: Partition,
        script: &'static ScriptText,
        keys: &[Vec<u8>],
        args: &[Vec<u8>],
    ) -> Result<Answer, CallError> {
        self.send(partition, &Request::script(script, keys, args)).await
    }

    /// Runs a command on the server that has this partition.
    pub(crate) async fn command(&self, partition: Partition, command: &Cmd) -> Result<Value, CallError> {
        self.send(partition, &Request::Command(command)).await.map(|answer| answer.value)
    }

    /// Runs a command on every master; with each one's address. If the masters of a cluster are not
    /// known there is one answer, which says so.
    pub(crate) async fn each_master(&self, command: &Cmd) -> Vec<(Arc<str>, Result<Value, CallError>)> {
        let deadline = self.deadline();
        let masters: Vec<Arc<Server>> = match &self.servers {
            Servers::One(server) => vec![Arc::clone(server)],
            Servers::Many(cluster) => match cluster.known(deadline).await {
                Ok(map) => map.masters().into_values().cloned().collect(),
                Err(error) => return vec![("the cluster".into(), Err(error))],
            },
        };
        let mut runs = Vec::with_capacity(masters.len());
        for server in &masters {
            runs.push(async move {
                match server.ask(command, deadline).await {
                    Ok(answer) => (answer.server, Ok(answer.value)),
                    Err(error) => (server.name().into(), Err(error)),
                }
            });
        }
        join_all(runs).await
    }

    /// Follows the partitions' channels, `{<prefix>NNN}:e:<database>`, for as long as the receiver
    /// lives; comes back by itself. It holds [`told::TOLD_MAX`].
    ///
    /// # Panics
    /// Outside of a runtime if this was made outside of one, too.
    pub(crate) fn subscribe(&self) -> mpsc::Receiver<Told> {
        let (teller, receiver) = Teller::new();
        let runtime = self.dialer.runtime();
        match &self.servers {
            Servers::One(server) => {
                let pattern = subscribe::pattern(&self.prefix, self.database);
                runtime.spawn(subscribe::follow(Arc::clone(server), pattern, self.timeout, teller));
            }
            Servers::Many(cluster) => {
                let (cluster, prefix) = (Arc::clone(cluster), self.prefix.clone());
                runtime.spawn(shards::follow(cluster, prefix, self.timeout, teller));
            }
        }
        receiver
    }

    /// Waits until `replicas` have all that the partition's server had written before this call,
    /// at most for `timeout`; tells how many have. The server must still live the life `replid`.
    ///
    /// # Errors
    /// Every error means: unknown.
    pub(crate) async fn wait_replicas(
        &self,
        partition: Partition,
        replid: &str,
        replicas: u32,
        timeout: Duration,
    ) -> Result<u32, CallError> {
        let server = match &self.servers {
            Servers::One(server) => Arc::clone(server),
            Servers::Many(cluster) => {
                cluster.master_of(self.slot(partition), self.deadline()).await.map_err(wait::unknown)?
            }
        };
        let key = format!("{}:w", tag(&self.prefix, partition));
        server.wait_replicas(key, replid, replicas, timeout).await
    }

    async fn send(&self, partition: Partition, request: &Request<'_>) -> Result<Answer, CallError> {
        let deadline = self.deadline();
        match &self.servers {
            Servers::One(server) => request.send(server, false, deadline).await,
            Servers::Many(cluster) => cluster.send(self.slot(partition), request, deadline).await,
        }
    }

    fn slot(&self, partition: Partition) -> u16 {
        slots::slot(tag(&self.prefix, partition).as_bytes())
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }
}
