//! `lockkeeper`: the server and its command line.

use lockkeeper::cli::{self, Cli, Command};
use lockkeeper::{offline, server};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::from_process() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match cli.command {
        Command::Serve(args) => server::serve(&args),
        Command::Backup(args) => offline::backup(args),
        Command::Restore(args) => offline::restore(args),
        Command::Compact(args) => offline::compact(args),
        Command::Client(command) => cli::run_blocking(command, cli.client),
    }
}
