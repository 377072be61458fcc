//! What every store promises, and nothing of locks.
//!
//! A store keeps documents: a version, a header, and fields of opaque bytes. `commit` changes one
//! or several documents *of one partition*, all or none, if each still has its expected version.
//! It answers only when the change is durable.

use crate::shared::SharedStore;
use lockkeeper_core::{Delta, Field, Partition, ResourceId, Timestamp, Version};
use std::future::Future;
use std::pin::Pin;

/// A boxed future, so that stores can be trait objects.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A change of one or several documents of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Where all of the documents lie.
    pub partition: Partition,
    /// Their changes; a document appears at most once.
    pub deltas: Vec<Delta>,
    /// Documents that do not change but must still have this version (`None`: be absent), or
    /// nothing is written. A commit of checks alone confirms what a copy says.
    pub checks: Vec<(ResourceId, Option<Version>)>,
    /// The partition's token floor by which was decided. A store that knows a greater one answers
    /// [`Committed::Conflict`] if a document is to be created.
    pub floor: u64,
    /// Raises the partition's token floor to at least this (deleted documents leave it behind).
    pub raise_floor: Option<u64>,
    /// The instant at which the change was decided, from [`Store::now_in`].
    pub now: Timestamp,
    /// For the other instances of a shared store, given to them with the change; the store does
    /// not look into it.
    pub note: Vec<u8>,
}

impl Commit {
    /// A commit that changes documents and nothing else.
    #[must_use]
    pub fn of(partition: Partition, deltas: Vec<Delta>, now: Timestamp) -> Self {
        Self { partition, deltas, checks: Vec::new(), floor: 0, raise_floor: None, now, note: Vec::new() }
    }
}

/// How a commit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// All of it is durable.
    Done,
    /// Nothing was written: the store has something else than what was decided by.
    Conflict(Conflict),
    /// Nothing was written, and never will be: the decision was made too long ago (or too far
    /// ahead) by the store's clock. Decide again with the clock as it is known now.
    Late,
}

/// What was otherwise than a commit expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conflict {
    /// The documents with another version than expected. Empty when only the partition's floor or
    /// generation was behind; [`Store::known`] has them now.
    pub moved: Vec<Moved>,
    /// An earlier try of this very commit may have been carried out and lost again with data of
    /// the store: whoever decides again must look for the traces of what was asked.
    pub unsure: bool,
}

impl Conflict {
    /// Only these documents moved, and nothing is told of how.
    #[must_use]
    pub fn of(moved: impl IntoIterator<Item = (ResourceId, Option<Version>)>) -> Self {
        let moved = moved.into_iter().map(|(id, version)| Moved { id, version, since: Vec::new() });
        Self { moved: moved.collect(), unsure: false }
    }
}

/// A document with another version than was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Which one.
    pub id: ResourceId,
    /// The version it has; `None`: it is absent.
    pub version: Option<Version>,
    /// All changes from the expected version to this one, in order; empty where the store does
    /// not keep them (then it must be loaded).
    pub since: Vec<Delta>,
}

/// What a store knows of a partition without asking anyone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The generation that new versions carry; grows when a store that may have lost data is
    /// opened again. 0 on a store that cannot lose data unnoticed.
    pub generation: u64,
    /// The token floor for documents that are created.
    pub floor: u64,
}

/// A document as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDocument {
    /// Which one.
    pub id: ResourceId,
    /// Its version.
    pub version: Version,
    /// Its header record.
    pub header: Vec<u8>,
    /// Its fields, ordered by kind and sequence number.
    pub fields: Vec<(Field, Vec<u8>)>,
}

/// What `load` found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The document; `None` if there is none.
    pub document: Option<StoredDocument>,
    /// The token floor of its partition; 0 where none was set.
    pub floor: u64,
}

/// Some documents, in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The documents.
    pub documents: Vec<StoredDocument>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<ResourceId>,
}

/// Why a store did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached or cannot write; nothing was changed.
    #[error("{0}")]
    Unavailable(String),
    /// More waits than the store takes; nothing was changed.
    #[error("the store's queue is full ({limit} commits wait)")]
    Overloaded {
        /// The limit that was reached.
        limit: usize,
    },
    /// It may have happened or not: only a new look can tell.
    #[error("outcome unknown: {0}")]
    OutcomeUnknown(String),
    /// The partition is sealed: the store may have lost data of it. Nothing was changed, and what
    /// seems to be absent may only be lost.
    #[error("partition {} is sealed until the instances have written back what they know", .0.0)]
    Sealed(Partition),
    /// The store answers, but must not keep locks as it is set up; the text names the fix. Nothing
    /// may be granted until that is done.
    #[error("{0}")]
    Unfit(String),
    /// What is stored cannot be understood; an operator must look.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The request itself breaks the contract (two partitions in one commit, a document named
    /// twice): a mistake of the caller that no retry mends; nothing was changed.
    #[error("refused: {0}")]
    Refused(String),
    /// The store was closed; nothing was changed.
    #[error("the store is closed")]
    Closed,
}

/// A store of documents. All methods may be called from any thread.
pub trait Store: Send + Sync + 'static {
    /// A short name for logs and metrics: `embedded`, `redis`.
    fn name(&self) -> &'static str;

    /// The store's clock, as well as it is known without asking. Never runs backwards, unless the
    /// clock of a shared store was set back.
    fn now(&self) -> Timestamp;

    /// The clock of the server that keeps this partition (a cluster has several).
    fn now_in(&self, partition: Partition) -> Timestamp {
        let _ = partition;
        self.now()
    }

    /// What is known of a partition without asking.
    fn known(&self, partition: Partition) -> Known {
        let _ = partition;
        Known::default()
    }

    /// The store as several instances share it; `None`: it is this process's alone, and a copy of
    /// what it has is the truth.
    fn shared(&self) -> Option<&dyn SharedStore> {
        None
    }

    /// Reads one document.
    fn load(&self, id: ResourceId) -> StoreFuture<'_, Result<Loaded, StoreError>>;

    /// Writes a change, durably, or nothing at all.
    fn commit(&self, commit: Commit) -> StoreFuture<'_, Result<Committed, StoreError>>;

    /// Documents in the order of their ids, from `from` on, at most `limit`.
    fn list(&self, from: Option<ResourceId>, limit: usize) -> StoreFuture<'_, Result<Page, StoreError>>;

    /// One full round trip, a durable write included: can this store keep a lock now?
    fn probe(&self) -> StoreFuture<'_, Result<(), StoreError>>;
}
