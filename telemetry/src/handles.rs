//! The handles through which all crates record.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use crate::exporter;
use crate::family::{Family, closed, series};
use crate::labels::{
    Acquisition, BackendState, BreakerState, CommitOutcome, ConfigChange, Grant, HoldClass, JournalOutcome,
    LockState, Phase, Priority, ReleaseReason, Retry,
};
use crate::occupied::Occupied;
use crate::routes::Routes;
use crate::table;

static METRICS: OnceLock<Metrics> = OnceLock::new();
static WITHOUT_BUCKETS: OnceLock<PrometheusRecorder> = OnceLock::new();

/// The process's handles. They work before [`crate::install`] too.
#[must_use]
pub fn metrics() -> &'static Metrics {
    METRICS.get_or_init(|| {
        // `install` reports that error, at the start; here nobody could act on it.
        let recorder = exporter::recorder()
            .unwrap_or_else(|_| WITHOUT_BUCKETS.get_or_init(|| PrometheusBuilder::new().build_recorder()));
        Metrics::register(recorder)
    })
}

/// A handle for each series, or for each family of series.
pub struct Metrics {
    acquisitions: Box<[Counter]>,
    acquisitions_success: Counter,
    acquisitions_failed: Family<Counter>,
    acquisition_duration: Histogram,
    releases: Box<[Counter]>,
    grants: Box<[Counter]>,
    operations: Family<Counter>,
    errors: Family<Counter>,
    retries: Box<[Counter]>,
    locks: Box<[Gauge]>,
    hold_duration: Box<[Histogram]>,
    queue_depth: Box<[Gauge]>,
    queue_wait: Box<[Histogram]>,
    waiting_clients: Gauge,
    client_gone: Counter,
    sweep_overdue: Counter,
    backend_health: Family<Gauge>,
    store_commits: Box<[Family<Counter>]>,
    store_commit_duration: Family<Histogram>,
    store_commit_batch: Histogram,
    sealed_partitions: Gauge,
    written_back: Counter,
    store_conflicts: Counter,
    hints_missed: Counter,
    instances: Gauge,
    actors: Family<Gauge>,
    actor_restarts: Family<Counter>,
    mailbox_full: Family<Counter>,
    events_published: Counter,
    event_subscribers: Gauge,
    events_dropped_subscribers: Counter,
    routes: Routes,
    build_info: Family<Gauge>,
    ready: Gauge,
    phase: Box<[Gauge]>,
    phase_changes: Box<[Counter]>,
    backend_state: Box<[Gauge]>,
    probe_duration: Family<Histogram>,
    probe_failures: Family<Counter>,
    breaker_state: Family<Gauge>,
    breaker_transitions: Box<[Counter]>,
    breaker_refused: Counter,
    redis_memory_used: Gauge,
    redis_memory_max: Gauge,
    redis_replicas: Gauge,
    journal_pending: Gauge,
    journal_accepted: Counter,
    journal_outcomes: Box<[Counter]>,
    actors_unstable: Family<Gauge>,
    quarantined: Gauge,
    limit_refused: Family<Counter>,
    slow_clients: Family<Counter>,
    in_work: Gauge,
    config_changes: Box<[Counter]>,
}

/// The first variant of a label enum is the first handle; the macro that declares the enum and
/// [`closed`] both follow the declared order.
macro_rules! at {
    ($handles:expr, $variant:expr) => {
        &$handles[$variant as usize]
    };
}

