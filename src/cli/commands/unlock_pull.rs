//! `unlock-pull`: everything of one pull request, released and out of the queues.

use super::super::client::{Call, Patience, Repeat};
use super::super::context::{CommandResult, Context, code};
use super::super::output::{count, locks_table, print, ticket_table};
use super::super::values::utc_time;
use clap::Args;
use serde_json::{Map, Value};

/// Flags of `unlock-pull`.
#[derive(Args, Clone, Debug)]
pub struct UnlockPullArgs {
    /// Number of the pull request.
    #[arg(value_name = "PULL")]
    pub pull: u64,

    /// Its repository, exactly.
    #[arg(short = 'r', long, visible_alias = "repo", value_name = "NAMESPACE")]
    pub namespace: String,

    /// Only what was acquired before this time.
    #[arg(long, value_name = "TIME", value_parser = utc_time)]
    pub acquired_before: Option<String>,
}

pub(crate) async fn run(ctx: &Context, args: &UnlockPullArgs) -> CommandResult {
    let mut body = Map::new();
    body.insert("namespace".into(), args.namespace.clone().into());
    body.insert("pull".into(), args.pull.into());
    if let Some(time) = &args.acquired_before {
        body.insert("acquired_before".into(), time.clone().into());
    }
    // Without that bound, a repetition could release what was acquired after the first attempt.
    let repeat = if args.acquired_before.is_some() { Repeat::Freely } else { Repeat::IfNotDone };
    let call = Call::post(&["api", "v1", "locks", "release-by-pull"], Value::Object(body)).repeat(repeat);
    let answer = ctx.client.call(&call, Patience::Rounds).await?.body;

    let of = |name: &str| answer[name].as_array().cloned().unwrap_or_default();
    let (released, cancelled) = (of("released"), of("cancelled"));
    ctx.console.say(format_args!(
        "{} released, {} cancelled",
        count(released.len(), "lock"),
        count(cancelled.len(), "ticket")
    ));
    let ids: Vec<&str> = released.iter().chain(&cancelled).filter_map(|entry| entry["id"].as_str()).collect();
    print(&ctx.console, &answer, &ids, |wide| {
        let tables = [locks_table(&released, wide), ticket_table(&cancelled, wide)];
        tables.into_iter().filter(|table| !table.is_empty()).collect::<Vec<_>>().join("\n")
    })?;
    Ok(code::DONE)
}
