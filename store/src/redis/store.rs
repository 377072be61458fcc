//! The store itself: what all calls share, and the contract's methods, each of which is at home in
//! a file of its own.

use super::clock::{Boot, Clocks};
use super::fitness::Unfit;
use super::keys::Keys;
use super::link::{Answer, CallError, Link, ScriptText};
use super::options::{OptionsError, RedisOptions, Topology};
use super::partitions::Partitions;
use super::pauses::Pauses;
use super::presence::Announced;
use super::reading::Listings;
use super::reply::{Numbers, Reply};
use super::scripts::FORMAT;
use crate::contract::{
    Commit, Committed, Known, Loaded, Page, Store, StoreError, StoreFuture, StoredDocument,
};
use crate::shared::{
    Change, ChangedSince, InstanceRecord, Marker, Opening, ServerCondition, SharedStore, Signature, Signed,
    WrittenBack,
};
use lockkeeper_core::{Partition, ResourceId, Timestamp};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// Commits that may be on their way at once.
pub const COMMITS_MAX: usize = 4096;
/// An answer that is seen after so many times the timeout of a call is not believed.
const ANSWER_TIMEOUTS: u32 = 2;
/// The round trip that is assumed before one was measured.
const FIRST_TRIP: Duration = Duration::from_millis(1);
/// Of the measured round trip, the latest counts as one of so many.
const TRIP_WEIGHT: u64 = 8;

/// A store in Redis that several instances share. It connects when it is first used.
#[derive(Debug)]
pub struct RedisStore {
    pub(super) link: Link,
    pub(super) keys: Keys,
    pub(super) options: RedisOptions,
    /// This life of this store object, unlike any other.
    pub(super) incarnation: u64,
    pub(super) clocks: Clocks,
    pub(super) partitions: Partitions,
    pub(super) commits: Semaphore,
    pub(super) pauses: Pauses,
    pub(super) listings: Listings,
    pub(super) announced: Announced,
    pub(super) warnings: Mutex<Vec<String>>,
    pub(super) condition: Mutex<Vec<ServerCondition>>,
    trip_micros: AtomicU64,
}

impl RedisStore {
    /// Looks at the options and reads the TLS files; connects when it is first used.
    ///
    /// # Errors
    /// The first setting that cannot be right.
    pub fn new(options: RedisOptions) -> Result<Arc<Self>, OptionsError> {
        Self::build(options, 0)
    }

    /// Like [`Self::new`], on a machine whose clocks are off by so much.
    ///
    /// # Errors
    /// As [`Self::new`].
    #[cfg(any(test, feature = "testing"))]
    pub fn with_clock_skew(options: RedisOptions, skew_micros: i64) -> Result<Arc<Self>, OptionsError> {
        Self::build(options, skew_micros)
    }

    fn build(options: RedisOptions, skew_micros: i64) -> Result<Arc<Self>, OptionsError> {
        let link = Link::new(&options)?;
        let database = options.targets()?.database;
        let one_server = options.topology != Topology::Cluster;
        Ok(Arc::new(Self {
            link,
            keys: Keys::new(&options.key_prefix, database),
            incarnation: rand::random::<u64>() | 1,
            clocks: Clocks::new(one_server, options.time_window, skew_micros),
            partitions: Partitions::new(),
            commits: Semaphore::new(COMMITS_MAX),
            pauses: Pauses::default(),
            listings: Listings::default(),
            announced: Announced::default(),
            warnings: Mutex::default(),
            condition: Mutex::default(),
            trip_micros: AtomicU64::new(FIRST_TRIP.as_micros() as u64),
            options,
        }))
    }

    /// Is this Redis fit to keep locks? Tries all that is needed of it. Gives what there is to
    /// warn of all the same, as [`SharedStore::warnings`] does from then on.
    ///
    /// # Errors
    /// Why not, with the fix; or why it cannot be told now.
    pub async fn fit(&self) -> Result<Vec<String>, Unfit> {
        self.look_whether_fit().await
    }

    /// Runs a script that replies with TIME.
    pub(super) async fn call(
        &self,
        partition: Partition,
        script: &'static ScriptText,
        keys: &[Vec<u8>],
        args: &[Vec<u8>],
    ) -> Result<Result<Reply, StoreError>, CallError> {
        let sent = self.clocks.boot();
        let answer = self.link.script_at(partition, script, keys, args).await?;
        // A process that was held, or a machine that slept, finds answers that were true long ago.
        let age = self.clocks.since(sent);
        if age > self.options.timeout * ANSWER_TIMEOUTS {
            let age = humantime::format_duration(age);
            return Err(CallError::Unknown(format!("the answer was seen only after {age}")));
        }
        Ok(self.heard(partition, sent, answer))
    }

