//! Lockkeeper's settings as types: what the composition root maps to each crate's parameters.
//!
//! Times that decide about leases and queues are the store's clock's and therefore
//! [`Span`]s; timers of this process are standard durations.

mod checks;
mod limit_rules;
mod limits;
mod redis;
mod redis_rules;
mod refused;
mod rules;
mod table;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use lockkeeper_core::Span;

use crate::effective::Effective;
use crate::network::Network;
use crate::schema::{Schema, Switch};

pub use limits::{CircuitBreakerSettings, RateLimitSettings, SupervisionSettings};
pub use redis::{RedisSettings, RedisTls, RedisTopology};

/// The greatest number of a Redis database.
pub(crate) const REDIS_DB_MAX: u32 = 65_535;

/// Lockkeeper's settings.
pub(crate) const SCHEMA: Schema = Schema {
    settings: table::SETTINGS,
    refused: refused::REFUSED,
    defaults: include_str!("../../lockkeeper.yaml"),
    switches: SWITCHES,
    other_variables: refused::OTHER_VARIABLES,
    rules: &[rules::RULES, limit_rules::RULES, redis_rules::RULES],
    aliases: refused::ALIASES,
    spread: redis::spread,
};

/// The kill switch as it is called elsewhere.
const SWITCHES: &[Switch] = &[
    Switch { variable: "DISABLE_ENHANCED_LOCKING", setting: "enabled", off: true },
    Switch { variable: "ATLANTIS_ENHANCED_LOCKING_ENABLED", setting: "enabled", off: false },
];

/// The store that keeps the locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// A file under the data directory.
    Embedded,
    /// A Redis that several instances share.
    Redis,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// All settings, valid and in range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The address served.
    pub listen: SocketAddr,
    /// Where the store and the audit log live.
    pub data_dir: PathBuf,
    /// The store.
    pub store: StoreKind,
    /// This instance's name; empty to make it from the host's, see [`Settings::instance_id_on`].
    pub instance_id: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged: a level, or filter directives.
    pub log_level: String,
    /// Whether an address that others can reach may be served without tokens.
    pub insecure: bool,
    /// Whether this instance grants.
    pub enabled: bool,
    /// Whether the fault endpoints are served.
    pub chaos: bool,
    /// How long a drain may take.
    pub drain_timeout: Duration,
    /// How long serving goes on before a drain begins.
    pub drain_delay: Duration,
    /// The host of resources that name none.
    pub default_host: String,
    /// The lease of requests that name none.
    pub default_ttl: Span,
    /// The longest lease.
    pub max_timeout: Span,
    /// How often the sweep looks for what timers missed.
    pub sweep_interval: Duration,
    /// How long a lock stays taken after its lease ended.
    pub lock_delay: Span,
    /// How old an answer may grow before it is confirmed again.
    pub answer_max_age: Duration,
    /// How long a call of the store may take.
    pub store_call_timeout: Duration,
    /// How long after a lease's end the next grant waits; zero with a store of our own, whose clock
    /// nobody else has.
    pub lease_grace: Span,
    /// How long nothing is granted after a shared store lost data.
    pub settle_window: Duration,
    /// How long at most an unfinished write-back is waited for.
    pub settle_max: Duration,
    /// How long an instance that was not heard of counts as present.
    pub presence_lease: Duration,
    /// Where clients reach this instance; empty for the address served, see [`Settings::advertised_at`].
    pub advertise_address: String,
    /// Queues.
    pub queue: QueueSettings,
    /// The HTTP door.
    pub http: HttpSettings,
    /// The event stream.
    pub events: EventSettings,
    /// The actors.
    pub actors: ActorSettings,
    /// The embedded store.
    pub embedded: EmbeddedSettings,
    /// The Redis store.
    pub redis: RedisSettings,
    /// Health checks.
    pub health: HealthSettings,
    /// The circuit breaker; none when it is switched off.
    pub circuit_breaker: Option<CircuitBreakerSettings>,
    /// How often actors may die.
    pub supervision: SupervisionSettings,
    /// The most releases kept while the store is away.
    pub journal_max_entries: usize,
    /// How many requests are taken.
    pub rate_limit: RateLimitSettings,
}

