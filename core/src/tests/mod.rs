//! Tests of the rules: one file per subject, invariants under all of them, and a naive model that
//! random commands are compared with.

mod acquire;
mod against_model;
mod gone;
mod handoff;
mod invariants;
mod kit;
mod leases;
mod limits;
mod model;
mod modes;
mod pull;
mod queue;
mod records;
mod requests;
mod switched_off;
mod tokens;
