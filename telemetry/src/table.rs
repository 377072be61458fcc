//! The table of all metrics. Nothing else names one.

use crate::declare::{Kind, Label, Metric, Unit};
use crate::labels::{
    Acquisition, BackendState, BreakerState, CommitOutcome, ConfigChange, Grant, HoldClass, JournalOutcome,
    LockState, Phase, Priority, ReleaseReason, Retry,
};

/// Durations of requests and commits, in seconds. The lowest bound is 50 µs, since an uncontended
/// acquisition takes well under a millisecond.
pub const SHORT_SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0,
];

/// Waits and holds, in seconds: from a handoff within a millisecond to a day.
pub const LONG_SECONDS: &[f64] = &[
    0.001, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0,
    21_600.0, 43_200.0, 86_400.0,
];

/// Documents in one commit; the upper bounds double up to the greatest batch that can be set.
pub const BATCH: &[f64] =
    &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0];

const PRIORITY: Label = Label { name: "priority", values: Priority::WORDS, help: "the ticket's priority" };
const CODE: Label = Label { name: "code", values: &[], help: "the error code of the answer" };
const STORE: Label = Label { name: "store", values: &[], help: "the store's name" };
const ACTOR: Label = Label { name: "actor", values: &[], help: "the kind of actor" };
const ROUTE: Label =
    Label { name: "route", values: &[], help: "the route's pattern, never the path as sent" };

/// Declares the constants and the table in one go, so that neither can lack what the other has.
macro_rules! metrics_table {
    ($($ident:ident = $name:literal, $kind:expr, $unit:expr, [$($label:expr),*], $help:literal;)+) => {
        $(
            #[doc = $help]
            pub const $ident: Metric =
                Metric { name: $name, kind: $kind, unit: $unit, labels: &[$($label),*], help: $help };
        )+

        /// Every metric, in the order of the documentation.
        pub const METRICS: &[Metric] = &[$($ident),+];
    };
}

