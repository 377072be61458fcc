//! What is known of each partition without asking.

use super::reply::Numbers;
use crate::contract::Known;
use lockkeeper_core::{Partition, Timestamp};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One partition. Its numbers are of replies that may overtake each other: whoever acts on an
/// older one is told so by the next commit.
#[derive(Debug, Default)]
struct One {
    generation: AtomicU64,
    floor: AtomicU64,
    /// How often it was found sealed.
    sealings: AtomicU64,
    /// The sealing that we signed last; 0: none.
    sealed_at_micros: AtomicU64,
}

/// All partitions.
#[derive(Debug)]
pub(super) struct Partitions(Vec<One>);

impl Partitions {
    pub(super) fn new() -> Self {
        Self((0..=u8::MAX).map(|_| One::default()).collect())
    }

    fn one(&self, partition: Partition) -> &One {
        &self.0[usize::from(partition.0)]
    }

    pub(super) fn known(&self, partition: Partition) -> Known {
        let one = self.one(partition);
        Known { generation: one.generation.load(Relaxed), floor: one.floor.load(Relaxed) }
    }

    /// It was found open, with these numbers.
    pub(super) fn open(&self, partition: Partition, numbers: Numbers) {
        let one = self.one(partition);
        one.generation.store(numbers.generation, Relaxed);
        one.floor.store(numbers.floor, Relaxed);
        one.sealed_at_micros.store(0, Relaxed);
    }

    /// It was found sealed.
    pub(super) fn sealed(&self, partition: Partition) {
        self.one(partition).sealings.fetch_add(1, Relaxed);
    }

    /// Changes whenever it is found sealed.
    pub(super) fn sealings(&self, partition: Partition) -> u64 {
        self.one(partition).sealings.load(Relaxed)
    }

    /// We have signed this sealing.
    pub(super) fn signed(&self, partition: Partition, sealed_at: Timestamp) {
        self.one(partition).sealed_at_micros.store(sealed_at.as_micros(), Relaxed);
    }

    /// The sealing that we signed last, if it was not opened since.
    pub(super) fn signed_at(&self, partition: Partition) -> Option<Timestamp> {
        let micros = self.one(partition).sealed_at_micros.load(Relaxed);
        (micros > 0).then_some(Timestamp::from_micros(micros))
    }
}
