//! The client commands, one per file. Each says what it did on stdout and returns its exit code.

pub(crate) mod acquire;
pub(crate) mod actors;
pub(crate) mod config;
pub(crate) mod force_release;
pub(crate) mod instances;
pub(crate) mod list;
pub(crate) mod queue;
pub(crate) mod release;
pub(crate) mod renew;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod unlock_pull;
pub(crate) mod wait;

use super::context::{Context, code};
use super::output::{locks_table, print};
use super::problem::Problem;
use serde_json::Value;

/// Prints an answer that carries one lock.
pub(crate) fn print_lock(ctx: &Context, whole: &Value, lock: &Value) -> std::io::Result<()> {
    let id = lock["id"].as_str().unwrap_or_default();
    print(&ctx.console, whole, &[id], |wide| locks_table([lock], wide))
}

/// Says why a lock was not acquired and who has it.
pub(crate) fn say_not_acquired(ctx: &Context, problem: &Problem) {
    ctx.console.say(problem);
    if !problem.holders().is_empty() {
        ctx.console.say(format_args!("held by {}", super::output::held_by(problem.holders())));
    }
}

/// Says who holds what is waited for.
pub(crate) fn say_holders(ctx: &Context, answer: &Value) {
    let holders = answer["holders"].as_array().map_or(&[][..], Vec::as_slice);
    if !holders.is_empty() {
        ctx.console.say(format_args!("held by {}", super::output::held_by(holders)));
    }
}

/// The exit code of a lock that was got, once it was printed.
pub(crate) const GOT: u8 = code::DONE;

#[cfg(test)]
mod tests;
