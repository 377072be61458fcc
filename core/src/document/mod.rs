//! Everything known of one resource: holders, tickets, what ended lately, the last token.
//!
//! A document is a value. Copying it is cheap (see [`crate::ordered`]), so an actor applies
//! commands to a copy and keeps the copy only when the store has taken its [`Delta`](crate::delta::Delta).
//!
//! Invariants, whatever commands came: at most one exclusive holder, or shared holders only, or at
//! most `limit` counted ones with equal limits; tokens and sequence numbers only grow; after a
//! command no ticket waits that could be granted. The indexes repeat what the entries say and are
//! never stored.

mod change;
mod following;
mod index;
mod stored;

pub use following::Followed;

use crate::delta::{Field, Version};
use crate::entry::{Ended, Lock, Ticket};
use crate::event::Event;
use crate::id::{EntryId, Seq};
use crate::intent::{Intent, Priority, RequestKey};
use crate::ordered::OrdMap;
use crate::resource::{Resource, ResourceId};
use crate::rules::{EMPTY_STAYS, HOLDERS_SHOWN_MAX};
use crate::time::Timestamp;
use minicbor::{Decode, Encode};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// The part of a document that changes with nearly every commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct HeaderRecord {
    /// The latest `now` that changed it: per document, time never runs backwards.
    #[n(0)]
    pub clock: Timestamp,
    /// The greatest token granted; 0 before the first grant.
    #[n(1)]
    pub last_token: u64,
    /// The greatest sequence number given.
    #[n(2)]
    pub last_seq: Seq,
    /// No grant before this instant.
    #[n(3)]
    pub free_from: Timestamp,
    /// For each class, how often its oldest ticket was overtaken.
    #[n(4)]
    pub passed: [u8; Priority::COUNT],
}

/// What happened while commands were applied, to be carried out once the commit is durable.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// What to tell the world, in order.
    pub events: Vec<Event>,
    /// Entries that were granted or ended: whoever waits for them can be answered.
    pub changed: Vec<Seq>,
}

/// What a stored record says cannot be true.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("document {id}: {what}")]
pub struct Damaged {
    /// Which document.
    pub id: ResourceId,
    /// What is wrong.
    pub what: String,
}

/// Everything known of one resource.
#[derive(Clone, Debug)]
pub struct Document {
    pub(crate) resource: Arc<Resource>,
    id: ResourceId,
    /// As it is in the store; `None`: it is not there.
    version: Option<Version>,
    pub(crate) header: HeaderRecord,
    /// The partition's token floor.
    floor: u64,
    pub(crate) locks: OrdMap<Seq, Arc<Lock>>,
    pub(crate) queue: [OrdMap<Seq, Arc<Ticket>>; Priority::COUNT],
    pub(crate) ended: OrdMap<Seq, Arc<Ended>>,
    ended_by_time: OrdMap<(Timestamp, Seq), ()>,
    owners: OrdMap<(u64, Seq), ()>,
    pub(crate) deadlines: OrdMap<(Timestamp, Seq), ()>,
    requests: OrdMap<RequestKey, Seq>,
    /// The limit that all counted entries name, and how many there are.
    counted: Option<(u16, u32)>,
    touched: Vec<Field>,
    header_touched: bool,
    delete: bool,
    effects: Effects,
}

impl Document {
    /// A document that no store has yet. `floor` is its partition's token floor.
    #[must_use]
    pub fn new(resource: Arc<Resource>, floor: u64) -> Self {
        let id = resource.id();
        Self {
            resource,
            id,
            version: None,
            header: HeaderRecord::default(),
            floor,
            locks: OrdMap::default(),
            queue: Default::default(),
            ended: OrdMap::default(),
            ended_by_time: OrdMap::default(),
            owners: OrdMap::default(),
            deadlines: OrdMap::default(),
            requests: OrdMap::default(),
            counted: None,
            touched: Vec::new(),
            header_touched: false,
            delete: false,
            effects: Effects::default(),
        }
    }

    /// What is locked.
    #[must_use]
    pub fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// Its resource's id.
    #[must_use]
    pub fn id(&self) -> ResourceId {
        self.id
    }

