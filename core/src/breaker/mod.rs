//! The circuit breaker of a store: when calls are answered at once instead of being made.
//!
//! The algorithm is the circuit breaker of Michael Nygard's *Release It!* (chapter "Stability
//! Patterns"), with a half-open state that is for probes alone: no client's request is spent to
//! find out whether the store is back.
//!
//! - **closed**: calls pass. So many faults in a row, or so large a share of faults among the calls of a
//!   window, open it. A probe that fails is a fault, too.
//! - **open**: calls do not pass. It half-opens when `open_for` is over; or before, at a good probe
//!   that follows a failed one: then the store was seen to be away, and to be back.
//! - **half-open**: calls do not pass; probes decide. So many good ones close it, a failed one opens it
//!   anew.
//!
//! A pure transition function: what happened and when comes in, what changed comes out. Times are
//! durations since any fixed instant; a time before one that was told counts as that one.

mod machine;
#[cfg(test)]
mod tests;
mod window;

pub use machine::{Breaker, Cause, Input, Settings, State, Transition};