    /// Takes note of what every reply tells.
    fn heard(&self, partition: Partition, sent: Boot, answer: Answer) -> Result<Reply, StoreError> {
        let reply = Reply::parse(answer.value)?;
        self.clocks.learn(partition, &answer.server, sent, reply.time);
        Ok(reply)
    }

    /// The numbers of a reply of a script that looks at the marker, once its word is none of those
    /// that mean the same in all of them.
    pub(super) fn numbers(&self, partition: Partition, reply: &mut Reply) -> Result<Numbers, StoreError> {
        let numbers = reply.numbers()?;
        match reply.word.as_str() {
            "SEALED" => self.partitions.sealed(partition),
            "WRITER" => {
                let least = reply.rest.text()?;
                return Err(StoreError::Unfit(format!(
                    "this store is written by a newer Lockkeeper, in format {least}; this version knows formats \
                     up to {FORMAT}: use the newer version"
                )));
            }
            _ => {}
        }
        Ok(numbers)
    }

    /// A typical round trip of a commit.
    pub(super) fn trip(&self) -> Duration {
        Duration::from_micros(self.trip_micros.load(Relaxed))
    }

    pub(super) fn learn_trip(&self, trip: Duration) {
        let latest = u64::try_from(trip.as_micros()).unwrap_or(u64::MAX);
        let old = self.trip_micros.load(Relaxed);
        // Lost updates of a mean do no harm.
        self.trip_micros.store((old * (TRIP_WEIGHT - 1)).saturating_add(latest) / TRIP_WEIGHT, Relaxed);
    }

    /// The word that publishes.
    pub(super) fn publish_word(&self) -> Vec<u8> {
        match self.options.topology {
            Topology::Cluster => b"SPUBLISH".to_vec(),
            Topology::Single | Topology::Sentinel { .. } => b"PUBLISH".to_vec(),
        }
    }
}

/// Numbers as scripts take them.
pub(super) fn number(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

/// Lengths of time as scripts take them.
pub(super) fn micros(length: Duration) -> Vec<u8> {
    length.as_micros().to_string().into_bytes()
}

impl Store for RedisStore {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn now(&self) -> Timestamp {
        self.clocks.now()
    }

    fn now_in(&self, partition: Partition) -> Timestamp {
        self.clocks.now_in(partition)
    }

    fn known(&self, partition: Partition) -> Known {
        self.partitions.known(partition)
    }

    fn shared(&self) -> Option<&dyn SharedStore> {
        Some(self)
    }

    fn load(&self, id: ResourceId) -> StoreFuture<'_, Result<Loaded, StoreError>> {
        Box::pin(self.read_document(id))
    }

    fn commit(&self, commit: Commit) -> StoreFuture<'_, Result<Committed, StoreError>> {
        Box::pin(self.carry_out(commit))
    }

    fn list(&self, from: Option<ResourceId>, limit: usize) -> StoreFuture<'_, Result<Page, StoreError>> {
        Box::pin(self.read_page(from, limit))
    }

    fn probe(&self) -> StoreFuture<'_, Result<(), StoreError>> {
        Box::pin(self.look_whether_well())
    }
}

impl SharedStore for RedisStore {
    fn follow(&self) -> mpsc::Receiver<Change> {
        self.follow_changes()
    }

    fn markers(&self) -> StoreFuture<'_, Result<Vec<Marker>, StoreError>> {
        Box::pin(self.look_at_markers())
    }

    fn changed_since(
        &self,
        partition: Partition,
        sequence: u64,
    ) -> StoreFuture<'_, Result<ChangedSince, StoreError>> {
        Box::pin(self.read_changes(partition, sequence))
    }

    fn sign(
        &self,
        partition: Partition,
        signature: Signature,
    ) -> StoreFuture<'_, Result<Signed, StoreError>> {
        Box::pin(self.sign_seal(partition, signature))
    }

    fn write_back(&self, document: StoredDocument) -> StoreFuture<'_, Result<WrittenBack, StoreError>> {
        Box::pin(self.write_document_back(document))
    }

    fn open(
        &self,
        partition: Partition,
        settle: Duration,
        settle_max: Duration,
    ) -> StoreFuture<'_, Result<Opening, StoreError>> {
        Box::pin(self.open_seal(partition, settle, settle_max))
    }

    fn seal(&self, partition: Partition, generation: u64) -> StoreFuture<'_, Result<(), StoreError>> {
        Box::pin(self.seal_partition(partition, generation))
    }

    fn announce(
        &self,
        record: InstanceRecord,
        lease: Duration,
    ) -> StoreFuture<'_, Result<Vec<InstanceRecord>, StoreError>> {
        Box::pin(self.announce_instance(record, lease))
    }

    fn leave(&self) -> StoreFuture<'_, Result<(), StoreError>> {
        Box::pin(self.leave_instances())
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.lock().clone()
    }

    fn condition(&self) -> Vec<ServerCondition> {
        self.condition.lock().clone()
    }
}
