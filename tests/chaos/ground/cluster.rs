//! A Cluster of three masters with a replica each; a commit counts when the replica has it.

use super::{
    DURABLE, StoreFault, away_time, disconnect, fill_memory, forbid_writes, log_of, pause_time, pause_writes,
    slow_down,
};
use crate::chaos::dice::Dice;
use lockkeeper_store::testing::{RedisCluster, RedisServer, until};
use std::thread::sleep;
use std::time::Duration;

const WHOLE_WITHIN: Duration = Duration::from_secs(30);

/// Slots that change their master in one go.
const SLOTS_MOVED: usize = 4;
/// All slots there are.
const SLOTS: usize = 16_384;

pub(in crate::chaos) struct Cluster(RedisCluster);

impl Cluster {
    pub(super) fn start() -> Self {
        let node = DURABLE.iter().fold(RedisServer::builder(), |builder, line| builder.config(*line));
        Self(RedisCluster::start_with(node))
    }

    pub(super) fn flags(&self) -> Vec<String> {
        let urls = self.0.urls();
        let mut flags: Vec<String> = urls.into_iter().flat_map(|url| ["--redis-url".into(), url]).collect();
        flags.extend(["--set", "redis.min-replicas=1"].map(String::from));
        flags
    }

    pub(super) fn logs(&self) -> Vec<(String, String)> {
        self.0.nodes().iter().map(|server| log_of("redis", server)).collect()
    }

    /// A slot in which keys are, if there are any.
    fn used_slot(&self, dice: &mut Dice) -> u16 {
        let masters: Vec<&RedisServer> =
            self.0.nodes().iter().filter(|node| node.info("role").as_deref() == Some("master")).collect();
        let key = dice.pick(&masters).cli(&["RANDOMKEY"]);
        if key.is_empty() { dice.below(SLOTS) as u16 } else { self.0.slot_of(&key) }
    }

    fn any_replica(&self, dice: &mut Dice) -> &RedisServer {
        let is_replica = |node: &&RedisServer| node.info("role").as_deref() == Some("slave");
        let replicas: Vec<&RedisServer> = self.0.nodes().iter().filter(is_replica).collect();
        dice.pick(&replicas)
    }

    pub(super) fn strike(&self, fault: StoreFault, dice: &mut Dice) {
        let slot = self.used_slot(dice);
        match fault {
            StoreFault::FailOver => {
                let old = self.0.master_of(slot);
                self.0.fail_over(slot);
                sleep(away_time(dice));
                old.restart();
            }
            StoreFault::PauseStore => {
                let master = self.0.master_of(slot);
                master.pause();
                sleep(pause_time(dice));
                master.resume();
            }
            StoreFault::Flush => assert_eq!(self.0.master_of(slot).cli(&["FLUSHALL"]), "OK"),
            StoreFault::KillReplica => {
                let replica = self.any_replica(dice);
                replica.kill9();
                sleep(away_time(dice));
                replica.restart();
            }
            StoreFault::Migrate => {
                for _ in 0..SLOTS_MOVED {
                    let slot = self.used_slot(dice);
                    self.0.migrate_slot(slot, self.0.other_master(slot));
                }
            }
            StoreFault::SwitchOver => {
                let replica = self.any_replica(dice);
                // It is refused while an earlier one is not quite over.
                until("a replica takes the order", WHOLE_WITHIN, || {
                    replica.cli(&["CLUSTER", "FAILOVER"]) == "OK"
                        || replica.info("role").as_deref() == Some("master")
                });
            }
            StoreFault::KillAll => {
                for server in self.0.nodes() {
                    server.kill9();
                }
                sleep(away_time(dice));
                for server in self.0.nodes() {
                    server.restart();
                }
            }
            StoreFault::Disconnect => disconnect(self.0.master_of(slot)),
            StoreFault::PauseWrites => pause_writes(self.0.master_of(slot), dice),
            StoreFault::OutOfMemory => fill_memory(self.0.master_of(slot), dice),
            StoreFault::ReadOnly => forbid_writes(self.0.master_of(slot), dice),
            StoreFault::Slow => slow_down(self.0.master_of(slot), dice),
            StoreFault::KillStore | StoreFault::Empty | StoreFault::Unmark | StoreFault::Demote => {}
        }
        self.0.wait_until_whole();
    }
}