impl Metrics {
    fn register(recorder: &'static PrometheusRecorder) -> Self {
        Self {
            acquisitions: closed(recorder, &table::ACQUISITIONS),
            acquisitions_success: series(recorder, &table::ACQUISITIONS_SUCCESS, &[]),
            acquisitions_failed: Family::new(recorder, &table::ACQUISITIONS_FAILED),
            acquisition_duration: series(recorder, &table::ACQUISITION_DURATION, &[]),
            releases: closed(recorder, &table::RELEASES),
            grants: closed(recorder, &table::GRANTS),
            operations: Family::new(recorder, &table::OPERATIONS),
            errors: Family::new(recorder, &table::ERRORS),
            retries: closed(recorder, &table::RETRIES),
            locks: closed(recorder, &table::LOCKS),
            hold_duration: closed(recorder, &table::HOLD_DURATION),
            queue_depth: closed(recorder, &table::QUEUE_DEPTH),
            queue_wait: closed(recorder, &table::QUEUE_WAIT),
            waiting_clients: series(recorder, &table::WAITING_CLIENTS, &[]),
            client_gone: series(recorder, &table::CLIENT_GONE, &[]),
            sweep_overdue: series(recorder, &table::SWEEP_OVERDUE, &[]),
            backend_health: Family::new(recorder, &table::BACKEND_HEALTH),
            store_commits: Family::by_second(recorder, &table::STORE_COMMITS),
            store_commit_duration: Family::new(recorder, &table::STORE_COMMIT_DURATION),
            store_commit_batch: series(recorder, &table::STORE_COMMIT_BATCH, &[]),
            sealed_partitions: series(recorder, &table::SEALED_PARTITIONS, &[]),
            written_back: series(recorder, &table::WRITTEN_BACK, &[]),
            store_conflicts: series(recorder, &table::STORE_CONFLICTS, &[]),
            hints_missed: series(recorder, &table::HINTS_MISSED, &[]),
            instances: series(recorder, &table::INSTANCES, &[]),
            actors: Family::new(recorder, &table::ACTORS),
            actor_restarts: Family::new(recorder, &table::ACTOR_RESTARTS),
            mailbox_full: Family::new(recorder, &table::MAILBOX_FULL),
            events_published: series(recorder, &table::EVENTS_PUBLISHED, &[]),
            event_subscribers: series(recorder, &table::EVENT_SUBSCRIBERS, &[]),
            events_dropped_subscribers: series(recorder, &table::EVENTS_DROPPED_SUBSCRIBERS, &[]),
            routes: Routes::new(recorder),
            build_info: Family::new(recorder, &table::BUILD_INFO),
            ready: series(recorder, &table::READY, &[]),
            phase: closed(recorder, &table::PHASE),
            phase_changes: closed(recorder, &table::PHASE_CHANGES),
            backend_state: closed(recorder, &table::BACKEND_STATE),
            probe_duration: Family::new(recorder, &table::PROBE_DURATION),
            probe_failures: Family::new(recorder, &table::PROBE_FAILURES),
            breaker_state: Family::new(recorder, &table::BREAKER_STATE),
            breaker_transitions: closed(recorder, &table::BREAKER_TRANSITIONS),
            breaker_refused: series(recorder, &table::BREAKER_REFUSED, &[]),
            redis_memory_used: series(recorder, &table::REDIS_MEMORY_USED, &[]),
            redis_memory_max: series(recorder, &table::REDIS_MEMORY_MAX, &[]),
            redis_replicas: series(recorder, &table::REDIS_REPLICAS, &[]),
            journal_pending: series(recorder, &table::JOURNAL_PENDING, &[]),
            journal_accepted: series(recorder, &table::JOURNAL_ACCEPTED, &[]),
            journal_outcomes: closed(recorder, &table::JOURNAL_OUTCOMES),
            actors_unstable: Family::new(recorder, &table::ACTORS_UNSTABLE),
            quarantined: series(recorder, &table::QUARANTINED, &[]),
            limit_refused: Family::new(recorder, &table::LIMIT_REFUSED),
            slow_clients: Family::new(recorder, &table::SLOW_CLIENTS),
            in_work: series(recorder, &table::IN_WORK, &[]),
            config_changes: closed(recorder, &table::CONFIG_CHANGES),
        }
    }

