//! Acquire: the lock if it is free, what the owner already has, or a place in the queue.

use crate::command::{Acquire, Outcome, Reply, Standing};
use crate::document::Document;
use crate::entry::{Former, Lock, Ticket};
use crate::event::EventKind;
use crate::grant::lease_end;
use crate::id::Seq;
use crate::intent::{Intent, Mode, RequestRef};
use crate::refusal::Refusal;
use crate::rules::{Context, REQUESTS_PER_ENTRY_MAX};
use crate::time::Timestamp;
use std::sync::Arc;

impl Document {
    pub(super) fn acquire(&mut self, acquire: &Acquire, ctx: &Context<'_>, now: Timestamp) -> Outcome {
        if *acquire.resource != *self.resource {
            return Err(Refusal::IdTaken);
        }
        let intent = &acquire.intent;
        if let Some(request) = intent.requests.first()
            && let Some(seq) = self.request(request.key)
        {
            return self.repeated(seq, *request, acquire, ctx, now);
        }
        if ctx.retried
            && let Some(seq) = self.made_by(&intent.owner.id, intent.nonce)
        {
            return self.what_became(seq, acquire, ctx, now);
        }
        if acquire.reentrant
            && let Some(seq) = self.first_entry_of(&intent.owner.id)
        {
            return self.re_enter(seq, acquire, ctx, now);
        }
        if let (Mode::Counted { limit }, Some(other)) = (intent.mode, self.counted_limit())
            && limit != other
        {
            return Err(Refusal::ModeConflict(format!(
                "its holders and waiters have limit {other}, not {limit}; all must name the same"
            )));
        }
        let is_its_turn = self.would_be_next(intent.priority) && self.has_room_for(intent.mode, now);
        if is_its_turn && ctx.granting {
            let seq = self.next_seq(now);
            // The client that acquires is connected: it is told with this very commit.
            let lock = self.make_lock(seq, Arc::clone(intent), None, true, ctx, now);
            // It may have been the overtake that makes a waiting ticket due, and that one may fit too.
            self.grant_ready(ctx, now);
            return Ok(Reply::Standing(Standing::Acquired { lock, reentrant: false, news: true }));
        }
        if is_its_turn && !acquire.queue {
            return Err(Refusal::NotGranting);
        }
        if !acquire.queue {
            return Err(Refusal::Held { holders: self.holders_shown(), waiting: self.waiting() });
        }
        if self.waiting() >= ctx.rules.queue_max {
            return Err(Refusal::QueueFull { limit: ctx.rules.queue_max });
        }
        self.enqueue(acquire, ctx, now)
    }

    fn enqueue(&mut self, acquire: &Acquire, ctx: &Context<'_>, now: Timestamp) -> Outcome {
        let seq = self.next_seq(now);
        let seen_until = if acquire.intent.attended {
            now + acquire.wait + ctx.rules.abandon_after
        } else {
            Timestamp::NEVER
        };
        let ticket = self.put_ticket(Ticket {
            seq,
            intent: Arc::clone(&acquire.intent),
            enqueued_at: now,
            deadline: now + acquire.queue_timeout,
            seen_until,
        });
        self.emit(EventKind::TicketQueued, Former::Ticket(ticket), None, None, now);
        self.standing(seq).map(Reply::Standing)
    }

    /// A request id that came before tells what became of that request.
    fn repeated(
        &mut self,
        seq: Seq,
        request: RequestRef,
        acquire: &Acquire,
        ctx: &Context<'_>,
        now: Timestamp,
    ) -> Outcome {
        let known = match (self.intent(seq), self.ended.get(&seq)) {
            (Some(intent), _) => Arc::clone(intent),
            (None, Some(ended)) => Arc::clone(ended.former.intent()),
            (None, None) => return Err(Refusal::NotFound),
        };
        if !known.requests.iter().any(|r| r.key == request.key && r.digest == request.digest) {
            return Err(Refusal::RequestIdReused);
        }
        self.what_became(seq, acquire, ctx, now)
    }

