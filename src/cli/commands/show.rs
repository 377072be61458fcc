//! `show`: a lock, a ticket, or what happens at a resource.

use super::super::ask_arg::Subject;
use super::super::client::{Call, Patience};
use super::super::context::{CommandError, CommandResult, Context, code};
use super::super::output::{print, ticket_table};
use super::super::resource_arg::ResourceArgs;
use super::print_lock;
use super::queue::{of_resource, print_one};
use clap::Args;
use lockkeeper_core::EntryId;

/// Flags of `show`.
#[derive(Args, Clone, Debug, Default)]
pub struct ShowArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub resource: ResourceArgs,
}

pub(crate) async fn run(ctx: &Context, args: &ShowArgs) -> CommandResult {
    match &args.resource.resource {
        Some(id) if id.parse::<EntryId>().is_ok() => entry(ctx, id).await,
        _ => {
            let subject = Subject::read(&args.resource, &ctx.env)?;
            match of_resource(ctx, &subject.resource).await? {
                Some(queue) => {
                    print_one(ctx, &queue)?;
                    Ok(code::DONE)
                }
                None => {
                    ctx.console.say(format_args!("nobody holds {} or waits for it", subject.resource));
                    Ok(code::ERROR)
                }
            }
        }
    }
}

/// A lock, else a ticket. In this order: asking for a ticket whose turn has come would claim it.
async fn entry(ctx: &Context, id: &str) -> CommandResult {
    let lock = match ctx.client.call(&Call::get(&["api", "v1", "locks", id]), Patience::Rounds).await {
        Ok(answer) => {
            print_lock(ctx, &answer.body, &answer.body["lock"])?;
            return Ok(code::DONE);
        }
        Err(failure) => failure,
    };
    if lock.status() != 404 && lock.status() != 410 {
        return Err(lock.into());
    }
    match ctx.client.call(&Call::get(&["api", "v1", "tickets", id]), Patience::Rounds).await {
        Ok(answer) if answer.status == 202 => {
            let ticket = &answer.body["ticket"];
            super::say_holders(ctx, &answer.body);
            print(&ctx.console, &answer.body, &[id], |wide| ticket_table([ticket], wide))?;
            Ok(code::DONE)
        }
        Ok(answer) => {
            print_lock(ctx, &answer.body, &answer.body["lock"])?;
            Ok(code::DONE)
        }
        // Why it ended says more than that it is unknown.
        Err(ticket) if ticket.status() == 404 && lock.status() == 410 => Err(CommandError::Failure(lock)),
        Err(ticket) => Err(CommandError::Failure(ticket)),
    }
}
