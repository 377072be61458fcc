//! The reaper: has documents settled when time has something to say to them.
//!
//! It follows the calendar of deadlines, and behind that looks through the whole view once every
//! sweep interval: whatever message or entry was lost, nothing stays overdue for longer.

use crate::locks::Locks;
use crate::resident::Kill;
use actix::prelude::*;
use lockkeeper_core::rules::EMPTY_STAYS;
use lockkeeper_core::{Command, ResourceId, Timestamp};
use lockkeeper_telemetry::{Occupied, metrics};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Documents whose turn is taken from the calendar at once.
const BATCH_MAX: usize = 256;
/// How long a document waits whose actor could not take the message.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// The longest the reaper sleeps; the clock it sleeps by is not the store's.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// After a full batch the reaper lets others run for a moment.
const BREATH: Duration = Duration::from_millis(1);

/// Follows the calendar.
pub(crate) struct Reaper {
    locks: Locks,
    settle: Arc<Command>,
    _counted: Occupied,
}

impl Reaper {
    pub(crate) fn new(locks: Locks) -> Self {
        Self { locks, settle: Arc::new(Command::Settle), _counted: metrics().actor("reaper") }
    }

    fn settle(&self, id: ResourceId) -> bool {
        self.locks.submit_unattended(id, Arc::clone(&self.settle))
    }

    fn reap(&mut self, ctx: &mut Context<Self>) {
        let shared = self.locks.shared();
        let now = shared.store.now();
        let deadlines = shared.view.deadlines();
        let due = deadlines.take_due(now, BATCH_MAX);
        let full = due.len() == BATCH_MAX;
        // Nothing is deleted before that: such entries come too early.
        let deleting_from = shared.opened_at() + EMPTY_STAYS;
        for id in due {
            let idle = shared.view.get(id).is_none_or(|document| !document.is_live());
            if idle && now < deleting_from {
                deadlines.put_back(id, deleting_from);
                continue;
            }
            if !self.settle(id) {
                deadlines
                    .put_back(id, now + lockkeeper_core::Span::from_micros(RETRY_AFTER.as_micros() as u64));
            }
        }
        let pause = match deadlines.first() {
            _ if full => BREATH,
            Some(at) => at.since(shared.store.now()).to_std().min(SLEEP_MAX),
            None => SLEEP_MAX,
        };
        let shared = Arc::clone(shared);
        let wait = async move {
            let _ = tokio::time::timeout(pause, shared.view.deadlines().changed()).await;
        };
        ctx.spawn(wait.into_actor(self).map(|(), reaper, ctx| reaper.reap(ctx)));
    }

    /// Looks at everything known.
    fn sweep(&mut self, _: &mut Context<Self>) {
        let shared = self.locks.shared();
        let now = shared.store.now();
        let interval = lockkeeper_core::Span::from_micros(shared.options.sweep_interval.as_micros() as u64);
        // What fell due just now is in the calendar's hands.
        let overdue_since = |at: Timestamp| at + interval.half() <= now;
        let overdue: Vec<ResourceId> = shared
            .view
            .documents(None)
            .iter()
            // Where nothing is granted, grants are not overdue.
            .filter(|document| match shared.is_switched_on() {
                true => document.next_deadline().is_some_and(overdue_since),
                false => document.next_end().is_some_and(overdue_since),
            })
            .map(|document| document.id())
            .collect();
        if !overdue.is_empty() {
            metrics().sweep_overdue(overdue.len() as u64);
        }
        for id in overdue {
            if !self.settle(id) {
                tracing::warn!(resource = %id, "an overdue resource could not be settled; the next sweep tries again");
            }
        }
    }
}

impl Reaper {
    /// After the kill switch was turned back, what could have been granted meanwhile is granted at once.
    fn follow_switch(&mut self, mut switch: watch::Receiver<Option<Arc<str>>>, ctx: &mut Context<Self>) {
        let wait = async move { switch.changed().await.is_ok().then_some(switch) };
        ctx.spawn(wait.into_actor(self).map(|switch, reaper, ctx| {
            // Gone with the server.
            let Some(mut switch) = switch else { return };
            let is_on = switch.borrow_and_update().is_none();
            if is_on {
                reaper.catch_up();
            }
            reaper.follow_switch(switch, ctx);
        }));
    }

    fn catch_up(&self) {
        let shared = self.locks.shared();
        let now = shared.store.now();
        let documents = shared.view.documents(None);
        let due = documents.iter().filter(|document| document.next_deadline().is_some_and(|at| at <= now));
        shared.view.deadlines().put_due(due.map(|document| document.id()), now);
    }
}

impl Actor for Reaper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(self.locks.shared().options.sweep_interval, Self::sweep);
        self.reap(ctx);
        // A successor may have missed that it was turned.
        self.catch_up();
        self.follow_switch(self.locks.shared().watch_switch(), ctx);
    }
}

impl Handler<Kill> for Reaper {
    type Result = ();

    fn handle(&mut self, kill: Kill, ctx: &mut Self::Context) {
        kill.carry_out(ctx);
    }
}
