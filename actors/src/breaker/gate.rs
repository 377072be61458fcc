//! The breaker as everybody sees it: do calls pass, and if not, why?

use super::actor::{BreakerActor, Faulted, Probed};
use crate::options::BreakerOptions;
use crate::resident::Resident;
use lockkeeper_core::Timestamp;
use lockkeeper_core::breaker::{Breaker, Input, Settings, State, Transition};
use lockkeeper_store::StoreError;
use lockkeeper_telemetry::metrics;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

/// How long a probe's outcome may take to be noted.
const NOTE_MAX: Duration = Duration::from_secs(1);
/// How often it is tried, if the actor dies of it.
const NOTE_TRIES: u32 = 3;

/// The breaker as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerStatus {
    /// What it does with calls.
    pub state: State,
    /// Since when, by the store's clock.
    pub since: Timestamp,
    /// Why it is not closed.
    pub reason: Option<String>,
    /// Faults in a row, while it is closed.
    pub failures_in_a_row: u32,
    /// Good probes in a row, while it is half-open.
    pub good_probes: u32,
    /// How long until it is tried again, while it is open; it may be earlier.
    pub tried_again_in: Option<Duration>,
    /// When it opens and closes.
    pub options: BreakerOptions,
}

impl BreakerStatus {
    /// Do calls pass?
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }
}

/// Which time it is that the breaker is closed: calls that were begun in another tell it nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn(u64);

/// What is known besides the breaker itself.
pub(super) struct Kept {
    pub(super) breaker: Breaker,
    pub(super) since: Timestamp,
    /// Why it is not closed.
    pub(super) reason: Option<String>,
    /// What the store failed with last.
    pub(super) last_fault: Option<String>,
    /// How often it was half-open since it was closed. An outage of hours is told once.
    pub(super) trials: u32,
}

/// Whether calls of the store pass.
pub(crate) struct BreakerGate {
    options: BreakerOptions,
    begun: Instant,
    /// Grows whenever it closes or opens; even: closed.
    turn: AtomicU64,
    /// Calls that were answered since the breaker was told of some.
    successes: AtomicU64,
    kept: Mutex<Kept>,
    /// Weak: the actor's factory holds everything that is shared.
    actor: OnceLock<Weak<Resident<BreakerActor>>>,
}

impl BreakerGate {
    pub(crate) fn new(options: BreakerOptions, store: &'static str, now: Timestamp) -> Self {
        metrics().breaker(store, lockkeeper_telemetry::BreakerState::Closed);
        let breaker = Breaker::new(Settings {
            failures: options.failures,
            successes: options.successes,
            open_for: options.open_for,
            window: options.window,
            failure_percent: options.failure_percent,
            calls_min: options.calls_min,
        });
        Self {
            options,
            begun: Instant::now(),
            turn: AtomicU64::new(0),
            successes: AtomicU64::new(0),
            kept: Mutex::new(Kept { breaker, since: now, reason: None, last_fault: None, trials: 0 }),
            actor: OnceLock::new(),
        }
    }

    /// From now on this actor hears of faults and probes.
    pub(crate) fn is_moved_by(&self, actor: &Arc<Resident<BreakerActor>>) {
        let _ = self.actor.set(Arc::downgrade(actor));
    }

    /// The breaker's clock.
    pub(super) fn clock(&self) -> Duration {
        self.begun.elapsed()
    }

    /// May a call be made?
    ///
    /// # Errors
    /// Not now.
    pub(crate) fn pass(&self) -> Result<Turn, StoreError> {
        let turn = self.turn.load(Ordering::Acquire);
        if turn.is_multiple_of(2) {
            return Ok(Turn(turn));
        }
        let reason = self.kept.lock().reason.clone();
        metrics().breaker_refused();
        Err(StoreError::Unavailable(reason.unwrap_or_else(|| "the circuit breaker is open".into())))
    }

    pub(super) fn is_of_now(&self, turn: Turn) -> bool {
        self.turn.load(Ordering::Acquire) == turn.0
    }

    /// A call was answered.
    pub(crate) fn answered(&self, turn: Turn) {
        if self.is_of_now(turn) {
            self.successes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The store failed a call.
    pub(crate) fn failed(&self, turn: Turn, error: &StoreError) {
        if let Some(actor) = self.actor.get().and_then(Weak::upgrade)
            && let Err((_, why)) = actor.try_send(Faulted { turn, error: error.to_string() })
        {
            // With a full mailbox there are faults enough; without an actor calls go on to fail one by one.
            tracing::debug!(?why, "a fault of the store could not be told to its circuit breaker");
        }
    }

    /// Tells how a probe ended, and waits until that is noted. Gives the state after it; `None`: it
    /// could not be noted.
    pub(crate) async fn probed(&self, failure: Option<String>) -> Option<State> {
        for _ in 0..NOTE_TRIES {
            let Some(actor) = self.actor.get().and_then(Weak::upgrade) else { break };
            let Some(address) = actor.address() else { break };
            let noted = address.send(Probed { failure: failure.clone() });
            match tokio::time::timeout(NOTE_MAX, noted).await {
                Ok(Ok(state)) => return Some(state),
                // It died: its successor is told.
                Ok(Err(_)) => actor.revive(),
                Err(_) => break,
            }
        }
        tracing::debug!("the outcome of a probe could not be told to the circuit breaker; the next one is");
        None
    }

    /// Tells the breaker what happened; `turned` is run before anybody can see the new state.
    pub(super) fn tell(
        &self,
        input: Input,
        now: Duration,
        turned: impl FnOnce(Transition, &mut Kept),
    ) -> State {
        let mut kept = self.kept.lock();
        // What was answered before this.
        let successes = self.successes.swap(0, Ordering::Relaxed);
        kept.breaker.on(Input::Successes(successes), now);
        if let Some(transition) = kept.breaker.on(input, now) {
            turned(transition, &mut kept);
            if (transition.from == State::Closed) != (transition.to == State::Closed) {
                self.turn.fetch_add(1, Ordering::Release);
            }
        }
        kept.breaker.state()
    }

    /// The store failed with this.
    pub(super) fn note_fault(&self, error: String) {
        self.kept.lock().last_fault = Some(error);
    }

    /// How long until its time of being open is over, while it is open.
    pub(super) fn open_for(&self) -> Option<Duration> {
        let until = self.kept.lock().breaker.open_until();
        until.map(|until| until.saturating_sub(self.clock()))
    }

    pub(crate) fn state(&self) -> State {
        self.kept.lock().breaker.state()
    }

    pub(crate) fn status(&self) -> BreakerStatus {
        let kept = self.kept.lock();
        let until = kept.breaker.open_until();
        BreakerStatus {
            state: kept.breaker.state(),
            since: kept.since,
            reason: kept.reason.clone(),
            failures_in_a_row: kept.breaker.failures_in_a_row(),
            good_probes: kept.breaker.good_probes(),
            tried_again_in: until.map(|until| until.saturating_sub(self.clock())),
            options: self.options,
        }
    }
}
