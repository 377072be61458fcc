//! Carrying a command to its actor until it is answered.

use super::{Locks, fresh_nonce, span};
use crate::admission::Class;
use crate::answer::{Answer, Failure};
use crate::bound::Bound;
use crate::coordinator::Route;
use crate::engine::{Client, Submission};
use crate::queue_actor::{EndWait, Forget, QueueActor, Submit};
use crate::resident::Unreached;
use crate::responder::Responder;
use crate::supervision::{CommandDeaths, DEATHS_PER_COMMAND_MAX};
use actix::prelude::*;
use lockkeeper_core::{Command, Reply, ResourceId, Seq, Standing};
use lockkeeper_telemetry::{Retry, metrics};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// The pause before a command is sent again whose actor died; it doubles with each resend.
const RESEND_PAUSE: Duration = Duration::from_millis(1);
/// The longest such pause.
const RESEND_PAUSE_MAX: Duration = Duration::from_millis(16);
/// How often an answer that grew too old is confirmed before the server counts as overloaded.
const CONFIRMATIONS_MAX: u32 = 3;

impl Locks {
    /// Sends a command until it is answered.
    pub(super) async fn execute(
        &self,
        id: ResourceId,
        command: Command,
        nonce: u64,
        wait: Option<Duration>,
    ) -> Result<Answer, Failure> {
        let class = Class::of(&command);
        self.carry(id, command, nonce, Manner { wait, class, retried: false }).await
    }

    /// As [`Locks::execute`], of a command that may have been carried out before.
    pub(crate) async fn carry_again(
        &self,
        id: ResourceId,
        command: Command,
        nonce: u64,
    ) -> Result<Answer, Failure> {
        self.carry(id, command, nonce, Manner { wait: None, class: Class::GoesOn, retried: true }).await
    }

    /// A client that waits has a waiting place before this is called.
    async fn carry(
        &self,
        id: ResourceId,
        command: Command,
        nonce: u64,
        manner: Manner,
    ) -> Result<Answer, Failure> {
        let Manner { wait, mut class, mut retried } = manner;
        metrics().operations(command.name()).increment(1);
        let command = Arc::new(command);
        let stays = wait.is_some_and(|wait| !wait.is_zero());
        let begun = tokio::time::Instant::now();
        let wait_until = wait.filter(|wait| !wait.is_zero()).map(|wait| begun + wait);
        // Actors may die as often as they like: what is bounded is the time.
        let give_up_at = wait_until.unwrap_or(begun) + self.shared().options.answer_timeout;
        let mut pause = RESEND_PAUSE;
        let deaths_before = self.shared().supervision.deaths_of_command(id, nonce);
        let mut sent = 0;
        loop {
            let work = self.shared().admission.enter(id.partition(), class)?;
            class = Class::GoesOn;
            let (sender, receiver) = oneshot::channel();
            let submission = Submission {
                command: Arc::clone(&command),
                nonce,
                retried,
                stays,
                client: Some(Responder::new(sender, Some(work))),
            };
            let guard = ForgetGuard { locks: self, id, nonce, armed: true };
            self.send(id, submission);
            sent += 1;
            let received = self.receive(id, nonce, receiver, wait_until).await;
            guard.disarm();
            if let Some(answer) = received {
                return if retried { answer.map_err(Failure::of_repetition) } else { answer };
            }
            if tokio::time::Instant::now() >= give_up_at {
                return Err(Failure::OutcomeUnknown("its actors died before they could answer".into()));
            }
            retried = true;
            metrics().retry(Retry::Resend);
            let absent = AbsentGuard { locks: self, id, command: &command, nonce, armed: true };
            tokio::time::sleep(pause).await;
            absent.disarm();
            if let Some(failure) = self.poisonous(id, nonce, deaths_before, sent) {
                return Err(failure);
            }
            pause = (pause * 2).min(RESEND_PAUSE_MAX);
        }
    }