metrics_table! {
    ACQUISITIONS = "atlantis_enhanced_locking_acquisitions_total", Kind::Counter, Unit::Count("requests"),
        [Label { name: "result", values: Acquisition::WORDS, help: "how the request was answered" }],
        "Requests for a lock, by how they were answered.";
    ACQUISITIONS_SUCCESS = "atlantis_enhanced_locking_acquisitions_success_total", Kind::Counter,
        Unit::Count("requests"), [],
        "Requests for a lock that returned one at once (acquired or reentrant). Contention (queued, held) counts neither here nor as failed, so success / (success + failed) tells the health of the server and not how busy the resources are.";
    ACQUISITIONS_FAILED = "atlantis_enhanced_locking_acquisitions_failed_total", Kind::Counter,
        Unit::Count("requests"), [CODE],
        "Requests for a lock that were refused for another reason than contention.";
    ACQUISITION_DURATION = "atlantis_enhanced_locking_acquisition_duration_seconds",
        Kind::Histogram(SHORT_SECONDS), Unit::Seconds, [],
        "Time from a request for a lock to its first decision, its commit included; waiting in the queue is not.";
    RELEASES = "atlantis_enhanced_locking_releases_total", Kind::Counter, Unit::Count("locks"),
        [Label { name: "reason", values: ReleaseReason::WORDS, help: "why it ended" }],
        "Locks that ended.";
    GRANTS = "atlantis_enhanced_locking_grants_total", Kind::Counter, Unit::Count("locks"),
        [Label { name: "how", values: Grant::WORDS, help: "at once, or from the queue" }],
        "Locks granted.";
    OPERATIONS = "atlantis_enhanced_locking_operations_total", Kind::Counter, Unit::Count("operations"),
        [Label { name: "operation", values: &[], help: "the operation's name" }],
        "Operations carried out by the coordinator.";
    ERRORS = "atlantis_enhanced_locking_errors_total", Kind::Counter, Unit::Count("answers"), [CODE],
        "Answers that were errors, by code, over all routes.";
    RETRIES = "atlantis_enhanced_locking_retries_total", Kind::Counter, Unit::Count("retries"),
        [Label { name: "kind", values: Retry::WORDS, help: "a newer version in the store, a commit that came too late, or a dead actor" }],
        "Commands applied or sent a second time.";
    LOCKS = "atlantis_enhanced_locking_locks", Kind::Gauge, Unit::Count("locks"),
        [Label { name: "state", values: LockState::WORDS, help: "with its client, or waiting for it" }],
        "Locks that exist now.";
    HOLD_DURATION = "atlantis_enhanced_locking_hold_duration_seconds", Kind::Histogram(LONG_SECONDS),
        Unit::Seconds,
        [Label { name: "class", values: HoldClass::WORDS, help: "with a lease, or held until released" }],
        "How long a lock lasted, noted at its end. Holds last as long as their pull request: judge the classes apart.";
    QUEUE_DEPTH = "atlantis_enhanced_locking_queue_depth", Kind::Gauge, Unit::Count("tickets"), [PRIORITY],
        "Tickets that wait now, over all resources.";
    QUEUE_WAIT = "atlantis_enhanced_locking_queue_wait_duration_seconds", Kind::Histogram(LONG_SECONDS),
        Unit::Seconds, [PRIORITY],
        "How long a ticket waited, noted when it was granted.";
    WAITING_CLIENTS = "atlantis_enhanced_locking_waiting_clients", Kind::Gauge, Unit::Count("clients"), [],
        "Clients connected now whose request waits for a lock.";
    CLIENT_GONE = "atlantis_enhanced_locking_client_gone_total", Kind::Counter, Unit::Count("clients"), [],
        "Clients whose connection closed while their request waited.";
    SWEEP_OVERDUE = "atlantis_enhanced_locking_sweep_overdue_total", Kind::Counter, Unit::Count("deadlines"), [],
        "Deadlines that the slow sweep found unattended; more than a few mean that timers or hints are lost.";
    BACKEND_HEALTH = "atlantis_enhanced_locking_backend_health", Kind::Gauge, Unit::Flag, [STORE],
        "1 while the store answers, else 0.";
    STORE_COMMITS = "atlantis_enhanced_locking_store_commits_total", Kind::Counter, Unit::Count("commits"),
        [STORE, Label { name: "outcome", values: CommitOutcome::WORDS, help: "what became of it" }],
        "Commits asked of the store.";
    STORE_COMMIT_DURATION = "atlantis_enhanced_locking_store_commit_duration_seconds",
        Kind::Histogram(SHORT_SECONDS), Unit::Seconds, [STORE],
        "Time a commit took, from being sent to the store to its answer.";
    STORE_COMMIT_BATCH = "atlantis_enhanced_locking_store_commit_batch", Kind::Histogram(BATCH),
        Unit::Count("documents"), [],
        "Documents made durable together, with one fsync.";
    SEALED_PARTITIONS = "atlantis_enhanced_locking_sealed_partitions", Kind::Gauge, Unit::Count("partitions"), [],
        "Partitions of a shared store in which nothing is granted, since the store may have lost data of them.";
    WRITTEN_BACK = "atlantis_enhanced_locking_written_back_total", Kind::Counter, Unit::Count("documents"), [],
        "Documents that this instance gave back to a shared store that had lost them.";
    STORE_CONFLICTS = "atlantis_enhanced_locking_store_conflicts_total", Kind::Counter, Unit::Count("documents"), [],
        "Documents of which this instance knew more than a shared store that was opened without it; the store's state stands.";
    HINTS_MISSED = "atlantis_enhanced_locking_hints_missed_total", Kind::Counter, Unit::Count("times"), [],
        "Times at which messages of other instances may have been missed, so that everything was compared.";
    INSTANCES = "atlantis_enhanced_locking_instances", Kind::Gauge, Unit::Count("instances"), [],
        "Instances that share the store, as this one heard; for the operator's eyes, nothing decides by it.";
    ACTORS = "atlantis_enhanced_locking_actors", Kind::Gauge, Unit::Count("actors"),
        [Label { name: "kind", values: &[], help: "the kind of actor" }],
        "Actors that live now.";
    ACTOR_RESTARTS = "atlantis_enhanced_locking_actor_restarts_total", Kind::Counter, Unit::Count("restarts"),
        [ACTOR],
        "Actors that died and were replaced.";
    MAILBOX_FULL = "atlantis_enhanced_locking_mailbox_full_total", Kind::Counter, Unit::Count("messages"),
        [ACTOR],
        "Messages refused since the actor's mailbox was full; their callers were told overloaded.";
    EVENTS_PUBLISHED = "atlantis_enhanced_locking_events_published_total", Kind::Counter,
        Unit::Count("events"), [],
        "Events put on the ring.";
    EVENT_SUBSCRIBERS = "atlantis_enhanced_locking_event_subscribers", Kind::Gauge,
        Unit::Count("subscribers"), [],
        "Event streams that are open now.";
    EVENTS_DROPPED_SUBSCRIBERS = "atlantis_enhanced_locking_events_dropped_subscribers_total", Kind::Counter,
        Unit::Count("subscribers"), [],
        "Event streams closed since their reader was too slow; it resumes with Last-Event-ID.";
    HTTP_REQUESTS = "atlantis_enhanced_locking_http_requests_total", Kind::Counter, Unit::Count("requests"),
        [ROUTE, Label { name: "method", values: &[], help: "the HTTP method, `other` for unknown ones" },
         Label { name: "status", values: &[], help: "the HTTP status of the answer" }],
        "HTTP requests answered.";
    HTTP_REQUEST_DURATION = "atlantis_enhanced_locking_http_request_duration_seconds",
        Kind::Histogram(SHORT_SECONDS), Unit::Seconds, [ROUTE],
        "Time from an HTTP request to the head of its answer; a long poll's wait is included.";
    BUILD_INFO = "atlantis_enhanced_locking_build_info", Kind::Gauge, Unit::Flag,
        [Label { name: "version", values: &[], help: "the version that runs" }],
        "Always 1; the labels tell what runs.";
    READY = "atlantis_enhanced_locking_ready", Kind::Gauge, Unit::Flag, [],
        "1 while this instance can grant, as `/readyz` says.";
    PHASE = "atlantis_enhanced_locking_phase", Kind::Gauge, Unit::Flag,
        [Label { name: "phase", values: Phase::WORDS, help: "as `/readyz` says" }],
        "1 for the phase this instance is in, 0 for the others.";
    PHASE_CHANGES = "atlantis_enhanced_locking_phase_changes_total", Kind::Counter, Unit::Count("changes"),
        [Label { name: "phase", values: Phase::WORDS, help: "the phase that began" }],
        "Phases that began.";
    BACKEND_STATE = "atlantis_enhanced_locking_backend_state", Kind::Gauge, Unit::Flag,
        [Label { name: "state", values: BackendState::WORDS, help: "as the last probes found it" }],
        "1 for the state the store is in, 0 for the others.";
    PROBE_DURATION = "atlantis_enhanced_locking_store_probe_duration_seconds", Kind::Histogram(SHORT_SECONDS),
        Unit::Seconds, [STORE],
        "Time a good probe of the store took, a durable write included.";
    PROBE_FAILURES = "atlantis_enhanced_locking_store_probe_failures_total", Kind::Counter,
        Unit::Count("probes"), [STORE],
        "Probes of the store that failed.";
    BREAKER_STATE = "atlantis_enhanced_locking_circuit_breaker_state", Kind::Gauge, Unit::Count("state"), [STORE],
        "The store's circuit breaker: 0 closed, 1 open, 2 half-open.";
    BREAKER_TRANSITIONS = "atlantis_enhanced_locking_circuit_breaker_transitions_total", Kind::Counter,
        Unit::Count("transitions"),
        [Label { name: "state", values: BreakerState::WORDS, help: "the state it came to" }],
        "Changes of the circuit breaker's state.";
    BREAKER_REFUSED = "atlantis_enhanced_locking_circuit_breaker_refused_total", Kind::Counter,
        Unit::Count("calls"), [],
        "Calls of the store that were answered at once since the circuit breaker was not closed.";
    REDIS_MEMORY_USED = "atlantis_enhanced_locking_redis_memory_used_bytes", Kind::Gauge, Unit::Bytes, [],
        "Memory that Redis uses, as the last probe saw it; of several masters the fullest. 0 without Redis.";
    REDIS_MEMORY_MAX = "atlantis_enhanced_locking_redis_memory_max_bytes", Kind::Gauge, Unit::Bytes, [],
        "Memory that this Redis may use; 0 for no limit.";
    REDIS_REPLICAS = "atlantis_enhanced_locking_redis_replicas", Kind::Gauge, Unit::Count("replicas"), [],
        "Replicas in sync with Redis, as the last probe saw them; of several masters the fewest.";
    JOURNAL_PENDING = "atlantis_enhanced_locking_journal_pending", Kind::Gauge, Unit::Count("releases"), [],
        "Releases that were accepted while the store was away and are not carried out yet.";
    JOURNAL_ACCEPTED = "atlantis_enhanced_locking_journal_accepted_total", Kind::Counter,
        Unit::Count("releases"), [],
        "Releases that were accepted while the store was away.";
    JOURNAL_OUTCOMES = "atlantis_enhanced_locking_journal_outcomes_total", Kind::Counter,
        Unit::Count("releases"),
        [Label { name: "outcome", values: JournalOutcome::WORDS, help: "what became of it" }],
        "What became of releases that were accepted while the store was away.";
    ACTORS_UNSTABLE = "atlantis_enhanced_locking_actors_unstable", Kind::Gauge, Unit::Flag, [ACTOR],
        "1 while actors of this kind die so often that this instance grants nothing.";
    QUARANTINED = "atlantis_enhanced_locking_resources_quarantined", Kind::Gauge, Unit::Count("resources"), [],
        "Resources whose actor died so often that their requests are refused for a while.";
    LIMIT_REFUSED = "atlantis_enhanced_locking_limit_refused_total", Kind::Counter, Unit::Count("requests"),
        [Label { name: "limit", values: &[], help: "the name of the limit" }],
        "Requests refused since a limit was reached.";
    SLOW_CLIENTS = "atlantis_enhanced_locking_slow_clients_total", Kind::Counter, Unit::Count("clients"),
        [Label { name: "what", values: &[], help: "what took too long" }],
        "Clients cut off since they were too slow.";
    IN_WORK = "atlantis_enhanced_locking_commands_in_work", Kind::Gauge, Unit::Count("commands"), [],
        "Commands that are being decided or made durable now; clients that wait for a lock are not counted.";
    CONFIG_CHANGES = "atlantis_enhanced_locking_config_changes_total", Kind::Counter, Unit::Count("settings"),
        [Label { name: "outcome", values: ConfigChange::WORDS, help: "what became of it" }],
        "Settings that were to be changed while the server ran.";
    PROCESS_CPU = "process_cpu_seconds_total", Kind::Counter, Unit::Seconds, [],
        "Processor time of the process, user and system, in whole seconds.";
    PROCESS_OPEN_FDS = "process_open_fds", Kind::Gauge, Unit::Count("descriptors"), [],
        "Open file descriptors of the process.";
    PROCESS_MAX_FDS = "process_max_fds", Kind::Gauge, Unit::Count("descriptors"), [],
        "File descriptors the process may open; 0 for no limit.";
    PROCESS_VIRTUAL = "process_virtual_memory_bytes", Kind::Gauge, Unit::Bytes, [],
        "Virtual memory of the process.";
    PROCESS_VIRTUAL_MAX = "process_virtual_memory_max_bytes", Kind::Gauge, Unit::Bytes, [],
        "Virtual memory the process may have; 0 for no limit.";
    PROCESS_RESIDENT = "process_resident_memory_bytes", Kind::Gauge, Unit::Bytes, [],
        "Resident memory of the process.";
    PROCESS_START = "process_start_time_seconds", Kind::Gauge, Unit::Seconds, [],
        "When the process started, in seconds since the Unix epoch.";
    PROCESS_THREADS = "process_threads", Kind::Gauge, Unit::Count("threads"), [],
        "Threads of the process.";
}

