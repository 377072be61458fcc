//! Actors that must always be there: the coordinators, the event hub, the reaper, health.
//!
//! A panic ends an actix actor and its address for ever, so a resident is known by its [`Resident`]:
//! a factory and a swappable address. Its task notices the death and has it made again at once;
//! whoever finds the address closed does the same, and a watchdog looks every [`WATCH_INTERVAL`],
//! which is also who makes it again in a storm (see [`crate::supervision`]). State that matters
//! lives outside of the actors (registry, view, calendar, event log), so a successor goes on where
//! the last one was.

use crate::shared::Shared;
use crate::supervision::{PAUSE_IN_STORM, Supervised};
use actix::dev::ToEnvelope;
use actix::prelude::*;
use arc_swap::ArcSwapOption;
use futures_util::FutureExt;
use lockkeeper_core::Timestamp;
use lockkeeper_telemetry::metrics;
use parking_lot::Mutex;
use std::any::Any;
use std::panic::{AssertUnwindSafe, panic_any};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often the watchdog looks whether the residents are alive.
pub(crate) const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// How an actor is brought to an end, by tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum Kill {
    /// It panics while it handles a message.
    Panic,
    /// It stops as if it were done.
    Stop,
}

/// What an actor says that panics since it was told to.
const KILLED: &str = "killed on purpose";

/// Was this panic ordered?
pub(crate) fn is_ordered(panic: &(dyn Any + Send)) -> bool {
    panic.downcast_ref::<&str>() == Some(&KILLED)
}

impl Kill {
    pub(crate) fn carry_out<A: Actor<Context = Context<A>>>(self, ctx: &mut Context<A>) {
        match self {
            Self::Panic => panic_any(KILLED),
            Self::Stop => ctx.stop(),
        }
    }
}

/// Why a message did not reach a resident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreached {
    /// Its mailbox is full.
    Full,
    /// It died, and is made again soon.
    Dead,
    /// Its thread has stopped, as it does when the server ends.
    Stopped,
}

/// An actor that is made again when it dies.
pub(crate) struct Resident<A: Actor<Context = Context<A>>> {
    name: String,
    kind: &'static str,
    arbiter: ArbiterHandle,
    factory: Arc<dyn Fn() -> A + Send + Sync>,
    mailbox: usize,
    address: ArcSwapOption<Addr<A>>,
    life: Mutex<Life>,
    /// Weak, since the factories of those that it knows hold it.
    shared: Weak<Shared>,
    own: Weak<Self>,
}

/// What is known of a resident's lives.
#[derive(Default)]
struct Life {
    /// The end of the present one was counted.
    is_over: bool,
    restarts: u64,
    last_death: Option<Timestamp>,
    /// By the clock of supervision.
    made_at: Duration,
    /// Its thread takes nothing any more.
    stopped: bool,
}

impl<A: Actor<Context = Context<A>> + Handler<Kill>> Resident<A> {
    /// Starts the only actor of its kind.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        kind: &'static str,
        arbiter: ArbiterHandle,
        mailbox: usize,
        factory: impl Fn() -> A + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::start_named(shared, kind, kind.to_owned(), arbiter, mailbox, factory)
    }

    /// Starts one of several actors of a kind, which share a budget.
    pub(crate) fn start_named(
        shared: &Arc<Shared>,
        kind: &'static str,
        name: String,
        arbiter: ArbiterHandle,
        mailbox: usize,
        factory: impl Fn() -> A + Send + Sync + 'static,
    ) -> Arc<Self> {
        let resident = Arc::new_cyclic(|own: &Weak<Self>| Self {
            name,
            kind,
            arbiter,
            factory: Arc::new(factory),
            mailbox,
            address: ArcSwapOption::empty(),
            life: Mutex::default(),
            shared: Arc::downgrade(shared),
            own: Weak::clone(own),
        });
        resident.make(&mut resident.life.lock());
        let supervised: Weak<dyn Supervised> = Weak::clone(&resident.own) as _;
        shared.supervision.add(supervised, kind);
        resident
    }

    fn make(&self, life: &mut Life) {
        let factory = Arc::clone(&self.factory);
        let own = Weak::clone(&self.own);
        // The address exists before the actor runs, so that nothing has to wait for its thread.
        let (sender, receiver) = actix::dev::channel::channel(self.mailbox);
        self.address.store(Some(Arc::new(Addr::new(sender))));
        life.is_over = false;
        let spawned = self.arbiter.spawn_fn(move || {
            let lives = async move { Context::with_receiver(receiver).into_future(factory()).await };
            actix_rt::spawn(async move {
                // When this is over its mailbox is closed, however it ended.
                let panicked = AssertUnwindSafe(lives).catch_unwind().await.is_err();
                if let Some(resident) = own.upgrade() {
                    tracing::error!(actor = resident.name, panicked, "an actor died");
                    resident.revive();
                }
            });
        });
        if !spawned {
            life.stopped = true;
            tracing::debug!(actor = self.name, "its thread has stopped; it is not made again");
        }
    }

    fn is_connected(&self) -> bool {
        self.address.load().as_ref().is_some_and(|address| address.connected())
    }

    /// Makes it again if it is dead; in a storm, not before its pause is over.
    pub(crate) fn revive(&self) {
        if self.is_connected() {
            return;
        }
        let Some(shared) = self.shared.upgrade() else { return };
        let mut life = self.life.lock();
        if life.stopped || self.is_connected() {
            return;
        }
        let supervision = &shared.supervision;
        if !std::mem::replace(&mut life.is_over, true) {
            let now = shared.store.now();
            life.last_death = Some(now);
            supervision.died(self.kind, &shared.service, now);
        }
        let clock = supervision.clock();
        if supervision.is_unstable(self.kind) && clock.saturating_sub(life.made_at) < PAUSE_IN_STORM {
            return;
        }
        life.restarts += 1;
        life.made_at = clock;
        metrics().actor_restarted(self.kind);
        tracing::info!(actor = self.name, restarts = life.restarts, "an actor is made again");
        self.make(&mut life);
    }

    /// Its present address.
    pub(crate) fn address(&self) -> Option<Arc<Addr<A>>> {
        self.address.load_full()
    }

    /// Sends a message, to the successor if the actor is dead.
    pub(crate) fn try_send<M>(&self, message: M) -> Result<(), (M, Unreached)>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        let Some(address) = self.address() else { return Err((message, Unreached::Stopped)) };
        match address.try_send(message) {
            Ok(()) => Ok(()),
            Err(SendError::Full(message)) => {
                metrics().mailbox_full(self.kind);
                Err((message, Unreached::Full))
            }
            Err(SendError::Closed(message)) => {
                self.revive();
                let Some(address) = self.address() else { return Err((message, Unreached::Stopped)) };
                address.try_send(message).map_err(|error| match error {
                    SendError::Full(message) => (message, Unreached::Full),
                    SendError::Closed(message) if self.life.lock().stopped => (message, Unreached::Stopped),
                    SendError::Closed(message) => (message, Unreached::Dead),
                })
            }
        }
    }
}

impl<A: Actor<Context = Context<A>> + Handler<Kill>> Supervised for Resident<A> {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        self.kind
    }

    fn is_alive(&self) -> bool {
        self.is_connected()
    }

    fn deaths(&self) -> (u64, Option<Timestamp>) {
        let life = self.life.lock();
        (life.restarts, life.last_death)
    }

    fn revive(&self) {
        Self::revive(self);
    }

    fn kill(&self, how: Kill) -> bool {
        self.try_send(how).is_ok()
    }
}
