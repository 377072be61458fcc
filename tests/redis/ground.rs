//! A Redis and the instances that share it, with settings that make waiting short.

use crate::support::{Client, Reply, TestServer, eventually};
use futures_util::{StreamExt, stream};
use lockkeeper_core::{Partition, Resource, ResourceInput};
use lockkeeper_store::redis::{RedisOptions, RedisStore};
use lockkeeper_store::shared::{Opening, SharedStore, Signature, Signed};
use lockkeeper_store::testing::RedisServer;
use rustix::process::{Pid, Signal, kill_process};
use std::ops::Deref;
use std::time::Duration;

/// The settings of every instance; a test may override them.
const SETTINGS: &[&str] = &[
    "health.interval=100ms",
    "store-call-timeout=500ms",
    "settle-window=700ms",
    "settle-max=5s",
    "presence-lease=1s",
    "sweep-interval=100ms",
    "http.workers=1",
];

/// What every instance logs once when it finds partitions sealed.
pub(super) const SEALED: &str = "the store may have lost data: nothing is granted";
/// What it logs when the last of them is open.
pub(super) const OPENED: &str = "all partitions of the store are open";

/// Partitions that are opened at once.
const OPENINGS: usize = 64;

/// A Redis whose partitions are open.
pub(super) struct Ground {
    pub(super) redis: RedisServer,
}

impl Ground {
    /// One that keeps everything in memory only.
    pub(super) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// One that a restart takes nothing from.
    pub(super) async fn durable() -> Self {
        Self::with(&["appendonly yes", "appendfsync always"]).await
    }

    pub(super) async fn with(lines: &[&str]) -> Self {
        let redis = RedisServer::with(lines);
        open_all(&redis).await;
        Self { redis }
    }

    /// An instance that grants.
    pub(super) async fn instance(&self, id: &str) -> Instance {
        self.instance_with(id, &[]).await
    }

    pub(super) async fn instance_with(&self, id: &str, settings: &[&str]) -> Instance {
        let instance = Instance::launch(id, &[self.redis.url()], settings);
        instance.grants().await;
        instance
    }

    /// Instances that grant, and hear of each other.
    pub(super) async fn instances<const COUNT: usize>(&self, ids: [&str; COUNT]) -> [Instance; COUNT] {
        let instances = ids.map(|id| Instance::launch(id, &[self.redis.url()], &[]));
        for instance in &instances {
            instance.grants().await;
        }
        self.followed_by(COUNT).await;
        instances
    }

    /// Waits until so many instances follow the changes.
    pub(super) async fn followed_by(&self, count: usize) {
        eventually("subscriptions", async || {
            (self.redis.cli(&["CLIENT", "LIST", "TYPE", "pubsub"]).lines().count() == count).then_some(())
        })
        .await;
    }
}

/// Opens all partitions of a new Redis at once, so that only tests of sealing wait for a window.
pub(crate) async fn open_all(redis: &RedisServer) {
    let store = &*RedisStore::new(RedisOptions::new(redis.url())).unwrap();
    stream::iter(0..=u8::MAX)
        .for_each_concurrent(OPENINGS, |number| async move {
            let signature = Signature { generation: 0, token: 0, finished: true };
            let signed = store.sign(Partition(number), signature).await.unwrap();
            assert!(matches!(signed, Signed::Sealed(_)), "{signed:?}");
            let opened = store.open(Partition(number), Duration::ZERO, Duration::ZERO).await.unwrap();
            assert!(matches!(opened, Opening::Open { .. }), "{opened:?}");
        })
        .await;
}

/// The keys in Redis of a resource of `acme/infra`.
pub(super) struct Keys {
    pub(super) document: String,
    pub(super) marker: String,
}

pub(super) fn keys_of(path: &str) -> Keys {
    let input = ResourceInput { namespace: Some("acme/infra"), path: Some(path), ..Default::default() };
    let id = Resource::parse(&input, "").unwrap().id();
    let tag = format!("{{lk{:03}}}", id.partition().0);
    Keys { document: format!("{tag}:d:{id}"), marker: format!("{tag}:m") }
}

