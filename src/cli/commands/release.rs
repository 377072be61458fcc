//! `release`: give a lock back.

use super::super::client::{Call, Failure, Patience};
use super::super::context::{CommandResult, Context, code};
use super::super::output::locks_table;
use super::super::output::{field, print};
use super::super::values::fresh_id;
use clap::Args;
use serde_json::Value;

/// Flags of `release`.
#[derive(Args, Clone, Debug)]
pub struct ReleaseArgs {
    /// The lock's id.
    #[arg(value_name = "LOCK")]
    pub lock: String,

    /// The lock's fencing token: proof that it is yours.
    #[arg(long, value_name = "N", env = "LOCKKEEPER_FENCING_TOKEN")]
    pub fencing_token: u64,
}

pub(crate) async fn run(ctx: &Context, args: &ReleaseArgs) -> CommandResult {
    let call = release_call(&args.lock, args.fencing_token);
    match ctx.client.call(&call, Patience::Rounds).await {
        Ok(answer) => print_released(ctx, &answer.body),
        Err(failure) if happened(&failure, "released") => {
            ctx.console.say("released (the first answer was lost on the way)");
            Ok(code::DONE)
        }
        Err(failure) => Err(failure.into()),
    }
}

/// The request that releases a lock, repeatable under one fresh request id.
pub(crate) fn release_call(lock: &str, fencing_token: u64) -> Call {
    Call::delete(&["api", "v1", "locks", lock])
        .with("fencing_token", fencing_token.to_string())
        .idempotency_key(fresh_id())
}

/// True when a refusal says that an attempt whose answer was lost had done it.
pub(crate) fn happened(failure: &Failure, code: &str) -> bool {
    failure.unsure && failure.status() == 410 && failure.code() == code
}

/// Prints the answer to a release, and who got the lock next.
pub(super) fn print_released(ctx: &Context, answer: &Value) -> CommandResult {
    let pending = answer["status"] == "pending";
    let lock = if pending { &answer["lock"] } else { &answer["released"] };
    if pending {
        ctx.console.say("the store is away: the release was noted and will be carried out when it is back");
    } else {
        ctx.console.say("released");
    }
    let next = field(answer, "/granted_to/owner/id");
    if !next.is_empty() {
        ctx.console.say(format_args!("the lock went to {next}"));
    }
    let id = lock["id"].as_str().unwrap_or_default();
    let ids: &[&str] = if id.is_empty() { &[] } else { &[id] };
    print(&ctx.console, answer, ids, |wide| locks_table(lock.is_object().then_some(lock), wide))?;
    Ok(code::DONE)
}
