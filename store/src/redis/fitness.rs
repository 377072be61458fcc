//! Is this Redis fit to keep locks? Asked at the start, and again and again for health.

use super::error::words;
use super::info::Info;
use super::link::{CallError, Told};
use super::options::Topology;
use super::reply::Rest;
use super::scripts::{FORMAT, PROBE, RIGHTS};
use super::store::{RedisStore, number};
use crate::contract::StoreError;
use futures_util::{StreamExt, TryStreamExt, stream};
use lockkeeper_core::{Partition, ResourceId};
use redis::{FromRedisValue, Value, cmd};
use std::collections::BTreeMap;
use std::time::Duration;

/// The least version of Redis: scripts with flags, and sharded channels.
const VERSION_LEAST: (u32, u32) = (7, 0);
/// What a probe writes is kept for this long.
const PROBED_LIFE: Duration = Duration::from_secs(60);
/// Partitions that are probed at once.
const PROBES: usize = 64;
/// From this share of its memory on a server is said to be nearly full.
const MEMORY_WARNING_PERCENT: u64 = 90;

/// Why a Redis cannot keep locks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// As it is set up it never can; the text names the fix.
    #[error("{0}")]
    Misfit(String),
    /// It cannot be told now: it is not reached, or loads its data. Try again.
    #[error("{0}")]
    Unavailable(String),
}

impl From<Unfit> for StoreError {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Misfit(why) => Self::Unfit(why),
            Unfit::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

impl From<CallError> for Unfit {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotSent(cause) | CallError::Unknown(cause) => Self::Unavailable(cause),
            CallError::Refused { code, message } => {
                let text = words(&code, &message);
                // What no waiting mends.
                let lasts =
                    matches!(code.as_str(), "NOAUTH" | "WRONGPASS" | "NOPERM" | "NOPROTO" | "WRONGTYPE")
                        || (code == "ERR" && message.contains("DB index"));
                if lasts { Self::Misfit(text) } else { Self::Unavailable(text) }
            }
        }
    }
}

impl RedisStore {
    pub(super) async fn look_whether_fit(&self) -> Result<Vec<String>, Unfit> {
        let warnings = self.look_at_servers().await?;
        self.check_rights().await?;
        self.check_format().await?;
        self.check_subscription().await?;
        Ok(warnings)
    }

    /// A durable write on every master, and what the masters say of themselves.
    pub(super) async fn look_whether_well(&self) -> Result<(), StoreError> {
        let partitions = self.clocks.partition_of_each_server();
        let probes = stream::iter(partitions).map(|partition| self.probe_server(partition));
        let probes = probes.buffer_unordered(PROBES).try_collect::<()>();
        // What they say of themselves is wanted most of all when they take no writes.
        let (probed, looked) = tokio::join!(probes, self.look_at_servers());
        probed?;
        looked?;
        Ok(())
    }

    async fn probe_server(&self, partition: Partition) -> Result<(), StoreError> {
        let keys = [self.keys.probe(partition)];
        let args = [number(self.incarnation), number(PROBED_LIFE.as_millis() as u64)];
        let reply = self.call(partition, &PROBE, &keys, &args).await;
        let reply = reply.map_err(super::error::unavailable)??;
        if reply.word == "PROBED" { Ok(()) } else { Err(reply.unexpected().into()) }
    }

    /// Asks every master for its `INFO`; renews the warnings.
    async fn look_at_servers(&self) -> Result<Vec<String>, Unfit> {
        let ask = cmd("INFO");
        let (mut infos, syncs) = tokio::join!(self.link.each_master(&ask), self.read_appendfsync());
        infos.sort_by(|(one, _), (other, _)| one.cmp(other));
        let (mut warnings, mut conditions) = (Vec::new(), Vec::new());
        let (mut misfit, mut unavailable) = (None, None);
        for (server, info) in infos {
            let info = info.map_err(Unfit::from).and_then(|info| {
                Info::read(info).map_err(|garbled| Unfit::Unavailable(StoreError::from(garbled).to_string()))
            });
            let looked = info.and_then(|info| {
                conditions.push(info.condition(&server));
                self.check_info(&server, &info)?;
                self.warn_of(&server, &info, syncs.get(&*server).map(String::as_str), &mut warnings);
                Ok(())
            });
            match looked {
                Ok(()) => {}
                Err(error @ Unfit::Misfit(_)) => misfit = misfit.or(Some(error)),
                Err(error) => unavailable = Some(error),
            }
        }
        // Also of those that cannot be used; who cannot be asked says nothing.
        *self.condition.lock() = conditions;
        // One server that can never do counts more than others that cannot be asked.
        if let Some(error) = misfit.or(unavailable) {
            return Err(error);
        }
        self.warnings.lock().clone_from(&warnings);
        Ok(warnings)
    }

