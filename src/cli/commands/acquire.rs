//! `acquire`: one lock, now or after a wait.

use super::super::ask_arg::{AskArgs, Subject};
use super::super::context::{CommandError, CommandResult, Context, code};
use super::super::output::{print, ticket_table};
use super::super::owner_arg::OwnerArgs;
use super::super::resource_arg::ResourceArgs;
use super::super::signals::Signals;
use super::super::values::{GoDuration, fresh_id};
use super::super::waiting::{Granted, Outcome, Wanted, acquire};
use super::{GOT, print_lock, say_holders, say_not_acquired};
use clap::Args;
use serde_json::Value;

/// Flags of `acquire`.
#[derive(Args, Clone, Debug, Default)]
pub struct AcquireArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub resource: ResourceArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub owner: OwnerArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub ask: AskArgs,

    /// How long the lock lasts without a renewal [default: 30m].
    #[arg(long, value_name = "DURATION")]
    pub ttl: Option<GoDuration>,

    /// Hold the lock until it is released, without a lease.
    #[arg(long, conflicts_with = "ttl")]
    pub hold: bool,

    /// Take a ticket when the resource is not free. With --wait it outlives the wait.
    #[arg(long)]
    pub queue: bool,

    /// Be refused, or wait, even if this owner has the lock already.
    #[arg(long)]
    pub no_reentrant: bool,

    /// Keep the ticket in the queue while nobody asks for it.
    #[arg(long)]
    pub unattended: bool,

    /// Name this request; repeating it tells what became of it [default: a fresh one].
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
}

pub(crate) async fn run(ctx: &Context, args: &AcquireArgs, signals: Option<Signals>) -> CommandResult {
    let subject = Subject::read(&args.resource, &ctx.env)?;
    let owner = args.owner.id(&ctx.env, subject.atlantis.as_ref());
    let wait = args.ask.wait();
    let queue = args.queue || !wait.is_zero();
    let request_id = args.request_id.clone().unwrap_or_else(fresh_id);
    let mut body = args.ask.body(&subject, &args.owner, &owner, queue, &request_id);
    if args.queue && args.ask.queue_timeout.is_none() {
        // The ticket was asked for by itself: it outlives the wait.
        body.remove("queue_timeout");
    }
    if args.hold {
        body.insert("ttl".into(), "0s".into());
    } else if let Some(ttl) = &args.ttl {
        body.insert("ttl".into(), ttl.text().into());
    }
    if args.no_reentrant {
        body.insert("reentrant".into(), false.into());
    }
    if args.unattended {
        body.insert("attended".into(), false.into());
    }
    let mut signals = match signals {
        Some(signals) => signals,
        None => Signals::of_process()?,
    };
    let wanted = Wanted { body: Value::Object(body), wait, keep_ticket: args.queue, refuse_holder: None };
    finish(ctx, acquire(ctx, &mut signals, &wanted).await, args.ask.wait_text())
}

/// Prints what came of asking; `wait` is how long it was waited for, as the caller wrote it.
pub(super) fn finish(ctx: &Context, outcome: Outcome, wait: Option<&str>) -> CommandResult {
    match outcome {
        Outcome::Granted(granted) => got(ctx, &granted),
        Outcome::Queued(answer) => {
            let ticket = &answer["ticket"];
            let id = ticket["id"].as_str().unwrap_or_default();
            say_holders(ctx, &answer);
            ctx.console.say(format_args!("not acquired: queued as {id}; go on with: lockkeeper wait {id}"));
            print(&ctx.console, &answer, &[id], |wide| ticket_table([ticket], wide))?;
            Ok(code::NOT_ACQUIRED)
        }
        Outcome::GaveUp(answer) => {
            say_holders(ctx, &answer);
            ctx.console.say(format_args!("not acquired within {}", wait.unwrap_or("0s")));
            Ok(code::NOT_ACQUIRED)
        }
        Outcome::HeldByOwner(lock) => {
            ctx.console.say(format_args!("held by this owner already, as {}", lock["id"]));
            Ok(code::NOT_ACQUIRED)
        }
        Outcome::Failed(failure) => match failure.problem() {
            Some(problem) if problem.is_not_acquired() => {
                say_not_acquired(ctx, problem);
                Ok(code::NOT_ACQUIRED)
            }
            _ => Err(CommandError::Failure(failure)),
        },
        Outcome::Stopped(stop) => Ok(stop.exit_code()),
    }
}

fn got(ctx: &Context, granted: &Granted) -> CommandResult {
    if granted.answer["reentrant"] == true {
        ctx.console.say("this owner had the lock already: one release ends it for all");
    }
    let lock = granted.lock();
    if let Err(error) = print_lock(ctx, &granted.answer, lock) {
        // Whoever cannot read the token can neither renew nor release.
        ctx.console.say(format_args!("acquired {} with fencing token {}", lock["id"], lock["fencing_token"]));
        return Err(error.into());
    }
    Ok(GOT)
}
