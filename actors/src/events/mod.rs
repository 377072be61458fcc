//! Events: a bounded log that anyone may follow from any point still in it.
//!
//! The log is a value beside the hub, not inside it: publishing never waits and never fails, a
//! slow reader loses its place (and is told so) instead of slowing anyone, and the hub may die
//! without losing an event.

mod hub;
mod log;

pub use hub::{EventHub, Frame, SubscribeError, Subscription};
pub(crate) use hub::{Filter, Subscribe};
pub use log::{EventId, EventLog, LoggedEvent, Occurrence, ResumeError};
