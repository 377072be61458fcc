//! `renew`: a lease from now on.

use super::super::client::{Call, Patience};
use super::super::context::{CommandResult, Context, code};
use super::super::values::GoDuration;
use super::print_lock;
use clap::Args;
use serde_json::{Map, Value};

/// Flags of `renew`.
#[derive(Args, Clone, Debug)]
pub struct RenewArgs {
    /// The lock's id.
    #[arg(value_name = "LOCK")]
    pub lock: String,

    /// The lock's fencing token: proof that it is yours.
    #[arg(long, value_name = "N", env = "LOCKKEEPER_FENCING_TOKEN")]
    pub fencing_token: u64,

    /// How long the lock lasts from now on [default: as before].
    #[arg(long, value_name = "DURATION")]
    pub ttl: Option<GoDuration>,
}

pub(crate) async fn run(ctx: &Context, args: &RenewArgs) -> CommandResult {
    let call = renew_call(&args.lock, args.fencing_token, args.ttl.as_ref().map(GoDuration::text));
    let answer = ctx.client.call(&call, Patience::Rounds).await?;
    print_lock(ctx, &answer.body, &answer.body["lock"])?;
    Ok(code::DONE)
}

/// The request that renews a lock.
pub(crate) fn renew_call(lock: &str, fencing_token: u64, ttl: Option<&str>) -> Call {
    let mut body = Map::new();
    body.insert("fencing_token".into(), fencing_token.into());
    if let Some(ttl) = ttl {
        body.insert("ttl".into(), ttl.into());
    }
    Call::post(&["api", "v1", "locks", lock, "renew"], Value::Object(body))
}
