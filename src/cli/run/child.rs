//! The command that runs under the lock, and who gets which signal.
//!
//! Without a terminal (CI, cron, services) the command gets a process group of its own. Signals
//! that come to `lockkeeper` are forwarded to that group, once each: tools like terraform take a
//! second INT as "stop at once", so a signal that was sent to both of us must not arrive twice.
//! It also lets a lost lock end everything that the command started, not only its shell.
//!
//! In the foreground of a terminal a group of its own could not read the terminal. There the
//! command stays in our group: the terminal itself delivers INT and HUP to both of us, so only
//! TERM is forwarded, and only the command itself can be ended.

use super::super::signals::Stop;
use rustix::process::{Pid, Signal};
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::process::ExitStatus;
use std::time::Duration;

/// How often the end of a process group is looked for: no event tells it.
const GROUP_POLL: Duration = Duration::from_millis(20);

/// Why a command could not be started.
#[derive(Debug)]
pub(super) enum SpawnError {
    /// There is no such file.
    NotFound(io::Error),
    /// The file cannot be executed.
    NotExecutable(io::Error),
}

/// A started command.
pub(super) struct Child {
    inner: tokio::process::Child,
    pid: Option<Pid>,
    own_group: bool,
    ended: bool,
}

impl Child {
    /// Starts it with these variables added to the environment.
    pub(super) fn spawn(command: &[OsString], env: &[(&str, String)]) -> Result<Self, SpawnError> {
        let own_group = !in_foreground();
        let (program, args) = command
            .split_first()
            .ok_or_else(|| SpawnError::NotFound(io::Error::other("no command was given")))?;
        let mut process = tokio::process::Command::new(program);
        process.args(args).envs(env.iter().map(|(name, value)| (name, value)));
        if own_group {
            process.process_group(0);
        }
        let inner = process.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => SpawnError::NotFound(error),
            _ => SpawnError::NotExecutable(error),
        })?;
        let pid = inner.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { inner, pid, own_group, ended: false })
    }

    /// Waits for the command's end. Cancel safe.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.inner.wait().await;
        self.ended = true;
        status
    }

    /// Passes a stop request on, unless the terminal already has.
    pub(super) fn forward(&self, stop: Stop) {
        if self.own_group || stop == Stop::Term {
            self.send(stop.signal());
        }
    }

    /// Sends a signal to the command, in its own group with all that it started.
    pub(super) fn send(&self, signal: Signal) {
        let Some(pid) = self.pid else { return };
        // Errors: it has ended in the meantime, which is what every signal here asks for.
        let _ = if self.own_group {
            rustix::process::kill_process_group(pid, signal)
        } else if self.ended {
            // The number may belong to somebody else by now.
            Ok(())
        } else {
            rustix::process::kill_process(pid, signal)
        };
    }

    /// Waits until nothing of the command's group is left. In a group shared with us: at once.
    pub(super) async fn group_ended(&self) {
        let Some(pid) = self.pid.filter(|_| self.own_group) else { return };
        while rustix::process::test_kill_process_group(pid).is_ok() && !only_zombies(pid) {
            tokio::time::sleep(GROUP_POLL).await;
        }
    }
}

/// True when our process group is the one that the terminal talks to.
fn in_foreground() -> bool {
    let stdin = io::stdin();
    stdin.is_terminal()
        && rustix::termios::tcgetpgrp(&stdin).is_ok_and(|group| group == rustix::process::getpgrp())
}

/// True when every process of the group has ended and merely was not collected yet: under a
/// container's PID 1 that collects late or never, such a group would look alive for ever.
fn only_zombies(group: Pid) -> bool {
    // Without /proc (not Linux) nobody knows; then the group counts as alive.
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    let mut seen = false;
    for process in processes.flatten() {
        // Processes that end while they are read have no stat; other entries neither.
        let Ok(stat) = std::fs::read_to_string(process.path().join("stat")) else { continue };
        // The name in parentheses may hold anything; state, parent and group follow it.
        let Some((_, rest)) = stat.rsplit_once(") ") else { continue };
        let mut fields = rest.split(' ');
        let (state, _parent, of) = (fields.next(), fields.next(), fields.next());
        if of.and_then(|of| of.parse::<i32>().ok()) == Some(group.as_raw_nonzero().get()) {
            seen = true;
            if !matches!(state, Some("Z" | "X")) {
                return false;
            }
        }
    }
    seen
}
