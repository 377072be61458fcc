//! The rules once more, as plainly as possible: lists, linear searches, no indexes, no sharing.
//!
//! It shares the data types with the core (a lock is a lock) and nothing of its logic. What the API
//! promises is read here sentence by sentence; where core and model differ, one of them is wrong.

use crate::command::{Acquire, ClientGone, Release, ReleasePull, Renew};
use crate::rules::{EMPTY_STAYS, PURGE_PER_COMMAND, PURGE_PER_SETTLE, RETENTION};
use crate::{
    Command, Context, EndReason, Ended, Former, Intent, Lock, LockState, Mode, Outcome, Priority, Refusal,
    Reply, Seq, Span, Standing, Ticket, Timestamp,
};
use std::sync::Arc;

const OVERTAKES_MAX: u32 = 16;

/// A ticket and how often it was overtaken while it was its class's oldest.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Waiting {
    pub(super) ticket: Ticket,
    overtaken: u32,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Model {
    pub(super) locks: Vec<Lock>,
    pub(super) queue: Vec<Waiting>,
    pub(super) ended: Vec<(Seq, Ended)>,
    pub(super) last_token: u64,
    last_seq: Seq,
    pub(super) clock: Timestamp,
    pub(super) free_from: Timestamp,
    floor: u64,
    /// In the store, so that it can be deleted there.
    stored: bool,
    deleting: bool,
    /// Something is to be committed.
    changed: bool,
}

impl Model {
    pub(super) fn apply(&mut self, command: &Command, ctx: &Context<'_>) -> Outcome {
        let now = ctx.now.max(self.clock);
        let before = self.clone();
        self.time_passes(ctx, now);
        let outcome = self.obey(command, ctx, now);
        if *self != before {
            self.clock = now;
            self.changed = true;
            self.deleting = false;
        }
        if matches!(command, Command::Settle) {
            self.purge(now, PURGE_PER_SETTLE);
            let idle = self.locks.is_empty() && self.queue.is_empty() && self.ended.is_empty();
            if idle && self.stored && self.clock.max(ctx.opened_at) + EMPTY_STAYS <= now {
                self.deleting = true;
                self.changed = true;
            }
        }
        if self.changed {
            self.purge(now, PURGE_PER_COMMAND);
        }
        outcome
    }

    /// The batch is committed.
    pub(super) fn finish(&mut self) {
        if self.deleting {
            let floor = self.floor.max(self.last_token + 1);
            *self = Self { floor, ..Self::default() };
        } else if self.changed {
            self.stored = true;
        }
        self.changed = false;
    }

    fn obey(&mut self, command: &Command, ctx: &Context<'_>, now: Timestamp) -> Outcome {
        match command {
            Command::Acquire(acquire) => self.acquire(acquire, ctx, now),
            Command::Poll(poll) => self.look_after(poll.seq, poll.wait, ctx, now),
            Command::Renew(renew) => self.renew(renew, now),
            Command::Release(release) => self.release(release, ctx, now),
            Command::ForceRelease(force) => {
                if self.lock(force.seq).is_some() && ctx.rules.lock_delay > Span::ZERO {
                    self.free_from = self.free_from.max(now + ctx.rules.lock_delay);
                }
                self.hand_on(force.seq, EndReason::Forced, force.nonce, Some(&force.note), ctx, now)
            }
            Command::Cancel(cancel) => {
                if let Some(lock) = self.lock(cancel.seq) {
                    return Err(Refusal::AlreadyGranted(Arc::new(lock.clone())));
                }
                if self.end(cancel.seq, EndReason::Cancelled, cancel.nonce, None, now) {
                    self.grant(ctx, now);
                    return Ok(Reply::Done);
                }
                match self.ended(cancel.seq) {
                    Some(ended) if ended.nonce == cancel.nonce => Ok(Reply::Done),
                    _ => Err(self.gone(cancel.seq)),
                }
            }
            Command::ReleasePull(release) => self.release_pull(release, ctx, now),
            Command::ClientGone(gone) => self.client_gone(gone, ctx, now),
            Command::Show(seq) => {
                self.lock(*seq).map(|lock| Reply::Lock(Arc::new(lock.clone()))).ok_or_else(|| self.gone(*seq))
            }
            Command::Settle => Ok(Reply::Done),
        }
    }