/// A running instance, and a client of it.
pub(super) struct Instance {
    pub(super) server: TestServer,
    client: Client,
}

impl Deref for Instance {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Instance {
    /// Starts one that need not be able to grant yet.
    pub(super) fn launch(id: &str, urls: &[String], settings: &[&str]) -> Self {
        let flags = flags(id, urls, settings);
        let server = TestServer::start(&flags.iter().map(String::as_str).collect::<Vec<_>>());
        let client = server.client();
        Self { server, client }
    }

    /// kill -9, and another life with the same directory and flags, which need not grant yet.
    pub(super) fn restart(self) -> Self {
        let server = self.server.restart();
        let client = server.client();
        Self { server, client }
    }

    /// A client of its own connections.
    pub(super) fn another_client(&self) -> Client {
        self.server.client()
    }

    /// Waits until it grants in all partitions.
    pub(super) async fn grants(&self) {
        eventually("an instance that grants everywhere", async || {
            let ready = self.get("/readyz").await;
            (ready.status == 200 && ready.body["sealed_partitions"] == 0).then_some(())
        })
        .await;
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.server.pid().cast_signed()).unwrap(), signal).unwrap();
    }

    /// Holds its process: connections stay, nobody answers.
    pub(super) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub(super) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// How often it has logged this.
    pub(super) fn logged(&self, text: &str) -> usize {
        self.server.log().iter().filter(|line| line.contains(text)).count()
    }

    /// Waits until it has logged this so often.
    pub(super) async fn logs(&self, text: &str, times: usize) {
        eventually(&format!("{text:?} in the log, {times} times"), async || {
            (self.logged(text) >= times).then_some(())
        })
        .await;
    }

    /// Waits until it has opened what it found sealed, for the nth time.
    pub(super) async fn opened_again(&self, times: usize) {
        self.logs(OPENED, times).await;
        self.grants().await;
    }

    /// Waits until its own view has this lock, in this state.
    pub(super) async fn sees(&self, lock: &serde_json::Value) {
        eventually("a lock in the view of another instance", async || {
            let listed = self.get("/api/v1/locks?limit=1000").await;
            let locks = listed.body["locks"].as_array()?;
            locks.iter().any(|seen| seen["id"] == lock["id"] && seen["state"] == lock["state"]).then_some(())
        })
        .await;
    }

    /// Waits until its own view has so many tickets of a resource of `acme/infra`.
    pub(super) async fn sees_waiting(&self, path: &str, count: usize) {
        eventually("tickets in the view of an instance", async || {
            let queue = self.get(&format!("/api/v1/queues?namespace=acme/infra&path={path}")).await;
            let tickets = queue.body["queues"].as_array()?.first()?["tickets"].as_array()?.len();
            (tickets == count).then_some(())
        })
        .await;
    }

    pub(super) async fn show(&self, lock: &serde_json::Value) -> Reply {
        self.get(&format!("/api/v1/locks/{}", lock["id"].as_str().unwrap())).await
    }

    /// Acquires in the background, on a connection of its own.
    pub(super) fn acquires(
        &self,
        path: &str,
        owner: &str,
        more: serde_json::Value,
    ) -> tokio::task::JoinHandle<Reply> {
        let (client, path, owner) = (self.another_client(), path.to_owned(), owner.to_owned());
        tokio::spawn(async move { client.acquire(&path, &owner, more).await })
    }
}

/// The flags of an instance on these servers.
pub(super) fn flags(id: &str, urls: &[String], settings: &[&str]) -> Vec<String> {
    let mut flags: Vec<String> = ["--store", "redis", "--instance-id", id].map(String::from).to_vec();
    flags.extend(urls.iter().flat_map(|url| ["--redis-url".into(), url.clone()]));
    let named = |setting: &str| setting.split('=').next().unwrap_or_default().to_owned();
    let kept = SETTINGS.iter().filter(|one| settings.iter().all(|other| named(one) != named(other)));
    flags.extend(kept.chain(settings).flat_map(|setting| ["--set".into(), (*setting).to_owned()]));
    flags
}
