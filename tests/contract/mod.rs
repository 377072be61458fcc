//! The contract of the HTTP door, spoken from outside: a module per route family.
//!
//! Each is there twice: here with one instance and its embedded store, and in `any_instance` with
//! three instances on one Redis, where each request goes to the next.

mod absent;
mod acquire;
mod any_instance;
mod bad_input;
mod config;
mod conventions;
mod events;
mod health;
mod hold_only;
mod leases;
mod limits;
mod lists;
mod modes;
mod openapi;
mod pull;
mod queueing;
mod queues;
mod reentry;
mod release;
mod request_ids;
mod waiting;

use crate::support::TestServer;

/// Members of a lock that the contract names.
const LOCK: &[&str] = &[
    "id",
    "state",
    "key",
    "resource",
    "owner",
    "created_by",
    "mode",
    "priority",
    "fencing_token",
    "acquired_at",
    "expires_at",
    "expires_in",
    "renewed_at",
    "protected",
    "metadata",
];

/// Members of a ticket that the contract names.
const TICKET: &[&str] = &[
    "id",
    "state",
    "key",
    "resource",
    "owner",
    "priority",
    "position",
    "enqueued_at",
    "deadline",
    "estimated_wait",
];

/// A ULID as text: 26 characters of Crockford's base 32.
fn is_ulid(value: &serde_json::Value) -> bool {
    let alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    value.as_str().is_some_and(|text| text.len() == 26 && text.chars().all(|c| alphabet.contains(c)))
}

/// An id of the right form that nothing has. Of a time to come: no store can have lost it.
const NOBODY: &str = "7ZZZZZZZZZTSV4RRFFQ69G5FAV";