    // --- time ------------------------------------------------------------------------------------

    fn time_passes(&mut self, ctx: &Context<'_>, now: Timestamp) {
        let earliest = ctx.opened_at + ctx.rules.abandon_after;
        for lock in self.locks.clone() {
            let Some(end) = lock.expires_at.filter(|end| *end <= now) else { continue };
            match lock.state {
                LockState::Held => {
                    self.end(lock.seq, EndReason::Expired, 0, None, now);
                    let rested = end + ctx.rules.lease_grace + ctx.rules.lock_delay;
                    self.free_from = self.free_from.max(rested);
                }
                LockState::Reserved if earliest > now => {
                    self.lock_mut(lock.seq).unwrap().expires_at = Some(earliest);
                }
                LockState::Reserved => {
                    self.end(lock.seq, EndReason::Unclaimed, 0, None, now);
                }
            }
        }
        for Waiting { ticket, .. } in self.queue.clone() {
            if ticket.deadline <= now {
                self.end(ticket.seq, EndReason::QueueTimeout, 0, None, now);
            } else if ticket.seen_until <= now {
                if earliest > now {
                    self.ticket_mut(ticket.seq).unwrap().seen_until = earliest;
                } else {
                    self.end(ticket.seq, EndReason::Abandoned, 0, None, now);
                }
            }
        }
        self.grant(ctx, now);
    }

    fn purge(&mut self, now: Timestamp, most: usize) {
        for _ in 0..most {
            let oldest = self.ended.iter().min_by_key(|(seq, ended)| (ended.at, *seq)).cloned();
            match oldest {
                Some((seq, ended)) if ended.at + RETENTION <= now => {
                    self.ended.retain(|(other, _)| *other != seq);
                    self.changed = true;
                }
                _ => return,
            }
        }
    }

    // --- who is next -----------------------------------------------------------------------------

    fn oldest_of(&self, class: Priority) -> Option<&Waiting> {
        self.queue.iter().filter(|w| w.ticket.intent.priority == class).min_by_key(|w| w.ticket.seq)
    }

    fn due(&self) -> Vec<&Ticket> {
        let mut due: Vec<&Ticket> = Priority::ALL
            .iter()
            .filter_map(|class| self.oldest_of(*class))
            .filter(|waiting| waiting.overtaken >= OVERTAKES_MAX)
            .map(|waiting| &waiting.ticket)
            .collect();
        due.sort_by_key(|ticket| ticket.seq);
        due
    }

    /// The queue from the next to the last.
    pub(super) fn order(&self) -> Vec<&Ticket> {
        let due = self.due();
        let mut rest: Vec<&Ticket> = self.queue.iter().map(|waiting| &waiting.ticket).collect();
        rest.retain(|ticket| !due.iter().any(|other| other.seq == ticket.seq));
        rest.sort_by_key(|ticket| (std::cmp::Reverse(ticket.intent.priority), ticket.seq));
        due.into_iter().chain(rest).collect()
    }

    fn fits(&self, mode: Mode, now: Timestamp) -> bool {
        let joins = self.locks.iter().all(|holder| match (holder.intent.mode, mode) {
            (Mode::Shared, Mode::Shared) => true,
            (Mode::Counted { .. }, Mode::Counted { limit }) => self.locks.len() < usize::from(limit),
            _ => false,
        });
        joins && now >= self.free_from
    }

    fn grant(&mut self, ctx: &Context<'_>, now: Timestamp) -> Option<Lock> {
        let mut first = None;
        if !ctx.granting {
            return None;
        }
        while let Some(next) = self.order().first().copied().cloned() {
            if !self.fits(next.intent.mode, now) {
                break;
            }
            self.queue.retain(|waiting| waiting.ticket.seq != next.seq);
            let told = ctx.presence.is_waiting(next.seq);
            let lock = self.make_lock(next.seq, next.intent, Some(next.enqueued_at), told, ctx, now);
            first.get_or_insert(lock);
        }
        first
    }

