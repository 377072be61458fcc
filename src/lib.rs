//! Lockkeeper.

pub mod cli;
