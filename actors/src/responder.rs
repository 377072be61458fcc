//! The client of a command inside this process: the other end of a one-shot channel.

use crate::admission::Work;
use crate::answer::{Answer, Failure};
use crate::engine::Client;
use tokio::sync::oneshot;

/// Carries one answer to whoever awaits it.
#[derive(Debug)]
pub(crate) struct Responder {
    sender: oneshot::Sender<Result<Answer, Failure>>,
    /// Its place among the commands in work.
    work: Option<Work>,
}

impl Responder {
    pub(crate) fn new(sender: oneshot::Sender<Result<Answer, Failure>>, work: Option<Work>) -> Self {
        Self { sender, work }
    }
}

impl Client for Responder {
    fn is_connected(&self) -> bool {
        !self.sender.is_closed()
    }

    fn answer(self, answer: Result<Answer, Failure>) -> bool {
        // Whoever is answered may send the next command at once: the place is free by then.
        drop(self.work);
        self.sender.send(answer).is_ok()
    }

    fn waits(&mut self) {
        self.work = None;
    }
}
