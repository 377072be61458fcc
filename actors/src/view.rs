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
    waiting: AtomicUsize,
}

/// One partition's copies.
#[derive(Default)]
struct Shelf {
    documents: RwLock<BTreeMap<ResourceId, Arc<Document>>>,
    /// Where documents stand in the reaper's calendar. Locked for the whole of a publication, so
    /// that two publishers of one document do not cross.
    calendar: Mutex<BTreeMap<ResourceId, Timestamp>>,
    /// Tickets by host and namespace; only where there are any.
    waiting: Mutex<BTreeMap<Place, usize>>,
}

/// A host and one of its namespaces.
type Place = (Box<str>, Box<str>);

impl View {
    pub(crate) fn new(keeps_idle: bool) -> Self {
        Self {
            shelves: (0..PARTITIONS).map(|_| Shelf::default()).collect(),
            deadlines: Deadlines::default(),
            keeps_idle,
            live: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
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

    /// How many tickets wait in all queues.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How many tickets wait in the queues of one namespace. Does not depend on how many there are.
    #[must_use]
    pub fn waiting_in(&self, host: &str, namespace: &str) -> usize {
        let shelf = self.shelf(Partition::of(host, namespace));
        shelf.waiting.lock().get(&(host.into(), namespace.into())).copied().unwrap_or(0)
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
        self.count_waiting(before, after);
        recorder::gauges(before, after);
    }

    fn count_waiting(&self, before: Option<&Document>, after: Option<&Document>) {
        let waiting = |document: Option<&Document>| document.map_or(0, Document::waiting);
        let (was, is) = (waiting(before), waiting(after));
        let Some(document) = after.or(before).filter(|_| was != is) else { return };
        let resource = document.resource();
        let place = (resource.host.clone(), resource.namespace.clone());
        let mut places = self.shelf(document.id().partition()).waiting.lock();
        match places.entry(place) {
            // What was published is counted until it is replaced: there is never more to take away.
            Slot::Occupied(mut known) => {
                *known.get_mut() = (*known.get() + is).saturating_sub(was);
                if *known.get() == 0 {
                    known.remove();
                }
            }
            Slot::Vacant(unknown) if is > was => {
                unknown.insert(is - was);
            }
            Slot::Vacant(_) => {}
        }
        if is > was {
            self.waiting.fetch_add(is - was, Ordering::Relaxed);
        } else {
            self.waiting.fetch_sub(was - is, Ordering::Relaxed);
        }
    }
}

/// When the reaper must look at a document next: its deadline, or when it may be deleted.
fn wake_at(document: &Document) -> Option<Timestamp> {
    document.next_deadline().or_else(|| document.delete_at())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_core::command::{Acquire, Cancel};
    use lockkeeper_core::{
        Command, Context, Intent, Mode, Nobody, Owner, Priority, Reply, Resource, ResourceInput, Rules, Seq,
        Standing,
    };

    fn document(namespace: &str, path: &str) -> Document {
        let input = ResourceInput { namespace: Some(namespace), path: Some(path), ..Default::default() };
        Document::new(Arc::new(Resource::parse(&input, "").unwrap()), 0)
    }

    fn apply(document: &mut Document, command: &Command, version: u64) -> Reply {
        let ctx = Context {
            now: Timestamp::from_millis(1_790_000_000_000 + version),
            opened_at: Timestamp::ZERO,
            retried: false,
            granting: true,
            rules: &Rules::default(),
            presence: &Nobody,
        };
        let reply = document.apply(command, &ctx).unwrap();
        document.finish(0);
        document.take_effects();
        reply
    }

    /// One more wants it; the ticket, if it is not the first.
    fn ask(document: &mut Document, number: u64) -> Option<Seq> {
        let intent = Intent {
            owner: Owner { id: format!("o{number}").into(), user: None, pull: None },
            created_by: "anonymous".into(),
            mode: Mode::Exclusive,
            priority: Priority::Normal,
            ttl: Span::from_secs(60),
            protected: false,
            attended: false,
            metadata: None,
            nonce: number,
            requests: Arc::default(),
        };
        let acquire = Acquire {
            resource: Arc::clone(document.resource()),
            intent: Arc::new(intent),
            reentrant: true,
            queue: true,
            queue_timeout: Span::from_secs(60),
            wait: Span::ZERO,
        };
        match apply(document, &Command::Acquire(acquire), number) {
            Reply::Standing(Standing::Queued { ticket, .. }) => Some(ticket.seq),
            _ => None,
        }
    }

    #[test]
    fn tickets_are_counted_by_namespace() {
        let view = View::new(false);
        let (mut one, mut two) = (document("acme/infra", "a"), document("acme/infra", "b"));
        let mut other = document("acme/other", "a");
        for (place, document) in [&mut one, &mut two, &mut other].into_iter().enumerate() {
            for number in 1..=2 + place as u64 {
                ask(document, number);
                view.publish(document.id(), Some(document), None);
            }
        }
        let counts =
            || (view.waiting(), view.waiting_in("", "acme/infra"), view.waiting_in("", "acme/other"));
        assert_eq!(counts(), (6, 3, 3));
        assert_eq!((view.waiting_in("git.example.com", "acme/infra"), view.waiting_in("", "acme")), (0, 0));
        let seq = ask(&mut other, 9).unwrap();
        view.publish(other.id(), Some(&other), None);
        assert_eq!(counts(), (7, 3, 4));
        apply(&mut other, &Command::Cancel(Cancel { seq, nonce: 10 }), 10);
        view.publish(other.id(), Some(&other), None);
        assert_eq!(counts(), (6, 3, 3));
        view.publish(one.id(), None, None);
        assert_eq!(counts(), (5, 2, 3));
        view.publish(two.id(), None, None);
        assert_eq!(counts(), (3, 0, 3));
        assert!(view.shelves.iter().map(|shelf| shelf.waiting.lock().len()).sum::<usize>() == 1);
    }
}
