//! A cluster: whom to ask for a slot, and following it where it goes.
//!
//! The client library has a cluster client; it repeats calls by itself, and after that nobody can
//! tell "never sent" from "perhaps done". Here a call is sent again only where a server has said
//! that it did not carry it out: `MOVED`, `ASK`, `TRYAGAIN`.

use super::backoff::wait_after;
use super::error::CallError;
use super::map::{Range, ranges, redirection};
use super::server::{Access, Finder, Server};
use super::{Answer, Request};
use crate::redis::options::Address;
use futures_util::StreamExt;
use parking_lot::Mutex;
use rand::seq::SliceRandom;
use redis::{FromRedisValue, Pipeline, Value};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

/// How often a call is sent on where a server says that another has the slot.
const REDIRECTIONS_MAX: usize = 8;
/// How often the map is looked at while nothing fails.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The least time between two looks, however many calls fail.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// Nodes that are asked for the map at once: one that hangs must not hold up the others.
const NODES_ASKED: usize = 3;

/// A cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    seeds: Vec<Address>,
    access: Access,
    connections: usize,
    timeout: Duration,
    servers: Mutex<HashMap<Address, Arc<Server>>>,
    map: watch::Sender<Arc<Map>>,
    look: Arc<Notify>,
    /// The task that looks.
    looking: Mutex<Option<AbortHandle>>,
}

/// Who serves which slots.
#[derive(Debug, Default)]
pub(super) struct Map {
    /// The cluster's epoch in which it was so; 0: nothing is known yet.
    epoch: u64,
    ranges: Vec<(Range, Arc<Server>)>,
    /// Why nothing is known yet.
    trouble: Option<CallError>,
}

impl Map {
    pub(super) fn master_of(&self, slot: u16) -> Option<(&Address, &Arc<Server>)> {
        let after = self.ranges.partition_point(|(range, _)| range.first <= slot);
        let (range, server) = &self.ranges[after.checked_sub(1)?];
        (slot <= range.last).then_some((&range.master, server))
    }

    /// Every master once.
    pub(super) fn masters(&self) -> HashMap<&Address, &Arc<Server>> {
        self.ranges.iter().map(|(range, server)| (&range.master, server)).collect()
    }

    fn is_known(&self) -> bool {
        !self.ranges.is_empty()
    }
}