    /// Does this command have its actor panic again and again? Then it is answered, before the budget
    /// of its resource is spent for everybody. Actors that were killed from outside do not count.
    fn poisonous(&self, id: ResourceId, nonce: u64, before: CommandDeaths, sent: u32) -> Option<Failure> {
        let deaths = self.shared().supervision.deaths_of_command(id, nonce);
        if deaths.all < DEATHS_PER_COMMAND_MAX {
            return None;
        }
        let what =
            format!("the resource's actor panicked {} times while this request was in work", deaths.all);
        tracing::error!(resource = %id, nonce, deaths = deaths.all, "a request is given up, since its actor dies of it");
        // Each time it was sent, nothing of it came to the store.
        Some(if deaths.undecided.saturating_sub(before.undecided) >= sent {
            Failure::Internal(what)
        } else {
            Failure::OutcomeUnknown(what)
        })
    }

    /// Waits for the answer; `None`: the actor died and took the channel with it.
    async fn receive(
        &self,
        id: ResourceId,
        nonce: u64,
        mut receiver: oneshot::Receiver<Result<Answer, Failure>>,
        wait_until: Option<tokio::time::Instant>,
    ) -> Option<Result<Answer, Failure>> {
        let shared = self.shared();
        if let Some(until) = wait_until {
            let over = async {
                tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    () = async {
                        shared.turned_away().await;
                        let spread = shared.tunables().drain_spread;
                        tokio::time::sleep(spread.mul_f64(rand::random::<f64>())).await;
                    } => {}
                }
            };
            tokio::select! {
                biased;
                answer = &mut receiver => return answer.ok(),
                () = over => {}
            }
            // The actor alone answers, so a grant that is on its way is not overlooked.
            if let Some(actor) = self.actor_of(id) {
                let _ = actor.try_send(EndWait { nonce });
            }
        }
        match tokio::time::timeout(shared.options.answer_timeout, receiver).await {
            Ok(answer) => answer.ok(),
            Err(_) => Some(Err(Failure::OutcomeUnknown("the answer took too long".into()))),
        }
    }

    fn actor_of(&self, id: ResourceId) -> Option<Addr<QueueActor>> {
        self.shared().registry(id).actors.lock().get(&id).cloned()
    }

    /// Brings a command to its actor; a client is told when that cannot be done. If the coordinator is
    /// dead, the client's channel closes as if the actor had died: it is sent again a little later.
    fn send(&self, id: ResourceId, submission: Submission<Responder>) {
        if let Err((submission, Some(failure))) = self.try_send(id, submission)
            && let Some(client) = submission.client
        {
            client.answer(Err(failure));
        }
    }

    /// Sends a command whose answer nobody waits for. False when it could not be taken.
    pub(crate) fn submit_unattended(&self, id: ResourceId, command: Arc<Command>) -> bool {
        let submission = Submission { command, nonce: 0, retried: false, stays: false, client: None };
        self.try_send(id, submission).is_ok()
    }

    fn try_send(&self, id: ResourceId, submission: Submission<Responder>) -> Result<(), Unsent> {
        let limit = self.shared().options.mailbox;
        let overloaded = |what| Failure::Overloaded { what, limit };
        if let Some(quarantined) = self.shared().supervision.quarantine(id) {
            return Err((submission, Some(Failure::Quarantined(quarantined))));
        }
        let submission = match self.actor_of(id) {
            None => submission,
            Some(actor) => match actor.try_send(Submit(submission)) {
                Ok(()) => return Ok(()),
                Err(SendError::Closed(Submit(submission))) => submission,
                Err(SendError::Full(Submit(submission))) => {
                    metrics().mailbox_full("queue");
                    return Err((submission, Some(overloaded(Bound::ResourceMailbox))));
                }
            },
        };
        let coordinator = &self.inner.coordinators[self.shared().shard_of(id)];
        coordinator.try_send(Route { id, submission }).map_err(|(Route { submission, .. }, why)| {
            let failure = match why {
                Unreached::Full => Some(overloaded(Bound::CoordinatorMailbox)),
                Unreached::Stopped => Some(Failure::ShuttingDown),
                Unreached::Dead => None,
            };
            (submission, failure)
        })
    }

    pub(super) fn take_waiting_place(&self) -> Result<WaitingPlace<'_>, Failure> {
        let limit = self.shared().tunables().waiting_max;
        let waiting = &self.inner.waiting;
        if waiting.fetch_add(1, Ordering::Relaxed) >= limit {
            waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Failure::Overloaded { what: Bound::WaitingClients, limit });
        }
        Ok(WaitingPlace { waiting, _counted: metrics().waiting_client() })
    }

    /// An answer that waited too long, or whose lock's lease is over, is asked for again.
    pub(super) async fn confirmed(&self, id: ResourceId, mut answer: Answer) -> Result<Answer, Failure> {
        let shared = self.shared();
        let max_age = span(shared.options.answer_max_age);
        for _ in 0..CONFIRMATIONS_MAX {
            let now = shared.store.now_in(id.partition());
            let lock = match &answer.outcome {
                Ok(Reply::Standing(Standing::Acquired { lock, .. }) | Reply::Lock(lock)) => lock,
                _ => return Ok(answer),
            };
            if now.since(answer.decided_at) <= max_age && !lock.is_over(now) {
                return Ok(answer);
            }
            let seq: Seq = lock.seq;
            let before = answer.outcome.clone();
            let again = {
                let manner = Manner { wait: None, class: Class::GoesOn, retried: false };
                self.carry(id, Command::Show(seq), fresh_nonce(), manner).await
            };
            // It was granted, or renewed: that much is known, whatever becomes of the confirmation.
            let mut again = again.map_err(Failure::of_repetition)?;
            // It is the same lock still: the answer keeps its form.
            if let (Ok(Reply::Standing(Standing::Acquired { reentrant, news, .. })), Ok(Reply::Lock(lock))) =
                (&before, &again.outcome)
            {
                let lock = Arc::clone(lock);
                let standing = Standing::Acquired { lock, reentrant: *reentrant, news: *news };
                again.outcome = Ok(Reply::Standing(standing));
            }
            answer = again;
        }
        let limit = CONFIRMATIONS_MAX as usize;
        Err(Failure::Overloaded { what: Bound::Confirmations, limit }.of_repetition())
    }
}

