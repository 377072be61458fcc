//! `run`: hold a lock while a command runs.
//!
//! The lock is acquired under an owner of this run's own, renewed while the command lives, and
//! released only after it has ended. When the lock is lost, the command is stopped: TERM, then
//! KILL. What cannot be promised: if `lockkeeper run` itself is killed with KILL, the command
//! goes on without it, and the lease runs out.

mod child;
pub mod exit;
mod lease;

use super::ask_arg::{AskArgs, Subject};
use super::client::Patience;
use super::commands::release::{happened, release_call};
use super::commands::{say_holders, say_not_acquired};
use super::context::{CommandError, Context};
use super::environment::{self, Environment};
use super::output::span;
use super::owner_arg::OwnerArgs;
use super::resource_arg::ResourceArgs;
use super::signals::Signals;
use super::values::{GoDuration, fresh_id, run_id};
use super::waiting::{Granted, Outcome, Wanted, acquire};
use child::{Child, SpawnError};
use clap::Args;
use lease::{Lease, Loss};
use rustix::process::Signal;
use serde_json::Value;
use std::ffi::OsString;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::time::Instant;

/// Longest time spent on releasing: the command's end must not wait for a server for ever.
const RELEASE_WITHIN: Duration = Duration::from_secs(10);

/// Flags of `run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub resource: ResourceArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub owner: OwnerArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub ask: AskArgs,

    /// Lease; renewed every third of it.
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    pub ttl: GoDuration,

    /// Time between TERM and KILL when the lock is lost.
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub kill_after: GoDuration,

    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// How a supervised command ended.
enum End {
    /// By itself or by a signal that was meant for it.
    Ended(ExitStatus),
    /// Because the lock was lost.
    Lost(Loss),
}

/// Carries it out and returns the exit code.
pub(crate) async fn run(ctx: &Context, args: &RunArgs, signals: Option<Signals>) -> u8 {
    match carry_out(ctx, args, signals).await {
        Ok(code) => code,
        Err(error) => {
            ctx.console.say(&error);
            match error {
                CommandError::Usage(_) => exit::USAGE,
                CommandError::Failure(failure) if failure.is_unreachable() => exit::UNREACHABLE,
                CommandError::Failure(failure) if failure.status() == 400 => exit::USAGE,
                CommandError::Failure(_) | CommandError::Output(_) => exit::NOT_ACQUIRED,
            }
        }
    }
}

async fn carry_out(ctx: &Context, args: &RunArgs, signals: Option<Signals>) -> Result<u8, CommandError> {
    let subject = Subject::read(&args.resource, &ctx.env)?;
    let ttl = args.ttl.to_std();
    if ttl.is_zero() {
        return Err(CommandError::Usage(
            "run needs a lease: with --ttl 0s the lock would outlive a crash of this machine".into(),
        ));
    }
    let owner = owner_of_run(&args.owner, &ctx.env, &subject);
    let wait = args.ask.wait();
    let mut body = args.ask.body(&subject, &args.owner, &owner, !wait.is_zero(), &fresh_id());
    body.insert("reentrant".into(), false.into());
    body.insert("ttl".into(), args.ttl.text().into());
    let wanted =
        Wanted { body: Value::Object(body), wait, keep_ticket: false, refuse_holder: Some(owner.clone()) };

    // From here on a signal is an event, so that nothing is left behind.
    let mut signals = match signals {
        Some(signals) => signals,
        None => Signals::of_process()?,
    };
    let granted = match acquire(ctx, &mut signals, &wanted).await {
        Outcome::Granted(granted) => granted,
        Outcome::HeldByOwner(lock) => {
            ctx.console.say(format_args!(
                "{} is held by {owner} already (lock {}): an outer `lockkeeper run` has it, and waiting \
                 for it from within would never end",
                subject.resource,
                lock["id"].as_str().unwrap_or("?"),
            ));
            return Ok(exit::NOT_ACQUIRED);
        }
        Outcome::Queued(answer) | Outcome::GaveUp(answer) => {
            say_holders(ctx, &answer);
            ctx.console.say(format_args!(
                "not acquired within {}: {} is not free",
                args.ask.wait_text().unwrap_or("0s"),
                subject.resource
            ));
            return Ok(exit::NOT_ACQUIRED);
        }
        Outcome::Failed(failure) => match failure.problem() {
            Some(problem) if problem.is_not_acquired() => {
                say_not_acquired(ctx, problem);
                return Ok(exit::NOT_ACQUIRED);
            }
            _ => return Err(failure.into()),
        },
        Outcome::Stopped(stop) => return Ok(stop.exit_code()),
    };
    hold(ctx, args, &owner, &granted, &mut signals).await
}

/// This run's owner. `LOCKKEEPER_OWNER` is an outer run's and used as it is, so that nested runs
/// count as one owner; any other base is made unique, so that two runs never share a lock.
fn owner_of_run(args: &OwnerArgs, env: &Environment, subject: &Subject) -> String {
    if args.owner.is_none()
        && let Some(outer) = env.get(environment::OWNER)
    {
        return outer.to_owned();
    }
    format!("{}:run:{}", args.id(env, subject.atlantis.as_ref()), run_id())
}

