//! `instances`: who serves the same locks.

use super::super::client::{Call, Patience};
use super::super::context::{CommandResult, Context, code};
use super::super::output::{instances_table, print};
use clap::Args;

/// Flags of `instances`.
#[derive(Args, Clone, Debug, Default)]
pub struct InstancesArgs {}

/// The question.
pub(super) fn question() -> Call {
    Call::get(&["api", "v1", "instances"])
}

pub(crate) async fn run(ctx: &Context, _args: &InstancesArgs) -> CommandResult {
    let answer = ctx.client.call(&question(), Patience::Rounds).await?.body;
    let instances = answer["instances"].as_array().map_or(&[][..], Vec::as_slice);
    let ids: Vec<&str> = instances.iter().filter_map(|instance| instance["id"].as_str()).collect();
    print(&ctx.console, &answer, &ids, |wide| instances_table(instances, wide))?;
    // A server that has not reached its store yet has heard of nobody.
    if instances.is_empty() {
        ctx.console.say("this server has not reached its store yet; lockkeeper status says why");
    }
    Ok(code::DONE)
}
