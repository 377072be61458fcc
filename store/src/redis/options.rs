//! What a Redis store can be told, and what of it cannot be right.

use redis::{ConnectionAddr, IntoConnectionInfo};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What all keys begin with unless it is set.
pub const DEFAULT_KEY_PREFIX: &str = "lk";
/// How long a call may take in all, connecting included.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long one attempt to connect may take, TLS and authentication included.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long replicas are waited for when some are demanded.
pub const DEFAULT_WAIT_TIMEOUT: Duration = Duration::from_secs(1);
/// How far a commit's time may be off the server's.
pub const DEFAULT_TIME_WINDOW: Duration = Duration::from_millis(500);
/// Connections for calls to each server. One pipelines by itself and keeps a client ahead of what
/// a Redis can do; more help only where one connection's bandwidth is the limit.
pub const DEFAULT_CONNECTIONS: usize = 1;
/// The greatest number of connections for calls to each server.
pub const CONNECTIONS_MAX: usize = 64;
/// The longest key prefix in bytes: every key repeats it.
pub const KEY_PREFIX_MAX_BYTES: usize = 64;

/// A password or the like: it shows itself to nobody but who asks for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The URL of a server. Printed without its credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// The text itself, with credentials if it has some.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for RedisUrl {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A text that is no URL may hold a password anywhere: nothing of it is shown.
        let Some((scheme, rest)) = self.0.split_once("://") else { return f.write_str("***") };
        // The last one: an unescaped @ in a password must not let its tail through.
        match rest.rsplit_once('@') {
            Some((_, host)) => write!(f, "{scheme}://***@{host}"),
            None => write!(f, "{scheme}://{rest}"),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How the servers are arranged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server (or a name behind which somebody else keeps one).
    Single,
    /// Sentinels know the master; the URLs are theirs.
    Sentinel {
        /// The name under which they watch it.
        master: String,
    },
    /// A Redis Cluster; the URLs are of some of its nodes.
    Cluster,
}

/// Files for connections by `rediss://`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of the authorities to believe, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate chain.
    pub cert_file: Option<PathBuf>,
    /// The key of the client's certificate.
    pub key_file: Option<PathBuf>,
}

/// The parameters of a Redis store.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// `redis://` or `rediss://`: the server; sentinels; or some nodes of the cluster.
    pub urls: Vec<RedisUrl>,
    /// How the servers are arranged.
    pub topology: Topology,
    /// The user of the servers that hold data.
    pub username: Option<String>,
    /// The password of the servers that hold data.
    pub password: Option<Secret>,
    /// The user of the sentinels.
    pub sentinel_username: Option<String>,
    /// The password of the sentinels.
    pub sentinel_password: Option<Secret>,
    /// The number of the database; 0 on a cluster.
    pub database: u32,
    /// Files for TLS.
    pub tls: TlsFiles,
    /// What all keys begin with.
    pub key_prefix: String,
    /// How long a call may take in all.
    pub timeout: Duration,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// Connections for calls to each server.
    pub connections: usize,
    /// How many replicas must have a commit before it is answered.
    pub min_replicas: u32,
    /// How long these are waited for.
    pub wait_timeout: Duration,
    /// How far a commit's time may be off the server's: half of the grace of leases.
    pub time_window: Duration,
    /// The configured name of this instance.
    pub instance: String,
}

/// A setting that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("redis.{setting}: {problem}")]
pub struct OptionsError {
    /// Which one, as it is called in the configuration.
    pub setting: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl OptionsError {
    pub(crate) fn new(setting: &'static str, problem: impl Into<String>) -> Self {
        Self { setting, problem: problem.into() }
    }
}

impl RedisOptions {
    /// The defaults, with one server.
    #[must_use]
    pub fn new(url: impl Into<RedisUrl>) -> Self {
        Self {
            urls: vec![url.into()],
            topology: Topology::Single,
            username: None,
            password: None,
            sentinel_username: None,
            sentinel_password: None,
            database: 0,
            tls: TlsFiles::default(),
            key_prefix: DEFAULT_KEY_PREFIX.into(),
            timeout: DEFAULT_TIMEOUT,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            connections: DEFAULT_CONNECTIONS,
            min_replicas: 0,
            wait_timeout: DEFAULT_WAIT_TIMEOUT,
            time_window: DEFAULT_TIME_WINDOW,
            instance: String::new(),
        }
    }

    /// Looks for what cannot be right, without touching the network or a file.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn check(&self) -> Result<(), OptionsError> {
        self.targets().map(drop)
    }

    /// What the URLs and the settings beside them say together.
    pub(crate) fn targets(&self) -> Result<Targets, OptionsError> {
        check_key_prefix(&self.key_prefix)?;
        self.check_numbers()?;
        self.check_topology()?;
        let urls = self.urls.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let Some(first) = urls.first() else {
            return Err(OptionsError::new("urls", "is empty: at least one is needed"));
        };
        if urls.iter().any(|url| url.tls != first.tls) {
            return Err(OptionsError::new("urls", "mixes redis:// and rediss://"));
        }
        if !first.tls && self.tls != TlsFiles::default() {
            return Err(OptionsError::new("tls", "is set, but the URLs are redis:// and not rediss://"));
        }
        if self.tls.cert_file.is_some() != self.tls.key_file.is_some() {
            return Err(OptionsError::new("tls", "a certificate needs its key, and a key its certificate"));
        }
        let login = self.login(&urls)?;
        let database = self.database_of(&urls)?;
        let seeds = urls.iter().map(|url| url.address.clone()).collect();
        Ok(Targets { seeds, tls: first.tls, login, database })
    }

