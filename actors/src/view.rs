//! The local view: the latest durable copy of every live document this instance knows.
//!
//! Queue actors publish here after each commit. Lists are served from it; a new queue actor starts
//! from it. A copy is only a copy: a commit that rests on an old one is refused by the store.

use crate::deadlines::Deadlines;
use lockkeeper_core::resource::PARTITIONS;
use lockkeeper_core::{Document, Partition, ResourceId, Timestamp};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Published copies of live documents, by partition.
pub struct View {
    partitions: Vec<RwLock<BTreeMap<ResourceId, Arc<Document>>>>,
    deadlines: Deadlines,
}

impl View {
    pub(crate) fn new() -> Self {
        Self {
            partitions: (0..PARTITIONS).map(|_| RwLock::default()).collect(),
            deadlines: Deadlines::default(),
        }
    }

    fn partition(&self, id: ResourceId) -> &RwLock<BTreeMap<ResourceId, Arc<Document>>> {
        &self.partitions[usize::from(id.partition().0)]
    }

    /// The copy of one document, if it is live.
    #[must_use]
    pub fn get(&self, id: ResourceId) -> Option<Arc<Document>> {
        self.partition(id).read().get(&id).cloned()
    }

    /// All live documents of one partition, or of all, ordered by id.
    #[must_use]
    pub fn documents(&self, partition: Option<Partition>) -> Vec<Arc<Document>> {
        match partition {
            Some(Partition(number)) => {
                self.partitions[usize::from(number)].read().values().cloned().collect()
            }
            None => {
                self.partitions.iter().flat_map(|p| p.read().values().cloned().collect::<Vec<_>>()).collect()
            }
        }
    }

    /// How many live documents there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.partitions.iter().map(|partition| partition.read().len()).sum()
    }

    /// True when nothing is held and nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn deadlines(&self) -> &Deadlines {
        &self.deadlines
    }

    /// A document has a new durable state. `before` is what its publisher published last.
    pub(crate) fn publish(&self, id: ResourceId, before: Option<Timestamp>, document: Option<&Document>) {
        let wake_at = document.and_then(wake_at);
        self.deadlines.replace(id, before, wake_at);
        let mut partition = self.partition(id).write();
        match document.filter(|document| document.is_live()) {
            Some(document) => {
                partition.insert(id, Arc::new(document.clone()));
            }
            None => {
                partition.remove(&id);
            }
        }
    }
}

/// When the reaper must look at a document next: its deadline, or when it may be deleted.
pub(crate) fn wake_at(document: &Document) -> Option<Timestamp> {
    document.next_deadline().or_else(|| document.delete_at())
}
