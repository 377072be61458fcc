//! The command line: one binary, a server and its clients.
//!
//! This module declares every command and carries out those that talk to a server. `serve` and
//! the commands on a data directory are only declared here; the binary's `main` runs them.
//! Data goes to stdout, prose to stderr. Exit codes: 0 done, 1 error, 2 usage, 3 not acquired;
//! `run` has its own ([`run`](mod@run)).

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "the texts of flags are help for a terminal, brackets included"
)]

mod ask_arg;
mod atlantis_env;
mod client;
mod clock;
mod commands;
mod context;
mod environment;
mod options;
mod output;
mod owner_arg;
mod problem;
mod resource_arg;
pub mod run;
mod serve_args;
mod signals;
mod store_args;
mod values;
mod waiting;

#[cfg(test)]
mod testing;

pub use ask_arg::AskArgs;
pub use commands::acquire::AcquireArgs;
pub use commands::actors::ActorsArgs;
pub use commands::config::{ConfigArgs, ConfigCommand, ConfigGetArgs, ConfigSetArgs};
pub use commands::force_release::ForceReleaseArgs;
pub use commands::instances::InstancesArgs;
pub use commands::list::ListArgs;
pub use commands::queue::QueueArgs;
pub use commands::release::ReleaseArgs;
pub use commands::renew::RenewArgs;
pub use commands::show::ShowArgs;
pub use commands::status::StatusArgs;
pub use commands::unlock_pull::UnlockPullArgs;
pub use commands::wait::WaitArgs;
pub use environment::CLIENT_VARIABLES;
pub use options::{ClientOptions, Format};
pub use owner_arg::OwnerArgs;
pub use resource_arg::ResourceArgs;
pub use run::RunArgs;
pub use serve_args::{FlagSetting, ServeArgs};
pub use store_args::{BackupArgs, CompactArgs, RestoreArgs};
pub use values::GoDuration;

use clap::{Parser, Subcommand};
use context::{CommandError, Context, code};
use std::ffi::OsString;
use std::process::ExitCode;

/// A durable lock coordinator: the server and its clients.
#[derive(Clone, Debug, Parser)]
#[command(name = "lockkeeper", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Options of the client commands.
    #[command(flatten)]
    pub client: ClientOptions,
}

/// Every command of the binary.
#[derive(Clone, Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one value per process")]
pub enum Command {
    /// Run the server.
    Serve(ServeArgs),
    /// Copy the store into a file.
    Backup(BackupArgs),
    /// Put a backup in place.
    Restore(RestoreArgs),
    /// Give unused space of the store's file back.
    Compact(CompactArgs),
    /// A command that talks to a server.
    #[command(flatten)]
    Client(ClientCommand),
}

/// The commands that talk to a server.
#[derive(Clone, Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one value per process")]
pub enum ClientCommand {
    /// Acquire a lock, now or after a wait.
    Acquire(AcquireArgs),
    /// Give a lock back.
    Release(ReleaseArgs),
    /// Let a lock last longer.
    Renew(RenewArgs),
    /// List locks.
    List(ListArgs),
    /// Show a lock, a ticket, or what happens at a resource.
    Show(ShowArgs),
    /// Show who waits, everywhere or for one resource.
    Queue(QueueArgs),
    /// Go on waiting with a ticket.
    Wait(WaitArgs),
    /// Show whether locks can be granted.
    Status(StatusArgs),
    /// List the instances that serve the same locks.
    Instances(InstancesArgs),
    /// Show how the actors inside the server do.
    Actors(ActorsArgs),
    /// Show or change the settings of a running server.
    Config(ConfigArgs),
    /// Hold a lock while a command runs.
    Run(RunArgs),
    /// Release everything of a pull request and cancel its tickets.
    UnlockPull(UnlockPullArgs),
    /// Take a lock from its owner, as an operator.
    ForceRelease(ForceReleaseArgs),
}

impl Cli {
    /// Reads the process's arguments. Help and errors are printed; the exit code is then all
    /// that is left to do. A wrong `run` line exits 120, since 2 would look like the command's.
    ///
    /// # Errors
    /// The exit code.
    pub fn from_process() -> Result<Self, ExitCode> {
        let line: Vec<OsString> = std::env::args_os().collect();
        Self::try_parse_from(&line).map_err(|error| {
            // A closed stream leaves nobody to tell.
            let _ = error.print();
            ExitCode::from(if !error.use_stderr() {
                code::DONE
            } else if names_run(&line) {
                run::exit::USAGE
            } else {
                code::USAGE
            })
        })
    }
}

/// True when a line that could not be read was meant for `run`.
fn names_run(line: &[OsString]) -> bool {
    /// Global options that take the next word as their value.
    const WITH_VALUE: [&str; 6] = ["--server", "--token-file", "--ca-file", "--timeout", "--output", "-o"];
    let mut words = line.iter().skip(1).map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        if WITH_VALUE.contains(&word.as_ref()) {
            words.next();
        } else if !word.starts_with('-') {
            return word == "run";
        }
    }
    false
}

/// Carries out a client command and prints what came of it.
pub async fn run(command: ClientCommand, options: ClientOptions) -> ExitCode {
    let is_run = matches!(command, ClientCommand::Run(_));
    let ctx = match Context::of_process(&options) {
        Ok(ctx) => ctx,
        Err(text) => {
            context::Console::of_process(options.output).say(text);
            return ExitCode::from(if is_run { run::exit::USAGE } else { code::USAGE });
        }
    };
    ExitCode::from(dispatch(&ctx, &command).await)
}

/// Like [`run()`], on a runtime of its own: for `main`.
#[must_use]
pub fn run_blocking(command: ClientCommand, options: ClientOptions) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(command, options)),
        Err(error) => {
            context::Console::of_process(options.output).say(format_args!("cannot start: {error}"));
            ExitCode::from(code::ERROR)
        }
    }
}

async fn dispatch(ctx: &Context, command: &ClientCommand) -> u8 {
    let result = match command {
        ClientCommand::Acquire(args) => commands::acquire::run(ctx, args, None).await,
        ClientCommand::Release(args) => commands::release::run(ctx, args).await,
        ClientCommand::Renew(args) => commands::renew::run(ctx, args).await,
        ClientCommand::List(args) => commands::list::run(ctx, args).await,
        ClientCommand::Show(args) => commands::show::run(ctx, args).await,
        ClientCommand::Queue(args) => commands::queue::run(ctx, args).await,
        ClientCommand::Wait(args) => commands::wait::run(ctx, args, None).await,
        ClientCommand::Status(args) => commands::status::run(ctx, args).await,
        ClientCommand::Instances(args) => commands::instances::run(ctx, args).await,
        ClientCommand::Actors(args) => commands::actors::run(ctx, args).await,
        ClientCommand::Config(args) => commands::config::run(ctx, args).await,
        ClientCommand::UnlockPull(args) => commands::unlock_pull::run(ctx, args).await,
        ClientCommand::ForceRelease(args) => commands::force_release::run(ctx, args).await,
        ClientCommand::Run(args) => return run::run(ctx, args, None).await,
    };
    result.unwrap_or_else(|error| {
        ctx.console.say(&error);
        match error {
            CommandError::Usage(_) => code::USAGE,
            CommandError::Failure(_) | CommandError::Output(_) => code::ERROR,
        }
    })
}

#[cfg(test)]
mod tests;
