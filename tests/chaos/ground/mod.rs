//! What the instances stand on: the embedded store, or a Redis in one of its arrangements, with
//! the faults that belong to each.

mod cluster;
mod sentinel;
mod single;

use super::dice::Dice;
use lockkeeper_store::testing::{Proxy, RedisServer};
use std::time::Duration;

/// A fault of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum StoreFault {
    /// kill -9 and a start with the same files.
    KillStore,
    /// It stands still for seconds.
    PauseStore,
    /// FLUSHALL, on a cluster on one master.
    Flush,
    /// kill -9, all files removed, and a start.
    Empty,
    /// kill -9 of a master; a replica takes over; the old master comes back as a replica.
    FailOver,
    /// A replica goes and comes back; without it nothing can be acknowledged.
    KillReplica,
    /// Slots move to another master while everything goes on.
    Migrate,
    /// A replica takes over because it is told to.
    SwitchOver,
    /// kill -9 of all servers, and a start of all with the same files.
    KillAll,
    /// All connections are closed, and all scripts forgotten.
    Disconnect,
    /// It answers reads, and lets writes wait.
    PauseWrites,
    /// It refuses writes, since its memory is full.
    OutOfMemory,
    /// All markers are removed, as after a loss; the data is there.
    Unmark,
    /// It refuses writes, as a master does that lacks the replicas it shall have.
    ReadOnly,
    /// It becomes a replica of a master that is not there, and a master again, with another id.
    Demote,
    /// It stands still most of the time, over and over, and does a little in between.
    Slow,
}

impl StoreFault {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::KillStore => "store killed and restarted",
            Self::PauseStore => "store paused",
            Self::Flush => "store flushed",
            Self::Empty => "store restarted empty",
            Self::FailOver => "failover",
            Self::KillReplica => "replica killed and restarted",
            Self::Migrate => "slots migrated",
            Self::SwitchOver => "planned failover",
            Self::KillAll => "all servers of the store killed and restarted",
            Self::Disconnect => "connections closed, scripts forgotten",
            Self::PauseWrites => "writes paused",
            Self::OutOfMemory => "store out of memory",
            Self::Unmark => "markers removed",
            Self::ReadOnly => "store read-only",
            Self::Demote => "store demoted and promoted",
            Self::Slow => "store slow",
        }
    }

    /// Data is lost by it.
    pub(super) const fn loses_data(self) -> bool {
        matches!(self, Self::Flush | Self::Empty)
    }
}

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topology {
    /// Each instance on a store of its own.
    Embedded,
    Single,
    Sentinel,
    Cluster,
}

impl Topology {
    /// What can happen to it.
    pub(super) const fn faults(self) -> &'static [StoreFault] {
        use StoreFault::{
            Demote, Disconnect, Empty, FailOver, Flush, KillAll, KillReplica, KillStore, Migrate,
            OutOfMemory, PauseStore, PauseWrites, ReadOnly, Slow, SwitchOver, Unmark,
        };
        match self {
            Self::Embedded => &[],
            Self::Single => &[
                KillStore,
                PauseStore,
                Flush,
                Empty,
                Disconnect,
                PauseWrites,
                OutOfMemory,
                Unmark,
                ReadOnly,
                Demote,
                Slow,
            ],
            Self::Sentinel => &[
                FailOver,
                SwitchOver,
                PauseStore,
                Flush,
                KillReplica,
                KillAll,
                Disconnect,
                PauseWrites,
                OutOfMemory,
                ReadOnly,
                Slow,
            ],
            Self::Cluster => &[
                FailOver,
                SwitchOver,
                PauseStore,
                Flush,
                KillReplica,
                KillAll,
                Disconnect,
                PauseWrites,
                OutOfMemory,
                ReadOnly,
                Slow,
                Migrate,
            ],
        }
    }
}

/// A running one.
pub(super) enum Ground {
    Embedded,
    Single(single::Single),
    Sentinel(sentinel::Sentinel),
    Cluster(cluster::Cluster),
}

impl Ground {
    /// Starts it, for so many instances. Blocks.
    pub(super) fn start(topology: Topology, instances: usize) -> Self {
        match topology {
            Topology::Embedded => Self::Embedded,
            Topology::Single => Self::Single(single::Single::start(instances)),
            Topology::Sentinel => Self::Sentinel(sentinel::Sentinel::start()),
            Topology::Cluster => Self::Cluster(cluster::Cluster::start()),
        }
    }

