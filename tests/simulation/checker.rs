//! What must hold over a whole history: judged from what is durable and from what clients were told,
//! not from what the engines think.

use lockkeeper_core::{
    Document, EndReason, Ended, Lock, LockState, Mode, Outcome, Refusal, Reply, RequestKey, ResourceId, Seq,
    Standing, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A client that relies on a lock until then.
struct Belief {
    client: usize,
    resource: ResourceId,
    lock: Arc<Lock>,
    /// It asked for no lease shorter than this, so none can end sooner after its renewal.
    until: Timestamp,
}

impl Belief {
    fn is_alive(&self, now: Timestamp) -> bool {
        self.until > now
    }
}

/// Judges a history as it happens. A violation is an error with its reason.
#[derive(Default)]
pub(super) struct Checker {
    beliefs: Vec<Belief>,
    /// The greatest token ever granted.
    tokens: BTreeMap<ResourceId, u64>,
    /// The greatest number ever given.
    seqs: BTreeMap<ResourceId, Seq>,
    /// Which entry a request id led to.
    requests: BTreeMap<(ResourceId, RequestKey), Seq>,
    /// Commands of which their clients were told that nothing was granted.
    denied: BTreeSet<u64>,
    /// Entries that somebody was told of, or whose answer nobody can be sure about.
    pub(super) told: BTreeSet<(ResourceId, Seq)>,
    pub(super) unsure: BTreeSet<u64>,
    /// How often it happened, so that a run that tests nothing is noticed.
    pub(super) grants: u64,
    pub(super) handoffs: u64,
    pub(super) tellings: u64,
    pub(super) ends: BTreeSet<&'static str>,
}

pub(super) type Verdict = Result<(), String>;

fn fits(holders: &[&Lock], mode: Mode) -> bool {
    holders.iter().all(|holder| match (holder.intent.mode, mode) {
        (Mode::Shared, Mode::Shared) => true,
        (Mode::Counted { .. }, Mode::Counted { limit }) => holders.len() < usize::from(limit),
        _ => false,
    })
}

/// Each fits with all the others.
fn exclusion(holders: &[&Lock]) -> bool {
    holders.iter().all(|one| {
        let others: Vec<&Lock> = holders.iter().copied().filter(|other| other.seq != one.seq).collect();
        fits(&others, one.intent.mode)
    })
}

impl Checker {
    /// A commit became durable.
    pub(super) fn committed(
        &mut self,
        id: ResourceId,
        before: Option<&Document>,
        after: Option<&Document>,
        decided_at: Timestamp,
    ) -> Verdict {
        let Some(after) = after else {
            return match before.is_some_and(Document::is_live) {
                true => Err("a live document was deleted".into()),
                false => Ok(()),
            };
        };
        let holders: Vec<&Lock> = after.locks().map(|lock| &**lock).collect();
        if !exclusion(&holders) {
            return Err(format!("exclusion: {holders:?}"));
        }
        if after.next_deadline().is_some_and(|at| at <= decided_at) {
            return Err(format!("liveness: what was due at {decided_at:?} was left undone"));
        }
        if let Some(next) = after.next_ticket()
            && fits(&holders, next.intent.mode)
            && after.next_deadline().is_none()
        {
            return Err(format!("liveness: {next:?} could be granted"));
        }
        self.entries(id, before, after)?;
        self.grants(id, before, after)?;
        self.ends(id, before, after)
    }

    /// No entry is lost or doubled, no number is given twice, no request makes two.
    fn entries(&mut self, id: ResourceId, before: Option<&Document>, after: &Document) -> Verdict {
        let last = self.seqs.get(&id).copied().unwrap_or_default();
        let locks = after.locks().map(|lock| (lock.seq, &lock.intent));
        let tickets = after.tickets().map(|ticket| (ticket.seq, &ticket.intent));
        for (seq, intent) in locks.chain(tickets) {
            if self.denied.contains(&intent.nonce) {
                return Err(format!("{seq:?}: its client was told that nothing was granted"));
            }
            let known = before.is_some_and(|before| is_live(before, seq));
            if !known && seq <= last {
                return Err(format!("{seq:?} was given before, or came back"));
            }
            if is_live(after, seq) && after.ended(seq).is_some() {
                return Err(format!("{seq:?} lives and has ended"));
            }
            let greatest = self.seqs.entry(id).or_default();
            *greatest = seq.max(*greatest);
            for request in intent.requests.iter() {
                let first = *self.requests.entry((id, request.key)).or_insert(seq);
                if first != seq {
                    return Err(format!("idempotence: one request made {first:?} and {seq:?}"));
                }
            }
        }
        let Some(before) = before else { return Ok(()) };
        let locks = before.locks().map(|lock| lock.seq);
        for seq in locks.chain(before.tickets().map(|ticket| ticket.seq)) {
            if !is_live(after, seq) && after.ended(seq).is_none() {
                return Err(format!("{seq:?} was lost without a word"));
            }
        }
        Ok(())
    }

    fn grants(&mut self, id: ResourceId, before: Option<&Document>, after: &Document) -> Verdict {
        let fresh = |lock: &&Arc<Lock>| before.is_none_or(|before| before.lock(lock.seq).is_none());
        let mut granted: Vec<&Arc<Lock>> = after.locks().filter(fresh).collect();
        granted.sort_by_key(|lock| lock.token);
        for lock in granted {
            self.grants += 1;
            let last = self.tokens.entry(id).or_default();
            if lock.token <= *last {
                return Err(format!("tokens: {} after {last}", lock.token));
            }
            *last = lock.token;
            let queued = before.is_some_and(|before| before.ticket(lock.seq).is_some());
            self.handoffs += u64::from(queued);
            // A newcomer passes nobody who waits with the same or more urgency.
            let passed = after.tickets().find(|ticket| {
                ticket.seq < lock.seq
                    && ticket.intent.priority >= lock.intent.priority
                    && before.is_some_and(|before| before.ticket(ticket.seq).is_some())
            });
            if let (false, Some(ticket)) = (queued, passed) {
                return Err(format!("handoff: {lock:?} passed {ticket:?}"));
            }
        }
        for lock in after.locks() {
            match before.and_then(|before| before.lock(lock.seq)) {
                Some(same) if same.token != lock.token => return Err("a lock's token changed".into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Nobody loses a lock it relies on, but by force.
    fn ends(&mut self, id: ResourceId, before: Option<&Document>, after: &Document) -> Verdict {
        let Some(before) = before else { return Ok(()) };
        for lock in before.locks().filter(|lock| after.lock(lock.seq).is_none()) {
            let Some(ended) = after.ended(lock.seq) else { continue };
            self.ends.insert(ended.reason.as_str());
            let by_force = by_force(ended);
            let relies = |belief: &&Belief| {
                belief.resource == id && belief.lock.seq == lock.seq && belief.is_alive(ended.at)
            };
            if let Some(belief) = self.beliefs.iter().find(relies)
                && !by_force
            {
                return Err(format!("client {} relies on {lock:?}, which {:?}", belief.client, ended.reason));
            }
            if by_force {
                // Whoever relies on it has been overruled.
                self.beliefs.retain(|belief| belief.resource != id || belief.lock.seq != lock.seq);
            }
        }
        for ticket in before.tickets().filter(|ticket| after.ticket(ticket.seq).is_none()) {
            if let Some(ended) = after.ended(ticket.seq) {
                self.ends.insert(ended.reason.as_str());
            }
        }
        Ok(())
    }

    /// An engine gave an answer: what it acknowledges must be durable by now.
    pub(super) fn acknowledged(
        &mut self,
        id: ResourceId,
        stored: Option<&Document>,
        outcome: &Outcome,
    ) -> Verdict {
        let lives = |seq: Seq| stored.is_some_and(|stored| is_live(stored, seq));
        let ended = |seq: Seq| stored.is_some_and(|stored| stored.ended(seq).is_some());
        let durable = match outcome {
            Ok(Reply::Standing(Standing::Acquired { lock, .. }) | Reply::Lock(lock)) => {
                self.told.insert((id, lock.seq));
                let same = |known: &Arc<Lock>| known.token == lock.token && known.touch >= lock.touch;
                ended(lock.seq) || stored.and_then(|stored| stored.lock(lock.seq)).is_some_and(same)
            }
            Ok(Reply::Standing(Standing::Queued { ticket, .. })) => lives(ticket.seq) || ended(ticket.seq),
            Ok(Reply::Released { lock, .. }) => ended(lock.seq),
            _ => true,
        };
        if durable { Ok(()) } else { Err(format!("durability: {outcome:?} is not in the store")) }
    }

    /// The store's clock is about to jump: what is over by now stays over.
    pub(super) fn clock_jumps(&mut self, now: Timestamp) {
        self.beliefs.retain(|belief| belief.is_alive(now));
    }

    /// A client was told of a lock that it may use from now on. The times are those of the instance
    /// that answers and of the store: it may not have heard of a jump of the clock.
    pub(super) fn tell(
        &mut self,
        client: usize,
        resource: ResourceId,
        stored: Option<&Document>,
        lock: &Arc<Lock>,
        (answered, now): (Timestamp, Timestamp),
    ) -> Verdict {
        self.forget(client);
        if lock.is_over(answered) {
            return Err(format!("client {client} is told of a lease that has ended: {lock:?}"));
        }
        if lock.state != LockState::Held {
            return Err(format!("client {client} is told of a lock that it does not hold: {lock:?}"));
        }
        self.tellings += 1;
        if stored.and_then(|stored| stored.ended(lock.seq)).is_some_and(|ended| by_force(ended)) {
            // Overruled while the answer was on its way, or in the very commit that granted it.
            return Ok(());
        }
        let until = lock.expires_at.unwrap_or(Timestamp::NEVER);
        self.beliefs.push(Belief { client, resource, lock: Arc::clone(lock), until });
        self.beliefs.retain(|belief| belief.is_alive(now));
        let here = self.beliefs.iter().filter(|belief| belief.resource == resource);
        let mut holders: Vec<&Lock> = here.map(|belief| &*belief.lock).collect();
        holders.sort_by_key(|lock| lock.seq);
        holders.dedup_by_key(|lock| lock.seq);
        if exclusion(&holders) {
            Ok(())
        } else {
            Err(format!("exclusion among those who were told: {holders:?}"))
        }
    }

    /// A client relies on nothing any more.
    pub(super) fn forget(&mut self, client: usize) {
        self.beliefs.retain(|belief| belief.client != client);
    }

    /// A client asks for a lease of this length: until it is answered it relies on no more.
    pub(super) fn renews(&mut self, client: usize, until: Timestamp) {
        for belief in self.beliefs.iter_mut().filter(|belief| belief.client == client) {
            belief.until = belief.until.min(until);
        }
    }

    /// A client was told that nothing was granted.
    pub(super) fn deny(&mut self, nonce: u64) {
        self.denied.insert(nonce);
    }

    /// A client was refused: is that a refusal it could get?
    pub(super) fn refused(&self, refusal: &Refusal, knows_entry: bool) -> Verdict {
        match refusal {
            Refusal::NotFound if knows_entry => Err("an acknowledged entry is not found".into()),
            Refusal::StaleToken
            | Refusal::Superseded
            | Refusal::RequestIdReused
            | Refusal::IdTaken
            | Refusal::ModeConflict(_) => Err(format!("nobody gave a reason for this refusal: {refusal:?}")),
            _ => Ok(()),
        }
    }

    /// Time has passed, nobody asked any more: only what somebody knows of may be left.
    pub(super) fn at_rest(&self, id: ResourceId, document: &Document) -> Verdict {
        if let Some(ticket) = document.tickets().next() {
            return Err(format!("a ticket waits for ever: {ticket:?}"));
        }
        for lock in document.locks() {
            let excused = self.unsure.contains(&lock.intent.nonce) || self.told.contains(&(id, lock.seq));
            if lock.is_reserved() || !excused {
                return Err(format!("a grant to nobody: {lock:?}"));
            }
        }
        Ok(())
    }
}

fn is_live(document: &Document, seq: Seq) -> bool {
    document.lock(seq).is_some() || document.ticket(seq).is_some()
}

/// An operator or a closed pull request ended it, whoever relied on it.
fn by_force(ended: &Ended) -> bool {
    let by_pull = ended.note.as_deref().is_some_and(|note| note.starts_with("pull request"));
    ended.reason == EndReason::Forced || by_pull
}

/// The lock of an answer that tells of one.
pub(super) fn lock_of(outcome: &Outcome) -> Option<&Arc<Lock>> {
    match outcome {
        Ok(Reply::Standing(Standing::Acquired { lock, .. }) | Reply::Lock(lock)) => Some(lock),
        Err(Refusal::AlreadyGranted(_)) | Ok(_) | Err(_) => None,
    }
}