impl Cluster {
    pub(super) fn new(
        seeds: Vec<Address>,
        access: Access,
        connections: usize,
        timeout: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            seeds,
            access,
            connections,
            timeout,
            servers: Mutex::default(),
            map: watch::Sender::default(),
            look: Arc::default(),
            looking: Mutex::new(None),
        })
    }

    /// Sends a request to the master of a slot.
    pub(super) async fn send(
        self: &Arc<Self>,
        slot: u16,
        request: &Request<'_>,
        deadline: Instant,
    ) -> Result<Answer, CallError> {
        let mut server = self.master_of(slot, deadline).await?;
        let (mut asking, mut redirections, mut tries) = (false, 0, 0);
        loop {
            let error = match request.send(&server, asking, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let CallError::Refused { code, message } = &error else {
                self.look_again();
                return Err(error);
            };
            match code.as_str() {
                "MOVED" | "ASK" if redirections < REDIRECTIONS_MAX => {
                    redirections += 1;
                    asking = code == "ASK";
                    if !asking {
                        self.look_again();
                    }
                    let Some(address) = redirection(message, &server.name()) else { return Err(error) };
                    server = self.server(&address);
                }
                // Some of the keys are here and some there: it goes by as the slot moves on.
                "TRYAGAIN" => {
                    tries += 1;
                    asking = false;
                    let wait = Instant::now() + wait_after(tries);
                    if wait >= deadline {
                        return Err(error);
                    }
                    tokio::time::sleep_until(wait).await;
                    server = self.master_of(slot, deadline).await?;
                }
                _ => {
                    if error.is_of_a_wrong_server() {
                        self.look_again();
                    }
                    return Err(error);
                }
            }
        }
    }

    /// The master of a slot.
    pub(super) async fn master_of(
        self: &Arc<Self>,
        slot: u16,
        deadline: Instant,
    ) -> Result<Arc<Server>, CallError> {
        let map = self.known(deadline).await?;
        map.master_of(slot).map(|(_, server)| Arc::clone(server)).ok_or_else(|| {
            self.look_again();
            CallError::NotSent(format!("no master of the cluster serves slot {slot}"))
        })
    }

    /// The map, as soon as there is one.
    pub(super) async fn known(self: &Arc<Self>, deadline: Instant) -> Result<Arc<Map>, CallError> {
        let mut map = self.follow();
        let known = timeout_at(deadline, map.wait_for(|map| map.is_known())).await;
        let map = match known {
            Ok(Ok(known)) => Arc::clone(&known),
            _ => {
                let trouble = self.map.borrow().trouble.clone();
                return Err(
                    trouble.unwrap_or_else(|| CallError::NotSent("no node of the cluster answers".into()))
                );
            }
        };
        Ok(map)
    }

    /// The map and its changes.
    pub(super) fn follow(self: &Arc<Self>) -> watch::Receiver<Arc<Map>> {
        let mut looking = self.looking.lock();
        if looking.as_ref().is_none_or(AbortHandle::is_finished) {
            let (weak, look) = (Arc::downgrade(self), Arc::clone(&self.look));
            let task = self.access.dialer.runtime().spawn(async move {
                // Not held while nothing happens, or it would never be dropped.
                while let Some(cluster) = weak.upgrade() {
                    cluster.refresh().await;
                    drop(cluster);
                    tokio::time::sleep(LOOK_PAUSE).await;
                    let _ = tokio::time::timeout(LOOK_EVERY, look.notified()).await;
                }
            });
            *looking = Some(task.abort_handle());
        }
        self.map.subscribe()
    }

    /// Looks at the map soon.
    pub(super) fn look_again(&self) {
        self.look.notify_one();
    }

    fn server(&self, address: &Address) -> Arc<Server> {
        let mut servers = self.servers.lock();
        let server = servers.entry(address.clone()).or_insert_with(|| {
            Server::new(Finder::At(address.clone()), self.access.clone(), self.connections)
        });
        Arc::clone(server)
    }

    /// Takes the map of the first node that is not behind what is known; if all are (the cluster
    /// was made anew), the newest.
    async fn refresh(&self) {
        let deadline = Instant::now() + self.timeout;
        let mut nodes: Vec<Address> = self.servers.lock().keys().cloned().collect();
        nodes.extend(self.seeds.iter().filter(|seed| !self.servers.lock().contains_key(seed)).cloned());
        nodes.shuffle(&mut rand::rng());
        let known = self.map.borrow().epoch;
        let mut answers = futures_util::stream::iter(nodes)
            .map(|node| self.ask_map(node, deadline))
            .buffer_unordered(NODES_ASKED);
        let mut older: Option<(u64, Vec<Range>)> = None;
        let mut trouble = None;
        while let Some(answer) = answers.next().await {
            match answer {
                Ok((epoch, ranges)) if epoch >= known => return self.learn(epoch, ranges),
                Ok(answer) => {
                    if older.as_ref().is_none_or(|older| older.0 < answer.0) {
                        older = Some(answer);
                    }
                }
                Err(error @ CallError::Refused { .. }) => trouble = Some(error),
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        match (older, trouble) {
            // Some node did not answer: it may know better than those who did.
            (Some(_), Some(_)) => {}
            (Some((epoch, ranges)), None) => self.learn(epoch, ranges),
            (None, trouble) => {
                if !self.map.borrow().is_known() {
                    self.map.send_replace(Arc::new(Map { trouble, ..Map::default() }));
                }
            }
        }
    }

    async fn ask_map(&self, node: Address, deadline: Instant) -> Result<(u64, Vec<Range>), CallError> {
        let server = self.server(&node);
        let mut commands = Pipeline::with_capacity(2);
        commands.cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("SLOTS");
        let strange = || CallError::NotSent(format!("{node} does not say who serves the slots"));
        let mut values = server.ask_all(&commands, deadline).await?.into_iter();
        let (Some(info), Some(slots)) = (values.next(), values.next()) else { return Err(strange()) };
        for value in [&info, &slots] {
            if let Value::ServerError(error) = value {
                return Err(CallError::refused(error));
            }
        }
        let info = String::from_redis_value(info).map_err(|_| strange())?;
        let epoch = info.lines().find_map(|line| line.strip_prefix("cluster_current_epoch:"));
        let epoch = epoch.and_then(|epoch| epoch.trim().parse().ok()).ok_or_else(strange)?;
        let ranges = ranges(slots, &node).filter(|ranges| !ranges.is_empty()).ok_or_else(strange)?;
        Ok((epoch, ranges))
    }

    fn learn(&self, epoch: u64, ranges: Vec<Range>) {
        let nodes = |range: &Range| {
            let replicas = range.replicas.iter();
            replicas.chain([&range.master]).cloned().collect::<Vec<_>>()
        };
        let current: Vec<Address> = ranges.iter().flat_map(nodes).collect();
        // Replicas are asked for the map, too.
        for node in &current {
            self.server(node);
        }
        self.servers.lock().retain(|address, _| current.contains(address) || self.seeds.contains(address));
        let same = {
            let map = self.map.borrow();
            map.epoch == epoch && map.ranges.iter().map(|(range, _)| range).eq(&ranges)
        };
        if !same {
            let ranges =
                ranges.into_iter().map(|range| (range.clone(), self.server(&range.master))).collect();
            self.map.send_replace(Arc::new(Map { epoch, ranges, trouble: None }));
        }
    }
}
