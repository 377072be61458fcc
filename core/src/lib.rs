//! Lockkeeper's rules: who holds a lock, who is next, who must wait.
//!
//! This crate is pure. It performs no I/O, reads no clock, draws no random numbers and knows no
//! async: time comes in as an argument, decisions go out as data. That makes the same command on
//! the same document give the same answer everywhere, so every store shares one implementation
//! and the tests can explore it by simulation.
//!
//! Read it in this order: [`resource`] (what is locked), [`document`] (everything known of one
//! resource), [`command`] (what may be asked of it), then one file per operation under `ops`.

pub mod breaker;
mod cbor;
pub mod command;
pub mod delta;
pub mod document;
pub mod entry;
pub mod event;
mod grant;
pub mod id;
pub mod intent;
mod ops;
pub mod ordered;
mod queue;
pub mod refusal;
pub mod resource;
pub mod rules;
mod settle;
#[cfg(test)]
mod tests;
pub mod time;

pub use command::{Command, Outcome, Reply, Standing};
pub use delta::{Delta, Field, FieldKind, Header, Version};
pub use document::{Document, Effects, Followed};
pub use entry::{EndReason, Ended, Former, Lock, LockState, Ticket};
pub use event::{Event, EventKind, Note};
pub use id::{EntryId, Seq};
pub use intent::{Intent, Metadata, Mode, Owner, Priority, Pull, RequestKey, RequestRef};
pub use refusal::Refusal;
pub use resource::{Partition, Resource, ResourceId, ResourceInput, ResourceKind};
pub use rules::{Context, Nobody, Presence, Rules};
pub use time::{Span, Timestamp};
