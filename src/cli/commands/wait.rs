//! `wait`: go on waiting with a ticket.

use super::super::context::{CommandResult, Context};
use super::super::signals::Signals;
use super::super::values::GoDuration;
use super::super::waiting::{Outcome, follow};
use super::acquire::finish;
use clap::Args;
use tokio::time::Instant;

/// Flags of `wait`.
#[derive(Args, Clone, Debug)]
pub struct WaitArgs {
    /// The ticket's id.
    pub ticket: String,

    /// Wait at most this long [default: as long as the ticket lives].
    #[arg(long, value_name = "DURATION")]
    pub wait: Option<GoDuration>,
}

pub(crate) async fn run(ctx: &Context, args: &WaitArgs, signals: Option<Signals>) -> CommandResult {
    let deadline = args.wait.as_ref().map(|wait| Instant::now() + wait.to_std());
    let mut signals = match signals {
        Some(signals) => signals,
        None => Signals::of_process()?,
    };
    let outcome = follow(ctx, &mut signals, &args.ticket, deadline, None).await;
    if let Outcome::Stopped(_) = outcome {
        // Not this command's ticket: whoever took it may come back to it.
        ctx.console.say(format_args!("stopped waiting; the ticket {} was left in the queue", args.ticket));
    }
    finish(ctx, outcome, args.wait.as_ref().map(GoDuration::text))
}