    fn make_lock(
        &mut self,
        seq: Seq,
        intent: Arc<Intent>,
        enqueued_at: Option<Timestamp>,
        told: bool,
        ctx: &Context<'_>,
        now: Timestamp,
    ) -> Lock {
        for class in Priority::ALL {
            if let Some(head) = self.oldest_of(class).map(|head| head.ticket.seq).filter(|head| *head < seq) {
                let waiting = self.queue.iter_mut().find(|w| w.ticket.seq == head).unwrap();
                waiting.overtaken += 1;
            }
        }
        let first = if self.last_token == 0 { now.as_micros() } else { 0 };
        self.last_token = (self.last_token + 1).max(self.floor).max(first);
        let ttl = intent.ttl;
        let lock = Lock {
            seq,
            token: self.last_token,
            state: if told { LockState::Held } else { LockState::Reserved },
            acquired_at: now,
            renewed_at: now,
            expires_at: if told { lease(now, ttl) } else { Some(claim_by(&intent, ctx, now)) },
            ttl,
            touch: 0,
            enqueued_at,
            intent,
        };
        self.locks.push(lock.clone());
        self.locks.sort_by_key(|lock| lock.seq);
        lock
    }

    // --- operations ------------------------------------------------------------------------------

    fn acquire(&mut self, acquire: &Acquire, ctx: &Context<'_>, now: Timestamp) -> Outcome {
        let intent = &acquire.intent;
        if let Some(request) = intent.requests.first() {
            let knows = |known: &Intent| known.requests.iter().any(|other| other.key == request.key);
            if let Some((seq, known)) = self.all_entries().into_iter().find(|(_, known)| knows(known)) {
                if !known.requests.contains(request) {
                    return Err(Refusal::RequestIdReused);
                }
                return self.what_became(seq, acquire, ctx, now);
            }
        }
        if ctx.retried {
            let mine = |known: &Intent| known.nonce == intent.nonce;
            if let Some((seq, _)) = self.all_entries().into_iter().find(|(_, known)| mine(known)) {
                return self.what_became(seq, acquire, ctx, now);
            }
        }
        if acquire.reentrant {
            let lock = self.locks.iter().find(|lock| lock.intent.owner.id == intent.owner.id);
            if let Some(lock) = lock.cloned() {
                return self.re_enter_lock(lock, acquire, now);
            }
            let owned = self.queue.iter().filter(|w| w.ticket.intent.owner.id == intent.owner.id);
            if let Some(ticket) = owned.map(|w| w.ticket.clone()).min_by_key(|ticket| ticket.seq) {
                return self.re_enter_ticket(ticket, acquire, ctx, now);
            }
        }
        if let Mode::Counted { limit } = intent.mode {
            let live =
                self.locks.iter().map(|l| &l.intent).chain(self.queue.iter().map(|w| &w.ticket.intent));
            for other in live {
                if matches!(other.mode, Mode::Counted { limit: others } if others != limit) {
                    return Err(Refusal::ModeConflict(String::new()));
                }
            }
        }
        // As if it had queued: it is granted at once exactly if it would be the next.
        let first = self.due().is_empty()
            && self.queue.iter().all(|waiting| waiting.ticket.intent.priority < intent.priority);
        let its_turn = first && self.fits(intent.mode, now);
        if its_turn && !ctx.granting && !acquire.queue {
            return Err(Refusal::NotGranting);
        }
        if its_turn && ctx.granting {
            let seq = self.next_seq(now);
            let lock = self.make_lock(seq, Arc::clone(intent), None, true, ctx, now);
            self.grant(ctx, now);
            return acquired(lock, false, true);
        }
        if !acquire.queue {
            return Err(self.held());
        }
        if self.queue.len() >= ctx.rules.queue_max {
            return Err(Refusal::QueueFull { limit: ctx.rules.queue_max });
        }
        let seq = self.next_seq(now);
        let seen_until =
            if intent.attended { now + acquire.wait + ctx.rules.abandon_after } else { Timestamp::NEVER };
        let deadline = now + acquire.queue_timeout;
        let ticket = Ticket { seq, intent: Arc::clone(intent), enqueued_at: now, deadline, seen_until };
        self.queue.push(Waiting { ticket, overtaken: 0 });
        self.standing(seq)
    }