/// How a command is carried.
#[derive(Clone, Copy)]
struct Manner {
    /// How long its client stays.
    wait: Option<Duration>,
    class: Class,
    /// It may have been carried out before.
    retried: bool,
}

/// What was not sent, and the failure that it is, unless it may be sent again.
type Unsent = (Submission<Responder>, Option<Failure>);

pub(super) struct WaitingPlace<'a> {
    waiting: &'a AtomicUsize,
    _counted: lockkeeper_telemetry::Occupied,
}

impl Drop for WaitingPlace<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Dropped while armed, it tells the actor that its client went away.
struct ForgetGuard<'a> {
    locks: &'a Locks,
    id: ResourceId,
    nonce: u64,
    armed: bool,
}

impl ForgetGuard<'_> {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for ForgetGuard<'_> {
    fn drop(&mut self) {
        if self.armed
            && let Some(actor) = self.locks.actor_of(self.id)
        {
            // If its mailbox is full, the closed channel is found when the turn comes.
            let _ = actor.try_send(Forget { nonce: self.nonce });
        }
    }
}

/// Dropped while armed, it sends the command once more for a client that left while its actor was
/// dead: the successor finds that nobody can be answered, and undoes what the dead actor made.
struct AbsentGuard<'a> {
    locks: &'a Locks,
    id: ResourceId,
    command: &'a Arc<Command>,
    nonce: u64,
    armed: bool,
}

impl AbsentGuard<'_> {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for AbsentGuard<'_> {
    fn drop(&mut self) {
        if self.armed && matches!(**self.command, Command::Acquire(_)) {
            let (sender, _) = oneshot::channel();
            self.locks.send(
                self.id,
                Submission {
                    command: Arc::clone(self.command),
                    nonce: self.nonce,
                    retried: true,
                    stays: false,
                    client: Some(Responder::new(sender, None)),
                },
            );
        }
    }
}
