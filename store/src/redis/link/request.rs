//! What is sent to one server: a command, or a script by its digest.

use super::Answer;
use super::error::CallError;
use super::script::ScriptText;
use super::server::Server;
use redis::Cmd;
use std::sync::Arc;
use tokio::time::Instant;

/// Something to be sent.
pub(super) enum Request<'a> {
    /// A command.
    Command(&'a Cmd),
    /// A script. Its command with the text is made only where it is needed.
    Script { script: &'a ScriptText, digest: Cmd, keys: &'a [Vec<u8>], args: &'a [Vec<u8>] },
}

impl<'a> Request<'a> {
    pub(super) fn script(script: &'a ScriptText, keys: &'a [Vec<u8>], args: &'a [Vec<u8>]) -> Self {
        let digest = run("EVALSHA", script.digest(), keys, args);
        Self::Script { script, digest, keys, args }
    }

    /// Sends it to this server, whose slot may still be on its way there (`moving`).
    pub(super) async fn send(
        &self,
        server: &Arc<Server>,
        moving: bool,
        deadline: Instant,
    ) -> Result<Answer, CallError> {
        let (script, digest, keys, args) = match self {
            Self::Command(command) => return one(server, command, moving, deadline).await,
            Self::Script { script, digest, keys, args } => (script, digest, keys, args),
        };
        match one(server, digest, moving, deadline).await {
            // It was not run, so it may be sent again. With its text, and not after SCRIPT LOAD:
            // that may have gone to another server than the next call does.
            Err(error) if error.code() == Some("NOSCRIPT") => {
                one(server, &run("EVAL", script.text(), keys, args), moving, deadline).await
            }
            result => result,
        }
    }
}

async fn one(
    server: &Arc<Server>,
    command: &Cmd,
    moving: bool,
    deadline: Instant,
) -> Result<Answer, CallError> {
    if moving { server.ask_moving(command, deadline).await } else { server.ask(command, deadline).await }
}

fn run(name: &str, script: &str, keys: &[Vec<u8>], args: &[Vec<u8>]) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(script).arg(keys.len());
    for text in keys.iter().chain(args) {
        command.arg(text.as_slice());
    }
    command
}
