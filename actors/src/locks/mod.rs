//! The handle through which doors ask for locks.
//!
//! It keeps a command until it is answered: an actor that dies takes nothing with it, since its
//! successor is sent the same command, marked as retried. A caller that goes away (its future is
//! dropped) is reported, so that no grant is left to nobody.

mod actors;
mod carrying;
mod commands;
mod gating;
mod looking;
mod putting_off;
mod reading;
mod room;
#[cfg(test)]
mod tests;

use crate::coordinator::Coordinator;
use crate::events::EventHub;
use crate::resident::Resident;
use crate::shared::Shared;
use crate::statistics::Statistics;
use crate::tunables::Tunables;
use lockkeeper_core::{Intent, Resource, Span};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What an acquire asks for.
#[derive(Clone, Debug)]
pub struct AcquireRequest {
    /// Which resource.
    pub resource: Arc<Resource>,
    /// For whom and how.
    pub intent: Intent,
    /// Return what the owner already has.
    pub reentrant: bool,
    /// Wait in the queue if it is not free.
    pub queue: bool,
    /// How long the ticket waits at most.
    pub queue_timeout: Span,
    /// How long the caller stays for the answer.
    pub wait: Duration,
}
/// The actors, as the rest of the server sees them. Cheap to clone.
#[derive(Clone)]
pub struct Locks {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    coordinators: Vec<Arc<Resident<Coordinator>>>,
    hub: Arc<Resident<EventHub>>,
    waiting: AtomicUsize,
}

impl Locks {
    pub(crate) fn new(
        shared: Arc<Shared>,
        coordinators: Vec<Arc<Resident<Coordinator>>>,
        hub: Arc<Resident<EventHub>>,
    ) -> Self {
        Self { inner: Arc::new(Inner { shared, coordinators, hub, waiting: AtomicUsize::new(0) }) }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// No new grants from now on; waiting callers are answered soon.
    pub fn begin_drain(&self) {
        self.shared().begin_drain();
    }

    /// Waits until the server is about to stop.
    pub async fn drained(&self) {
        self.shared().drained().await;
    }

    /// What may change while the actors run, as it is now.
    #[must_use]
    pub fn tunables(&self) -> Arc<Tunables> {
        self.shared().tunables()
    }

    /// From now on the actors heed these.
    pub fn tune(&self, tunables: Tunables) {
        self.shared().tune(tunables);
    }

    /// The kill switch: from now on this instance grants nothing and hands nothing on, for this reason;
    /// whoever waits is answered as in a drain, tickets stay, renewals, releases and reads go on.
    pub fn switch_off(&self, reason: &str) {
        self.shared().switch(Some(reason));
    }

    /// It grants again, and what could have been granted meanwhile is granted at once.
    pub fn switch_on(&self) {
        self.shared().switch(None);
    }

    /// By what it was switched off, if it was.
    #[must_use]
    pub fn switched_off(&self) -> Option<Arc<str>> {
        self.shared().switched_off()
    }

    /// How many clients wait for a grant.
    #[must_use]
    pub fn waiting_clients(&self) -> usize {
        self.inner.waiting.load(Ordering::Relaxed)
    }

    /// Has [`Locks::begin_drain`] been called?
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared().is_draining()
    }

    /// What this server did lately, and since its start.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.shared().tally.read()
    }
}

fn span(duration: Duration) -> Span {
    Span::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

/// A number that identifies a command that has no request id.
#[must_use]
pub fn fresh_nonce() -> u64 {
    // 0 stands for what time ended.
    rand::random::<u64>().max(1)
}
