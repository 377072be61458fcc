//! What outlives every actor: the store, the view, the registry, the event log, the statistics, the
//! settings.

use crate::admission::Admission;
use crate::breaker::BreakerGate;
use crate::events::EventLog;
use crate::events::Occurrence;
use crate::faults::{ChaosStore, Faults};
use crate::guarded::GuardedStore;
use crate::health::HealthState;
use crate::journal::Journal;
use crate::options::Options;
use crate::queue_actor::QueueActor;
use crate::replica::{GreatestToken, ReplicaState, Sealed};
use crate::service::{Hindrance, Service};
use crate::statistics::Tally;
use crate::supervision::Supervision;
use crate::tunables::Tunables;
use crate::view::View;
use actix::Addr;
use arc_swap::ArcSwap;
use lockkeeper_core::breaker::State;
use lockkeeper_core::{Partition, ResourceId, Timestamp};
use lockkeeper_store::Store;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::{Notify, watch};

/// The queue actors of one shard. A coordinator's successor finds its predecessor's actors here:
/// two actors of one resource would each know only half of the waiting clients.
#[derive(Default)]
pub(crate) struct Registry {
    pub(crate) actors: Mutex<HashMap<ResourceId, Addr<QueueActor>>>,
}

/// Everything that actors and handles share.
pub(crate) struct Shared {
    /// The store behind its circuit breaker.
    pub(crate) store: Arc<dyn Store>,
    /// The store itself, for what brings a shared store back: that goes on while the breaker is open.
    pub(crate) unguarded: Arc<dyn Store>,
    pub(crate) breaker: Option<Arc<BreakerGate>>,
    pub(crate) options: Options,
    pub(crate) view: View,
    pub(crate) registries: Vec<Arc<Registry>>,
    pub(crate) log: Arc<EventLog>,
    pub(crate) health: Arc<HealthState>,
    pub(crate) service: Arc<Service>,
    pub(crate) supervision: Supervision,
    /// What tests have go wrong.
    pub(crate) faults: Arc<Faults>,
    pub(crate) tally: Tally,
    pub(crate) admission: Admission,
    pub(crate) journal: Journal,
    pub(crate) replica: ReplicaState,
    pub(crate) tokens: GreatestToken,
    opened_at: AtomicU64,
    started_at: AtomicU64,
    met: AtomicBool,
    tunables: ArcSwap<Tunables>,
    draining: AtomicBool,
    drain: Notify,
    /// Why this instance grants nothing, if it was switched off.
    switched_off: watch::Sender<Option<Arc<str>>>,
}

impl Shared {
    pub(crate) fn new(store: Arc<dyn Store>, options: Options, journal: Journal) -> Self {
        let faults = Arc::new(Faults::new(options.chaos));
        let unguarded = if options.chaos {
            tracing::warn!(
                "this instance lets anyone who reaches it kill its actors and plan faults (chaos)"
            );
            Arc::new(ChaosStore::new(store, Arc::clone(&faults)))
        } else {
            store
        };
        let opened_at = unguarded.now();
        let is_shared = unguarded.shared().is_some();
        let log = Arc::new(EventLog::new(&options.instance, options.event_ring));
        let service = Service::new(Arc::clone(&log), opened_at).after_releases(journal.counter());
        let service = Arc::new(service);
        if journal.book().len() > 0 {
            // Before anything is granted in this life.
            let reason = "releases that were accepted in the last life come first";
            service.hinder(Hindrance::Journal, reason, opened_at);
        }
        let health = Arc::new(HealthState::new(opened_at, is_shared));
        if let Some(reason) = health.get().reason {
            service.hinder(Hindrance::Store, reason, opened_at);
        }
        if let Some(reason) = &options.switched_off {
            service.hinder(Hindrance::SwitchedOff, reason.as_str(), opened_at);
        }
        let breaker =
            options.breaker.map(|options| Arc::new(BreakerGate::new(options, unguarded.name(), opened_at)));
        let store = GuardedStore::new(Arc::clone(&unguarded), breaker.clone(), Arc::clone(&health));
        Self {
            view: View::new(is_shared),
            registries: (0..options.shards.max(1)).map(|_| Arc::default()).collect(),
            journal,
            supervision: Supervision::new(options.supervision),
            faults,
            log,
            health,
            breaker,
            tally: Tally::new(),
            admission: Admission::new(options.commands_max),
            replica: ReplicaState::new(Sealed::new(Arc::clone(&service), Arc::clone(&unguarded))),
            service,
            tokens: GreatestToken::load(options.token_file.clone()),
            started_at: AtomicU64::new(opened_at.as_micros()),
            met: AtomicBool::new(false),
            tunables: ArcSwap::from_pointee(Tunables::of(&options)),
            opened_at: AtomicU64::new(opened_at.as_micros()),
            draining: AtomicBool::new(false),
            drain: Notify::new(),
            switched_off: watch::Sender::new(options.switched_off.as_deref().map(Into::into)),
            store: Arc::new(store),
            unguarded,
            options,
        }
    }