/// Settings of queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// The most tickets of one resource.
    pub max_size: usize,
    /// How long a ticket waits when its request does not say.
    pub default_timeout: Span,
    /// How long an absent client keeps its place or its reserved lock.
    pub abandon_after: Span,
    /// How long a reserved lock waits for a client that said it would be absent.
    pub claim_within: Span,
    /// The most tickets of all resources.
    pub max_tickets: usize,
    /// The most tickets of one namespace; none for no limit.
    pub max_tickets_per_namespace: Option<NonZeroUsize>,
    /// The most tickets of one client; none for no limit.
    pub max_tickets_per_client: Option<NonZeroUsize>,
}

/// Settings of the HTTP door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// The longest wait of one request.
    pub max_wait: Duration,
    /// Worker threads; none for one per core.
    pub workers: Option<NonZeroUsize>,
    /// The most connections.
    pub max_connections: usize,
    /// How long an idle connection stays open.
    pub keep_alive: Duration,
    /// How long a client may take for a request's head.
    pub header_timeout: Duration,
    /// The most clients that wait at once.
    pub max_waiting: usize,
    /// The most requests of one client that wait at once; none for no limit.
    pub max_waiting_per_client: Option<NonZeroUsize>,
    /// How long a client may take for a request's body.
    pub body_timeout: Duration,
    /// How long a client may take to read what waits for it.
    pub send_timeout: Duration,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
}

/// Settings of the event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSettings {
    /// Events kept for those who resume.
    pub ring_size: usize,
    /// The most open streams.
    pub max_subscribers: usize,
    /// The most open streams of one client; none for no limit.
    pub max_subscribers_per_client: Option<NonZeroUsize>,
}

/// Settings of the actors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorSettings {
    /// Threads over which the queue actors are spread; none for one per core.
    pub shards: Option<NonZeroUsize>,
    /// Messages that may wait for one actor.
    pub mailbox: usize,
    /// How long an idle queue actor stays.
    pub rest_after: Duration,
    /// Commands that may be in work at once.
    pub max_commands: usize,
}

/// Settings of the embedded store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedSettings {
    /// Commits that may wait for the writer.
    pub queue_size: usize,
    /// The most commits made durable with one fsync.
    pub batch_size: usize,
    /// Memory for cached pages, in bytes.
    pub cache_size: usize,
}

/// Settings of health checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSettings {
    /// How often the store is asked.
    pub interval: Duration,
    /// A probe that takes longer makes the store degraded.
    pub slow_after: Duration,
}

impl Settings {
    /// This instance's name: the configured one, or the host's with what an id may not have replaced.
    /// (Event ids are `instance.sequence`, so it has no dot.)
    #[must_use]
    pub fn instance_id_on(&self, host_name: &str) -> String {
        if !self.instance_id.is_empty() {
            return self.instance_id.clone();
        }
        let allowed = |c: char| if checks::in_instance_id(c) { c } else { '-' };
        let id: String = host_name.chars().map(allowed).take(checks::INSTANCE_ID_CHARS_MAX).collect();
        if id.is_empty() { "lockkeeper".to_owned() } else { id }
    }

    /// Where clients reach this instance: as configured, or the address that is served (its port is known
    /// once it is bound), with the host's name for one that stands for all of its addresses.
    #[must_use]
    pub fn advertised_at(&self, bound: SocketAddr, host_name: &str) -> String {
        if !self.advertise_address.is_empty() {
            self.advertise_address.clone()
        } else if bound.ip().to_canonical().is_unspecified() && !host_name.is_empty() {
            format!("{host_name}:{}", bound.port())
        } else {
            bound.to_string()
        }
    }

