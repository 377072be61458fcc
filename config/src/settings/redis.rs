//! Settings of the Redis store as types.

use std::path::PathBuf;
use std::time::Duration;

use super::count;
use crate::effective::{Effective, Entry};
use crate::redis_url::RedisUrl;
use crate::resolve::Candidates;
use crate::secret::Secret;
use crate::value::Value;

const SERVER_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// Settings of the Redis store; they matter only with [`StoreKind::Redis`](super::StoreKind::Redis).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// Servers, or Sentinels: each with its port, without credentials and database. All are reached with
    /// TLS or none is.
    pub urls: Vec<RedisUrl>,
    /// What the URLs are of.
    pub topology: RedisTopology,
    /// The user at the servers.
    pub username: Option<String>,
    /// The password at the servers.
    pub password: Option<Secret>,
    /// The user at the Sentinels.
    pub sentinel_username: Option<String>,
    /// The password at the Sentinels.
    pub sentinel_password: Option<Secret>,
    /// The database.
    pub database: u32,
    /// What every key begins with.
    pub key_prefix: String,
    /// Connections for calls to each server.
    pub pool_size: usize,
    /// How long a connection may take.
    pub dial_timeout: Duration,
    /// How many replicas must have a commit.
    pub min_replicas: u32,
    /// How long they may take.
    pub wait_timeout: Duration,
    /// TLS, where the URLs ask for it.
    pub tls: RedisTls,
}

/// What is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisTopology {
    /// One server.
    Single,
    /// A master and replicas, found by asking Sentinels.
    Sentinel {
        /// What the Sentinels call the master.
        master: String,
    },
    /// A Cluster.
    Cluster,
}

/// Files for TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// The authorities; none for those of the system.
    pub ca_file: Option<PathBuf>,
    /// Our certificate; with a key or not at all.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
}

impl RedisSettings {
    pub(super) fn from_effective(e: &Effective) -> Self {
        let text = |name| Some(e.text(name)).filter(|text| !text.is_empty());
        let secret = |name| text(name).map(Secret::new);
        let path = |name| text(name).map(PathBuf::from);
        let urls = e.redis_urls("redis.url");
        let topology = topology(urls.len(), text("redis.sentinel"), e.word("redis.cluster-mode"));
        Self {
            urls,
            topology,
            username: text("redis.username"),
            password: secret("redis.password"),
            sentinel_username: text("redis.sentinel-username"),
            sentinel_password: secret("redis.sentinel-password"),
            database: small(e.integer("redis.db")),
            key_prefix: e.text("redis.key-prefix"),
            pool_size: count(e.integer("redis.pool-size")),
            dial_timeout: e.span("redis.dial-timeout").to_std(),
            min_replicas: small(e.integer("redis.min-replicas")),
            wait_timeout: e.span("redis.wait-timeout").to_std(),
            tls: RedisTls {
                ca_file: path("redis.tls.ca-file"),
                cert_file: path("redis.tls.cert-file"),
                key_file: path("redis.tls.key-file"),
            },
        }
    }
}

/// All ranges fit.
pub(super) fn small(number: u64) -> u32 {
    u32::try_from(count(number)).unwrap_or(u32::MAX)
}

pub(super) fn topology(urls: usize, sentinel: Option<String>, cluster_mode: &str) -> RedisTopology {
    match (sentinel, cluster_mode) {
        (Some(master), _) => RedisTopology::Sentinel { master },
        (None, "true") => RedisTopology::Cluster,
        (None, "auto") if urls > 1 => RedisTopology::Cluster,
        (None, _) => RedisTopology::Single,
    }
}

/// Gives what a URL says besides the address to the settings for it, so that the settings in force say
/// everything once, and the dump can show the addresses and leave out the password.
pub(super) fn spread(settings: &mut Candidates) {
    let sentinel = matches!(
        settings.get("redis.sentinel").map(|entry| &entry.value),
        Some(Value::Text(master)) if !master.is_empty()
    );
    let Some(entry) = settings.get_mut("redis.url") else { return };
    let source = entry.source.clone();
    let Value::RedisUrls(urls) = &mut entry.value else { return };
    let Some(first) = urls.first().cloned() else { return };
    for url in urls {
        url.username = None;
        url.password = None;
        url.database = None;
        url.port = Some(url.port.unwrap_or(if sentinel { SENTINEL_PORT } else { SERVER_PORT }));
    }
    let mut put = |name: &str, value: Value| {
        if let Some(entry) = settings.get_mut(name) {
            *entry = Entry { value, source: source.clone(), file: None, ..entry.clone() };
        }
    };
    if let Some(text) = first.username {
        put("redis.username", Value::Text(text));
    }
    if let Some(secret) = first.password {
        put("redis.password", Value::Text(secret.expose().to_owned()));
    }
    if let Some(number) = first.database {
        put("redis.db", Value::Integer(number.into()));
    }
}