    /// The version in the store, as far as this copy knows; `None`: not there.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// The partition's token floor, as far as this copy knows.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// The partition's floor is at least this: no token below it is given from now on. A copy that
    /// was read before its partition was opened anew must hear of the floor of that opening.
    pub fn raise_floor(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
    }

    /// The locks, oldest first.
    pub fn locks(&self) -> impl Iterator<Item = &Arc<Lock>> {
        self.locks.iter().map(|(_, lock)| lock)
    }

    /// The first holders, as answers show them.
    #[must_use]
    pub fn holders_shown(&self) -> Vec<Arc<Lock>> {
        self.locks().take(HOLDERS_SHOWN_MAX).cloned().collect()
    }

    /// The lock with this sequence number.
    #[must_use]
    pub fn lock(&self, seq: Seq) -> Option<&Arc<Lock>> {
        self.locks.get(&seq)
    }

    /// The waiting ticket with this sequence number.
    #[must_use]
    pub fn ticket(&self, seq: Seq) -> Option<&Arc<Ticket>> {
        self.queue.iter().find_map(|class| class.get(&seq))
    }

    /// What became of an entry that has ended.
    #[must_use]
    pub fn ended(&self, seq: Seq) -> Option<&Arc<Ended>> {
        self.ended.get(&seq)
    }

    /// How many tickets wait, by priority class.
    #[must_use]
    pub fn depths(&self) -> [usize; Priority::COUNT] {
        std::array::from_fn(|class| self.queue[class].len())
    }

    /// How many tickets wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.iter().map(OrdMap::len).sum()
    }

    /// True while somebody holds it or waits for it.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.locks.is_empty() || self.waiting() > 0
    }

    /// The id of one of its entries.
    #[must_use]
    pub fn entry_id(&self, seq: Seq) -> EntryId {
        EntryId { resource: self.id, seq }
    }

    /// The owner's entries (locks and tickets), oldest first.
    pub fn entries_of<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = Seq> + 'a {
        let hash = owner_hash(owner);
        self.owners
            .iter_from(&(hash, Seq(0)))
            .map(|(key, ())| *key)
            .take_while(move |(found, _)| *found == hash)
            .map(|(_, seq)| seq)
            .filter(move |seq| self.intent(*seq).is_some_and(|intent| &*intent.owner.id == owner))
    }

    /// When time alone will change something, if nobody asks before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let due = self.deadlines.first().map(|((at, _), ())| *at);
        // Whoever is next waits for the holders, or, where there would be room, for the rest to end.
        let resting =
            self.next_ticket().is_some_and(|next| self.has_room_for(next.intent.mode, Timestamp::NEVER));
        let grant = resting.then_some(self.header.free_from);
        match (due, grant) {
            (Some(due), Some(grant)) => Some(due.min(grant)),
            (due, grant) => due.or(grant),
        }
    }

    /// When the first of its locks and tickets ends if nobody asks before; grants that are due aside.
    #[must_use]
    pub fn next_end(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|((at, _), ())| *at)
    }

    /// When a document that is not live may be deleted; `None` while it is live or not stored.
    #[must_use]
    pub fn delete_at(&self) -> Option<Timestamp> {
        (self.version.is_some() && !self.is_live()).then(|| self.header.clock + EMPTY_STAYS)
    }

    pub(crate) fn intent(&self, seq: Seq) -> Option<&Arc<Intent>> {
        match self.locks.get(&seq) {
            Some(lock) => Some(&lock.intent),
            None => self.ticket(seq).map(|ticket| &ticket.intent),
        }
    }

    pub(crate) fn request(&self, key: RequestKey) -> Option<Seq> {
        self.requests.get(&key).copied()
    }

    pub(crate) fn forget_request(&mut self, key: RequestKey) {
        self.requests.remove(&key);
    }

    pub(crate) fn counted_limit(&self) -> Option<u16> {
        self.counted.map(|(limit, _)| limit)
    }
}

fn owner_hash(owner: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    owner.hash(&mut hasher);
    hasher.finish()
}
