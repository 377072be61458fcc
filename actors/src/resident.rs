//! Actors that must always be there: the coordinators, the event hub, the reaper, health.
//!
//! A panic ends an actix actor and its address for ever, so a resident is known by its [`Resident`]:
//! a factory and a swappable address. Whoever finds the address closed has it made again, and a
//! watchdog looks every [`WATCH_INTERVAL`] even if nobody asks. State that matters lives outside of
//! the actors (registry, view, calendar, event log), so a successor goes on where the last one was.

use actix::dev::ToEnvelope;
use actix::prelude::*;
use arc_swap::ArcSwapOption;
use lockkeeper_telemetry::metrics;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often the watchdog looks whether the residents are alive.
pub(crate) const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// How an actor is brought to an end, by tests.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub enum Kill {
    /// It panics while it handles a message.
    Panic,
    /// It stops as if it were done.
    Stop,
}

impl Kill {
    pub(crate) fn carry_out<A: Actor<Context = Context<A>>>(self, ctx: &mut Context<A>) {
        match self {
            Self::Panic => panic!("killed on purpose"),
            Self::Stop => ctx.stop(),
        }
    }
}

/// An actor that is made again when it dies.
pub(crate) struct Resident<A: Actor<Context = Context<A>>> {
    kind: &'static str,
    arbiter: ArbiterHandle,
    factory: Arc<dyn Fn() -> A + Send + Sync>,
    mailbox: usize,
    address: Arc<ArcSwapOption<Addr<A>>>,
    making: Mutex<()>,
    restarts: AtomicU64,
}

impl<A: Actor<Context = Context<A>>> Resident<A> {
    pub(crate) fn start(
        kind: &'static str,
        arbiter: ArbiterHandle,
        mailbox: usize,
        factory: impl Fn() -> A + Send + Sync + 'static,
    ) -> Arc<Self> {
        let resident = Arc::new(Self {
            kind,
            arbiter,
            factory: Arc::new(factory),
            mailbox,
            address: Arc::new(ArcSwapOption::empty()),
            making: Mutex::new(()),
            restarts: AtomicU64::new(0),
        });
        resident.make();
        resident
    }

    fn make(&self) {
        let factory = Arc::clone(&self.factory);
        let mailbox = self.mailbox;
        // The address exists before the actor runs, so that nothing has to wait for its thread.
        let (sender, receiver) = actix::dev::channel::channel(mailbox);
        self.address.store(Some(Arc::new(Addr::new(sender))));
        let spawned = self.arbiter.spawn_fn(move || {
            let context = Context::with_receiver(receiver);
            context.run(factory());
        });
        if !spawned {
            tracing::debug!(actor = self.kind, "its thread has stopped; it is not made again");
        }
    }

    /// Makes it again if it is dead.
    pub(crate) fn revive(&self) {
        let dead = || self.address.load().as_ref().is_none_or(|address| !address.connected());
        if !dead() {
            return;
        }
        let _making = self.making.lock();
        if dead() {
            self.restarts.fetch_add(1, Ordering::Relaxed);
            metrics().actor_restarted(self.kind);
            tracing::error!(actor = self.kind, "an actor died and is made again");
            self.make();
        }
    }

    /// Its present address.
    pub(crate) fn address(&self) -> Option<Arc<Addr<A>>> {
        self.address.load_full()
    }

    /// Sends a message, to the successor if the actor is dead. `Err(true)`: the mailbox is full.
    pub(crate) fn try_send<M>(&self, message: M) -> Result<(), (M, bool)>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        let Some(address) = self.address() else { return Err((message, false)) };
        match address.try_send(message) {
            Ok(()) => Ok(()),
            Err(SendError::Full(message)) => {
                metrics().mailbox_full(self.kind);
                Err((message, true))
            }
            Err(SendError::Closed(message)) => {
                self.revive();
                let Some(address) = self.address() else { return Err((message, false)) };
                address.try_send(message).map_err(|error| match error {
                    SendError::Full(message) => (message, true),
                    SendError::Closed(message) => (message, false),
                })
            }
        }
    }
}
