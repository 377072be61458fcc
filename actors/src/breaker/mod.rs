//! The circuit breaker of the store: while it is not closed, calls of the store are answered at once.
//!
//! What decides is [`lockkeeper_core::breaker`]. The [`gate`] keeps its state outside of the
//! [`actor`], so that a successor goes on where the last one was; every call looks at the gate (see
//! [`crate::guarded`]), and only the actor moves it.

mod actor;
mod gate;
#[cfg(test)]
mod tests;

pub(crate) use actor::BreakerActor;
pub use gate::BreakerStatus;
pub(crate) use gate::{BreakerGate, Turn};
