//! `actors`: how the actors inside the server do.

use super::super::client::{Call, Patience};
use super::super::context::{CommandResult, Context, code};
use super::super::output::{actors_table, print};
use clap::Args;

/// Flags of `actors`.
#[derive(Args, Clone, Debug, Default)]
pub struct ActorsArgs {}

pub(crate) async fn run(ctx: &Context, _args: &ActorsArgs) -> CommandResult {
    let answer = ctx.client.call(&Call::get(&["api", "v1", "actors"]), Patience::Rounds).await?.body;
    let actors = answer["actors"].as_array().map_or(&[][..], Vec::as_slice);
    let names: Vec<&str> = actors.iter().filter_map(|actor| actor["name"].as_str()).collect();
    print(&ctx.console, &answer, &names, |wide| actors_table(&answer, wide))?;
    Ok(code::DONE)
}
