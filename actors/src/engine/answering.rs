//! Who is told what, once it is durable.

use super::waiters::Waiter;
use super::{Client, Copy, Engine, Submission};
use crate::answer::{Answer, Failure};
use lockkeeper_core::command::Poll;
use lockkeeper_core::{
    Command, Document, Effects, Lock, Outcome, Presence, Refusal, Reply, Seq, Span, Standing, Timestamp,
};
use std::sync::Arc;

impl<C: Client> Engine<C> {
    /// Gives every command of a durable (or empty) batch its answer.
    pub(super) fn answer_batch(
        &mut self,
        document: Option<Document>,
        effects: Effects,
        batch: Vec<(Submission<C>, Outcome)>,
        decided_at: Timestamp,
    ) {
        let resource = document.as_ref().map(|document| Arc::clone(document.resource()));
        // Locks that somebody heard of by a command of this batch.
        let mut told = Vec::new();
        for (submission, outcome) in batch {
            let Some(mut client) = submission.client else { continue };
            let first = first_told(&outcome);
            if let Some((seq, None)) = first
                && submission.stays
                && client.is_connected()
            {
                client.waits();
                self.waiters.insert(seq, Waiter { nonce: submission.nonce, client });
                continue;
            }
            let delivered = client.answer(Ok(Answer { resource: resource.clone(), decided_at, outcome }));
            match first {
                Some((seq, Some(_))) if delivered => told.push(seq),
                Some((seq, untold)) if !delivered && !self.waiters.is_waiting(seq) => {
                    self.report_gone(seq, submission.nonce, untold);
                }
                _ => {}
            }
        }
        if let Some(document) = document {
            for seq in effects.changed {
                let decided = (!told.contains(&seq)).then_some(&document);
                self.answer_changed(&document, decided, seq, decided_at);
            }
        }
    }

    /// An entry may have been granted or ended: then whoever waits for it hears of it.
    /// `decided` is what this engine decided and told nobody of yet: of the rest others may know.
    pub(super) fn answer_changed(
        &mut self,
        document: &Document,
        decided: Option<&Document>,
        seq: Seq,
        decided_at: Timestamp,
    ) {
        if !self.waiters.has(seq) || document.ticket(seq).is_some() {
            return;
        }
        let lock = document.lock(seq);
        let ours = |lock: &Lock| {
            let same = |own: &Arc<Lock>| own.token == lock.token && own.renewed_at == lock.renewed_at;
            decided.and_then(|decided| decided.lock(seq)).is_some_and(same)
        };
        let untold = lock.is_some_and(|lock| lock.is_reserved() || (lock.touch == 0 && !ours(lock)));
        if untold && self.waiters.is_waiting(seq) {
            // Granted while nobody was known to wait here: it is claimed, or noted that one more
            // knows it, before anybody is told.
            for waiter in self.waiters.remove(seq) {
                self.ask_again(seq, waiter);
            }
            return;
        }
        let mut unreached = None;
        let mut reached = false;
        for waiter in self.waiters.remove(seq) {
            let outcome = self.standing(document, seq, decided_at);
            let resource = Some(Arc::clone(document.resource()));
            if waiter.client.answer(Ok(Answer { resource, decided_at, outcome })) {
                reached = true;
            } else {
                // A client that came by the ticket's id can come again: its nonce undoes nothing.
                let made_it = document.lock(seq).is_some_and(|lock| lock.intent.nonce == waiter.nonce);
                unreached = match unreached {
                    Some(other) if made_it => Some(other),
                    _ => Some(waiter.nonce),
                };
            }
        }
        if let (false, Some(nonce), Some(lock)) = (reached, unreached, lock) {
            let untold = ours(lock).then_some(lock.renewed_at);
            self.report_gone(seq, nonce, untold);
        }
    }

    /// The copy was replaced by what the store has: waiting clients may have missed their turn.
    pub(super) fn answer_all_changed(&mut self, now: Timestamp) {
        let seqs: Vec<Seq> = self.waiters.seqs().collect();
        let doubt = self.doubt.take();
        match &self.copy {
            Copy::Present(document) => {
                let document = (**document).clone();
                for seq in seqs {
                    self.answer_changed(&document, doubt.as_ref(), seq, now);
                }
            }
            Copy::Absent { .. } => {
                for seq in seqs {
                    for waiter in self.waiters.remove(seq) {
                        self.answer_waiter(seq, waiter, now);
                    }
                }
            }
            Copy::Unknown => {}
        }
    }

    /// A client that waited asks after its ticket once more, with what it has as its answer.
    pub(super) fn ask_again(&mut self, seq: Seq, Waiter { nonce, client }: Waiter<C>) {
        let command = Arc::new(Command::Poll(Poll { seq, wait: Span::ZERO }));
        let client = Some(client);
        self.inbox.push_back(Submission { command, nonce, retried: true, stays: false, client });
    }

    /// Tells a client that does not wait any more where its ticket stands.
    pub(super) fn answer_waiter(&mut self, seq: Seq, waiter: Waiter<C>, now: Timestamp) {
        let (resource, outcome) = match &self.copy {
            Copy::Present(document) => {
                (Some(Arc::clone(document.resource())), self.standing(document, seq, now))
            }
            Copy::Absent { .. } => (None, Err(Refusal::of_unknown(seq, self.lost_before, now))),
            Copy::Unknown => {
                // Its ticket is in the store, or was: nobody can say now that it was not granted.
                let what = "the resource could not be read again".into();
                waiter.client.answer(Err(Failure::OutcomeUnknown(what)));
                return;
            }
        };
        let delivered = waiter.client.answer(Ok(Answer { resource, decided_at: now, outcome }));
        if !delivered && !self.waiters.is_waiting(seq) {
            self.report_gone(seq, waiter.nonce, None);
        }
    }
}

impl<C: Client> Engine<C> {
    fn standing(&self, document: &Document, seq: Seq, now: Timestamp) -> Outcome {
        document.standing(seq).map(Reply::Standing).map_err(|refusal| match refusal {
            Refusal::NotFound => Refusal::of_unknown(seq, self.lost_before, now),
            other => other,
        })
    }
}

/// The entry that an answer is the first to tell of, and, if it is a lock, when its lease began.
pub(super) fn first_told(outcome: &Outcome) -> Option<(Seq, Option<Timestamp>)> {
    match outcome {
        Ok(Reply::Standing(Standing::Queued { ticket, .. })) => Some((ticket.seq, None)),
        Ok(Reply::Standing(Standing::Acquired { lock, news: true, .. })) => {
            Some((lock.seq, Some(lock.renewed_at)))
        }
        _ => None,
    }
}
