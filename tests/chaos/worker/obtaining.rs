//! Getting a lock: asking, asking again elsewhere, waiting.

use super::Worker;
use crate::chaos::history::{Answer, Ask, Call, LockSeen, Name};
use std::sync::Arc;

impl Worker {
    /// The lock, or nothing if it was refused or given up.
    pub(super) async fn obtain(&mut self, ask: &Arc<Ask>) -> Option<LockSeen> {
        // Once it may have been granted somebody must see to the end of what no clock ends.
        let mut owed = false;
        loop {
            match self.acquire(ask).await {
                Answer::Acquired { lock, .. } => return Some(lock),
                Answer::Queued { ticket, .. } => return self.wait_in_line(ask, &ticket).await,
                answer if answer.is_unknown() => owed |= ask.ttl_ms == 0 || ask.ttl_ms > 5000,
                answer if answer.is_unavailable() => {}
                _ => return None,
            }
            if self.is_hopeless() || (!owed && (self.dice.percent(15) || self.world.is_calm())) {
                return None;
            }
            self.pause(50, 400).await;
        }
    }

    async fn acquire(&mut self, ask: &Arc<Ask>) -> Answer {
        let wait_ms = if ask.queue { self.choose_wait() } else { 0 };
        self.ask(Call::Acquire { ask: Arc::clone(ask), wait_ms }).await
    }

    fn choose_wait(&mut self) -> u64 {
        self.dice.pick(&[0, 0, 200, 1000, 2500])
    }

    async fn wait_in_line(&mut self, ask: &Arc<Ask>, ticket: &Name) -> Option<LockSeen> {
        loop {
            if self.chance(2) {
                // Gone for good, without a word. What is reserved for it goes on to the next.
                return None;
            }
            let cancels = self.chance(4);
            let answer = if cancels {
                self.ask(Call::Cancel { id: Arc::clone(ticket) }).await
            } else if ask.request_id.is_some() && self.dice.percent(15) {
                self.acquire(ask).await
            } else {
                let wait_ms = self.choose_wait();
                self.ask(Call::Poll { id: Arc::clone(ticket), wait_ms }).await
            };
            match answer {
                Answer::Acquired { lock, .. } => return Some(lock),
                Answer::Refused { code, locks, .. } if &*code == "already_granted" => {
                    return locks.into_iter().next();
                }
                Answer::Queued { .. } => {}
                answer if answer.is_unknown() || answer.is_unavailable() => {}
                _ => return None,
            }
            if self.is_hopeless() {
                return None;
            }
            self.pause(10, 200).await;
        }
    }
}