    /// A request for a lock was answered, `elapsed` after it came in.
    pub fn acquisition(&self, answer: Acquisition, elapsed: Duration) {
        self.acquisitions[answer.index()].increment(1);
        self.acquisition_duration.record(elapsed.as_secs_f64());
        match answer {
            Acquisition::Acquired | Acquisition::Reentrant => self.acquisitions_success.increment(1),
            Acquisition::Queued | Acquisition::Held => {}
            Acquisition::Refused(code) => self.acquisitions_failed.get(code).increment(1),
        }
    }

    /// A lock came to an owner.
    pub fn granted(&self, how: Grant) {
        at!(self.grants, how).increment(1);
    }

    /// A lock of this class ended after `held`.
    pub fn released(&self, reason: ReleaseReason, class: HoldClass, held: Duration) {
        at!(self.releases, reason).increment(1);
        at!(self.hold_duration, class).record(held.as_secs_f64());
    }

    /// Operations with this name; the handle may be kept.
    pub fn operations(&self, operation: &'static str) -> Counter {
        self.operations.get(operation)
    }

    /// An answer was an error with this code.
    pub fn error(&self, code: &'static str) {
        self.errors.get(code).increment(1);
    }

    /// Something was done a second time.
    pub fn retry(&self, kind: Retry) {
        at!(self.retries, kind).increment(1);
    }

    /// Locks that exist now.
    pub fn locks(&self, state: LockState) -> &Gauge {
        at!(self.locks, state)
    }

    /// Tickets that wait now.
    pub fn queue_depth(&self, priority: Priority) -> &Gauge {
        at!(self.queue_depth, priority)
    }

    /// A ticket was granted after waiting so long.
    pub fn queue_wait(&self, priority: Priority, waited: Duration) {
        at!(self.queue_wait, priority).record(waited.as_secs_f64());
    }

    /// A client waits, until the returned value is dropped.
    pub fn waiting_client(&self) -> Occupied {
        Occupied::new(&self.waiting_clients)
    }

    /// A client's connection closed while its request waited.
    pub fn client_gone(&self) {
        self.client_gone.increment(1);
    }

    /// The slow sweep found so many deadlines unattended.
    pub fn sweep_overdue(&self, deadlines: u64) {
        self.sweep_overdue.increment(deadlines);
    }

    /// Whether the store answers.
    pub fn backend_health(&self, store: &'static str, healthy: bool) {
        self.backend_health.get(store).set(flag(healthy));
    }

    /// So many partitions of the shared store are sealed.
    pub fn sealed_partitions(&self, count: usize) {
        self.sealed_partitions.set(count as f64);
    }

    /// A document was given back to a shared store that had lost it.
    pub fn written_back(&self) {
        self.written_back.increment(1);
    }

    /// The store's state stood over what this instance knew.
    pub fn store_conflict(&self) {
        self.store_conflicts.increment(1);
    }

    /// Messages of other instances may have been missed.
    pub fn hints_missed(&self) {
        self.hints_missed.increment(1);
    }

    /// So many instances share the store.
    pub fn instances(&self, count: usize) {
        self.instances.set(count as f64);
    }

    /// A commit ended so, `elapsed` after it was sent to the store.
    pub fn store_commit(&self, store: &'static str, outcome: CommitOutcome, elapsed: Duration) {
        at!(self.store_commits, outcome).get(store).increment(1);
        self.store_commit_duration.get(store).record(elapsed.as_secs_f64());
    }

    /// So many documents were made durable together.
    pub fn store_commit_batch(&self, documents: usize) {
        self.store_commit_batch.record(documents as f64);
    }

    /// An actor of this kind lives, until the returned value is dropped.
    pub fn actor(&self, kind: &'static str) -> Occupied {
        Occupied::new(&self.actors.get(kind))
    }

    /// An actor of this kind died and was replaced.
    pub fn actor_restarted(&self, kind: &'static str) {
        self.actor_restarts.get(kind).increment(1);
    }

    /// A message was refused since the mailbox of this kind of actor was full.
    pub fn mailbox_full(&self, kind: &'static str) {
        self.mailbox_full.get(kind).increment(1);
    }

    /// So many events were put on the ring.
    pub fn events_published(&self, events: u64) {
        self.events_published.increment(events);
    }

