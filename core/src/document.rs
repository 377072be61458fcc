//! Everything known of one resource: holders, tickets, what ended lately, the last token.
//!
//! A document is a value. Copying it is cheap (see [`crate::ordered`]), so an actor applies
//! commands to a copy and keeps the copy only when the store has taken its [`Delta`].
//!
//! Invariants, whatever commands came: at most one exclusive holder, or shared holders only, or at
//! most `limit` counted ones with equal limits; tokens and sequence numbers only grow; after a
//! command no ticket waits that could be granted. The indexes repeat what the entries say and are
//! never stored.

use crate::cbor;
use crate::delta::{Delta, Field, FieldKind, Header, Version};
use crate::entry::{EndReason, Ended, Former, Lock, LockState, Ticket};
use crate::event::{Event, EventKind};
use crate::id::{EntryId, Seq};
use crate::intent::{Intent, Mode, Priority, RequestKey};
use crate::ordered::OrdMap;
use crate::resource::{Resource, ResourceId};
use crate::rules::{EMPTY_STAYS, ENDED_MAX, HOLDERS_SHOWN_MAX, RETENTION, TOKEN_LIMIT};
use crate::time::{Span, Timestamp};
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

    /// A document from its stored records.
    ///
    /// # Errors
    /// When a record cannot be read or contradicts another.
    pub fn from_records<'b>(
        id: ResourceId,
        version: Version,
        header: &'b [u8],
        fields: impl IntoIterator<Item = (Field, &'b [u8])>,
        floor: u64,
    ) -> Result<Self, Damaged> {
        let damaged = |what: String| Damaged { id, what };
        let mut resource: Option<Resource> = None;
        let (mut locks, mut tickets, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for (field, bytes) in fields {
            let context = |what: String| damaged(format!("{:?} {}: {what}", field.kind, field.seq));
            let seq = Seq(field.seq);
            match field.kind {
                FieldKind::Identity => resource = Some(cbor::from_bytes(bytes).map_err(context)?),
                FieldKind::Lock => locks.push((seq, cbor::from_bytes::<Lock>(bytes).map_err(context)?)),
                FieldKind::Ticket => tickets.push((seq, cbor::from_bytes::<Ticket>(bytes).map_err(context)?)),
                FieldKind::Ended => ended.push((seq, cbor::from_bytes::<Ended>(bytes).map_err(context)?)),
            }
        }
        let resource = resource.ok_or_else(|| damaged("its identity is missing".into()))?;
        if resource.id() != id {
            return Err(damaged("its identity belongs to another id".into()));
        }
        let mut document = Self::new(Arc::new(resource), floor);
        document.version = Some(version);
        document.header = cbor::from_bytes(header).map_err(|what| damaged(format!("header: {what}")))?;
        for (seq, lock) in locks {
            if lock.seq != seq {
                return Err(damaged(format!("Lock {} says it is {}", seq.0, lock.seq.0)));
            }
            document.index_lock(Arc::new(lock));
        }
        for (seq, ticket) in tickets {
            if ticket.seq != seq {
                return Err(damaged(format!("Ticket {} says it is {}", seq.0, ticket.seq.0)));
            }
            document.index_ticket(Arc::new(ticket));
        }
        for (seq, ended) in ended {
            document.index_ended(seq, Arc::new(ended));
        }
        Ok(document)
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

    // --- changes: the only places that write entries, their indexes and the journal -----------

    /// Per document, time never runs backwards.
    pub(crate) fn advance(&self, now: Timestamp) -> Timestamp {
        now.max(self.header.clock)
    }

    pub(crate) fn next_seq(&mut self, now: Timestamp) -> Seq {
        self.header.last_seq = self.header.last_seq.next(now.as_millis());
        self.touch_header(now);
        self.header.last_seq
    }

    pub(crate) fn next_token(&mut self, now: Timestamp) -> u64 {
        let fresh = if self.header.last_token == 0 { now.as_micros() } else { 0 };
        let token = (self.header.last_token + 1).max(self.floor).max(fresh);
        debug_assert!(token < TOKEN_LIMIT);
        self.header.last_token = token;
        self.touch_header(now);
        token
    }

    pub(crate) fn touch_header(&mut self, now: Timestamp) {
        self.header.clock = self.header.clock.max(now);
        self.header_touched = true;
        // Whatever happens after the clean-up in the same batch, the document lives on.
        self.delete = false;
    }

    pub(crate) fn put_lock(&mut self, lock: Lock) -> Arc<Lock> {
        let (seq, lock) = (lock.seq, Arc::new(lock));
        self.unindex_lock(seq);
        self.index_lock(Arc::clone(&lock));
        self.touched.push(Field { kind: FieldKind::Lock, seq: seq.0 });
        lock
    }

    pub(crate) fn put_ticket(&mut self, ticket: Ticket) -> Arc<Ticket> {
        let (seq, ticket) = (ticket.seq, Arc::new(ticket));
        self.unindex_ticket(seq);
        self.index_ticket(Arc::clone(&ticket));
        self.touched.push(Field { kind: FieldKind::Ticket, seq: seq.0 });
        ticket
    }

    /// Takes a ticket out of the queue; its class's oldest ticket starts counting anew if it was it.
    pub(crate) fn take_ticket(&mut self, seq: Seq, now: Timestamp) -> Option<Arc<Ticket>> {
        let ticket = Arc::clone(self.ticket(seq)?);
        let class = ticket.intent.priority as usize;
        if self.queue[class].first().is_some_and(|(head, _)| *head == seq) {
            self.header.passed[class] = 0;
        }
        self.unindex_ticket(seq);
        self.touched.push(Field { kind: FieldKind::Ticket, seq: seq.0 });
        self.touch_header(now);
        Some(ticket)
    }

    pub(crate) fn end_lock(
        &mut self,
        seq: Seq,
        reason: EndReason,
        nonce: u64,
        note: Option<Box<str>>,
        now: Timestamp,
    ) -> Option<Arc<Lock>> {
        let lock = self.unindex_lock(seq)?;
        self.touched.push(Field { kind: FieldKind::Lock, seq: seq.0 });
        let kind = match reason {
            EndReason::Expired => EventKind::LockExpired,
            EndReason::Forced => EventKind::LockForced,
            EndReason::Unclaimed => EventKind::TicketUnclaimed,
            EndReason::Released | EndReason::Cancelled | EndReason::Abandoned | EndReason::QueueTimeout => {
                EventKind::LockReleased
            }
        };
        self.end(seq, Former::Lock(Arc::clone(&lock)), kind, reason, nonce, note, now);
        Some(lock)
    }

    pub(crate) fn end_ticket(
        &mut self,
        seq: Seq,
        reason: EndReason,
        nonce: u64,
        note: Option<Box<str>>,
        now: Timestamp,
    ) -> Option<Arc<Ticket>> {
        let ticket = self.take_ticket(seq, now)?;
        let kind = match reason {
            EndReason::QueueTimeout => EventKind::TicketTimedOut,
            _ => EventKind::TicketCancelled,
        };
        self.end(seq, Former::Ticket(Arc::clone(&ticket)), kind, reason, nonce, note, now);
        Some(ticket)
    }

    #[allow(clippy::too_many_arguments, reason = "the one place where an ended record is made")]
    fn end(
        &mut self,
        seq: Seq,
        former: Former,
        kind: EventKind,
        reason: EndReason,
        nonce: u64,
        note: Option<Box<str>>,
        now: Timestamp,
    ) {
        self.emit(kind, former.clone(), Some(reason), note.clone(), now);
        self.effects.changed.push(seq);
        let ended = Ended { former, reason, at: now, nonce, granted_to: None, note };
        self.index_ended(seq, Arc::new(ended));
        self.touched.push(Field { kind: FieldKind::Ended, seq: seq.0 });
        self.touch_header(now);
    }

    /// Notes whom the release of a lock handed it to.
    pub(crate) fn note_handoff(&mut self, released: Seq, granted: Seq) {
        if let Some(ended) = self.ended.get(&released) {
            let ended = Ended { granted_to: Some(granted), ..(**ended).clone() };
            self.ended.insert(released, Arc::new(ended));
            self.touched.push(Field { kind: FieldKind::Ended, seq: released.0 });
        }
    }

    /// Clears away at most `max` ended entries that are older than anyone may ask for.
    pub(crate) fn purge_ended(&mut self, now: Timestamp, max: usize) {
        for _ in 0..max {
            let Some(((at, seq), ())) = self.ended_by_time.first() else { return };
            let (at, seq) = (*at, *seq);
            if at + RETENTION > now && self.ended.len() <= ENDED_MAX {
                return;
            }
            self.ended_by_time.remove(&(at, seq));
            if let Some(ended) = self.ended.remove(&seq) {
                for request in ended.former.intent().requests.iter() {
                    if self.requests.get(&request.key) == Some(&seq) {
                        self.requests.remove(&request.key);
                    }
                }
            }
            self.touched.push(Field { kind: FieldKind::Ended, seq: seq.0 });
            // Clearing away is no change that anyone waits for: the clock stays, so that a
            // document's end does not move while it is cleaned.
            self.header_touched = true;
        }
    }

    /// Deletes the document at the next commit if its time has come.
    pub(crate) fn delete_if_old(&mut self, now: Timestamp) {
        if self.ended.is_empty() && self.delete_at().is_some_and(|at| at <= now) {
            self.delete = true;
        }
    }

    pub(crate) fn emit(
        &mut self,
        kind: EventKind,
        subject: Former,
        reason: Option<EndReason>,
        note: Option<Box<str>>,
        at: Timestamp,
    ) {
        let resource = Arc::clone(&self.resource);
        self.effects.events.push(Event { kind, at, resource, subject, reason, note });
    }

    pub(crate) fn changed(&mut self, seq: Seq) {
        self.effects.changed.push(seq);
    }

    /// What happened since this was last asked.
    pub fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    /// True when there is something to commit.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.header_touched || self.delete || !self.touched.is_empty()
    }

    /// Closes the batch: the change since the last one, and the token floor that a deleted
    /// document leaves behind. `None` when nothing changed.
    ///
    /// The document takes on its next version; whoever cannot commit the delta drops the copy.
    pub fn finish(&mut self) -> Option<(Delta, Option<u64>)> {
        if !self.is_changed() {
            return None;
        }
        self.header_touched = false;
        let mut touched = std::mem::take(&mut self.touched);
        let expected = self.version;
        if std::mem::take(&mut self.delete) {
            let floor = self.header.last_token + 1;
            self.version = None;
            self.header = HeaderRecord::default();
            self.floor = self.floor.max(floor);
            return Some((Delta { id: self.id, expected, next: None, fields: Vec::new() }, Some(floor)));
        }
        let version = match expected {
            Some(version) => Version { counter: version.counter + 1, ..version },
            None => Version { generation: 0, counter: self.header.clock.as_micros() },
        };
        self.version = Some(version);
        touched.sort_unstable();
        touched.dedup();
        let mut fields = Vec::with_capacity(touched.len() + 1);
        if expected.is_none() {
            let identity = Field { kind: FieldKind::Identity, seq: 0 };
            fields.push((identity, Some(cbor::to_bytes(&*self.resource))));
        }
        for field in touched {
            let seq = Seq(field.seq);
            let bytes = match field.kind {
                FieldKind::Identity => continue,
                FieldKind::Lock => self.locks.get(&seq).map(|lock| cbor::to_bytes(&**lock)),
                FieldKind::Ticket => self.ticket(seq).map(|ticket| cbor::to_bytes(&**ticket)),
                FieldKind::Ended => self.ended.get(&seq).map(|ended| cbor::to_bytes(&**ended)),
            };
            fields.push((field, bytes));
        }
        let header = Header { version, bytes: cbor::to_bytes(&self.header) };
        Some((Delta { id: self.id, expected, next: Some(header), fields }, None))
    }

    // --- indexes -------------------------------------------------------------------------------

    fn index_intent(&mut self, seq: Seq, intent: &Intent) {
        self.owners.insert((owner_hash(&intent.owner.id), seq), ());
        if let Mode::Counted { limit } = intent.mode {
            let count = self.counted.map_or(0, |(_, count)| count);
            self.counted = Some((limit, count + 1));
        }
        for request in intent.requests.iter() {
            self.requests.insert(request.key, seq);
        }
    }

    fn unindex_intent(&mut self, seq: Seq, intent: &Intent) {
        self.owners.remove(&(owner_hash(&intent.owner.id), seq));
        if let (Mode::Counted { .. }, Some((limit, count))) = (intent.mode, self.counted) {
            self.counted = (count > 1).then_some((limit, count - 1));
        }
    }

    fn index_lock(&mut self, lock: Arc<Lock>) {
        self.index_intent(lock.seq, &lock.intent);
        if let Some(at) = lock.expires_at {
            self.deadlines.insert((at, lock.seq), ());
        }
        self.locks.insert(lock.seq, lock);
    }

    fn unindex_lock(&mut self, seq: Seq) -> Option<Arc<Lock>> {
        let lock = self.locks.remove(&seq)?;
        self.unindex_intent(seq, &lock.intent);
        if let Some(at) = lock.expires_at {
            self.deadlines.remove(&(at, seq));
        }
        Some(lock)
    }

    fn index_ticket(&mut self, ticket: Arc<Ticket>) {
        self.index_intent(ticket.seq, &ticket.intent);
        self.deadlines.insert((ticket.deadline.min(ticket.seen_until), ticket.seq), ());
        self.queue[ticket.intent.priority as usize].insert(ticket.seq, ticket);
    }

    fn unindex_ticket(&mut self, seq: Seq) -> Option<Arc<Ticket>> {
        let ticket = Arc::clone(self.ticket(seq)?);
        self.queue[ticket.intent.priority as usize].remove(&seq);
        self.unindex_intent(seq, &ticket.intent);
        self.deadlines.remove(&(ticket.deadline.min(ticket.seen_until), seq));
        Some(ticket)
    }

    fn index_ended(&mut self, seq: Seq, ended: Arc<Ended>) {
        for request in ended.former.intent().requests.iter() {
            self.requests.insert(request.key, seq);
        }
        self.ended_by_time.insert((ended.at, seq), ());
        self.ended.insert(seq, ended);
    }
}

impl Lock {
    /// Is the lease over?
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// How long it has been held, from the grant on.
    #[must_use]
    pub fn held_for(&self, now: Timestamp) -> Span {
        now.since(self.acquired_at)
    }

    /// Has its client been told?
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.state == LockState::Reserved
    }
}

fn owner_hash(owner: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    owner.hash(&mut hasher);
    hasher.finish()
}
