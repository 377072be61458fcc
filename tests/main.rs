//! Every integration test of Lockkeeper in one binary: one link, one process, a module per topic.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

mod actors;
mod chaos;
mod cli;
mod contract;
mod durability;
mod loss_model;
mod operations;
mod readme;
mod redis;
mod serving;
mod simulation;
mod support;
