//! The client of a command inside this process: the other end of a one-shot channel.

use crate::answer::{Answer, Failure};
use crate::engine::Client;
use tokio::sync::oneshot;

/// Carries one answer to whoever awaits it.
#[derive(Debug)]
pub(crate) struct Responder(pub(crate) oneshot::Sender<Result<Answer, Failure>>);

impl Client for Responder {
    fn is_connected(&self) -> bool {
        !self.0.is_closed()
    }

    fn answer(self, answer: Result<Answer, Failure>) -> bool {
        self.0.send(answer).is_ok()
    }
}
