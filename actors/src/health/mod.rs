//! Health: can the store keep a lock now?
//!
//! The [`supervisor`] probes the store (a full round trip with a durable write, and on a shared
//! store what its servers say of themselves) every interval, and at once when a call failed, so that
//! the first failure is seen at once. What it finds is judged by [`judge`], remembered by
//! [`history`], and kept in [`state`], outside of the actor: it is read without asking anyone, and a
//! successor goes on where the last one was.
//!
//! It tells: the circuit breaker (how each probe ended), the event log, metrics, and
//! [`crate::service`] ([`crate::Hindrance::Store`] while the store cannot be used). The order in which a
//! store comes back is kept here: a good probe, a look at the markers, the breaker closed, and only
//! then is it said to be usable.

mod history;
mod judge;
mod pace;
mod state;
mod supervisor;
#[cfg(test)]
mod tests;

pub use history::{PROBES_KEPT, Probe};
pub use judge::{BackendState, Health};
pub(crate) use state::HealthState;
pub(crate) use supervisor::HealthActor;
