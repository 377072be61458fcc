//! The actor that moves the breaker: it hears of faults and probes, and wakes when the time of being
//! open is over.

use super::gate::{BreakerGate, Kept, Turn};
use crate::events::Occurrence;
use crate::resident::Kill;
use crate::service::Hindrance;
use crate::shared::Shared;
use actix::prelude::*;
use lockkeeper_core::breaker::{Input, State, Transition};
use lockkeeper_telemetry::{BreakerState, Occupied, metrics};
use std::sync::Arc;

/// The store failed a call that was begun in this turn.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Faulted {
    pub(crate) turn: Turn,
    pub(crate) error: String,
}

/// A probe of the store ended. The answer is the breaker's state after it.
#[derive(Message)]
#[rtype(result = "State")]
pub(crate) struct Probed {
    /// What it failed with; `None`: it was good.
    pub(crate) failure: Option<String>,
}

/// Moves the breaker.
pub(crate) struct BreakerActor {
    shared: Arc<Shared>,
    gate: Arc<BreakerGate>,
    timer: Option<SpawnHandle>,
    _counted: Occupied,
}

impl BreakerActor {
    pub(crate) fn new(shared: Arc<Shared>, gate: Arc<BreakerGate>) -> Self {
        Self { shared, gate, timer: None, _counted: metrics().actor("breaker") }
    }

    fn tell(&mut self, input: Input, ctx: &mut Context<Self>) -> State {
        let (shared, mut changed) = (Arc::clone(&self.shared), false);
        let state = self.gate.tell(input, self.gate.clock(), |transition, kept| {
            changed = true;
            turned(&shared, transition, kept);
        });
        if changed {
            self.wait(ctx);
            match state {
                // Whoever probes does not wait for its next turn.
                State::HalfOpen => shared.health.probe_now(),
                // There may be much to bring up to date.
                State::Closed => shared.replica.suspect(),
                State::Open => {}
            }
        }
        state
    }

    /// Sleeps until its time of being open is over.
    fn wait(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.timer = self.gate.open_for().map(|left| {
            ctx.run_later(left, |actor, ctx| {
                actor.timer = None;
                if actor.tell(Input::Tick, ctx) == State::Open {
                    // The timer was early.
                    actor.wait(ctx);
                }
            })
        });
    }
}

/// Tells everybody of a change, before anybody can see it.
fn turned(shared: &Shared, transition: Transition, kept: &mut Kept) {
    let (now, store) = (shared.store.now(), shared.store.name());
    let cause = transition.cause.to_string();
    let options = kept.breaker.settings();
    kept.since = now;
    match transition.to {
        State::Open => {
            let fault = kept.last_fault.as_deref().unwrap_or("of an unknown kind");
            let reason = format!(
                "the circuit breaker of the store is open: {cause}, the last one: {fault}; it is tried again within {:?}",
                options.open_for
            );
            metrics().breaker(store, BreakerState::Open);
            if kept.trials == 0 {
                tracing::warn!(store, cause, fault, "the circuit breaker opened: the store is left alone");
                shared.log.append(now, [Occurrence::BreakerOpened(reason.clone())]);
            } else {
                tracing::debug!(
                    store,
                    cause,
                    fault,
                    trials = kept.trials,
                    "the circuit breaker opened again"
                );
            }
            shared.service.hinder(Hindrance::Breaker, reason.clone(), now);
            kept.reason = Some(reason);
        }
        State::HalfOpen => {
            let reason = format!(
                "the circuit breaker of the store is half-open: {cause}; it closes after {} good probes",
                options.successes
            );
            metrics().breaker(store, BreakerState::HalfOpen);
            kept.trials = kept.trials.saturating_add(1);
            if kept.trials == 1 {
                tracing::info!(store, cause, "the circuit breaker is half-open: probes decide");
                shared.log.append(now, [Occurrence::BreakerHalfOpen]);
            } else {
                tracing::debug!(store, cause, trials = kept.trials, "the circuit breaker is half-open again");
            }
            shared.service.hinder(Hindrance::Breaker, reason.clone(), now);
            kept.reason = Some(reason);
        }
        State::Closed => {
            (kept.reason, kept.last_fault, kept.trials) = (None, None, 0);
            metrics().breaker(store, BreakerState::Closed);
            tracing::info!(store, cause, "the circuit breaker closed");
            // Clients could not show that they are there while the store was left alone.
            shared.reopened(now);
            shared.log.append(now, [Occurrence::BreakerClosed]);
            shared.service.clear(Hindrance::Breaker, now);
        }
    }
}

impl Actor for BreakerActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Its predecessor's timer ended with it.
        self.wait(ctx);
    }
}

impl Handler<Faulted> for BreakerActor {
    type Result = ();

    fn handle(&mut self, Faulted { turn, error }: Faulted, ctx: &mut Self::Context) {
        // Of a call from before it opened: it says nothing of now.
        if self.gate.is_of_now(turn) {
            self.gate.note_fault(error);
            self.tell(Input::Fault, ctx);
        }
    }
}

impl Handler<Probed> for BreakerActor {
    type Result = MessageResult<Probed>;

    fn handle(&mut self, Probed { failure }: Probed, ctx: &mut Self::Context) -> Self::Result {
        let state = match failure {
            None => self.tell(Input::ProbeOk, ctx),
            Some(failure) => {
                self.gate.note_fault(failure);
                self.tell(Input::ProbeFailed, ctx)
            }
        };
        MessageResult(state)
    }
}

impl Handler<Kill> for BreakerActor {
    type Result = ();

    fn handle(&mut self, kill: Kill, ctx: &mut Self::Context) {
        kill.carry_out(ctx);
    }
}
