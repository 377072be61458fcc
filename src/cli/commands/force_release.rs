//! `force-release`: an operator takes a lock from its owner.

use super::super::client::{Call, Patience};
use super::super::context::{CommandResult, Context, code};
use super::super::values::fresh_id;
use super::release::{happened, print_released};
use clap::Args;

/// Flags of `force-release`.
#[derive(Args, Clone, Debug)]
pub struct ForceReleaseArgs {
    /// The lock's id.
    #[arg(value_name = "LOCK")]
    pub lock: String,

    /// Why; it is kept in the audit log.
    #[arg(long)]
    pub reason: String,
}

pub(crate) async fn run(ctx: &Context, args: &ForceReleaseArgs) -> CommandResult {
    let body = serde_json::json!({ "reason": args.reason });
    let call =
        Call::post(&["api", "v1", "locks", &args.lock, "force-release"], body).idempotency_key(fresh_id());
    match ctx.client.call(&call, Patience::Rounds).await {
        Ok(answer) => print_released(ctx, &answer.body),
        Err(failure) if happened(&failure, "forced") => {
            ctx.console.say("released (the first answer was lost on the way)");
            Ok(code::DONE)
        }
        Err(failure) => Err(failure.into()),
    }
}