/// What a name that other documents use is called here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Successor {
    /// This metric tells the same.
    Is(&'static str),
    /// There is no such metric yet; with what it comes, or how to get its answer otherwise.
    None(&'static str),
}

/// Names from other documents that a user may look for. They are not published: two names for one
/// number make sums wrong and dashboards disagree.
pub const OTHER_NAMES: &[(&str, Successor)] = &[
    ("atlantis_enhanced_lock_acquisition_duration_seconds", Successor::Is(ACQUISITION_DURATION.name)),
    ("atlantis_enhanced_lock_queue_depth", Successor::Is(QUEUE_DEPTH.name)),
    ("atlantis_enhanced_backend_health_status", Successor::Is(BACKEND_HEALTH.name)),
    ("atlantis_enhanced_deadlocks_detected_total", Successor::None("comes with deadlock detection")),
    (
        "atlantis_enhanced_redis_connections_active",
        Successor::None(
            "there is no pool: all calls share the `redis.pool-size` connections, which stay open",
        ),
    ),
    ("atlantis_enhanced_fallback_events_total", Successor::None("comes with the fallback to a second store")),
    (
        "atlantis_enhanced_locking_availability",
        Successor::None(
            "an instance that is down cannot report it: use `avg_over_time(atlantis_enhanced_locking_ready[30d])` or `up`",
        ),
    ),
    ("atlantis_enhanced_locking_deadlocks_detected_total", Successor::None("comes with deadlock detection")),
    ("atlantis_enhanced_locking_priority_queue_inversion_ratio", Successor::None("comes later")),
    (
        "atlantis_enhanced_locking_redis_cpu_percent",
        Successor::None(
            "Redis tells seconds, not percent: use `redis_exporter`'s `rate(redis_cpu_sys_seconds_total[5m])`",
        ),
    ),
    (
        "atlantis_enhanced_locking_redis_pool_active_connections",
        Successor::None(
            "there is no pool: all calls share the `redis.pool-size` connections, which stay open",
        ),
    ),
    (
        "atlantis_enhanced_locking_redis_pool_max_connections",
        Successor::None(
            "there is no pool: all calls share the `redis.pool-size` connections, which stay open",
        ),
    ),
];