    fn re_enter_lock(&mut self, lock: Lock, acquire: &Acquire, now: Timestamp) -> Outcome {
        if lock.intent.mode != acquire.intent.mode {
            return Err(Refusal::ModeConflict(String::new()));
        }
        // It was reserved: nobody has been told of it yet, this answer is the first to.
        let news = lock.state == LockState::Reserved;
        let present = if news { lease(now, lock.ttl) } else { lock.expires_at };
        let asked = lease(now, acquire.intent.ttl);
        let grows = match (present, asked) {
            (None, asked) => asked.is_none(),
            (Some(_), None) => true,
            (Some(present), Some(asked)) => asked >= present,
        };
        let entry = self.lock_mut(lock.seq).unwrap();
        entry.state = LockState::Held;
        entry.expires_at = if grows { asked } else { present };
        entry.ttl = if grows { acquire.intent.ttl } else { lock.ttl };
        entry.touch += u32::from(!news);
        entry.renewed_at = now;
        entry.intent = with_request(&lock.intent, &acquire.intent);
        acquired(entry.clone(), true, news)
    }

    fn re_enter_ticket(
        &mut self,
        ticket: Ticket,
        acquire: &Acquire,
        ctx: &Context<'_>,
        now: Timestamp,
    ) -> Outcome {
        if ticket.intent.mode != acquire.intent.mode {
            return Err(Refusal::ModeConflict(String::new()));
        }
        if !acquire.queue {
            return Err(self.held());
        }
        self.ticket_mut(ticket.seq).unwrap().intent = with_request(&ticket.intent, &acquire.intent);
        self.what_became(ticket.seq, acquire, ctx, now)
    }

    fn what_became(&mut self, seq: Seq, acquire: &Acquire, ctx: &Context<'_>, now: Timestamp) -> Outcome {
        if let Some(lock) = self.lock(seq)
            && ctx.retried
            && lock.intent.nonce == acquire.intent.nonce
            && lock.state == LockState::Held
            && lock.touch == 0
        {
            return acquired(lock.clone(), false, true);
        }
        self.look_after(seq, acquire.wait, ctx, now)
    }

    fn look_after(&mut self, seq: Seq, wait: Span, ctx: &Context<'_>, now: Timestamp) -> Outcome {
        if let Some(lock) = self.lock_mut(seq) {
            let news = lock.state == LockState::Reserved;
            if news {
                lock.state = LockState::Held;
                lock.renewed_at = now;
                lock.expires_at = lease(now, lock.ttl);
            } else if lock.touch == 0 {
                lock.touch = 1;
            }
            return acquired(lock.clone(), false, news);
        }
        if let Some(ticket) = self.ticket_mut(seq)
            && ticket.intent.attended
        {
            let until = now + wait + ctx.rules.abandon_after;
            if until.since(ticket.seen_until) > ctx.rules.abandon_after.half() {
                ticket.seen_until = until;
            }
        }
        self.standing(seq)
    }

    fn renew(&mut self, renew: &Renew, now: Timestamp) -> Outcome {
        let gone = self.gone(renew.seq);
        let Some(lock) = self.lock_mut(renew.seq) else { return Err(gone) };
        if lock.token != renew.token {
            return Err(Refusal::StaleToken);
        }
        lock.state = LockState::Held;
        lock.ttl = renew.ttl.unwrap_or(lock.ttl);
        lock.expires_at = lease(now, lock.ttl);
        lock.renewed_at = now;
        lock.touch += 1;
        Ok(Reply::Lock(Arc::new(lock.clone())))
    }

    fn release(&mut self, release: &Release, ctx: &Context<'_>, now: Timestamp) -> Outcome {
        if self.lock(release.seq).is_some_and(|lock| lock.token != release.token) {
            return Err(Refusal::StaleToken);
        }
        let touch = self.lock(release.seq).map(|lock| lock.touch);
        if touch.is_some() && release.touch.is_some() && touch != release.touch {
            return Err(Refusal::Superseded);
        }
        self.hand_on(release.seq, EndReason::Released, release.nonce, None, ctx, now)
    }