    /// Every field from its setting.
    pub(crate) fn from_effective(e: &Effective) -> Self {
        let duration = |name| e.span(name).to_std();
        let store = match e.word("store") {
            "embedded" => StoreKind::Embedded,
            "redis" => StoreKind::Redis,
            other => unreachable!("the schema allows the store {other}"),
        };
        Self {
            listen: e.address("listen"),
            data_dir: PathBuf::from(e.text("data-dir")),
            store,
            instance_id: e.text("instance-id"),
            log_format: match e.word("log-format") {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                other => unreachable!("the schema allows the log format {other}"),
            },
            log_level: e.text("log-level"),
            insecure: e.bool("insecure"),
            enabled: e.bool("enabled"),
            chaos: e.bool("chaos"),
            drain_timeout: duration("drain-timeout"),
            drain_delay: duration("drain-delay"),
            default_host: e.text("default-host"),
            default_ttl: e.span("default-ttl"),
            max_timeout: e.span("max-timeout"),
            sweep_interval: duration("sweep-interval"),
            lock_delay: e.span("lock-delay"),
            answer_max_age: duration("answer-max-age"),
            store_call_timeout: duration("store-call-timeout"),
            lease_grace: match store {
                StoreKind::Embedded => Span::ZERO,
                StoreKind::Redis => e.span("lease-grace"),
            },
            settle_window: duration("settle-window"),
            settle_max: duration("settle-max"),
            presence_lease: duration("presence-lease"),
            advertise_address: e.text("advertise-address"),
            queue: QueueSettings {
                max_size: count(e.integer("queue.max-size")),
                default_timeout: e.span("queue.default-timeout"),
                abandon_after: e.span("queue.abandon-after"),
                claim_within: e.span("queue.claim-within"),
                max_tickets: count(e.integer("queue.max-tickets")),
                max_tickets_per_namespace: limit(e.integer("queue.max-tickets-per-namespace")),
                max_tickets_per_client: limit(e.integer("queue.max-tickets-per-client")),
            },
            http: HttpSettings {
                max_wait: duration("http.max-wait"),
                workers: limit(e.integer("http.workers")),
                max_connections: count(e.integer("http.max-connections")),
                keep_alive: duration("http.keep-alive"),
                header_timeout: duration("http.header-timeout"),
                max_waiting: count(e.integer("http.max-waiting")),
                max_waiting_per_client: limit(e.integer("http.max-waiting-per-client")),
                body_timeout: duration("http.body-timeout"),
                send_timeout: duration("http.send-timeout"),
                trusted_proxies: e.networks("http.trusted-proxies"),
            },
            events: EventSettings {
                ring_size: count(e.integer("events.ring-size")),
                max_subscribers: count(e.integer("events.max-subscribers")),
                max_subscribers_per_client: limit(e.integer("events.max-subscribers-per-client")),
            },
            actors: ActorSettings {
                shards: limit(e.integer("actors.shards")),
                mailbox: count(e.integer("actors.mailbox")),
                rest_after: duration("actors.rest-after"),
                max_commands: count(e.integer("actors.max-commands")),
            },
            embedded: EmbeddedSettings {
                queue_size: count(e.integer("embedded.queue-size")),
                batch_size: count(e.integer("embedded.batch-size")),
                cache_size: count(e.size("embedded.cache-size")),
            },
            redis: RedisSettings::from_effective(e),
            health: HealthSettings {
                interval: duration("health.interval"),
                slow_after: duration("health.slow-after"),
            },
            circuit_breaker: CircuitBreakerSettings::from_effective(e),
            supervision: SupervisionSettings::from_effective(e),
            journal_max_entries: count(e.integer("journal.max-entries")),
            rate_limit: RateLimitSettings::from_effective(e),
        }
    }
}

/// A number whose zero stands for none.
fn limit(number: u64) -> Option<NonZeroUsize> {
    NonZeroUsize::new(count(number))
}

/// All ranges fit into 32 bits but that of sizes, which a 32-bit machine could not use anyway.
fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
