//! The local view: the latest durable copy of every document this instance knows.
//!
//! Queue actors publish here after each commit; on a shared store so do those who follow what other
//! instances commit. Lists are served from it; a new queue actor starts from it. A copy is only a
//! copy: a commit that rests on an old one is refused by the store.
//!
//! On a store of this process's own, copies that nobody holds and nobody waits for are left out:
//! the store has them. On a shared store they stay until they are deleted, since it may lose them,
//! and an older state in which the lock was still held must not come back.

use crate::deadlines::Deadlines;
use crate::recorder;
use lockkeeper_core::resource::PARTITIONS;
use lockkeeper_core::{Document, Partition, ResourceId, Span, Timestamp, Version};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Published copies, by partition.
pub struct View {
    shelves: Vec<Shelf>,
    deadlines: Deadlines,
    keeps_idle: bool,
    live: AtomicUsize,
}

/// One partition's copies.
#[derive(Default)]
struct Shelf {
    documents: RwLock<BTreeMap<ResourceId, Arc<Document>>>,
    /// Where documents stand in the reaper's calendar. Locked for the whole of a publication, so
    /// that two publishers of one document do not cross.
    calendar: Mutex<BTreeMap<ResourceId, Timestamp>>,
}

impl View {
    pub(crate) fn new(keeps_idle: bool) -> Self {
        Self {
            shelves: (0..PARTITIONS).map(|_| Shelf::default()).collect(),
            deadlines: Deadlines::default(),
            keeps_idle,
            live: AtomicUsize::new(0),
        }
    }

    fn shelf(&self, partition: Partition) -> &Shelf {
        &self.shelves[usize::from(partition.0)]
    }

    /// The copy of one document, if there is one.
    #[must_use]
    pub fn get(&self, id: ResourceId) -> Option<Arc<Document>> {
        self.shelf(id.partition()).documents.read().get(&id).cloned()
    }

    /// All live documents of one partition, or of all, ordered by id.
    #[must_use]
    pub fn documents(&self, partition: Option<Partition>) -> Vec<Arc<Document>> {
        let live = |shelf: &Shelf| -> Vec<Arc<Document>> {
            shelf.documents.read().values().filter(|document| document.is_live()).cloned().collect()
        };
        match partition {
            Some(partition) => live(self.shelf(partition)),
            None => self.shelves.iter().flat_map(live).collect(),
        }
    }

    /// All copies of one partition, live or not.
    pub(crate) fn copies(&self, partition: Partition) -> Vec<Arc<Document>> {
        self.shelf(partition).documents.read().values().cloned().collect()
    }

    /// How many live documents there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// True when nothing is held and nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn deadlines(&self) -> &Deadlines {
        &self.deadlines
    }

    /// A document has this durable state (`None`: there is none any more, after this version).
    ///
    /// On a store of this process's own its actor is the only one who publishes it. On a shared one
    /// the follower does too, and may be faster.
    pub(crate) fn publish(&self, id: ResourceId, document: Option<&Document>, before: Option<Version>) {
        let version = document.map_or(before, Document::version);
        self.replace(id, document, Span::ZERO, |known| !self.keeps_idle || known.version() <= version);
    }

    /// As [`View::publish`], unless the view has a newer one. It was told by others, whose actors
    /// are nearer to it: the reaper of this instance looks at it `later` than at its own.
    pub(crate) fn publish_newer(&self, document: &Document, later: Span) {
        self.replace(document.id(), Some(document), later, |known| known.version() < document.version());
    }

    /// A document is gone from the store, if the view still has the copy that was looked for.
    pub(crate) fn remove_copy(&self, copy: &Document) {
        self.replace(copy.id(), None, Span::ZERO, |known| known.version() == copy.version());
    }

    fn replace(
        &self,
        id: ResourceId,
        document: Option<&Document>,
        later: Span,
        wanted: impl FnOnce(&Document) -> bool,
    ) {
        let shelf = self.shelf(id.partition());
        let mut calendar = shelf.calendar.lock();
        let kept = document.filter(|document| self.keeps_idle || document.is_live());
        let kept = kept.map(|document| Arc::new(document.clone()));
        let mut documents = shelf.documents.write();
        let before = match (documents.entry(id), kept.clone()) {
            (Slot::Occupied(known), _) if !wanted(known.get()) => return,
            (Slot::Occupied(mut known), Some(kept)) => Some(known.insert(kept)),
            (Slot::Occupied(known), None) => Some(known.remove()),
            (Slot::Vacant(place), Some(kept)) => {
                place.insert(kept);
                None
            }
            (Slot::Vacant(_), None) => None,
        };
        drop(documents);
        self.count(before.as_deref(), kept.as_deref());
        let wake_at = document.and_then(wake_at).map(|at| at + later);
        let stood = match wake_at {
            Some(at) => calendar.insert(id, at),
            None => calendar.remove(&id),
        };
        self.deadlines.replace(id, stood, wake_at);
    }

    fn count(&self, before: Option<&Document>, after: Option<&Document>) {
        let live = |document: Option<&Document>| document.is_some_and(Document::is_live);
        match (live(before), live(after)) {
            (false, true) => drop(self.live.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(self.live.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
        recorder::gauges(before, after);
    }
}

/// When the reaper must look at a document next: its deadline, or when it may be deleted.
fn wake_at(document: &Document) -> Option<Timestamp> {
    document.next_deadline().or_else(|| document.delete_at())
}
