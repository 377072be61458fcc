//! Short ways to say what a case commits.

use crate::contract::{Commit, Store, StoredDocument};
use lockkeeper_core::{Delta, Field, FieldKind, Header, Partition, ResourceId, Timestamp, Version};

/// The id of document `number` of a partition.
#[must_use]
pub const fn id(partition: u8, number: u64) -> ResourceId {
    ResourceId((partition as u64) << 56 | number)
}

/// A version of generation 0.
#[must_use]
pub const fn version(counter: u64) -> Version {
    Version { generation: 0, counter }
}

/// The name of a ticket field.
#[must_use]
pub const fn ticket(seq: u64) -> Field {
    Field { kind: FieldKind::Ticket, seq }
}

/// A delta between two versions without fields; `None` is absence.
#[must_use]
pub fn delta(id: ResourceId, expected: Option<u64>, next: Option<u64>) -> Delta {
    let header = |counter| Header { version: version(counter), bytes: header_of(counter) };
    Delta { id, expected: expected.map(version), next: next.map(header), fields: Vec::new() }
}

/// The header that [`delta`] gives to a version.
#[must_use]
pub fn header_of(counter: u64) -> Vec<u8> {
    format!("header {counter}").into_bytes()
}

/// A commit of these deltas, in the partition of the first.
#[must_use]
pub fn commit(deltas: Vec<Delta>) -> Commit {
    let partition = deltas.first().map_or(Partition(0), |delta| delta.id.partition());
    Commit::of(partition, deltas, Timestamp::ZERO)
}

/// A commit that makes a document without fields.
#[must_use]
pub fn created(id: ResourceId, counter: u64) -> Commit {
    commit(vec![delta(id, None, Some(counter))])
}

/// A commit that changes one document and these fields of it.
#[must_use]
pub fn changed(
    id: ResourceId,
    expected: Option<u64>,
    next: u64,
    fields: Vec<(Field, Option<Vec<u8>>)>,
) -> Commit {
    commit(vec![Delta { fields, ..delta(id, expected, Some(next)) }])
}

/// What the store has under this id.
///
/// # Panics
/// If it cannot be read.
pub async fn stored(store: &dyn Store, id: ResourceId) -> Option<StoredDocument> {
    match store.load(id).await {
        Ok(loaded) => loaded.document,
        Err(error) => panic!("loading {id}: {error}"),
    }
}

/// The version the store has of this document.
///
/// # Panics
/// If it cannot be read.
pub async fn stored_version(store: &dyn Store, id: ResourceId) -> Option<Version> {
    stored(store, id).await.map(|document| document.version)
}