    fn hand_on(
        &mut self,
        seq: Seq,
        reason: EndReason,
        nonce: u64,
        note: Option<&str>,
        ctx: &Context<'_>,
        now: Timestamp,
    ) -> Outcome {
        let Some(lock) = self.lock(seq).cloned() else {
            // The same command once more is told the same once more.
            let before = self.ended(seq).filter(|ended| ended.nonce == nonce).cloned();
            return match before {
                Some(Ended { former: Former::Lock(lock), granted_to, .. }) => {
                    let granted_to = granted_to.and_then(|seq| self.lock(seq)).cloned().map(Arc::new);
                    Ok(Reply::Released { lock, granted_to })
                }
                _ => Err(self.gone(seq)),
            };
        };
        self.end(seq, reason, nonce, note, now);
        let granted_to = self.grant(ctx, now);
        let record = self.ended.iter_mut().find(|(ended, _)| *ended == seq).unwrap();
        record.1.granted_to = granted_to.as_ref().map(|lock| lock.seq);
        Ok(Reply::Released { lock: Arc::new(lock), granted_to: granted_to.map(Arc::new) })
    }

    fn release_pull(&mut self, release: &ReleasePull, ctx: &Context<'_>, now: Timestamp) -> Outcome {
        let (mut released, mut cancelled) = (Vec::new(), Vec::new());
        if ctx.retried {
            let mut same: Vec<_> = self.ended.iter().filter(|(_, e)| e.nonce == release.nonce).collect();
            same.sort_by_key(|(seq, _)| *seq);
            for (_, ended) in same {
                match &ended.former {
                    Former::Lock(lock) => released.push(Arc::clone(lock)),
                    Former::Ticket(ticket) => cancelled.push(Arc::clone(ticket)),
                }
            }
        }
        let meant = |intent: &Intent, at: Timestamp| {
            intent.owner.pull.as_ref().is_some_and(|pull| pull.num == release.pull)
                && release.before.is_none_or(|before| at < before)
        };
        let note = format!("pull request {} was released", release.pull);
        let tickets: Vec<Ticket> = self.order().into_iter().cloned().collect();
        for ticket in tickets.into_iter().filter(|ticket| meant(&ticket.intent, ticket.enqueued_at)) {
            self.end(ticket.seq, EndReason::Cancelled, release.nonce, Some(&note), now);
            cancelled.push(Arc::new(ticket));
        }
        for lock in self.locks.clone() {
            if meant(&lock.intent, lock.enqueued_at.unwrap_or(lock.acquired_at)) {
                self.end(lock.seq, EndReason::Released, release.nonce, Some(&note), now);
                released.push(Arc::new(lock));
            }
        }
        self.grant(ctx, now);
        Ok(Reply::Pull { released, cancelled })
    }

    fn client_gone(&mut self, gone: &ClientGone, ctx: &Context<'_>, now: Timestamp) -> Outcome {
        let orphan = |intent: &Intent| intent.nonce == gone.nonce && intent.requests.is_empty();
        let note = Some("its client went away before it was answered");
        if let Some(lock) = self.lock(gone.seq).cloned() {
            // Whoever renewed it, was told of it once more, or claimed it knows it and relies on it.
            let known =
                lock.touch > 0 || (lock.state == LockState::Held && gone.untold != Some(lock.renewed_at));
            if known {
                return Ok(Reply::Done);
            }
            if orphan(&lock.intent) {
                self.end(gone.seq, EndReason::Abandoned, gone.nonce, note, now);
                self.grant(ctx, now);
            } else if lock.state == LockState::Held {
                let lock = self.lock_mut(gone.seq).unwrap();
                lock.state = LockState::Reserved;
                lock.expires_at = Some(claim_by(&lock.intent, ctx, now));
            }
        } else if self.ticket_mut(gone.seq).is_some_and(|ticket| orphan(&ticket.intent)) {
            self.end(gone.seq, EndReason::Cancelled, gone.nonce, note, now);
            self.grant(ctx, now);
        }
        Ok(Reply::Done)
    }

    // --- entries ---------------------------------------------------------------------------------