/// Runs the command under a granted lock and releases it.
async fn hold(
    ctx: &Context,
    args: &RunArgs,
    owner: &str,
    granted: &Granted,
    signals: &mut Signals,
) -> Result<u8, CommandError> {
    let Some(lease) = Lease::new(granted.lock(), args.ttl.to_std(), granted.sent) else {
        ctx.console.say("the server's answer names no lock");
        return Ok(exit::NOT_ACQUIRED);
    };
    // A grant that was waited for is counted from when the wait began: renewing tells how much
    // is really left, before anything starts.
    if !lease.is_fresh()
        && let Err(failure) = lease.confirm(ctx).await
    {
        ctx.console.say(format_args!("the lock was lost before the command could start: {failure}"));
        if failure.is_unreachable() {
            release(ctx, &lease).await;
            return Ok(exit::UNREACHABLE);
        }
        return Ok(exit::LOST);
    }
    if let Some(stop) = signals.pending() {
        release(ctx, &lease).await;
        return Ok(stop.exit_code());
    }
    let env = [
        (environment::FENCING_TOKEN, lease.token().to_string()),
        (environment::OWNER, owner.to_owned()),
        (environment::LOCK_ID, lease.lock().to_owned()),
    ];
    let child = match Child::spawn(&args.command, &env) {
        Ok(child) => child,
        Err(error) => {
            release(ctx, &lease).await;
            let (code, error) = match error {
                SpawnError::NotFound(error) => (exit::NOT_FOUND, error),
                SpawnError::NotExecutable(error) => (exit::NOT_EXECUTABLE, error),
            };
            let command = args.command.first().map(|name| name.to_string_lossy()).unwrap_or_default();
            ctx.console.say(format_args!("cannot run {command}: {error}"));
            return Ok(code);
        }
    };
    match supervise(ctx, child, &lease, signals, args.kill_after.to_std()).await? {
        End::Lost(loss) => {
            ctx.console.say(format_args!("the command was stopped: the lock was lost: {}", told(&loss)));
            Ok(exit::LOST)
        }
        End::Ended(status) => {
            let code = exit::of_status(status);
            Ok(if release(ctx, &lease).await { code } else { exit::LOST })
        }
    }
}

/// Waits for the command's end; renews, forwards signals, and stops it when the lock is lost.
async fn supervise(
    ctx: &Context,
    mut child: Child,
    lease: &Lease,
    signals: &mut Signals,
    kill_after: Duration,
) -> Result<End, CommandError> {
    let mut keeping = std::pin::pin!(lease.keep(ctx));
    let mut lost: Option<Loss> = None;
    let mut kill_at: Option<Instant> = None;
    let mut signalled = false;
    let lose = |loss: &Loss, child: &Child| {
        ctx.console.say(format_args!("the lock is lost, stopping the command: {}", told(loss)));
        child.send(Signal::TERM);
        Some(Instant::now() + kill_after)
    };

    let status = loop {
        tokio::select! {
            // In this order: a command that has ended did not lose its lock.
            biased;
            status = child.wait() => break status?,
            stop = signals.next() => {
                signalled = true;
                child.forward(stop);
            }
            loss = &mut keeping, if lost.is_none() => {
                kill_at = lose(&loss, &child);
                lost = Some(loss);
            }
            () = at(kill_at), if kill_at.is_some() => {
                kill_at = None;
                child.send(Signal::KILL);
            }
        }
    };

    // A signal may have ended a shell whose commands are still cleaning up: the lock is theirs
    // until they are done. What a command leaves running without a signal is its own affair.
    if signalled || lost.is_some() {
        let mut end = kill_at.unwrap_or_else(|| Instant::now() + kill_after);
        loop {
            tokio::select! {
                biased;
                () = child.group_ended() => break,
                stop = signals.next() => child.forward(stop),
                loss = &mut keeping, if lost.is_none() => {
                    end = lose(&loss, &child).unwrap_or(end);
                    lost = Some(loss);
                }
                () = tokio::time::sleep_until(end) => {
                    if lost.is_some() {
                        child.send(Signal::KILL);
                    } else {
                        ctx.console.say("something that the command started goes on without it");
                    }
                    break;
                }
            }
        }
    }
    Ok(lost.map_or(End::Ended(status), End::Lost))
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Releases the lock, as long as that can still matter. False when it turns out that the lock
/// had been lost while the command ran.
async fn release(ctx: &Context, lease: &Lease) -> bool {
    let call = release_call(lease.lock(), lease.token());
    let until = Instant::now() + lease.left().min(RELEASE_WITHIN);
    let failure = match ctx.client.call(&call, Patience::Until(until)).await {
        Ok(_) => return true,
        Err(failure) => failure,
    };
    match (failure.status(), failure.code()) {
        _ if happened(&failure, "released") => true,
        (410, "released") => {
            ctx.console.say("the lock had been released by somebody else");
            true
        }
        (409, "stale_token") | (410, _) | (404, "not_found") => {
            ctx.console.say(format_args!("the lock was lost before the command ended: {failure}"));
            false
        }
        _ => {
            ctx.console.say(format_args!(
                "the lock {} could not be released; it ends in {}: {failure}",
                lease.lock(),
                span(lease.left())
            ));
            true
        }
    }
}

fn told(loss: &Loss) -> String {
    match loss {
        Loss::Refused(failure) => failure.to_string(),
        Loss::Expired(Some(failure)) => format!("its lease ended and could not be renewed: {failure}"),
        Loss::Expired(None) => "its lease ended".into(),
    }
}

#[cfg(test)]
mod tests;
