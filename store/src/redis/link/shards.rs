//! Following the partitions' channels in a cluster.
//!
//! A message of a sharded channel stays with the master of its slot, so each master has a
//! subscription of its own to the channels of the partitions it serves. When a slot moves on, its
//! old master ends the subscription and says so; the map then tells who has it now.

use super::backoff::wait_after;
use super::cluster::{Cluster, Map};
use super::error::CallError;
use super::server::Server;
use super::slots::{slot, tag};
use super::subscribe::{PING_EVERY, is_alive};
use super::told::{Teller, Told};
use super::wire::Wire;
use crate::redis::options::Address;
use lockkeeper_core::Partition;
use parking_lot::Mutex;
use redis::{Pipeline, PushInfo, PushKind, Value};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

type Partitions = BTreeSet<u8>;

/// Follows all partitions until nobody listens.
pub(super) async fn follow(cluster: Arc<Cluster>, prefix: String, timeout: Duration, teller: Teller) {
    let channels: Arc<Vec<String>> =
        Arc::new((0..=u8::MAX).map(|number| channel(&prefix, Partition(number))).collect());
    let mut masters: HashMap<Address, Master> = HashMap::new();
    let mut map = cluster.follow();
    loop {
        let wanted = wanted(&map.borrow_and_update(), &channels);
        masters.retain(|address, _| wanted.contains_key(address));
        for (address, (server, partitions)) in wanted {
            if let Some(master) = masters.get(&address) {
                master.wanted.send_replace(partitions);
                continue;
            }
            let (wanted, wants) = watch::channel(partitions);
            let shard = Shard {
                server,
                cluster: Arc::clone(&cluster),
                channels: Arc::clone(&channels),
                timeout,
                teller: teller.clone(),
                followed: Arc::default(),
            };
            let task = tokio::spawn(shard.follow(wants)).abort_handle();
            masters.insert(address, Master { wanted, task });
        }
        tokio::select! {
            changed = map.changed() => if changed.is_err() { return },
            () = teller.closed() => return,
        }
    }
}

/// The channel of a partition; a cluster has only the database 0.
fn channel(prefix: &str, partition: Partition) -> String {
    format!("{}:e:0", tag(prefix, partition))
}

fn wanted(map: &Map, channels: &[String]) -> HashMap<Address, (Arc<Server>, Partitions)> {
    let mut wanted: HashMap<Address, (Arc<Server>, Partitions)> = HashMap::new();
    for (number, channel) in (0..=u8::MAX).zip(channels) {
        if let Some((address, server)) = map.master_of(slot(channel.as_bytes())) {
            let entry =
                wanted.entry(address.clone()).or_insert_with(|| (Arc::clone(server), Partitions::new()));
            entry.1.insert(number);
        }
    }
    wanted
}

/// A master that is followed.
struct Master {
    wanted: watch::Sender<Partitions>,
    task: AbortHandle,
}

impl Drop for Master {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Shard {
    server: Arc<Server>,
    cluster: Arc<Cluster>,
    channels: Arc<Vec<String>>,
    timeout: Duration,
    teller: Teller,
    /// What the server says that it tells us.
    followed: Arc<Mutex<Partitions>>,
}

impl Shard {
    async fn follow(self, mut wanted: watch::Receiver<Partitions>) {
        let mut failures = 0;
        while !self.teller.is_closed() {
            tokio::time::sleep(wait_after(failures)).await;
            self.followed.lock().clear();
            let error = match self.server.open(Some(self.listener())).await {
                Ok(wire) => {
                    failures = 1;
                    self.listen(&wire, &mut wanted).await
                }
                Err(error) => {
                    failures += 1;
                    error
                }
            };
            // It may be gone for good, and another one master.
            self.cluster.look_again();
            tracing::debug!(server = %self.server.name(), %error, "a shard is not followed");
        }
    }

    fn listener(&self) -> super::wire::Pushes {
        let (teller, followed) = (self.teller.clone(), Arc::clone(&self.followed));
        let (channels, cluster) = (Arc::clone(&self.channels), Arc::downgrade(&self.cluster));
        Box::new(move |push| match push.kind {
            PushKind::SMessage => teller.pass(push.data.into_iter()),
            PushKind::SSubscribe => {
                if let Some(number) = partition_of(&push, &channels) {
                    followed.lock().insert(number);
                }
            }
            // Unasked: the slot has moved on.
            PushKind::SUnsubscribe => {
                if let Some(number) = partition_of(&push, &channels) {
                    followed.lock().remove(&number);
                }
                if let Some(cluster) = cluster.upgrade() {
                    cluster.look_again();
                }
            }
            _ => {}
        })
    }

    /// Listens until the connection is of no use any more; tells why.
    async fn listen(&self, wire: &Wire, wanted: &mut watch::Receiver<Partitions>) -> CallError {
        loop {
            let missing: Vec<u8> = {
                let wanted = wanted.borrow_and_update();
                wanted.difference(&self.followed.lock()).copied().collect()
            };
            if !missing.is_empty()
                && let Err(error) = self.subscribe(wire, &missing).await
            {
                return error;
            }
            tokio::select! {
                () = wire.ended() => return CallError::NotSent("the connection ended".into()),
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return CallError::NotSent("it is master no more".into());
                    }
                }
                () = self.teller.closed() => return CallError::NotSent("nobody listens".into()),
                () = tokio::time::sleep(PING_EVERY) => {
                    // An unasked word may have been taken for the answer: then begin anew.
                    if !is_alive(wire, self.timeout).await {
                        return CallError::Unknown("no answer".into());
                    }
                    self.teller.catch_up().await;
                }
            }
        }
    }

    /// Subscribes to these partitions, and says that messages of them may have been missed. Those
    /// that the server does not serve (yet, or any more) are left for later.
    async fn subscribe(&self, wire: &Wire, partitions: &[u8]) -> Result<(), CallError> {
        let mut commands = Pipeline::with_capacity(partitions.len());
        for &number in partitions {
            // One by one: of several slots in one command none would be taken.
            commands.cmd("SSUBSCRIBE").arg(&self.channels[usize::from(number)]);
        }
        let answers = wire.ask_all(&commands, Instant::now() + self.timeout).await?;
        let mut followed = Vec::with_capacity(partitions.len());
        for (&number, answer) in partitions.iter().zip(answers) {
            match answer {
                Value::Push { kind, data } => {
                    let push = PushInfo { kind, data };
                    if push.kind != PushKind::SSubscribe
                        || partition_of(&push, &self.channels) != Some(number)
                    {
                        return Err(CallError::Unknown("answers are out of order".into()));
                    }
                    followed.push(Partition(number));
                }
                Value::ServerError(error) if error.code() == "MOVED" => self.cluster.look_again(),
                Value::ServerError(error) => return Err(CallError::refused(&error)),
                _ => return Err(CallError::Unknown("answers are out of order".into())),
            }
        }
        if !followed.is_empty() {
            self.teller.tell(Told::LostIn(followed)).await;
        }
        Ok(())
    }
}

fn partition_of(push: &PushInfo, channels: &[String]) -> Option<u8> {
    let Some(Value::BulkString(name)) = push.data.first() else { return None };
    let number = channels.iter().position(|channel| channel.as_bytes() == name)?;
    u8::try_from(number).ok()
}
