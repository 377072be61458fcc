//! Short ways to say what a case commits.

use crate::contract::{Commit, Store, StoredDocument};
use lockkeeper_core::{Delta, Field, FieldKind, Header, Partition, ResourceId, Timestamp, Version};

/// Makes commits as a store takes them now: of its generation, by its floor and its clock.
#[must_use]
pub fn on(store: &dyn Store) -> On<'_> {
    On { store }
}

/// See [`on`].
#[derive(Clone, Copy)]
pub struct On<'a> {
    store: &'a dyn Store,
}

impl On<'_> {
    /// A version of the present generation.
    #[must_use]
    pub fn version(self, id: ResourceId, counter: u64) -> Version {
        Version { generation: self.store.known(id.partition()).generation, counter }
    }

    /// A delta between two versions without fields; `None` is absence.
    #[must_use]
    pub fn delta(self, id: ResourceId, expected: Option<u64>, next: Option<u64>) -> Delta {
        let header = |counter| Header { version: self.version(id, counter), bytes: header_of(counter) };
        let expected = expected.map(|counter| self.version(id, counter));
        Delta { id, expected, next: next.map(header), fields: Vec::new() }
    }

    /// A commit of these deltas, in the partition of the first.
    #[must_use]
    pub fn commit(self, deltas: Vec<Delta>) -> Commit {
        let partition = deltas.first().map_or(Partition(0), |delta| delta.id.partition());
        let floor = self.store.known(partition).floor;
        Commit { floor, ..Commit::of(partition, deltas, self.store.now_in(partition)) }
    }

    /// A commit of checks alone, in the partition of the first.
    #[must_use]
    pub fn checking(self, checks: Vec<(ResourceId, Option<u64>)>) -> Commit {
        let partition = checks.first().map_or(Partition(0), |(id, _)| id.partition());
        let version = |(id, counter): (ResourceId, Option<u64>)| (id, counter.map(|c| self.version(id, c)));
        let checks = checks.into_iter().map(version).collect();
        Commit { checks, ..Commit::of(partition, Vec::new(), self.store.now_in(partition)) }
    }

    /// A commit that makes a document without fields.
    #[must_use]
    pub fn created(self, id: ResourceId, counter: u64) -> Commit {
        self.commit(vec![self.delta(id, None, Some(counter))])
    }

    /// A commit that changes one document and these fields of it.
    #[must_use]
    pub fn changed(
        self,
        id: ResourceId,
        expected: Option<u64>,
        next: u64,
        fields: Vec<(Field, Option<Vec<u8>>)>,
    ) -> Commit {
        self.commit(vec![Delta { fields, ..self.delta(id, expected, Some(next)) }])
    }
}

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
