//! The whole contract again, through any instance: three share one Redis, and each request of a
//! client goes to another one than the request before it.

#![allow(clippy::duplicate_mod, reason = "the same tests, with another kind of server")]

#[path = "absent.rs"]
mod absent;
#[path = "acquire.rs"]
mod acquire;
#[path = "bad_input.rs"]
mod bad_input;
#[path = "conventions.rs"]
mod conventions;
#[path = "events.rs"]
mod events;
#[path = "health.rs"]
mod health;
#[path = "leases.rs"]
mod leases;
#[path = "lists.rs"]
mod lists;
#[path = "modes.rs"]
mod modes;
#[path = "openapi.rs"]
mod openapi;
#[path = "pull.rs"]
mod pull;
#[path = "queueing.rs"]
mod queueing;
#[path = "queues.rs"]
mod queues;
#[path = "reentry.rs"]
mod reentry;
#[path = "release.rs"]
mod release;
#[path = "request_ids.rs"]
mod request_ids;
#[path = "waiting.rs"]
mod waiting;

use super::{LOCK, NOBODY, TICKET, is_ulid};
use crate::support::ThreeInstances as TestServer;