    /// The state of the store's circuit breaker; closed, if it has none.
    pub(crate) fn breaker_state(&self) -> State {
        self.breaker.as_ref().map_or(State::Closed, |breaker| breaker.state())
    }

    /// What may change while the actors run, as it is now.
    pub(crate) fn tunables(&self) -> Arc<Tunables> {
        self.tunables.load_full()
    }

    pub(crate) fn tune(&self, tunables: Tunables) {
        self.tunables.store(Arc::new(tunables));
    }

    /// Which shard a resource's actor lives in. The low bits are a hash, so shards fill evenly.
    pub(crate) fn shard_of(&self, id: ResourceId) -> usize {
        (id.0 % self.registries.len() as u64) as usize
    }

    pub(crate) fn registry(&self, id: ResourceId) -> &Arc<Registry> {
        &self.registries[self.shard_of(id)]
    }

    /// Since when clients can reach the service without a break.
    pub(crate) fn opened_at(&self) -> Timestamp {
        Timestamp::from_micros(self.opened_at.load(Ordering::Relaxed))
    }

    pub(crate) fn reopened(&self, at: Timestamp) {
        self.opened_at.store(at.as_micros(), Ordering::Relaxed);
    }

    /// The shared store answered for the first time: only now is its clock known.
    pub(crate) fn first_contact(&self) {
        if !self.met.swap(true, Ordering::Relaxed) {
            let now = self.store.now();
            self.started_at.store(now.as_micros(), Ordering::Relaxed);
            self.reopened(now);
        }
    }

    /// When this instance started, by the store's clock.
    pub(crate) fn started_at(&self) -> Timestamp {
        Timestamp::from_micros(self.started_at.load(Ordering::Relaxed))
    }

    /// So many more partitions turned out to be sealed.
    pub(crate) fn partitions_sealed(&self, count: usize) {
        tracing::error!(
            partitions = count,
            "the store may have lost data: nothing is granted in these partitions until all instances have written back what they know"
        );
        self.log.append(self.store.now(), [Occurrence::StoreSealed(count)]);
    }

    /// A sealed partition was opened and compared.
    pub(crate) fn partition_opened(&self, partition: Partition, generation: u64) {
        tracing::debug!(partition = partition.0, generation, "opened");
        let now = self.store.now_in(partition);
        // Clients could not show that they are there while it was sealed.
        self.reopened(now);
        if self.replica.status().sealed == 0 {
            tracing::info!("all partitions of the store are open");
            self.log.append(now, [Occurrence::StoreOpened]);
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub(crate) fn begin_drain(&self) {
        self.service.hinder(Hindrance::Leaving, "the server is about to stop", self.store.now());
        self.draining.store(true, Ordering::Release);
        self.drain.notify_waiters();
    }

    /// The kill switch. With a reason nothing is granted and nothing handed on from now on; without one it
    /// is again.
    pub(crate) fn switch(&self, off: Option<&str>) {
        let now = self.store.now();
        match off {
            Some(reason) => self.service.hinder(Hindrance::SwitchedOff, reason, now),
            None => self.service.clear(Hindrance::SwitchedOff, now),
        }
        // After the phase: who is told of the switch finds the phase changed.
        self.switched_off.send_if_modified(|known| {
            let changed = known.as_deref() != off;
            *known = off.map(Into::into);
            changed
        });
    }

    /// By what this instance was switched off, if it was.
    pub(crate) fn switched_off(&self) -> Option<Arc<str>> {
        self.switched_off.borrow().clone()
    }

    /// May this instance grant and hand on, as far as the kill switch is concerned?
    pub(crate) fn is_switched_on(&self) -> bool {
        self.switched_off.borrow().is_none()
    }

    /// Hears of the kill switch.
    pub(crate) fn watch_switch(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.switched_off.subscribe()
    }

    /// Waits until whoever waits for a grant had better ask another instance: this one is about to stop, or
    /// was switched off.
    pub(crate) async fn turned_away(&self) {
        let mut switch = self.watch_switch();
        tokio::select! {
            () = self.drained() => {}
            // The sender lives as long as this.
            _ = switch.wait_for(Option::is_some) => {}
        }
    }

    /// Waits until the server is about to stop.
    pub(crate) async fn drained(&self) {
        let drain = self.drain.notified();
        tokio::pin!(drain);
        // Registered before the look, so that a drain that begins in between is not missed.
        drain.as_mut().enable();
        if !self.is_draining() {
            drain.await;
        }
    }
}
