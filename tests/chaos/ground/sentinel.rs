//! A master, a replica and three Sentinels; a commit counts when the replica has it.

use super::{
    DURABLE, StoreFault, away_time, disconnect, fill_memory, forbid_writes, log_of, pause_time, pause_writes,
    slow_down,
};
use crate::chaos::dice::Dice;
use lockkeeper_store::testing::{RedisServer, Sentinels, until};
use std::thread::sleep;
use std::time::Duration;

const WHOLE_WITHIN: Duration = Duration::from_secs(30);

pub(in crate::chaos) struct Sentinel(Sentinels);

impl Sentinel {
    pub(super) fn start() -> Self {
        let server = DURABLE.iter().fold(RedisServer::builder(), |builder, line| builder.config(*line));
        Self(Sentinels::start_with(server, None))
    }

    pub(super) fn flags(&self) -> Vec<String> {
        let mut flags = vec!["--redis-sentinel".into(), self.0.master_name().to_owned()];
        flags.extend(self.0.urls().into_iter().flat_map(|url| ["--redis-url".into(), url]));
        flags.extend(["--set", "redis.min-replicas=1"].map(String::from));
        flags
    }

    pub(super) fn logs(&self) -> Vec<(String, String)> {
        let servers = self.0.servers().iter().map(|server| log_of("redis", server));
        servers.chain(self.0.sentinels().iter().map(|server| log_of("sentinel", server))).collect()
    }

    /// The one is master for all, and the other follows it.
    fn wait_until_whole(&self) {
        until("the replica follows the master", WHOLE_WITHIN, || {
            let master = self.0.master();
            let replica = self.0.replica();
            master.info("role").as_deref() == Some("master")
                && replica.info("role").as_deref() == Some("slave")
                && replica.info("master_port").as_deref() == Some(master.port().to_string().as_str())
                && replica.info("master_link_status").as_deref() == Some("up")
        });
    }

    pub(super) fn strike(&self, fault: StoreFault, dice: &mut Dice) {
        match fault {
            StoreFault::FailOver => {
                let old = self.0.master();
                self.0.fail_over();
                sleep(away_time(dice));
                old.restart();
            }
            StoreFault::PauseStore => {
                // Long pauses end in a failover with two who believe to be the master.
                let master = self.0.master();
                master.pause();
                sleep(pause_time(dice));
                master.resume();
            }
            StoreFault::Flush => assert_eq!(self.0.master().cli(&["FLUSHALL"]), "OK"),
            StoreFault::KillReplica => {
                let replica = self.0.replica();
                replica.kill9();
                sleep(away_time(dice));
                replica.restart();
            }
            StoreFault::SwitchOver => {
                let next = self.0.replica();
                // It is refused while an earlier one is not quite over.
                until("sentinels take the order", WHOLE_WITHIN, || {
                    self.0.sentinels()[0].cli(&["SENTINEL", "FAILOVER", self.0.master_name()]) == "OK"
                });
                self.0.wait_for_master(next);
            }
            StoreFault::KillAll => {
                for server in self.0.servers() {
                    server.kill9();
                }
                sleep(away_time(dice));
                for server in self.0.servers() {
                    server.restart();
                }
            }
            StoreFault::Disconnect => disconnect(self.0.master()),
            StoreFault::PauseWrites => pause_writes(self.0.master(), dice),
            StoreFault::OutOfMemory => fill_memory(self.0.master(), dice),
            StoreFault::ReadOnly => forbid_writes(self.0.master(), dice),
            StoreFault::Slow => slow_down(self.0.master(), dice),
            StoreFault::KillStore
            | StoreFault::Empty
            | StoreFault::Migrate
            | StoreFault::Unmark
            | StoreFault::Demote => {}
        }
        self.wait_until_whole();
    }
}