    fn what_became(&mut self, seq: Seq, acquire: &Acquire, ctx: &Context<'_>, now: Timestamp) -> Outcome {
        if ctx.retried
            && let Some(lock) = self.locks.get(&seq).filter(|lock| !lock.is_reserved() && lock.touch == 0)
            && lock.intent.nonce == acquire.intent.nonce
        {
            // The very same command, never answered: this is the first answer.
            let lock = Arc::clone(lock);
            return Ok(Reply::Standing(Standing::Acquired { lock, reentrant: false, news: true }));
        }
        self.look_after(seq, acquire.wait, ctx, now).map(Reply::Standing)
    }

    /// The entry that an earlier sending of the same command made.
    fn made_by(&self, owner: &str, nonce: u64) -> Option<Seq> {
        let live = self.entries_of(owner).find(|seq| self.intent(*seq).is_some_and(|i| i.nonce == nonce));
        live.or_else(|| {
            let mut ended = self.ended.iter();
            ended.find(|(_, ended)| ended.former.intent().nonce == nonce).map(|(seq, _)| *seq)
        })
    }

    /// The owner's lock, else its oldest ticket.
    fn first_entry_of(&self, owner: &str) -> Option<Seq> {
        let first = self.entries_of(owner).next()?;
        self.entries_of(owner).find(|seq| self.locks.get(seq).is_some()).or(Some(first))
    }

    /// The owner asks again: it gets what it has, and nothing more.
    fn re_enter(&mut self, seq: Seq, acquire: &Acquire, ctx: &Context<'_>, now: Timestamp) -> Outcome {
        let Some(has) = self.intent(seq).cloned() else { return Err(Refusal::NotFound) };
        if has.mode != acquire.intent.mode {
            return Err(Refusal::ModeConflict(format!(
                "the owner already has it in mode {}, and a lock's mode does not change",
                describe(has.mode)
            )));
        }
        let Some(lock) = self.locks.get(&seq).cloned() else {
            if !acquire.queue {
                return Err(Refusal::Held { holders: self.holders_shown(), waiting: self.waiting() });
            }
            self.remember_request(seq, &acquire.intent, now);
            return self.what_became(seq, acquire, ctx, now);
        };
        // A reserved one was told to nobody yet: if this answer is lost too, it must be claimed again.
        let news = lock.is_reserved();
        let lock = if news { self.claim(&lock, now) } else { lock };
        let asked = lease_end(now, acquire.intent.ttl);
        let grown = match (lock.expires_at, asked) {
            (Some(old), Some(new)) => Some(old.max(new)),
            // A hold is the longest lease there is.
            (None, _) | (_, None) => None,
        };
        let ttl = if grown == asked { acquire.intent.ttl } else { lock.ttl };
        self.put_lock(Lock {
            expires_at: grown,
            ttl,
            touch: lock.touch + u32::from(!news),
            renewed_at: now,
            ..(*lock).clone()
        });
        self.touch_header(now);
        self.remember_request(seq, &acquire.intent, now);
        let lock = self.locks.get(&seq).cloned().ok_or(Refusal::NotFound)?;
        self.emit(EventKind::LockRenewed, Former::Lock(Arc::clone(&lock)), None, None, now);
        Ok(Reply::Standing(Standing::Acquired { lock, reentrant: true, news }))
    }

    /// A request id that led to an entry leads there again.
    fn remember_request(&mut self, seq: Seq, asked: &Intent, now: Timestamp) {
        let (Some(request), Some(intent)) = (asked.requests.first(), self.intent(seq)) else { return };
        let mut requests = (*intent.requests).clone();
        if requests.len() >= REQUESTS_PER_ENTRY_MAX {
            let forgotten = requests.remove(0);
            self.forget_request(forgotten.key);
        }
        let Some(intent) = self.intent(seq) else { return };
        requests.push(*request);
        let intent = Arc::new(Intent { requests: Arc::new(requests), ..(**intent).clone() });
        if let Some(lock) = self.locks.get(&seq).cloned() {
            self.put_lock(Lock { intent, ..(*lock).clone() });
        } else if let Some(ticket) = self.ticket(seq).cloned() {
            self.put_ticket(Ticket { intent, ..(*ticket).clone() });
        }
        self.touch_header(now);
    }
}

fn describe(mode: Mode) -> String {
    match mode {
        Mode::Counted { limit } => format!("counted with limit {limit}"),
        other => other.as_str().into(),
    }
}
