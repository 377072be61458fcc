//! One Redis that writes everything to its file before it answers. Each instance reaches it by a
//! network of its own, which can fail.

use super::{
    DURABLE, StoreFault, away_time, disconnect, fill_memory, forbid_writes, log_of, pause_time, pause_writes,
    slow_down,
};
use crate::chaos::dice::Dice;
use lockkeeper_store::testing::{Proxy, RedisServer};
use std::thread::sleep;

pub(in crate::chaos) struct Single {
    server: RedisServer,
    links: Vec<Proxy>,
}

impl Single {
    pub(super) fn start(instances: usize) -> Self {
        let server = RedisServer::with(&DURABLE);
        let links = (0..instances).map(|_| Proxy::start(server.port())).collect();
        Self { server, links }
    }

    pub(super) fn flags(&self, instance: usize) -> Vec<String> {
        vec!["--redis-url".into(), self.links[instance].url()]
    }

    pub(super) fn link(&self, instance: usize) -> &Proxy {
        &self.links[instance]
    }

    pub(super) fn logs(&self) -> Vec<(String, String)> {
        vec![log_of("redis", &self.server)]
    }

    pub(super) fn strike(&self, fault: StoreFault, dice: &mut Dice) {
        let server = &self.server;
        match fault {
            StoreFault::KillStore => {
                server.kill9();
                sleep(away_time(dice));
                server.restart();
            }
            StoreFault::PauseStore => {
                server.pause();
                sleep(pause_time(dice));
                server.resume();
            }
            StoreFault::Flush => assert_eq!(server.cli(&["FLUSHALL"]), "OK"),
            StoreFault::Empty => {
                server.kill9();
                std::fs::remove_dir_all(server.dir().join("appendonlydir")).unwrap();
                sleep(away_time(dice));
                server.restart();
            }
            StoreFault::Disconnect => disconnect(server),
            StoreFault::PauseWrites => pause_writes(server, dice),
            StoreFault::OutOfMemory => fill_memory(server, dice),
            StoreFault::ReadOnly => forbid_writes(server, dice),
            StoreFault::Slow => slow_down(server, dice),
            StoreFault::Demote => {
                // Nobody listens there, so it keeps what it has.
                assert_eq!(server.cli(&["REPLICAOF", "127.0.0.1", "1"]), "OK");
                sleep(pause_time(dice));
                assert_eq!(server.cli(&["REPLICAOF", "NO", "ONE"]), "OK");
            }
            StoreFault::Unmark => {
                let markers = server.cli(&["KEYS", "{lk*}:m"]);
                let keys: Vec<&str> = markers.lines().filter(|key| !key.is_empty()).collect();
                // There are none if they were removed a moment ago.
                if !keys.is_empty() {
                    let _ = server.cli(&[&["DEL"], keys.as_slice()].concat());
                }
            }
            StoreFault::FailOver
            | StoreFault::SwitchOver
            | StoreFault::KillReplica
            | StoreFault::KillAll
            | StoreFault::Migrate => {}
        }
    }
}
