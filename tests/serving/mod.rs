//! The server as a process: its directory, its settings, its end.

mod actors;
mod backups;
mod deployment;
mod directory;
mod disk_full;
mod draining;
mod live_settings;
mod load_balancer;
mod logs;
mod overload;
mod restarts;
mod settings;
mod switches;

use crate::support::{DEADLINE, lockkeeper, serve_command};
use std::path::Path;

/// What came of a server that is expected to end by itself.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

async fn ended(command: std::process::Command) -> Ended {
    let mut command = tokio::process::Command::from(command);
    let output = command.kill_on_drop(true).stdin(std::process::Stdio::null()).output();
    let output = tokio::time::timeout(DEADLINE, output).await.expect("it goes on").unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `serve` on a directory, with flags; it must end by itself.
async fn serve(data_dir: &Path, flags: &[&str]) -> Ended {
    let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
    ended(serve_command(data_dir, &flags)).await
}

/// Any command of the binary.
async fn run(args: &[&str]) -> Ended {
    let mut command = lockkeeper();
    command.args(args);
    ended(command).await
}
