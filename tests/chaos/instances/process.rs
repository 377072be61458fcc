//! A process that does not outlive the test, whatever becomes of that.

use rustix::process::{Pid, Signal, kill_process};
use std::process::{Child, Command, ExitStatus, Stdio};

/// Waits for the end of its standard input, which comes when the test's process is gone, and ends
/// the server then.
const WATCH: &str = r#"read -r _; kill -9 "$1" 2>/dev/null"#;

pub(super) struct Process {
    child: Child,
    watch: Child,
}

impl Process {
    pub(super) fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let watch = Command::new("sh")
            .args(["-c", WATCH, "watch", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, watch }
    }

    pub(super) fn signal(&self, signal: Signal) {
        // It may have ended by itself; it is not reaped yet, so the id is still its own.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// How it ended, once it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The watcher first: after the server is reaped its id may be somebody else's.
        let _ = self.watch.kill();
        let _ = self.watch.wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
