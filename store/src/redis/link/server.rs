//! A server with the connections to it.

use super::Answer;
use super::backoff::wait_after;
use super::dial::Dialer;
use super::error::CallError;
use super::sentinel::Sentinels;
use super::wait::Waiters;
use super::wire::{Pushes, Wire};
use crate::redis::options::{Address, Login};
use parking_lot::Mutex;
use redis::{Cmd, Pipeline, Value};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// How a server is found.
#[derive(Clone, Debug)]
pub(super) enum Finder {
    /// It is always there.
    At(Address),
    /// Sentinels know.
    Ask(Arc<Sentinels>),
}

/// Who connects, and as whom.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) dialer: Arc<Dialer>,
    pub(super) login: Login,
    pub(super) database: u32,
}

/// A server, or whichever one is master now, with the connections to it.
#[derive(Debug)]
pub(super) struct Server {
    finder: Finder,
    access: Access,
    lanes: Vec<Lane>,
    next: AtomicUsize,
    pub(super) waiters: Waiters,
}

/// What came of an attempt to connect; `None` while it runs.
type Attempt = Option<Result<Wire, CallError>>;

/// A connection for calls and what is done to have one.
#[derive(Debug, Default)]
struct Lane {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    wire: Option<Wire>,
    attempt: Option<watch::Receiver<Attempt>>,
    /// Attempts that failed in a row; a connection that lived shortly counts as one, too.
    failures: u32,
    opened: Option<Instant>,
}

/// A connection that lived longer than this was a good one.
const GOOD_AFTER: Duration = Duration::from_secs(1);

impl Server {
    pub(super) fn new(finder: Finder, access: Access, connections: usize) -> Arc<Self> {
        let lanes = (0..connections).map(|_| Lane::default()).collect();
        Arc::new(Self { finder, access, lanes, next: AtomicUsize::new(0), waiters: Waiters::default() })
    }

    /// Sends a command.
    pub(super) async fn ask(self: &Arc<Self>, command: &Cmd, deadline: Instant) -> Result<Answer, CallError> {
        let wire = self.wire(deadline).await?;
        let result = wire.ask(command, deadline).await;
        self.judge(&wire, result.as_ref().err());
        Ok(Answer { value: result?, server: Arc::clone(wire.name()) })
    }

    /// Sends a command for a slot that is moving here.
    pub(super) async fn ask_moving(
        self: &Arc<Self>,
        command: &Cmd,
        deadline: Instant,
    ) -> Result<Answer, CallError> {
        let wire = self.wire(deadline).await?;
        let mut commands = Pipeline::with_capacity(2);
        commands.cmd("ASKING").add_command(command.clone());
        let result = match wire.ask_all(&commands, deadline).await.map(|mut values| values.pop()) {
            Ok(Some(Value::ServerError(error))) => Err(CallError::refused(&error)),
            Ok(value) => Ok(value.unwrap_or(Value::Nil)),
            Err(error) => Err(error),
        };
        self.judge(&wire, result.as_ref().err());
        Ok(Answer { value: result?, server: Arc::clone(wire.name()) })
    }

    /// Sends several commands in one go; some may fail.
    pub(super) async fn ask_all(
        self: &Arc<Self>,
        commands: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<Value>, CallError> {
        self.wire(deadline).await?.ask_all(commands, deadline).await
    }

    /// Opens a connection of one's own, found anew and proven to be the master's where Sentinels
    /// say who that is.
    pub(super) async fn open(&self, listener: Option<Pushes>) -> Result<Wire, CallError> {
        let Access { dialer, login, database } = &self.access;
        match &self.finder {
            Finder::At(address) => dialer.open(address, login, *database, listener).await,
            Finder::Ask(sentinels) => {
                let address = sentinels.find().await?;
                let wire = dialer.open(&address, login, *database, listener).await?;
                sentinels.prove_master(&wire).await?;
                Ok(wire)
            }
        }
    }

    /// False for a connection that is over, or leads to who is master no more.
    pub(super) fn is_current(&self, wire: &Wire) -> bool {
        wire.is_usable()
            && match &self.finder {
                Finder::At(_) => true,
                Finder::Ask(sentinels) => sentinels.is_master(wire.address()),
            }
    }

    /// Where it is, or what it is to the sentinels.
    pub(super) fn name(&self) -> String {
        self.finder.to_string()
    }

    /// Where connections live.
    pub(super) fn runtime(&self) -> tokio::runtime::Handle {
        self.access.dialer.runtime()
    }

    /// Draws conclusions from an error.
    fn judge(&self, wire: &Wire, error: Option<&CallError>) {
        if error.is_some_and(CallError::is_of_a_wrong_server) {
            // A name or the Sentinels may lead to another one now.
            wire.retire();
        }
    }

    async fn wire(self: &Arc<Self>, deadline: Instant) -> Result<Wire, CallError> {
        let turn = if self.lanes.len() == 1 { 0 } else { self.next.fetch_add(1, Ordering::Relaxed) };
        let lane = turn % self.lanes.len();
        let mut attempt = {
            let mut state = self.lanes[lane].state.lock();
            if let Some(wire) = state.wire.as_ref().filter(|wire| self.is_current(wire)) {
                return Ok(wire.clone());
            }
            state.attempt(self, lane)
        };
        match timeout_at(deadline, attempt.wait_for(Option::is_some)).await {
            Ok(Ok(result)) => result.clone().unwrap_or_else(|| Err(given_up())),
            Ok(Err(_)) => {
                self.access.dialer.forget_runtime();
                Err(given_up())
            }
            Err(_) => Err(CallError::NotSent(format!("cannot connect to {} in time", self.finder))),
        }
    }

    /// Opens a lane's connection: one attempt, of which all hear who wait for it.
    async fn connect(self: Arc<Self>, lane: usize, wait: Duration, result: watch::Sender<Attempt>) {
        tokio::time::sleep(wait).await;
        let opened = self.open(None).await;
        {
            let mut state = self.lanes[lane].state.lock();
            state.attempt = None;
            match &opened {
                Ok(wire) => {
                    state.wire = Some(wire.clone());
                    state.opened = Some(Instant::now());
                }
                Err(_) => state.failures = state.failures.saturating_add(1),
            }
        }
        result.send_replace(Some(opened));
    }
}

fn given_up() -> CallError {
    CallError::NotSent("the attempt to connect was given up".into())
}

impl State {
    /// The attempt that runs, or a new one.
    fn attempt(&mut self, server: &Arc<Server>, lane: usize) -> watch::Receiver<Attempt> {
        // Its task may have died with its runtime.
        if let Some(running) = self.attempt.as_ref().filter(|attempt| attempt.has_changed().is_ok()) {
            return running.clone();
        }
        self.wire = None;
        if let Some(opened) = self.opened.take() {
            self.failures = if opened.elapsed() > GOOD_AFTER { 0 } else { self.failures.saturating_add(1) };
        }
        let (sender, receiver) = watch::channel(None);
        let wait = wait_after(self.failures);
        // Boxed: connecting may ask the sentinels, to which connections are opened in this way, too.
        let connect: Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(Arc::clone(server).connect(lane, wait, sender));
        server.runtime().spawn(connect);
        self.attempt = Some(receiver.clone());
        receiver
    }
}

impl std::fmt::Display for Finder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::Ask(sentinels) => write!(f, "the master {:?}", sentinels.master()),
        }
    }
}
