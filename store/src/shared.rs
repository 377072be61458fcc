//! What a store promises beyond [`Store`](crate::contract::Store) when several instances share it.
//!
//! Such a store may lose data (a failover, a flush), and instances must hear of each other's
//! changes. Each partition has a *marker*; where it is missing or was made by another life of the
//! server the partition is *sealed*: every commit and load answers
//! [`StoreError::Sealed`]. Instances then write back what they
//! know ([`SharedStore::write_back`]), say so ([`SharedStore::sign`]), and after the settle window
//! any of them opens it ([`SharedStore::open`]) with a new generation.

use crate::contract::{StoreError, StoreFuture, StoredDocument};
use lockkeeper_core::{Delta, Partition, ResourceId, Timestamp, Version};
use std::time::Duration;
use tokio::sync::mpsc;

/// Changes that may wait for their reader; if there are more, it is told that it missed some.
pub const CHANGES_MAX: usize = 8192;

/// Something that happened in the store, told as a hint: it may be lost, doubled or late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A commit landed.
    Committed(CommittedChange),
    /// Changes of this partition (`None`: of all) may have been missed: compare.
    Missed(Option<Partition>),
    /// A partition's marker changed: it was opened or sealed.
    Marker(Partition),
}

/// A commit as the other instances hear of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedChange {
    /// Where.
    pub partition: Partition,
    /// The partition's generation when it landed.
    pub generation: u64,
    /// Numbers the commits of a partition without gaps (checks alone have no number).
    pub sequence: u64,
    /// True when this store object itself made it. Whoever asked for it may be gone by now, or may
    /// not know that it landed.
    pub own: bool,
    /// What changed.
    pub deltas: Vec<Delta>,
    /// As it was given with the commit.
    pub note: Vec<u8>,
}

/// A partition's marker, or what stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Which partition.
    pub partition: Partition,
    /// Can it be used?
    pub state: MarkerState,
    /// Its generation; 0 when there never was one.
    pub generation: u64,
    /// The number of its latest commit.
    pub sequence: u64,
    /// Entries that were made before this instant (milliseconds since the epoch) and are not there may
    /// have been lost: it is when the partition was last opened again. 0: nothing ever was.
    pub lost_before: u64,
}

/// Whether a partition can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerState {
    /// It can.
    Open,
    /// It cannot: its marker is missing or foreign. With the time at which that was first signed.
    Sealed(Option<Timestamp>),
}

/// What an instance says while a partition is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The greatest generation it knows of this partition.
    pub generation: u64,
    /// The greatest token it knows of this partition, floors included.
    pub token: u64,
    /// It has written back all it knows. Before that its signature asks the others to wait.
    pub finished: bool,
}

/// The state of a sealed partition after a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// Noted; sealed since this instant by the store's clock. If it is another one than before,
    /// the sealing began anew and all must be written back again.
    Sealed(Timestamp),
    /// Somebody has opened it already.
    Open {
        /// Its generation.
        generation: u64,
    },
}

/// What became of an attempt to open a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It is open, by this attempt or an earlier one.
    Open {
        /// Its generation.
        generation: u64,
    },
    /// Not before this instant: the settle window runs, or others still write back.
    NotBefore(Timestamp),
    /// Nobody has signed (the note vanished): begin anew.
    Unsigned,
}

/// What changed in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedSince {
    /// The marker at that time.
    pub marker: Marker,
    /// The documents that were committed since, with their versions now. Deleted ones are missing.
    pub documents: Vec<(ResourceId, Version)>,
}

/// What became of one document that was written back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrittenBack {
    /// The store had none or an older one, and has this one now.
    Taken,
    /// The store has this very version.
    Same,
    /// The store has another, at least as new: the store's state stands.
    Newer(Version),
    /// The store's is older but was changed after the last opening: the store's state stands, and
    /// what was written back is lost.
    Lost(Option<Version>),
}

/// Who shares the store. For the operator's eyes: nothing decides by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceRecord {
    /// Its configured name.
    pub id: String,
    /// This life of it.
    pub incarnation: String,
    /// Where clients reach it.
    pub address: String,
    /// Its version.
    pub version: String,
    /// When it started, by the store's clock.
    pub started_at: Timestamp,
    /// When it last said that it lives.
    pub seen_at: Timestamp,
}

/// What a server of the store says of itself. For the operator's eyes and for warnings: nothing
/// decides by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCondition {
    /// Its address.
    pub server: String,
    /// What it is to others: `master`, `slave`.
    pub role: String,
    /// Bytes of memory in use.
    pub memory_used: u64,
    /// Bytes of memory that it may use; 0: no limit.
    pub memory_max: u64,
    /// Replicas that have taken over all but the latest changes.
    pub replicas: u32,
}

impl ServerCondition {
    /// How many per cent of its memory are in use; 0 without a limit.
    #[must_use]
    pub fn memory_percent(&self) -> u64 {
        let percent = u128::from(self.memory_used) * 100 / u128::from(self.memory_max.max(1));
        if self.memory_max == 0 { 0 } else { u64::try_from(percent).unwrap_or(u64::MAX) }
    }
}

/// A store that several instances share.
pub trait SharedStore: Send + Sync {
    /// Follows the changes of all instances. Begins with [`Change::Missed`] of everything as soon
    /// as they are followed; comes back by itself after a lost connection, with another one.
    /// The channel holds [`CHANGES_MAX`].
    fn follow(&self) -> mpsc::Receiver<Change>;

    /// The markers of all partitions, in order.
    fn markers(&self) -> StoreFuture<'_, Result<Vec<Marker>, StoreError>>;

    /// What was committed after the commit with this number (0: everything there is). Answers for
    /// sealed partitions too.
    fn changed_since(
        &self,
        partition: Partition,
        sequence: u64,
    ) -> StoreFuture<'_, Result<ChangedSince, StoreError>>;

    /// Signs a sealed partition.
    fn sign(&self, partition: Partition, signature: Signature)
    -> StoreFuture<'_, Result<Signed, StoreError>>;

    /// Writes a document back: into a sealed partition where the store has none or an older
    /// version; into an open one only where the store's is of an earlier generation or missing.
    /// Repeating it does no harm.
    fn write_back(&self, document: StoredDocument) -> StoreFuture<'_, Result<WrittenBack, StoreError>>;

    /// Opens a sealed partition whose settle window is over. `settle`: how long it is;
    /// `settle_max`: how long at most those are waited for who have signed and not finished.
    fn open(
        &self,
        partition: Partition,
        settle: Duration,
        settle_max: Duration,
    ) -> StoreFuture<'_, Result<Opening, StoreError>>;

    /// Seals an open partition of this generation: a document vanished from it.
    fn seal(&self, partition: Partition, generation: u64) -> StoreFuture<'_, Result<(), StoreError>>;

    /// Says that this instance lives, for `lease`; gives all that do.
    fn announce(
        &self,
        record: InstanceRecord,
        lease: Duration,
    ) -> StoreFuture<'_, Result<Vec<InstanceRecord>, StoreError>>;

    /// Takes this instance's record back.
    fn leave(&self) -> StoreFuture<'_, Result<(), StoreError>>;

    /// What there is to warn of though the store can be used: persistence off, a failed save.
    fn warnings(&self) -> Vec<String>;

    /// What the servers that keep the documents said of themselves at the last probe, ordered by
    /// their addresses; empty before the first.
    fn condition(&self) -> Vec<ServerCondition>;
}
