//! What is known of each partition of the shared store.

use super::sealed::Sealed;
use lockkeeper_core::resource::PARTITIONS;
use lockkeeper_core::{Partition, Timestamp};
use lockkeeper_store::shared::{CommittedChange, InstanceRecord};
use parking_lot::{Mutex, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A replica that was not compared with the store for this long says nothing any more: what it
/// misses may have been deleted since (empty documents stay 15 minutes). It is dropped and read anew.
pub(super) const TRUSTED_FOR: Duration = Duration::from_secs(600);

/// Where one partition stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartitionState {
    /// The generation that the copies were compared under; `None`: never compared.
    pub(crate) generation: Option<u64>,
    /// When data may last have been lost, in milliseconds; 0: never.
    pub(crate) lost_before: u64,
    /// Every commit up to this number is in the view.
    pub(crate) sequence: u64,
    /// The latest commit of which the events were told: its generation and number.
    pub(super) told: Option<(u64, u64)>,
    /// When that was last known to be all.
    pub(crate) compared_at: Option<Instant>,
    /// When all of it was last compared, whatever the numbers say.
    pub(super) whole_at: Option<Instant>,
    /// It is sealed.
    pub(crate) sealed: Option<Sealing>,
}

impl PartitionState {
    /// Are the events of this commit to be told: for the first time, and after some that are missing?
    pub(super) fn tell(&mut self, change: &CommittedChange) -> (bool, bool) {
        let told = self.told.filter(|(generation, _)| *generation == change.generation);
        let first = told.is_none_or(|(_, sequence)| change.sequence > sequence);
        let gap = told.is_some_and(|(_, sequence)| change.sequence > sequence + 1);
        if first {
            self.told = Some((change.generation, change.sequence));
        }
        (first, gap)
    }
}

/// How far this instance is with a sealed partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sealing {
    /// Since when, as the store's note says; `None`: not signed yet.
    pub(crate) since: Option<Timestamp>,
    /// What the view knew when all of it had been written back (see [`super::write_back::mark`]).
    pub(crate) written: Option<u64>,
    /// When this instance noticed.
    pub(crate) noticed: Timestamp,
}

/// What all parts of the replica share.
pub(crate) struct ReplicaState {
    partitions: Vec<Mutex<PartitionState>>,
    sealed: Sealed,
    /// One comparison of a partition at a time.
    comparing: Vec<tokio::sync::Mutex<()>>,
    instances: RwLock<Vec<InstanceRecord>>,
    /// When the custodian looked last, and when it last noticed that it had slept for long.
    awake: Mutex<(Instant, Option<Instant>)>,
    /// Told when the markers should be looked at now.
    suspicion: Notify,
}

/// The replica as an operator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// How many partitions there are.
    pub partitions: usize,
    /// How many of them are sealed.
    pub sealed: usize,
    /// Since when, by the one that was first noticed to be.
    pub sealed_since: Option<Timestamp>,
    /// How many of them were never read yet.
    pub unread: usize,
    /// How old the oldest comparison is; `None` before all were compared once.
    pub age: Option<Duration>,
}

impl ReplicaState {
    pub(crate) fn new(sealed: Sealed) -> Self {
        let fresh = PartitionState {
            generation: None,
            lost_before: 0,
            sequence: 0,
            told: None,
            compared_at: None,
            whole_at: None,
            sealed: None,
        };
        Self {
            partitions: (0..PARTITIONS).map(|_| Mutex::new(fresh)).collect(),
            sealed,
            comparing: (0..PARTITIONS).map(|_| tokio::sync::Mutex::default()).collect(),
            instances: RwLock::default(),
            awake: Mutex::new((Instant::now(), None)),
            suspicion: Notify::new(),
        }
    }

    pub(super) async fn comparing(&self, partition: Partition) -> tokio::sync::MutexGuard<'_, ()> {
        self.comparing[usize::from(partition.0)].lock().await
    }

    pub(crate) fn get(&self, partition: Partition) -> PartitionState {
        *self.partitions[usize::from(partition.0)].lock()
    }

    /// The only way to change it, so that no sealing and no opening is missed.
    pub(crate) fn change<T>(&self, partition: Partition, change: impl FnOnce(&mut PartitionState) -> T) -> T {
        let mut state = self.partitions[usize::from(partition.0)].lock();
        let before = state.sealed.is_some();
        let result = change(&mut state);
        if state.sealed.is_some() != before {
            self.sealed.changed(!before);
        }
        result
    }

    pub(crate) fn status(&self) -> ReplicaStatus {
        let mut status = ReplicaStatus {
            partitions: self.partitions.len(),
            sealed: 0,
            sealed_since: None,
            unread: 0,
            age: Some(Duration::ZERO),
        };
        for partition in &self.partitions {
            let state = partition.lock();
            if let Some(sealing) = state.sealed {
                status.sealed += 1;
                status.sealed_since = status.sealed_since.into_iter().chain([sealing.noticed]).min();
            }
            match state.compared_at {
                None => (status.unread, status.age) = (status.unread + 1, None),
                Some(at) => status.age = status.age.map(|age| age.max(at.elapsed())),
            }
        }
        status
    }

    pub(crate) fn instances(&self) -> Vec<InstanceRecord> {
        self.instances.read().clone()
    }

    pub(super) fn set_instances(&self, instances: Vec<InstanceRecord>) {
        *self.instances.write() = instances;
    }

    /// The custodian looks: if that is long after its last look, this process was stopped.
    pub(super) fn note_awake(&self) {
        let mut awake = self.awake.lock();
        let now = Instant::now();
        if now.duration_since(awake.0) > TRUSTED_FOR {
            awake.1 = Some(now);
        }
        awake.0 = now;
    }

    /// This process was stopped for long after it had last compared a partition.
    pub(super) fn has_slept(&self, partition: Partition) -> bool {
        let woke = self.awake.lock().1;
        let compared = self.get(partition).compared_at;
        woke.is_some_and(|woke| compared.is_none_or(|compared| compared < woke))
    }

    /// The store lacks what this instance knows of a partition: all of it is compared.
    pub(crate) fn doubt(&self, partition: Partition) {
        self.change(partition, |state| state.generation = None);
        self.suspect();
    }

    /// Something was seen that the markers may explain.
    pub(crate) fn suspect(&self) {
        self.suspicion.notify_one();
    }

    pub(super) async fn suspected(&self) {
        self.suspicion.notified().await;
    }
}

/// Every partition.
pub(crate) fn all() -> impl Iterator<Item = Partition> {
    (0..PARTITIONS).map(|number| Partition(number as u8))
}
