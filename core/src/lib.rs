//! Lockkeeper's rules: who holds a lock, who is next, who must wait.
//!
//! This crate is pure. It performs no I/O, reads no clock, draws no random numbers and knows no
//! async: time comes in as an argument, decisions go out as data. That makes the same command on
//! the same document give the same answer everywhere, so every store shares one implementation
//! and the tests can explore it by simulation.
//!
//! Read it in this order: [`resource`] (what is locked), [`document`] (everything known of one
//! resource), [`command`] (what may be asked of it), then one file per operation under `ops`.

pub mod delta;
pub mod id;
pub mod resource;
pub mod time;

pub use delta::{Delta, Field, FieldKind, Version};
pub use id::{EntryId, Seq};
pub use resource::{Partition, Resource, ResourceId, ResourceKind};
pub use time::{Span, Timestamp};