    fn check_numbers(&self) -> Result<(), OptionsError> {
        let times = [
            ("timeout", self.timeout),
            ("connect-timeout", self.connect_timeout),
            ("wait-timeout", self.wait_timeout),
        ];
        for (setting, time) in times {
            // WAIT takes whole milliseconds and reads 0 as for ever.
            if time < Duration::from_millis(1) {
                return Err(OptionsError::new(setting, "must be at least 1ms"));
            }
        }
        if !(1..=CONNECTIONS_MAX).contains(&self.connections) {
            return Err(OptionsError::new("connections", format!("must be 1 to {CONNECTIONS_MAX}")));
        }
        Ok(())
    }

    fn check_topology(&self) -> Result<(), OptionsError> {
        let sentinel = matches!(self.topology, Topology::Sentinel { .. });
        match &self.topology {
            Topology::Single if self.urls.len() > 1 => {
                return Err(OptionsError::new(
                    "urls",
                    "has several, but the topology is a single server: set it to sentinel or cluster",
                ));
            }
            Topology::Sentinel { master } if master.is_empty() => {
                return Err(OptionsError::new("sentinel-master", "is empty: how do the sentinels call it?"));
            }
            _ => {}
        }
        if !sentinel && self.sentinel_username.is_some() {
            return Err(OptionsError::new("sentinel-username", "is set, but there are no sentinels"));
        }
        if !sentinel && self.sentinel_password.is_some() {
            return Err(OptionsError::new("sentinel-password", "is set, but there are no sentinels"));
        }
        let users = [
            ("username", &self.username, &self.password),
            ("sentinel-username", &self.sentinel_username, &self.sentinel_password),
        ];
        for (setting, username, password) in users {
            if username.is_some() && password.is_none() {
                return Err(OptionsError::new(setting, "is set without a password"));
            }
        }
        Ok(())
    }

    fn login(&self, urls: &[Parsed]) -> Result<Login, OptionsError> {
        let own = Login { username: self.username.clone(), password: self.password.clone() };
        let mut given = urls.iter().filter(|url| url.login != Login::default());
        let Some(first) = given.next() else { return Ok(own) };
        if matches!(self.topology, Topology::Sentinel { .. }) {
            // Whose they are cannot be seen: the sentinels', or the master's?
            return Err(OptionsError::new(
                "urls",
                "have credentials: with sentinels set username and password, sentinel-username and \
                 sentinel-password instead",
            ));
        }
        if own != Login::default() {
            return Err(OptionsError::new(
                "urls",
                "have credentials, and so have username and password: give them once",
            ));
        }
        if given.any(|url| url.login != first.login) {
            return Err(OptionsError::new("urls", "have different credentials"));
        }
        Ok(first.login.clone())
    }

    fn database_of(&self, urls: &[Parsed]) -> Result<u32, OptionsError> {
        let mut database = self.database;
        for named in urls.iter().filter_map(|url| url.database) {
            if database != named && database != 0 {
                return Err(OptionsError::new(
                    "database",
                    format!("is {database} here and {named} in a URL: name it once"),
                ));
            }
            database = named;
        }
        if self.topology == Topology::Cluster && database != 0 {
            return Err(OptionsError::new("database", format!("is {database}, but a cluster has only 0")));
        }
        Ok(database)
    }
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Who logs in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
}

/// What the URLs and the settings beside them say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Targets {
    pub(crate) seeds: Vec<Address>,
    pub(crate) tls: bool,
    pub(crate) login: Login,
    pub(crate) database: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parsed {
    address: Address,
    tls: bool,
    login: Login,
    /// `None`: not named (a URL that names 0 is taken as one that names none).
    database: Option<u32>,
}

fn parse(url: &RedisUrl) -> Result<Parsed, OptionsError> {
    let wrong = |problem: &str| Err(OptionsError::new("urls", format!("{url} {problem}")));
    let (tls, rest) = match url.0.split_once("://") {
        Some(("redis", rest)) => (false, rest),
        Some(("rediss", rest)) => (true, rest),
        _ => return wrong("does not begin with redis:// or rediss://"),
    };
    if rest.contains(['#', '?']) {
        // Among them one that turns the check of certificates off.
        return wrong("has options behind # or ?: there are settings for what can be set");
    }
    // TLS is ours, so the library does not know its scheme. Its error is not told: it may repeat
    // a password.
    let Ok(info) = format!("redis://{rest}").into_connection_info() else {
        return wrong("is not a URL of a Redis");
    };
    let ConnectionAddr::Tcp(host, port) = info.addr() else { return wrong("is not a URL of a Redis") };
    let port = *port;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let settings = info.redis_settings();
    let login = Login {
        username: settings.username().filter(|name| !name.is_empty()).map(str::to_owned),
        password: settings.password().map(Secret::from),
    };
    if login.username.is_some() && login.password.is_none() {
        return wrong("has a user without a password");
    }
    let Ok(database) = u32::try_from(settings.db()) else { return wrong("names a negative database") };
    Ok(Parsed { address: Address { host, port }, tls, login, database: Some(database).filter(|&n| n != 0) })
}

/// Keys of other programs in the same database must not be hit, nor hash tags broken.
fn check_key_prefix(prefix: &str) -> Result<(), OptionsError> {
    let wrong = |problem: String| Err(OptionsError::new("key-prefix", problem));
    if prefix.is_empty() {
        return wrong("is empty".into());
    }
    if prefix.len() > KEY_PREFIX_MAX_BYTES {
        return wrong(format!("is longer than {KEY_PREFIX_MAX_BYTES} bytes"));
    }
    if let Some(bad) = prefix.chars().find(|c| matches!(c, '{' | '}') || c.is_whitespace() || c.is_control())
    {
        return wrong(format!("has {bad:?}: braces, white space and control characters cannot be in it"));
    }
    if prefix.starts_with("pr") {
        return wrong("begins with \"pr\", as Atlantis's own keys do".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