    /// What an instance must be told to stand on it.
    pub(super) fn flags(&self, instance: usize) -> Vec<String> {
        let mut flags = match self {
            Self::Embedded => return Vec::new(),
            Self::Single(single) => single.flags(instance),
            Self::Sentinel(sentinel) => sentinel.flags(),
            Self::Cluster(cluster) => cluster.flags(),
        };
        flags.extend(["--store", "redis"].map(String::from));
        flags
    }

    /// An instance's network to the store, where there is one that can fail.
    pub(super) fn link(&self, instance: usize) -> Option<&Proxy> {
        match self {
            Self::Single(single) => Some(single.link(instance)),
            Self::Embedded | Self::Sentinel(_) | Self::Cluster(_) => None,
        }
    }

    /// Lets it happen and brings back what was taken away. Blocks until the servers are whole.
    pub(super) fn strike(&self, fault: StoreFault, dice: &mut Dice) {
        match self {
            Self::Embedded => {}
            Self::Single(single) => single.strike(fault, dice),
            Self::Sentinel(sentinel) => sentinel.strike(fault, dice),
            Self::Cluster(cluster) => cluster.strike(fault, dice),
        }
    }

    /// The servers' logs.
    pub(super) fn logs(&self) -> Vec<(String, String)> {
        match self {
            Self::Embedded => Vec::new(),
            Self::Single(single) => single.logs(),
            Self::Sentinel(sentinel) => sentinel.logs(),
            Self::Cluster(cluster) => cluster.logs(),
        }
    }
}

/// How long a store stands still: at times only longer than a call may take.
fn pause_time(dice: &mut Dice) -> Duration {
    if dice.percent(50) { dice.millis(200, 900) } else { dice.millis(1000, 3000) }
}

/// How long something stays away.
fn away_time(dice: &mut Dice) -> Duration {
    if dice.percent(50) { dice.millis(0, 200) } else { dice.millis(500, 2000) }
}

/// What keeps every acknowledged write, as long as its files are there.
const DURABLE: [&str; 2] = ["appendonly yes", "appendfsync always"];

/// Closes what is connected to a server, and has it forget scripts.
fn disconnect(server: &RedisServer) {
    assert_eq!(server.cli(&["SCRIPT", "FLUSH"]), "OK");
    for kind in ["normal", "pubsub"] {
        let _ = server.cli(&["CLIENT", "KILL", "TYPE", kind]);
    }
}

/// Has a server let writes wait.
fn pause_writes(server: &RedisServer, dice: &mut Dice) {
    let time = pause_time(dice);
    assert_eq!(server.cli(&["CLIENT", "PAUSE", &time.as_millis().to_string(), "WRITE"]), "OK");
    // The fault lasts as long as the pause.
    std::thread::sleep(time);
}

/// Has a server refuse writes for want of memory.
fn fill_memory(server: &RedisServer, dice: &mut Dice) {
    assert_eq!(server.cli(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    std::thread::sleep(pause_time(dice));
    assert_eq!(server.cli(&["CONFIG", "SET", "maxmemory", "0"]), "OK");
}

/// Has a server refuse writes for want of replicas: more than there are.
fn forbid_writes(server: &RedisServer, dice: &mut Dice) {
    assert_eq!(server.cli(&["CONFIG", "SET", "min-replicas-to-write", "3"]), "OK");
    std::thread::sleep(pause_time(dice));
    assert_eq!(server.cli(&["CONFIG", "SET", "min-replicas-to-write", "0"]), "OK");
}

/// Holds a server most of the time.
fn slow_down(server: &RedisServer, dice: &mut Dice) {
    let end = std::time::Instant::now() + dice.millis(1000, 3000);
    while std::time::Instant::now() < end {
        server.pause();
        std::thread::sleep(dice.millis(50, 250));
        server.resume();
        std::thread::sleep(dice.millis(5, 20));
    }
}

fn log_of(name: &str, server: &RedisServer) -> (String, String) {
    (format!("{name}-{}.log", server.port()), server.log())
}