    fn lock(&self, seq: Seq) -> Option<&Lock> {
        self.locks.iter().find(|lock| lock.seq == seq)
    }

    fn lock_mut(&mut self, seq: Seq) -> Option<&mut Lock> {
        self.locks.iter_mut().find(|lock| lock.seq == seq)
    }

    fn ticket_mut(&mut self, seq: Seq) -> Option<&mut Ticket> {
        self.queue.iter_mut().map(|waiting| &mut waiting.ticket).find(|ticket| ticket.seq == seq)
    }

    pub(super) fn ended(&self, seq: Seq) -> Option<&Ended> {
        self.ended.iter().find(|(other, _)| *other == seq).map(|(_, ended)| ended)
    }

    fn gone(&self, seq: Seq) -> Refusal {
        self.ended(seq).map_or(Refusal::NotFound, |ended| Refusal::Gone(Arc::new(ended.clone())))
    }

    fn held(&self) -> Refusal {
        Refusal::Held { holders: self.holders(), waiting: self.queue.len() }
    }

    pub(super) fn holders(&self) -> Vec<Arc<Lock>> {
        self.locks.iter().take(100).cloned().map(Arc::new).collect()
    }

    fn standing(&self, seq: Seq) -> Outcome {
        if let Some(lock) = self.lock(seq) {
            return acquired(lock.clone(), false, false);
        }
        let order = self.order();
        let Some(place) = order.iter().position(|ticket| ticket.seq == seq) else {
            return Err(self.gone(seq));
        };
        let ticket = Arc::new(order[place].clone());
        let holders = self.holders();
        Ok(Reply::Standing(Standing::Queued { ticket, position: place + 1, holders }))
    }

    /// Every entry with its intent: the live ones first.
    fn all_entries(&self) -> Vec<(Seq, Arc<Intent>)> {
        let locks = self.locks.iter().map(|lock| (lock.seq, Arc::clone(&lock.intent)));
        let tickets = self.queue.iter().map(|w| (w.ticket.seq, Arc::clone(&w.ticket.intent)));
        let ended = self.ended.iter().map(|(seq, ended)| (*seq, Arc::clone(ended.former.intent())));
        locks.chain(tickets).chain(ended).collect()
    }

    fn next_seq(&mut self, now: Timestamp) -> Seq {
        self.last_seq = Seq((self.last_seq.0 + 1).max(now.as_millis() << 16));
        self.last_seq
    }

    /// Ends an entry, whatever it is; false if there is none.
    fn end(&mut self, seq: Seq, reason: EndReason, nonce: u64, note: Option<&str>, now: Timestamp) -> bool {
        let former = if let Some(lock) = self.lock(seq) {
            Former::Lock(Arc::new(lock.clone()))
        } else if let Some(ticket) = self.ticket_mut(seq) {
            Former::Ticket(Arc::new(ticket.clone()))
        } else {
            return false;
        };
        self.locks.retain(|lock| lock.seq != seq);
        self.queue.retain(|waiting| waiting.ticket.seq != seq);
        let note = note.map(Into::into);
        self.ended.push((seq, Ended { former, reason, at: now, nonce, granted_to: None, note }));
        true
    }
}

fn acquired(lock: Lock, reentrant: bool, news: bool) -> Outcome {
    Ok(Reply::Standing(Standing::Acquired { lock: Arc::new(lock), reentrant, news }))
}

fn lease(now: Timestamp, ttl: Span) -> Option<Timestamp> {
    if ttl.is_zero() { None } else { Some(now + ttl) }
}

fn claim_by(intent: &Intent, ctx: &Context<'_>, now: Timestamp) -> Timestamp {
    now + if intent.attended { ctx.rules.abandon_after } else { ctx.rules.claim_within }
}

fn with_request(known: &Arc<Intent>, asked: &Intent) -> Arc<Intent> {
    let Some(request) = asked.requests.first() else { return Arc::clone(known) };
    let mut requests = (*known.requests).clone();
    requests.push(*request);
    if requests.len() > 32 {
        requests.remove(0);
    }
    Arc::new(Intent { requests: Arc::new(requests), ..(**known).clone() })
}
