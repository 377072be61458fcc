//! A Redis Cluster of six nodes.

use super::redis_server::{RedisServer, RedisServerBuilder};
use super::until::{until, within};
use std::time::Duration;

const NODES: usize = 6;
const MASTERS: usize = 3;
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Three masters with one replica each; a node counts as down after two seconds.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts it and waits until all slots are served and all replicas follow.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(RedisServer::builder())
    }

    /// Starts it with settings of all nodes.
    ///
    /// # Panics
    /// If it does not come about.
    #[must_use]
    pub fn start_with(node: RedisServerBuilder) -> Self {
        let node = node
            .config("cluster-enabled yes")
            .config("cluster-node-timeout 2000")
            .config("cluster-replica-validity-factor 0");
        let nodes: Vec<RedisServer> = (0..NODES).map(|_| node.clone().start()).collect();
        let addresses: Vec<String> = nodes.iter().map(RedisServer::address).collect();
        let made = nodes[0]
            .cli_command()
            .args(["--cluster", "create"])
            .args(&addresses)
            .args(["--cluster-replicas", &(NODES / MASTERS - 1).to_string(), "--cluster-yes"])
            .output()
            .expect("redis-cli");
        assert!(
            made.status.success(),
            "redis-cli --cluster create: {}",
            String::from_utf8_lossy(&made.stdout)
        );
        let cluster = Self { nodes };
        cluster.wait_until_whole();
        cluster
    }

    /// Waits until all nodes that run see a whole cluster in which all replicas follow.
    ///
    /// # Panics
    /// If that does not come about.
    pub fn wait_until_whole(&self) {
        until("the cluster is whole", READY_WITHIN, || {
            self.nodes.iter().filter(|node| node.is_running()).all(|node| {
                node.cli(&["CLUSTER", "INFO"]).starts_with("cluster_state:ok")
                    && match node.info("role").as_deref() {
                        Some("slave") => node.info("master_link_status").as_deref() == Some("up"),
                        Some("master") => true,
                        _ => false,
                    }
            })
        });
    }

    /// The URLs of all nodes.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// All nodes.
    #[must_use]
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// The node with that port.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn node(&self, port: u16) -> &RedisServer {
        self.nodes.iter().find(|node| node.port() == port).expect("a node")
    }

    /// The slot of a key.
    ///
    /// # Panics
    /// If no node answers.
    #[must_use]
    pub fn slot_of(&self, key: &str) -> u16 {
        self.ask(&["CLUSTER", "KEYSLOT", key]).parse().expect("a slot")
    }

    /// The master of a slot, as a node that runs sees it.
    ///
    /// # Panics
    /// If it has none that runs.
    #[must_use]
    pub fn master_of(&self, slot: u16) -> &RedisServer {
        within(READY_WITHIN, || self.nodes.iter().find(|node| node.is_running() && node.owns(slot)))
            .expect("a master of the slot")
    }

    /// Kills the master of a slot; tells which one.
    pub fn kill_master_of(&self, slot: u16) -> &RedisServer {
        let master = self.master_of(slot);
        master.kill9();
        master
    }

    /// Kills the master of a slot and waits until another node has taken its place.
    pub fn fail_over(&self, slot: u16) {
        self.kill_master_of(slot);
        let _ = self.master_of(slot);
        self.wait_until_whole();
    }

    /// Any master that does not have the slot.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn other_master(&self, slot: u16) -> &RedisServer {
        self.nodes
            .iter()
            .find(|node| {
                node.is_running() && !node.owns(slot) && node.info("role").as_deref() == Some("master")
            })
            .expect("another master")
    }

    /// Moves a slot with all its keys to another master, as resharding does.
    ///
    /// # Panics
    /// If a node refuses.
    pub fn migrate_slot(&self, slot: u16, to: &RedisServer) {
        let from = self.master_of(slot);
        self.begin_migration(slot, to);
        loop {
            let number = slot.to_string();
            let keys = from.cli(&["CLUSTER", "GETKEYSINSLOT", &number, "100"]);
            let keys: Vec<&str> = keys.lines().filter(|key| !key.is_empty()).collect();
            if keys.is_empty() {
                break;
            }
            let port = to.port().to_string();
            let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            migrate.extend(keys);
            let answer = from.cli(&migrate);
            assert!(answer == "OK" || answer == "NOKEY", "MIGRATE: {answer}");
        }
        self.end_migration(slot, to);
    }

    /// The first half of [`Self::migrate_slot`]: the slot is between two masters, no key is moved.
    ///
    /// # Panics
    /// If a node refuses.
    pub fn begin_migration(&self, slot: u16, to: &RedisServer) {
        let from = self.master_of(slot);
        let slot = slot.to_string();
        let id = |node: &RedisServer| node.cli(&["CLUSTER", "MYID"]);
        let importing = to.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)]);
        assert_eq!(importing, "OK");
        let migrating = from.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]);
        assert_eq!(migrating, "OK");
    }

    /// The last step of [`Self::migrate_slot`]: the slot has a new master.
    ///
    /// # Panics
    /// If a node refuses.
    pub fn end_migration(&self, slot: u16, to: &RedisServer) {
        let number = slot.to_string();
        let id = to.cli(&["CLUSTER", "MYID"]);
        // The new master first: so the slot is never without one.
        assert_eq!(to.cli(&["CLUSTER", "SETSLOT", &number, "NODE", &id]), "OK");
        for node in self.nodes.iter().filter(|node| node.is_running() && node.port() != to.port()) {
            // Replicas refuse; they hear of it from their masters.
            let _ = node.cli(&["CLUSTER", "SETSLOT", &number, "NODE", &id]);
        }
        until("the slot is where it was moved to", READY_WITHIN, || to.owns(slot));
    }

    fn ask(&self, args: &[&str]) -> String {
        self.nodes.iter().find(|node| node.is_running()).expect("a node runs").cli(args)
    }
}

impl RedisServer {
    /// True if it says that it is the master of this slot.
    fn owns(&self, slot: u16) -> bool {
        let said = self.cli(&["CLUSTER", "NODES"]);
        let Some(me) = said.lines().find(|line| line.contains("myself,master")) else { return false };
        me.split_whitespace().skip(8).filter(|range| !range.starts_with('[')).any(|range| {
            let (from, to) = range.split_once('-').unwrap_or((range, range));
            matches!((from.parse::<u16>(), to.parse::<u16>()), (Ok(from), Ok(to)) if (from..=to).contains(&slot))
        })
    }
}
