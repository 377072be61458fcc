//! What every store promises, and nothing of locks.
//!
//! A store keeps documents: a version, a header, and fields of opaque bytes. `commit` changes one
//! or several documents *of one partition*, all or none, if each still has its expected version.
//! It answers only when the change is durable.

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
    /// Raises the partition's token floor to at least this (deleted documents leave it behind).
    pub raise_floor: Option<u64>,
    /// The instant at which the change was decided, from [`Store::now`].
    pub now: Timestamp,
}

/// How a commit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// All of it is durable.
    Done,
    /// Nothing was written: these documents have other versions than expected (`None`: absent).
    Conflict(Vec<(ResourceId, Option<Version>)>),
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

    /// The store's clock, as well as it is known without asking. Never runs backwards.
    fn now(&self) -> Timestamp;

    /// Reads one document.
    fn load(&self, id: ResourceId) -> StoreFuture<'_, Result<Loaded, StoreError>>;

    /// Writes a change, durably, or nothing at all.
    fn commit(&self, commit: Commit) -> StoreFuture<'_, Result<Committed, StoreError>>;

    /// Documents in the order of their ids, from `from` on, at most `limit`.
    fn list(&self, from: Option<ResourceId>, limit: usize) -> StoreFuture<'_, Result<Page, StoreError>>;

    /// One full round trip, a durable write included: can this store keep a lock now?
    fn probe(&self) -> StoreFuture<'_, Result<(), StoreError>>;
}
