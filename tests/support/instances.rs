//! Three instances on one Redis, and clients whose every request goes to the next of them.

use super::{Client, TestServer, eventually};
use futures_util::{StreamExt, stream};
use lockkeeper_core::Partition;
use lockkeeper_store::redis::{RedisOptions, RedisStore};
use lockkeeper_store::shared::{Opening, SharedStore, Signature, Signed};
use lockkeeper_store::testing::RedisServer;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The Redis of all tests: each has a key prefix of its own. It ends with this process.
static REDIS: LazyLock<RedisServer> = LazyLock::new(RedisServer::start);

/// What the instances are called.
pub(crate) const IDS: [&str; 3] = ["one", "two", "three"];

/// Partitions that are opened at once.
const OPENINGS: usize = 64;

/// Makes waiting short; a test's own settings come after these.
const SETTINGS: &[&str] = &[
    "health.interval=200ms",
    "settle-window=1500ms",
    "sweep-interval=200ms",
    "http.workers=1",
    "actors.shards=1",
];

/// Three instances that share a store. Dropping it kills them.
pub(crate) struct ThreeInstances {
    servers: [TestServer; 3],
    turn: AtomicUsize,
}

impl ThreeInstances {
    /// Instances with these flags, each in a directory of its own, ready to grant.
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::start_at(["127.0.0.1:0"; 3], flags)
    }

    /// The same at these addresses.
    pub(crate) fn start_at(addresses: [&str; 3], flags: &[&str]) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let prefix = format!("t{}-", NEXT.fetch_add(1, Ordering::Relaxed));
        beside(|| async {
            open_all(&prefix).await;
            let each = std::array::from_fn(|number| (IDS[number], addresses[number]));
            let started = each.map(|(id, address)| {
                let mut all = vec!["--store", "redis", "--instance-id", id, "--listen", address];
                let url = REDIS.url();
                let prefix = format!("redis.key-prefix={prefix}");
                all.extend(["--redis-url", &url, "--set", &prefix]);
                all.extend(SETTINGS.iter().flat_map(|setting| ["--set", *setting]));
                all.extend(flags);
                TestServer::spawn(&all)
            });
            let all = Self { servers: started.map(|started| started.listens()), turn: AtomicUsize::new(0) };
            all.know_everything().await;
            all
        })
    }

    /// Waits until each grants in all partitions, and has read them.
    async fn know_everything(&self) {
        for server in &self.servers {
            let client = server.client();
            eventually("an instance that grants everywhere", async || {
                let ready = client.get("/readyz").await;
                let listed = client.get("/api/v1/locks?limit=1").await;
                let has_read = listed.body["as_of"].as_str().is_some_and(|time| !time.starts_with("1970"));
                (ready.status == 200 && ready.body["sealed_partitions"] == 0 && has_read).then_some(())
            })
            .await;
        }
    }

    /// One of them.
    pub(crate) fn one(&mut self, number: usize) -> &mut TestServer {
        &mut self.servers[number]
    }

    /// A client whose every request goes to the next instance.
    pub(crate) fn client(&self) -> Client {
        Client::of_all(&self.servers.each_ref().map(TestServer::url))
    }

    /// A client of one of them, for what only the instance knows that was asked before.
    pub(crate) fn client_of_one(&self) -> Client {
        self.servers[0].client()
    }

    /// The next one's address.
    pub(crate) fn address(&self) -> &str {
        self.servers[self.turn.fetch_add(1, Ordering::Relaxed) % self.servers.len()].address()
    }

    /// The next one's address: `http://…`.
    pub(crate) fn url(&self) -> &str {
        self.servers[self.turn.fetch_add(1, Ordering::Relaxed) % self.servers.len()].url()
    }

    /// What all have logged so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.servers.iter().flat_map(TestServer::log).collect()
    }

    /// What forced actions were recorded, by whichever instance.
    pub(crate) fn audit(&self) -> String {
        self.servers.iter().map(TestServer::audit).collect()
    }

    /// The state of a lock that is granted while its client waits: as a rule it waits at another
    /// instance than the one that grants, and fetches it from there.
    pub(crate) const HANDED_OVER: &str = "reserved";

    /// Kills all of them, and starts them again.
    pub(crate) fn restart(self) -> Self {
        let Self { mut servers, turn } = self;
        servers.iter_mut().for_each(TestServer::kill);
        let servers = servers.map(TestServer::restart);
        let all = Self { servers, turn };
        beside(|| all.know_everything());
        all
    }
}

/// Runs it to its end on a thread of its own: the caller may be within a runtime.
fn beside<T: Send, W: Future<Output = T>>(work: impl FnOnce() -> W + Send) -> T {
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(work())
        });
        running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Opens all partitions of a fresh prefix at once, so that no test waits for the settle window.
async fn open_all(prefix: &str) {
    let store =
        &*RedisStore::new(RedisOptions { key_prefix: prefix.into(), ..RedisOptions::new(REDIS.url()) })
            .unwrap();
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
