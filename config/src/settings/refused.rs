//! Names that are refused with a reason, since users of the designed system look for them.

use crate::schema::Refused;

const fn refused(name: &'static str, reason: &'static str) -> Refused {
    Refused { name, reason }
}

const TREES: &str = "the names of this tree come as aliases with a later version; use the settings of docs/configuration.md, such as \"max-timeout\" or \"queue.max-size\"";
const STALE: &str = "locks are decided by what the master says; a replica may not know the latest grant, and the same lock would be granted twice";
const CACHED: &str = "a lock is decided by what the store says at that moment; a cache may not know the latest grant, and the same lock would be granted twice";
const RETRIES: &str = "there is nothing to set: a commit whose answer is missing is sent again under the same nonce, so that it counts once, until store-call-timeout has passed three times";
const CONNECTIONS: &str = "there is nothing to set: calls do not take connections from a pool and give them back, all share those of redis.pool-size, which stay open";
const CALL_TIME: &str = "a call is timed as a whole, sending and receiving; use store-call-timeout";
const URL: &str = "give host and port together as redis.url";
const CLUSTER: &str =
    "give the URLs of the nodes as redis.url; several mean a Cluster, and so does redis.cluster-mode";
const DRIFT: &str = "a setting that changes by itself cannot be relied on: nobody could say afterwards how long a lock was meant to last, or why a queue was full; set the value";
const BY_EVENTS: &str =
    "there is nothing to set: a lock goes to the next in the commit that releases it, no worker looks for it";
const DEADLOCKS: &str = "deadlock detection comes with a later version";
const FALLBACK: &str = "a second store beside the first comes with a later version";

/// The first that fits tells the reason.
pub(crate) const REFUSED: &[Refused] = &[
    refused("enhanced-locking", TREES),
    refused("locking-db-type", "that is Atlantis's setting; use \"store\""),
    refused("locking", TREES),
    refused("redis.read-preference", STALE),
    refused("redis.route-by-latency", STALE),
    refused("redis.route-randomly", STALE),
    refused("redis.read-only", STALE),
    refused("redis.cache*", CACHED),
    refused("lock-cache*", CACHED),
    refused("enable-lock-caching", CACHED),
    refused("redis.retry*", RETRIES),
    refused("redis.max-retr*", RETRIES),
    refused("redis.min-retr*", RETRIES),
    refused(
        "redis.max-redirects",
        "there is nothing to set: a call follows redirections until its time is up",
    ),
    refused("redis.pool-timeout", CONNECTIONS),
    refused("redis.min-idle-conns", CONNECTIONS),
    refused("redis.max-idle-conns", CONNECTIONS),
    refused("redis.max-active-conns", CONNECTIONS),
    refused("redis.max-conn-age", CONNECTIONS),
    refused("redis.conn-max*", CONNECTIONS),
    refused("redis.idle*", CONNECTIONS),
    refused("redis.keep-alive", CONNECTIONS),
    refused("redis.read-timeout", CALL_TIME),
    refused("redis.write-timeout", CALL_TIME),
    refused(
        "redis.lock-ttl",
        "every lock has a lease of its own; use default-ttl for requests that name none, and max-timeout for the longest",
    ),
    refused("redis.health-check*", "use health.interval"),
    refused("redis.host", URL),
    refused("redis.port", URL),
    refused("redis.nodes", CLUSTER),
    refused("redis-cluster", CLUSTER),
    refused("redis-migration", FALLBACK),
    refused(
        "tokens-file",
        "tokens come with a later version; until then serve a loopback address, or accept the risk with \"insecure\"",
    ),
    refused("deadlock*", DEADLOCKS),
    refused("auto-tuning", DRIFT),
    refused("enable-adaptive-timeouts", DRIFT),
    refused("adaptive-timeout*", DRIFT),
    refused("timeout-auto-adjust", DRIFT),
    refused("queue-size-auto-adjust", DRIFT),
    refused("pool-size-auto-adjust", DRIFT),
    refused("queue-batch-size", BY_EVENTS),
    refused("queue-processing*", BY_EVENTS),
    refused("queue-worker-count", BY_EVENTS),
    refused("fallback*", FALLBACK),
    refused("boltdb", FALLBACK),
    refused("legacy*", FALLBACK),
];

/// What settings are called in the design that users know, where the meaning is the same.
pub(crate) const ALIASES: &[(&str, &str)] = &[
    ("redis.addr", "redis.url"),
    ("redis.address", "redis.url"),
    ("redis.timeout", "store-call-timeout"),
    ("enhanced-locking.enabled", "enabled"),
    ("max-queue-size", "queue.max-size"),
    ("queue-timeout", "queue.default-timeout"),
    ("event-buffer-size", "events.ring-size"),
    ("health-check-interval", "health.interval"),
    ("enable-circuit-breaker", "circuit-breaker.enabled"),
    ("breaker.enabled", "circuit-breaker.enabled"),
    ("breaker.failure-threshold", "circuit-breaker.failure-threshold"),
    ("breaker.success-threshold", "circuit-breaker.success-threshold"),
    ("breaker.timeout", "circuit-breaker.timeout"),
    ("breaker.window", "circuit-breaker.window"),
    ("breaker.failure-percent", "circuit-breaker.failure-percent"),
    ("breaker.min-calls", "circuit-breaker.min-calls"),
];

/// Variables with our prefix that the command line's clients read, and `LOCKKEEPER_CONFIG`, which names
/// the settings file itself.
pub(crate) const OTHER_VARIABLES: &[&str] = &[
    "LOCKKEEPER_SERVER",
    "LOCKKEEPER_TOKEN",
    "LOCKKEEPER_TOKEN_FILE",
    "LOCKKEEPER_CA_FILE",
    "LOCKKEEPER_FENCING_TOKEN",
    "LOCKKEEPER_OWNER",
    "LOCKKEEPER_CONFIG",
    "LOCKKEEPER_LOCK_ID",
    "LOCKKEEPER_OUTPUT",
];
