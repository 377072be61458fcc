//! A master, a replica, and three sentinels that watch them.

use super::redis_server::{RedisServer, RedisServerBuilder};
use super::until::{until, within};
use std::time::Duration;

const SENTINELS: usize = 3;
const QUORUM: usize = 2;
const MASTER_NAME: &str = "locks";
const READY_WITHIN: Duration = Duration::from_secs(30);
const FAILOVER_WITHIN: Duration = Duration::from_secs(30);

/// A master, a replica, and three sentinels.
#[derive(Debug)]
pub struct Sentinels {
    servers: Vec<RedisServer>,
    sentinels: Vec<RedisServer>,
}

impl Sentinels {
    /// Starts them; a master counts as down after one second.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(RedisServer::builder(), None)
    }

    /// Starts them with settings of the master and the replica, and a password of the sentinels.
    ///
    /// # Panics
    /// If they do not find each other.
    #[must_use]
    pub fn start_with(server: RedisServerBuilder, sentinel_password: Option<&str>) -> Self {
        let master_password = server.password_given();
        let master = server.start();
        let replica = master.start_replica();
        until("the replica follows", READY_WITHIN, || {
            replica.info("master_link_status").as_deref() == Some("up")
        });
        let sentinels: Vec<RedisServer> = (0..SENTINELS)
            .map(|_| {
                let mut sentinel = RedisServer::builder()
                    .sentinel()
                    .config(format!("sentinel monitor {MASTER_NAME} 127.0.0.1 {} {QUORUM}", master.port()))
                    .config(format!("sentinel down-after-milliseconds {MASTER_NAME} 1000"))
                    .config(format!("sentinel failover-timeout {MASTER_NAME} 5000"));
                if let Some(password) = &master_password {
                    sentinel = sentinel.config(format!("sentinel auth-pass {MASTER_NAME} {password}"));
                }
                if let Some(password) = sentinel_password {
                    sentinel =
                        sentinel.password(password).config(format!("sentinel sentinel-pass {password}"));
                }
                sentinel.start()
            })
            .collect();
        let all = Self { servers: vec![master, replica], sentinels };
        until("the sentinels know each other and the replica", READY_WITHIN, || {
            all.sentinels.iter().all(|sentinel| {
                sentinel.cli(&["SENTINEL", "CKQUORUM", MASTER_NAME]).starts_with("OK 3")
                    && sentinel.cli(&["SENTINEL", "REPLICAS", MASTER_NAME]).contains("127.0.0.1")
            })
        });
        all
    }

    /// The URLs of the sentinels.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(RedisServer::url).collect()
    }

    /// How the sentinels call the master.
    #[must_use]
    pub const fn master_name(&self) -> &'static str {
        MASTER_NAME
    }

    /// The sentinels.
    #[must_use]
    pub fn sentinels(&self) -> &[RedisServer] {
        &self.sentinels
    }

    /// The two servers, the first master first.
    #[must_use]
    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    /// The server that most sentinels take for the master.
    ///
    /// # Panics
    /// If they do not agree on one.
    #[must_use]
    pub fn master(&self) -> &RedisServer {
        within(READY_WITHIN, || {
            self.servers.iter().find(|server| {
                let port = server.port().to_string();
                let votes = self.sentinels.iter().filter(|sentinel| {
                    let said = sentinel.cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME]);
                    said.lines().nth(1) == Some(port.as_str())
                });
                votes.count() >= QUORUM
            })
        })
        .expect("the sentinels agree on a master")
    }

    /// The other one.
    ///
    /// # Panics
    /// If the sentinels do not agree on a master.
    #[must_use]
    pub fn replica(&self) -> &RedisServer {
        let master = self.master().port();
        self.servers.iter().find(|server| server.port() != master).expect("two servers")
    }

    /// Waits until this server is the master.
    ///
    /// # Panics
    /// If it does not become it.
    pub fn wait_for_master(&self, server: &RedisServer) {
        until("another master is chosen", FAILOVER_WITHIN, || {
            server.info("role").as_deref() == Some("master") && self.master().port() == server.port()
        });
    }

    /// Kills the master and waits until the replica has taken its place.
    pub fn fail_over(&self) {
        let next = self.replica();
        self.master().kill9();
        self.wait_for_master(next);
    }
}