    /// An event stream is open, until the returned value is dropped.
    pub fn event_subscriber(&self) -> Occupied {
        Occupied::new(&self.event_subscribers)
    }

    /// An event stream was closed since its reader was too slow.
    pub fn event_subscriber_dropped(&self) {
        self.events_dropped_subscribers.increment(1);
    }

    /// An HTTP request was answered. `route` is the route's pattern, `other` where none matched.
    pub fn http_request(&self, route: &str, method: &str, status: u16, elapsed: Duration) {
        self.routes.record(route, method, status, elapsed);
    }

    /// Which version runs.
    pub fn build_info(&self, version: &'static str) {
        self.build_info.get(version).set(1.0);
    }

    /// Whether this instance can grant.
    pub fn ready(&self, ready: bool) {
        self.ready.set(flag(ready));
    }

    /// This phase began.
    pub fn phase(&self, phase: Phase) {
        one_of(&self.phase, phase as usize);
        at!(self.phase_changes, phase).increment(1);
    }

    /// The store is in this state.
    pub fn backend_state(&self, state: BackendState) {
        one_of(&self.backend_state, state as usize);
    }

    /// A probe of the store succeeded after `elapsed`; `None`: it failed.
    pub fn probe(&self, store: &'static str, elapsed: Option<Duration>) {
        match elapsed {
            Some(elapsed) => self.probe_duration.get(store).record(elapsed.as_secs_f64()),
            None => self.probe_failures.get(store).increment(1),
        }
    }

    /// The store's circuit breaker came to this state.
    pub fn breaker(&self, store: &'static str, state: BreakerState) {
        self.breaker_state.get(store).set(f64::from(state as u8));
        at!(self.breaker_transitions, state).increment(1);
    }

    /// A call of the store was answered at once.
    pub fn breaker_refused(&self) {
        self.breaker_refused.increment(1);
    }

    /// What the last probe saw of Redis: memory used and allowed (0: no limit), replicas in sync.
    pub fn redis(&self, memory_used: u64, memory_max: u64, replicas: u64) {
        self.redis_memory_used.set(memory_used as f64);
        self.redis_memory_max.set(memory_max as f64);
        self.redis_replicas.set(replicas as f64);
    }

    /// So many accepted releases are not carried out yet.
    pub fn journal_pending(&self, releases: usize) {
        self.journal_pending.set(releases as f64);
    }

    /// A release was accepted while the store was away.
    pub fn journal_accepted(&self) {
        self.journal_accepted.increment(1);
    }

    /// This became of a release that was accepted while the store was away.
    pub fn journal_outcome(&self, outcome: JournalOutcome) {
        at!(self.journal_outcomes, outcome).increment(1);
    }

    /// Whether actors of this kind die too often.
    pub fn actors_unstable(&self, kind: &'static str, unstable: bool) {
        self.actors_unstable.get(kind).set(flag(unstable));
    }

    /// So many resources are quarantined.
    pub fn quarantined(&self, resources: usize) {
        self.quarantined.set(resources as f64);
    }

    /// A request was refused since this limit was reached.
    pub fn limit_refused(&self, limit: &'static str) {
        self.limit_refused.get(limit).increment(1);
    }

    /// A client was cut off since this took too long.
    pub fn slow_client(&self, what: &'static str) {
        self.slow_clients.get(what).increment(1);
    }

    /// A command is in work, until the returned value is dropped.
    pub fn in_work(&self) -> Occupied {
        Occupied::new(&self.in_work)
    }

    /// This became of a setting that was to be changed.
    pub fn config_change(&self, outcome: ConfigChange) {
        at!(self.config_changes, outcome).increment(1);
    }
}

/// 1 for one of several gauges, 0 for the others.
fn one_of(gauges: &[Gauge], which: usize) {
    for (place, gauge) in gauges.iter().enumerate() {
        gauge.set(flag(place == which));
    }
}

const fn flag(on: bool) -> f64 {
    if on { 1.0 } else { 0.0 }
}
