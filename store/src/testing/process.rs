//! A process that does not outlive the test.

use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Waits for the end of its standard input, which comes when the test's process is gone (however
/// it went), and ends the server then.
const WATCH: &str = r#"read -r _; kill -9 "$1" 2>/dev/null; rm -rf "$2""#;

#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    watch: Child,
}

impl Process {
    pub(super) fn start(command: &mut Command, dir: &Path) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let watch = Command::new("sh")
            .args(["-c", WATCH, "watch", &child.id().to_string()])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        Self { child, watch }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    pub(super) fn signal(&self, signal: Signal) {
        // It may have ended by itself; it is not reaped yet, so the id is still its own.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Waits until it has ended by itself.
    pub(super) fn wait(&mut self) {
        let _ = self.child.wait();
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
