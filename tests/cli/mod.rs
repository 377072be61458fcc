//! The command line against a real server: exit codes, output, and what it leaves behind.

mod atlantis;
mod commands;
mod hold_only;
mod run;
mod run_loss;
mod waits;

/// The binary, for commands that start it again.
const LOCKKEEPER: &str = env!("CARGO_BIN_EXE_lockkeeper");

/// Nobody listens there.
const NOBODY_LISTENS: &str = "http://127.0.0.1:1";
