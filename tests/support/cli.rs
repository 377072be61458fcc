//! The command line as people and scripts use it: the real binary against a real server.

use super::{DEADLINE, lockkeeper};
use serde_json::Value;
use std::process::Stdio;

/// A command line to be run: server, environment, arguments.
#[derive(Clone)]
pub(crate) struct Cli {
    server: String,
    env: Vec<(String, String)>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Finished {
    /// stdout as one JSON document.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// It ended with this code.
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }
}

impl Cli {
    pub(crate) fn new(server: &str) -> Self {
        Self { server: server.to_owned(), env: Vec::new() }
    }

    /// With one more variable in the environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The process, ready to be started; killed when it is dropped.
    pub(crate) fn command(&self, args: &[&str]) -> tokio::process::Command {
        let mut command = lockkeeper();
        for name in ATLANTIS {
            command.env_remove(name);
        }
        command.env("LOCKKEEPER_SERVER", &self.server).args(args);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut command = tokio::process::Command::from(command);
        command.kill_on_drop(true);
        command
    }

    /// Starts it.
    pub(crate) fn start(&self, args: &[&str]) -> tokio::process::Child {
        self.command(args).spawn().unwrap()
    }

    /// Runs it to its end.
    pub(crate) async fn run(&self, args: &[&str]) -> Finished {
        finish(self.start(args)).await
    }
}

/// Waits for a started command's end.
pub(crate) async fn finish(child: tokio::process::Child) -> Finished {
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output())
        .await
        .expect("the command does not end")
        .unwrap();
    Finished {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// What Atlantis sets; the tester's own must not leak in.
const ATLANTIS: [&str; 11] = [
    "BASE_REPO_OWNER",
    "BASE_REPO_NAME",
    "REPO_REL_DIR",
    "WORKSPACE",
    "PROJECT_NAME",
    "PULL_NUM",
    "USER_NAME",
    "PULL_URL",
    "PULL_AUTHOR",
    "HEAD_COMMIT",
    "BASE_BRANCH_NAME",
];