    /// Only where the user may see it.
    async fn read_appendfsync(&self) -> BTreeMap<String, String> {
        let ask = cmd("CONFIG").arg("GET").arg("appendfsync").to_owned();
        let answers = self.link.each_master(&ask).await;
        let settings = answers.into_iter().filter_map(|(server, answer)| {
            let settings = BTreeMap::<String, String>::from_redis_value(answer.ok()?).ok()?;
            Some((server.to_string(), settings.into_values().next()?))
        });
        settings.collect()
    }

    fn check_info(&self, server: &str, info: &Info) -> Result<(), Unfit> {
        let misfit = |text: String| Err(Unfit::Misfit(format!("Redis at {server} {text}")));
        match info.version() {
            Some(version) if version >= VERSION_LEAST => {}
            _ => {
                let version = info.text("redis_version").unwrap_or("of an unknown version");
                return misfit(format!("is too old ({version}): 7.0 or later is needed"));
            }
        }
        let policy = info.text("maxmemory_policy").unwrap_or("noeviction");
        if policy.starts_with("allkeys-") {
            return misfit(format!(
                "throws keys away when its memory is full (maxmemory-policy {policy}), and locks with them: set \
                 `maxmemory-policy noeviction`"
            ));
        }
        let is_cluster = info.is("cluster_enabled", "1");
        match (is_cluster, self.options.topology == Topology::Cluster) {
            (true, false) => return misfit("is a node of a cluster: set redis.topology to cluster".into()),
            (false, true) => {
                return misfit("is no node of a cluster: set redis.topology to single or sentinel".into());
            }
            _ => {}
        }
        if info.is("loading", "1") {
            return Err(Unfit::Unavailable(format!("Redis at {server} is loading its data")));
        }
        if info.is("role", "slave") {
            return Err(Unfit::Unavailable(format!("Redis at {server} is a replica, and no master")));
        }
        Ok(())
    }

    fn warn_of(&self, server: &str, info: &Info, appendfsync: Option<&str>, warnings: &mut Vec<String>) {
        let mut warn = |text: String| warnings.push(format!("Redis at {server} {text}"));
        if info.is("aof_enabled", "0") {
            warn("keeps no append-only file: a restart loses locks that were granted; set `appendonly yes` and \
                 `appendfsync always`"
                .into());
        } else {
            match appendfsync {
                Some("always") => {}
                Some(other) => warn(format!(
                    "does not write each change to disk before it answers (appendfsync {other}): a power cut loses \
                     the latest locks; set `appendfsync always`"
                )),
                None => warn(
                    "does not let this user see appendfsync (`+config|get`): make sure it is `always`, \
                     or a power cut loses the latest locks"
                        .into(),
                ),
            }
        }
        for field in ["rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status"] {
            if info.is(field, "err") {
                warn(format!("could not save ({field} is err): see its log, free space on its disk"));
            }
        }
        let policy = info.text("maxmemory_policy").unwrap_or("noeviction");
        if policy != "noeviction" {
            warn(format!(
                "has maxmemory-policy {policy}: locks have no expiry and stay, but `noeviction` is what says so"
            ));
        }
        let condition = info.condition(server);
        if condition.memory_percent() >= MEMORY_WARNING_PERCENT {
            let (used, most) = (condition.memory_used, condition.memory_max);
            warn(format!("uses {used} of {most} bytes of memory: raise its maxmemory or free some"));
        }
        let replicas = condition.replicas;
        if replicas < self.options.min_replicas {
            warn(format!(
                "has {replicas} replicas in sync, and redis.min-replicas is {}: no change can be answered",
                self.options.min_replicas
            ));
        }
    }

