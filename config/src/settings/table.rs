//! The table of all settings: top level first, then section by section.

use lockkeeper_core::Span;

use super::{REDIS_DB_MAX, checks};
use crate::kind::Kind;
use crate::schema::Setting;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

const fn ms(millis: u64) -> Span {
    Span::from_millis(millis)
}
const fn secs(secs: u64) -> Span {
    Span::from_secs(secs)
}
const fn minutes(minutes: u64) -> Span {
    Span::from_secs(minutes * 60)
}
const fn hours(hours: u64) -> Span {
    Span::from_secs(hours * 3600)
}

const fn time(min: Span, max: Span) -> Kind {
    Kind::Duration { min, max }
}
const fn number(min: u64, max: u64) -> Kind {
    Kind::Integer { min, max, zero: None }
}
const fn cores(max: u64) -> Kind {
    Kind::Integer { min: 0, max, zero: Some("the number of cores") }
}

const fn setting(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Setting {
    Setting { name, kind, default, help, secret: false, restart: true }
}

/// A setting whose change takes effect while the server runs.
const fn live(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Setting {
    Setting { restart: false, ..setting(name, kind, default, help) }
}

const fn secret(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Setting {
    Setting { secret: true, ..setting(name, kind, default, help) }
}

/// A number whose zero means that there is no limit.
const fn limit(max: u64) -> Kind {
    Kind::Integer { min: 0, max, zero: Some("no limit") }
}

const STORE: Kind = Kind::Word {
    words: &["embedded", "redis"],
    absent: &[
        ("enhanced-redis", "the store is called \"redis\""),
        ("boltdb", "Atlantis's own store comes with a later version"),
        ("memory", "locks that a restart forgets protect nothing"),
    ],
};

/// Every setting.
pub(crate) const SETTINGS: &[Setting] = &[
    setting(
        "listen",
        Kind::Address,
        "127.0.0.1:4142",
        "The address served; port 0 takes a free one. An address that others can reach needs `insecure`.",
    ),
    setting(
        "data-dir",
        Kind::Text { allowed: "a path of 1 to 4096 bytes", check: checks::path },
        "./data",
        "Where the embedded store and the audit log live, and with the Redis store the greatest fencing tokens seen. One server at a time uses it.",
    ),
    setting(
        "store",
        STORE,
        "embedded",
        "What keeps the locks: a file under `data-dir`, for one instance, or a Redis that several share.",
    ),
    setting(
        "instance-id",
        Kind::Text { allowed: checks::INSTANCE_ID, check: checks::instance_id },
        "",
        "This instance's name in events and logs; empty to make it from the host name.",
    ),
    setting(
        "log-format",
        Kind::Word { words: &["text", "json"], absent: &[] },
        "text",
        "How log lines look: for people, or one JSON object each.",
    ),
    live(
        "log-level",
        Kind::Text { allowed: checks::LOG_FILTER, check: checks::log_filter },
        "info",
        "What is logged: a level, or levels for parts of the program.",
    ),
    setting(
        "insecure",
        Kind::Bool,
        "false",
        "Serve an address that others can reach without tokens: everyone who reaches it can release any lock.",
    ),
    live(
        "enabled",
        Kind::Bool,
        "true",
        "Whether this instance grants locks. With `false` it drains, and goes on with renewals, releases and reads: the kill switch.",
    ),
    setting(
        "chaos",
        Kind::Bool,
        "false",
        "Serve the endpoints that kill actors and make the store fail: for tests of degraded service, never in production.",
    ),
    setting(
        "drain-timeout",
        time(secs(1), minutes(10)),
        "10s",
        "How long the end may take once the server was told to stop.",
    ),
    live(
        "drain-delay",
        time(Span::ZERO, minutes(5)),
        "0s",
        "How long everything goes on after that, with `/readyz?for=traffic` answering 503, so that load balancers notice first.",
    ),
    setting(
        "default-host",
        Kind::Text { allowed: "up to 256 bytes without control characters", check: checks::host },
        "",
        "The VCS host of resources that name none.",
    ),
    live(
        "default-ttl",
        time(ms(100), hours(720)),
        "30m",
        "The lease of requests that name none; at most `max-timeout`.",
    ),
    live("max-timeout", time(secs(1), hours(720)), "720h", "The longest lease that a request may ask for."),
    setting(
        "sweep-interval",
        time(ms(100), minutes(1)),
        "5s",
        "How often the sweep looks for deadlines that their timers missed.",
    ),
    setting(
        "lock-delay",
        time(Span::ZERO, hours(1)),
        "0s",
        "How long a lock stays taken after its lease ran out, for holders that notice late.",
    ),
    setting(
        "answer-max-age",
        time(ms(100), minutes(1)),
        "1s",
        "How old an answer may grow before it is confirmed with the store again.",
    ),
    setting("store-call-timeout", time(ms(100), minutes(1)), "1s", "How long a call of the store may take."),
    setting(
        "lease-grace",
        time(ms(100), secs(30)),
        "1s",
        "How long after a lease's end the next grant waits. A commit whose time is more than half of it off the store's clock is refused. Only with the redis store.",
    ),
    setting(
        "settle-window",
        time(ms(250), minutes(10)),
        "5s",
        "How long nothing is granted after the store lost data, while the instances write back what they know; more than `health.interval` and `store-call-timeout` together. Only with the redis store.",
    ),
    setting(
        "settle-max",
        time(secs(1), hours(1)),
        "30s",
        "How long at most an instance is waited for that began to write back and has not finished; at least `settle-window`. Only with the redis store.",
    ),
    setting(
        "presence-lease",
        time(secs(1), minutes(10)),
        "15s",
        "How long an instance that was not heard of counts as present; more than `health.interval` and `store-call-timeout` together. Only with the redis store.",
    ),
    setting(
        "advertise-address",
        Kind::Text { allowed: checks::ADVERTISE, check: checks::advertise },
        "",
        "Where clients reach this instance, as the others tell them; empty for the address served. Only with the redis store.",
    ),
    setting(
        "queue.max-size",
        number(1, 1_000_000),
        "100000",
        "The most tickets of one resource; one more is answered 429 `queue_full`.",
    ),
    live(
        "queue.default-timeout",
        time(ms(100), hours(168)),
        "10m",
        "How long a ticket waits when its request does not say.",
    ),
    setting(
        "queue.abandon-after",
        time(ms(100), hours(1)),
        "60s",
        "How long a client may be absent before it loses its place, or the lock reserved for it.",
    ),
    setting(
        "queue.claim-within",
        time(ms(100), hours(24)),
        "15m",
        "The same for a lock reserved for a client that said it would be absent (`attended: false`).",
    ),
    live(
        "queue.max-tickets",
        number(1, 10_000_000),
        "1000000",
        "The most tickets of all resources, as far as this instance knows; one more is answered 429 `queue_full`.",
    ),
    live(
        "queue.max-tickets-per-namespace",
        limit(10_000_000),
        "0",
        "The same for one namespace, so that one repository cannot take all places.",
    ),
    live(
        "queue.max-tickets-per-client",
        limit(10_000_000),
        "0",
        "The same for one client: its token's subject or, without tokens, its address.",
    ),
    live(
        "http.max-wait",
        time(Span::ZERO, secs(60)),
        "50s",
        "The longest wait of one request; keep it below the idle timeout of proxies on the way.",
    ),
    setting("http.workers", cores(64), "0", "Threads that serve HTTP."),
    setting(
        "http.max-connections",
        number(16, 1_000_000),
        "25000",
        "The most connections; the process needs a file descriptor for each.",
    ),
    setting(
        "http.keep-alive",
        time(secs(1), minutes(10)),
        "75s",
        "How long an idle connection stays open; keep it above the idle timeout of proxies in front.",
    ),
    setting(
        "http.header-timeout",
        time(ms(100), minutes(1)),
        "5s",
        "How long a client may take to send a request's head.",
    ),
    live(
        "http.max-waiting",
        number(1, 1_000_000),
        "20000",
        "The most clients that wait for a lock at once; one more is answered 503 `overloaded`.",
    ),
    live(
        "http.max-waiting-per-client",
        limit(1_000_000),
        "0",
        "The most requests of one client that wait at once; one more is answered 429 `rate_limited`.",
    ),
    setting(
        "http.body-timeout",
        time(ms(100), minutes(10)),
        "10s",
        "How long a client may take to send a request's body; a slower one is cut off.",
    ),
    setting(
        "http.send-timeout",
        time(ms(100), minutes(10)),
        "30s",
        "How long a client may take to read what waits to be sent to it; a slower one is cut off.",
    ),
    setting(
        "http.trusted-proxies",
        Kind::Networks,
        "",
        "The proxies whose `X-Forwarded-For` is believed; from anyone else the client is the address that connected.",
    ),
    setting(
        "events.ring-size",
        number(16, 1_000_000),
        "10000",
        "Events kept for streams that resume; older ones are answered 410 `events_gone`.",
    ),
    setting("events.max-subscribers", number(1, 100_000), "1000", "The most open event streams."),
    live(
        "events.max-subscribers-per-client",
        limit(100_000),
        "0",
        "The most open event streams of one client; one more is answered 429 `rate_limited`.",
    ),
    setting("actors.shards", cores(64), "0", "Threads over which the queues are spread."),
    setting(
        "actors.mailbox",
        number(16, 65_536),
        "1024",
        "Messages that may wait for one actor; one more is answered 503 `overloaded`.",
    ),
    setting(
        "actors.rest-after",
        time(ms(100), hours(1)),
        "10s",
        "How long a queue without work stays in memory.",
    ),
    setting(
        "actors.max-commands",
        number(1, 1_000_000),
        "16384",
        "Commands that may be in work at once; one more is answered 503 `overloaded`.",
    ),
    setting(
        "embedded.queue-size",
        number(16, 65_536),
        "4096",
        "Commits that may wait for the writer; one more is answered 503 `overloaded`.",
    ),
    setting("embedded.batch-size", number(1, 4096), "256", "The most commits made durable with one fsync."),
    setting(
        "embedded.cache-size",
        Kind::Size { min: MIB, max: 4 * GIB },
        "16MiB",
        "Memory for cached pages of the store's file.",
    ),
    setting(
        "redis.url",
        Kind::RedisUrls,
        "",
        "Where Redis is. One is a single server; several are nodes of a Cluster, or with `redis.sentinel` the Sentinels. Credentials are better given as `redis.username` and `redis.password-file`.",
    ),
    setting(
        "redis.sentinel",
        Kind::Text { allowed: checks::SENTINEL, check: checks::sentinel },
        "",
        "The name of the master that Sentinels watch; `redis.url` then names the Sentinels.",
    ),
    setting(
        "redis.sentinel-username",
        Kind::Text { allowed: checks::CREDENTIAL, check: checks::credential },
        "",
        "The user at the Sentinels, if they have users.",
    ),
    secret(
        "redis.sentinel-password",
        Kind::Text { allowed: checks::CREDENTIAL, check: checks::credential },
        "",
        "The password at the Sentinels.",
    ),
    setting(
        "redis.cluster-mode",
        Kind::Word { words: &["auto", "true", "false"], absent: &[] },
        "auto",
        "Whether `redis.url` names nodes of a Cluster; `auto`: if there are several URLs and no `redis.sentinel`.",
    ),
    setting(
        "redis.username",
        Kind::Text { allowed: checks::CREDENTIAL, check: checks::credential },
        "",
        "The user at the servers; empty for Redis's `default`.",
    ),
    secret(
        "redis.password",
        Kind::Text { allowed: checks::CREDENTIAL, check: checks::credential },
        "",
        "The password at the servers.",
    ),
    setting("redis.db", number(0, REDIS_DB_MAX as u64), "0", "The database; a Cluster has only 0."),
    setting(
        "redis.key-prefix",
        Kind::Text { allowed: checks::KEY_PREFIX, check: checks::key_prefix },
        "lk",
        "What every key begins with. Instances that share locks share it; all others need another.",
    ),
    setting(
        "redis.pool-size",
        number(1, 16),
        "1",
        "Connections for calls to each server. All calls share them, so that one is nearly always enough.",
    ),
    setting(
        "redis.dial-timeout",
        time(ms(100), secs(30)),
        "1s",
        "How long a connection may take, TLS and authentication included.",
    ),
    setting(
        "redis.min-replicas",
        number(0, 10),
        "0",
        "How many replicas must have a commit before it is acknowledged; without them the answer is `outcome_unknown`.",
    ),
    setting(
        "redis.wait-timeout",
        time(ms(10), secs(30)),
        "500ms",
        "How long the replicas may take for it; less than `store-call-timeout`.",
    ),
    setting(
        "redis.tls.ca-file",
        Kind::Text { allowed: checks::OPTIONAL_PATH, check: checks::optional_path },
        "",
        "The certificates (PEM) that the servers' must be signed by; empty for those of the system.",
    ),
    setting(
        "redis.tls.cert-file",
        Kind::Text { allowed: checks::OPTIONAL_PATH, check: checks::optional_path },
        "",
        "The certificate (PEM) shown to the servers, with `redis.tls.key-file`.",
    ),
    setting(
        "redis.tls.key-file",
        Kind::Text { allowed: checks::OPTIONAL_PATH, check: checks::optional_path },
        "",
        "The private key (PEM) of `redis.tls.cert-file`.",
    ),
    live(
        "health.interval",
        time(ms(100), minutes(1)),
        "2s",
        "How often the store is asked whether it is well.",
    ),
    live(
        "health.slow-after",
        time(ms(1), secs(59)),
        "250ms",
        "A store that takes longer than this to say that it is well counts as degraded; less than `store-call-timeout`.",
    ),
    setting(
        "circuit-breaker.enabled",
        Kind::Bool,
        "true",
        "Whether calls are answered at once, instead of tried, while the store keeps failing.",
    ),
    setting(
        "circuit-breaker.failure-threshold",
        number(1, 10_000),
        "5",
        "So many faults of the store in a row open the breaker.",
    ),
    setting(
        "circuit-breaker.success-threshold",
        number(1, 1000),
        "2",
        "So many good probes in a row close it again.",
    ),
    setting(
        "circuit-breaker.timeout",
        time(ms(100), minutes(10)),
        "5s",
        "How long it stays open before the store is probed again.",
    ),
    setting(
        "circuit-breaker.window",
        time(secs(1), minutes(10)),
        "10s",
        "Over how long the rate of faults is looked at.",
    ),
    setting(
        "circuit-breaker.failure-percent",
        Kind::Integer { min: 0, max: 100, zero: Some("not by rate") },
        "50",
        "So many per cent of faults within the window open it, too.",
    ),
    setting(
        "circuit-breaker.min-calls",
        number(1, 1_000_000),
        "20",
        "With fewer calls than this in the window the rate says nothing; at least `circuit-breaker.failure-threshold`.",
    ),
    setting(
        "supervision.max-deaths",
        number(1, 1_000_000),
        "100",
        "More deaths of actors than this within the window are a storm: nothing is granted until it is over.",
    ),
    setting(
        "supervision.max-deaths-per-resource",
        number(1, 1_000_000),
        "10",
        "More deaths of one resource's actor than this within the window, and its requests are refused for a while.",
    ),
    setting("supervision.window", time(ms(100), hours(1)), "10s", "Over how long deaths are counted."),
    setting(
        "supervision.calm",
        time(ms(100), hours(1)),
        "10s",
        "How long no actor may die before a storm counts as over; and how long a resource's requests are refused.",
    ),
    setting(
        "journal.max-entries",
        number(1, 1_000_000),
        "10000",
        "The most releases that are kept to be carried out later while the store is away; one more is answered 503.",
    ),
    live(
        "rate-limit.per-client",
        limit(1_000_000),
        "0",
        "Requests a second that one client may make; more are answered 429 `rate_limited`.",
    ),
    live(
        "rate-limit.burst",
        Kind::Integer { min: 0, max: 1_000_000, zero: Some("as many as the rate gives in a second") },
        "0",
        "How many requests a client may make at once before its rate counts.",
    ),
    live(
        "rate-limit.global",
        limit(10_000_000),
        "0",
        "Requests a second that all clients together may make of this instance.",
    ),
];