    /// Runs every command that is needed, where it does no harm, on all servers.
    async fn check_rights(&self) -> Result<(), Unfit> {
        let tries = stream::iter(0..=u8::MAX).map(|number| self.check_rights_in(Partition(number)));
        tries.buffer_unordered(PROBES).try_collect::<()>().await?;
        // The scripts may be there already, and are sent again only after a restart.
        let eval = cmd("EVAL").arg("return 1").arg(0).to_owned();
        for (_, answer) in self.link.each_master(&eval).await {
            answer?;
        }
        if self.options.min_replicas > 0 {
            // For no replica at all: answered at once.
            self.link.command(Partition(0), &cmd("WAIT").arg(0).arg(1).to_owned()).await?;
        }
        Ok(())
    }

    async fn check_rights_in(&self, partition: Partition) -> Result<(), Unfit> {
        let (keys, id) = (&self.keys, ResourceId(u64::from(partition.0) << 56));
        let mut all = vec![
            keys.probe(partition),
            keys.marker(partition),
            keys.seal(partition),
            keys.changes(partition),
            keys.document(id),
            keys.log(id),
            keys.staged(id, self.incarnation),
        ];
        if partition == Partition(0) {
            all.extend([keys.instances(), keys.format()]);
        }
        let args = [self.publish_word(), keys.channel(partition)];
        let answer = self.link.script_at(partition, &RIGHTS, &all, &args).await?;
        let garbled = |error| Unfit::Unavailable(StoreError::from(error).to_string());
        let mut failed = Rest::new(answer.value).map_err(garbled)?;
        let (mut missing, mut odd) = (Vec::new(), None);
        while !failed.is_empty() {
            let (command, why) = (failed.text().map_err(garbled)?, failed.text().map_err(garbled)?);
            if is_about_rights(&why) {
                missing.push(format!("+{}", command.to_lowercase()));
            } else {
                odd = Some(format!("Redis at {} refused {command}: {why}", answer.server));
            }
        }
        // Without some rights, other commands fail for want of what these would have written.
        if missing.is_empty() {
            return odd.map_or(Ok(()), |odd| Err(Unfit::Unavailable(odd)));
        }
        let channel = String::from_utf8_lossy(&args[1]).into_owned();
        Err(Unfit::Misfit(format!(
            "the user of Redis at {} lacks rights: {} (for channels: {channel}); give it those of docs/redis-acl.md",
            answer.server,
            missing.join(" "),
        )))
    }

    /// Claims a new store for this format; refuses a newer one.
    async fn check_format(&self) -> Result<(), Unfit> {
        let (partition, key) = (Partition(0), self.keys.format());
        let set = cmd("SET").arg(&key).arg(FORMAT).arg("NX").to_owned();
        self.link.command(partition, &set).await?;
        let found = self.link.command(partition, &cmd("GET").arg(&key).to_owned()).await?;
        match found {
            Value::Nil => Err(Unfit::Unavailable("the format of the store vanished".into())),
            found => match u64::from_redis_value(found) {
                Ok(found) if found <= FORMAT => Ok(()),
                Ok(found) => Err(Unfit::Misfit(format!(
                    "this store has format {found}, written by a newer Lockkeeper (this one knows formats up to \
                     {FORMAT}): use that version"
                ))),
                Err(_) => Err(Unfit::Misfit(format!(
                    "{} is no format of Lockkeeper's: does another program use redis.key-prefix?",
                    String::from_utf8_lossy(&key)
                ))),
            },
        }
    }

    /// Can the changes be followed? A link that cannot subscribe tries again for ever.
    async fn check_subscription(&self) -> Result<(), Unfit> {
        let mut told = self.link.subscribe();
        let heard = tokio::time::timeout(self.options.timeout * 2, told.recv()).await;
        if let Ok(Some(Told::Lost | Told::LostIn(_) | Told::Message { .. })) = heard {
            return Ok(());
        }
        // Or is it only away?
        self.link.command(Partition(0), &cmd("GET").arg(self.keys.format()).to_owned()).await?;
        let command = match self.options.topology {
            Topology::Cluster => "ssubscribe",
            Topology::Single | Topology::Sentinel { .. } => "psubscribe",
        };
        Err(Unfit::Misfit(format!(
            "the user of Redis may not subscribe to channels like {} (+{command}); give it the rights of \
             docs/redis-acl.md",
            String::from_utf8_lossy(&self.keys.channel(Partition(0)))
        )))
    }
}

fn is_about_rights(why: &str) -> bool {
    // Inside of a script 7.0 says "The user executing the script can't ...".
    ["NOPERM", "permission", "executing the script can't"].iter().any(|word| why.contains(word))
}
