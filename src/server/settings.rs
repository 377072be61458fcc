//! Where settings come from, and how each room gets its share of them.

use crate::cli::ServeArgs;
use crate::http::{self, Door, HttpParams};
use crate::live::Heeds;
use lockkeeper_actors::{BreakerOptions, Options, Presence, Supervision, Tunables};
use lockkeeper_config::{
    ConfigFile, Environment, Flag, Inputs, Loaded, Problems, RedisTopology, Secret, Settings, StoreKind,
};
use lockkeeper_core::{Rules, Timestamp};
use lockkeeper_store::embedded::EmbeddedOptions;
use lockkeeper_store::redis::{RedisOptions, TlsFiles, Topology};
use lockkeeper_store::shared::InstanceRecord;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// A settings file larger than this is a mistake.
const FILE_MAX_BYTES: u64 = 1024 * 1024;
/// Waiting clients are let go within this share of the drain timeout.
const DRAIN_SPREAD_SHARE: u32 = 3;
/// Where the greatest token seen is kept, under the data directory.
const TOKEN_FILE: &str = "greatest-token";
/// Where releases are kept that were accepted while the store was away, under the data directory.
const JOURNAL_FILE: &str = "pending-releases";
/// Calls of the store within the longest answer: load, commit, and a conflict or two.
const CALLS_PER_ANSWER: u32 = 4;
/// The same with Redis, where a commit without an answer is sent again until three calls' time is up.
const CALLS_PER_ANSWER_REDIS: u32 = CALLS_PER_ANSWER + 2;

/// What is wrong with the settings.
enum Wrong {
    /// One thing about all of them.
    Whole(String),
    /// These.
    These(Problems),
}

/// Reads the process's settings: file, environment, flags.
///
/// # Errors
/// Everything that is wrong, as text for people.
pub fn load(args: &ServeArgs) -> Result<Loaded, String> {
    read(args).map_err(|wrong| match wrong {
        Wrong::Whole(message) => message,
        Wrong::These(problems) => {
            let mut text = format!("invalid configuration, {} thing(s) to mend:\n", problems.len());
            for problem in &problems {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "  {problem}");
            }
            text
        }
    })
}

/// The same once more, for a server that runs.
///
/// # Errors
/// Everything that is wrong, a line each.
pub(super) fn load_again(args: &ServeArgs) -> Result<Loaded, Vec<String>> {
    read(args).map_err(|wrong| match wrong {
        Wrong::Whole(message) => vec![message],
        Wrong::These(problems) => problems.iter().map(ToString::to_string).collect(),
    })
}

fn read(args: &ServeArgs) -> Result<Loaded, Wrong> {
    let bytes = args.config.as_deref().map(read_file).transpose().map_err(Wrong::Whole)?;
    let name = args.config.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
    let file = bytes.as_deref().map(|bytes| ConfigFile { name: &name, bytes });
    let given = args.settings();
    let flags: Vec<Flag<'_>> = given
        .iter()
        .map(|flag| Flag { setting: &flag.name, value: &flag.value, spelling: &flag.flag })
        .collect();
    let environment = Environment::from_pairs(std::env::vars_os());
    let read_secret = |path: &Path| std::fs::read_to_string(path);
    let inputs = Inputs { file, environment, flags: &flags, read_secret: &read_secret };
    let loaded = lockkeeper_config::load(&inputs).map_err(Wrong::These)?;
    if is_shared(&loaded.settings) {
        // The store has the last word on its options: a check that only it knows stops the start here too.
        let checked = redis(&loaded.settings, "").check();
        checked.map_err(|problem| Wrong::Whole(format!("invalid configuration: {problem}")))?;
    }
    Ok(loaded)
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let explain =
        |error: std::io::Error| format!("cannot read the settings file {}: {error}", path.display());
    let size = std::fs::metadata(path).map_err(explain)?.len();
    if size > FILE_MAX_BYTES {
        let path = path.display();
        return Err(format!("the settings file {path} has {size} bytes; at most {FILE_MAX_BYTES} are read"));
    }
    std::fs::read(path).map_err(explain)
}

/// The data directory that the offline commands work on.
///
/// # Errors
/// As [`load`].
pub fn data_dir(given: Option<PathBuf>) -> Result<PathBuf, String> {
    match given {
        Some(path) => Ok(path),
        None => {
            let args = ServeArgs {
                config: std::env::var_os("LOCKKEEPER_CONFIG").map(Into::into),
                ..Default::default()
            };
            Ok(load(&args)?.settings.data_dir)
        }
    }
}

/// What the embedded store is told.
pub(super) fn store(settings: &Settings) -> EmbeddedOptions {
    EmbeddedOptions {
        queue_limit: settings.embedded.queue_size,
        batch_limit: settings.embedded.batch_size,
        cache_bytes: settings.embedded.cache_size,
        call_timeout: settings.store_call_timeout,
        ..EmbeddedOptions::new(&settings.data_dir)
    }
}

/// What the Redis store is told; `instance` is this instance's name.
pub(super) fn redis(settings: &Settings, instance: &str) -> RedisOptions {
    let redis = &settings.redis;
    let secret = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().into());
    RedisOptions {
        urls: redis.urls.iter().map(|url| url.to_string().into()).collect(),
        topology: match &redis.topology {
            RedisTopology::Single => Topology::Single,
            RedisTopology::Sentinel { master } => Topology::Sentinel { master: master.clone() },
            RedisTopology::Cluster => Topology::Cluster,
        },
        username: redis.username.clone(),
        password: secret(&redis.password),
        sentinel_username: redis.sentinel_username.clone(),
        sentinel_password: secret(&redis.sentinel_password),
        database: redis.database,
        tls: TlsFiles {
            ca_file: redis.tls.ca_file.clone(),
            cert_file: redis.tls.cert_file.clone(),
            key_file: redis.tls.key_file.clone(),
        },
        key_prefix: redis.key_prefix.clone(),
        timeout: settings.store_call_timeout,
        connect_timeout: redis.dial_timeout,
        connections: redis.pool_size,
        min_replicas: redis.min_replicas,
        wait_timeout: redis.wait_timeout,
        // Two instances may be off by this much each, in opposite directions: together by no more than the
        // grace that the next grant waits.
        time_window: settings.lease_grace.half().to_std(),
        instance: instance.to_owned(),
    }
}

/// This instance's name: the configured one, or the host's. Where several may run on one host, the
/// port tells them apart.
pub(super) fn instance_id(settings: &Settings, host_name: &str, bound: SocketAddr) -> String {
    let id = settings.instance_id_on(host_name);
    if is_shared(settings) && settings.instance_id.is_empty() { format!("{id}-{}", bound.port()) } else { id }
}

/// What the actors are told.
pub(super) fn actors(settings: &Settings, instance: &str, incarnation: String) -> Options {
    Options {
        shards: or_cores(settings.actors.shards),
        mailbox: settings.actors.mailbox,
        rest_after: settings.actors.rest_after,
        sweep_interval: settings.sweep_interval,
        answer_max_age: settings.answer_max_age,
        answer_timeout: settings.store_call_timeout * calls_per_answer(settings.store),
        max_waiting: settings.http.max_waiting,
        tickets_max: settings.queue.max_tickets,
        tickets_per_namespace_max: settings.queue.max_tickets_per_namespace,
        commands_max: settings.actors.max_commands,
        drain_spread: settings.drain_timeout / DRAIN_SPREAD_SHARE,
        event_ring: settings.events.ring_size,
        event_subscribers: settings.events.max_subscribers,
        health_interval: settings.health.interval,
        slow_probe: settings.health.slow_after,
        breaker: settings.circuit_breaker.as_ref().map(|breaker| BreakerOptions {
            failures: breaker.failure_threshold,
            successes: breaker.success_threshold,
            open_for: breaker.timeout,
            window: breaker.window,
            failure_percent: breaker.failure_percent,
            calls_min: breaker.min_calls,
        }),
        supervision: Supervision {
            deaths_max: settings.supervision.max_deaths,
            deaths_per_resource_max: settings.supervision.max_deaths_per_resource,
            window: settings.supervision.window,
            calm: settings.supervision.calm,
        },
        journal_file: Some(if is_shared(settings) {
            settings.data_dir.join(format!("{JOURNAL_FILE}-{instance}"))
        } else {
            settings.data_dir.join(JOURNAL_FILE)
        }),
        journal_max: settings.journal_max_entries,
        chaos: settings.chaos,
        instance: incarnation,
        settle_window: settings.settle_window,
        settle_max: settings.settle_max,
        // Known once the address is bound: see `presence`.
        presence: None,
        token_file: is_shared(settings).then(|| settings.data_dir.join(format!("{TOKEN_FILE}-{instance}"))),
        rules: Rules {
            abandon_after: settings.queue.abandon_after,
            claim_within: settings.queue.claim_within,
            lock_delay: settings.lock_delay,
            lease_grace: settings.lease_grace,
            queue_max: settings.queue.max_size,
        },
        ..Options::default()
    }
}

/// What the door is told; who and where it is comes later.
pub(super) fn http(settings: &Settings) -> HttpParams {
    HttpParams {
        default_host: settings.default_host.clone(),
        tunables: door_tunables(settings),
        body_timeout: settings.http.body_timeout,
        send_timeout: settings.http.send_timeout,
        trusted_proxies: settings.http.trusted_proxies.clone(),
        version: env!("CARGO_PKG_VERSION"),
        ..HttpParams::default()
    }
}

/// What the door is told anew when a setting changes.
pub(super) fn door_tunables(settings: &Settings) -> http::Tunables {
    http::Tunables {
        max_wait: settings.http.max_wait,
        default_ttl: settings.default_ttl,
        max_ttl: settings.max_timeout,
        queue_default_timeout: settings.queue.default_timeout,
        rates: http::Rates {
            per_client: settings.rate_limit.per_client,
            burst: settings.rate_limit.burst,
            global: settings.rate_limit.global,
        },
        waiting_per_client_max: settings.http.max_waiting_per_client,
        subscribers_per_client_max: settings.events.max_subscribers_per_client,
        tickets_per_client_max: settings.queue.max_tickets_per_client,
    }
}

/// What the actors are told anew when a setting changes.
fn actor_tunables(settings: &Settings) -> Tunables {
    Tunables {
        waiting_max: settings.http.max_waiting,
        tickets_max: settings.queue.max_tickets,
        tickets_per_namespace_max: settings.queue.max_tickets_per_namespace,
        health_interval: settings.health.interval,
        slow_probe: settings.health.slow_after,
        drain_spread: settings.drain_timeout / DRAIN_SPREAD_SHARE,
    }
}

impl Heeds for Door {
    fn heed(&self, settings: &Settings, off: Option<&str>) {
        self.tune(door_tunables(settings));
        self.locks().tune(actor_tunables(settings));
        match off {
            Some(by) => self.locks().switch_off(by),
            None => self.locks().switch_on(),
        }
    }

    fn at(&self) -> String {
        self.now_shown()
    }
}

/// What the other instances are told of this one; none without others. `bound` is the address served.
pub(super) fn presence(
    settings: &Settings,
    instance: &str,
    incarnation: &str,
    bound: SocketAddr,
    host_name: &str,
) -> Option<Presence> {
    is_shared(settings).then(|| Presence {
        record: InstanceRecord {
            id: instance.to_owned(),
            incarnation: incarnation.to_owned(),
            address: settings.advertised_at(bound, host_name),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: Timestamp::from_micros(0),
            seen_at: Timestamp::from_micros(0),
        },
        lease: settings.presence_lease,
    })
}

fn is_shared(settings: &Settings) -> bool {
    settings.store == StoreKind::Redis
}

const fn calls_per_answer(store: StoreKind) -> u32 {
    match store {
        StoreKind::Embedded => CALLS_PER_ANSWER,
        StoreKind::Redis => CALLS_PER_ANSWER_REDIS,
    }
}

/// A number of threads; none given: one per core.
pub(super) fn or_cores(given: Option<NonZeroUsize>) -> usize {
    given.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn settings(file: &str) -> Settings {
        let inputs = Inputs {
            file: Some(ConfigFile { name: "test", bytes: file.as_bytes() }),
            environment: Environment::default(),
            flags: &[],
            read_secret: &|_| unreachable!(),
        };
        lockkeeper_config::load(&inputs).unwrap_or_else(|problems| panic!("{problems}")).settings
    }

    #[test]
    fn the_redis_store_is_told_everything() {
        let settings = settings(
            "store: redis\nlease-grace: 3s\nstore-call-timeout: 2s\nredis:\n  url: [rediss://s-1, rediss://s-2:1]\n  \
             sentinel: main\n  username: anna\n  password: one\n  sentinel-username: bob\n  sentinel-password: two\n  \
             db: 3\n  key-prefix: x\n  pool-size: 2\n  dial-timeout: 4s\n  min-replicas: 1\n  wait-timeout: 50ms\n  \
             tls: {ca-file: ca, cert-file: cert, key-file: key}\n",
        );
        let options = redis(&settings, "me");
        let urls: Vec<_> = options.urls.iter().map(|url| url.expose()).collect();
        assert_eq!(urls, ["rediss://s-1:26379", "rediss://s-2:1"]);
        assert_eq!(options.topology, Topology::Sentinel { master: "main".into() });
        assert_eq!(
            (options.username.as_deref(), options.sentinel_username.as_deref()),
            (Some("anna"), Some("bob"))
        );
        assert_eq!(options.password.as_ref().map(|secret| secret.expose()), Some("one"));
        assert_eq!(options.sentinel_password.as_ref().map(|secret| secret.expose()), Some("two"));
        assert_eq!((options.database, options.key_prefix.as_str(), options.connections), (3, "x", 2));
        assert_eq!(
            (options.timeout, options.connect_timeout),
            (Duration::from_secs(2), Duration::from_secs(4))
        );
        assert_eq!((options.min_replicas, options.wait_timeout), (1, Duration::from_millis(50)));
        assert_eq!(options.time_window, Duration::from_millis(1500));
        assert_eq!(options.tls.ca_file.as_deref(), Some(Path::new("ca")));
        assert_eq!(options.tls.cert_file.as_deref(), Some(Path::new("cert")));
        assert_eq!(options.tls.key_file.as_deref(), Some(Path::new("key")));
        assert_eq!(options.instance, "me");
        assert_eq!(options.check(), Ok(()));
        assert_eq!(actors(&settings, "me", "me.1".into()).rules.lease_grace, settings.lease_grace);
    }

    #[test]
    fn what_the_settings_allow_the_redis_store_takes() {
        for redis_settings in [
            "url: redis://h",
            "url: h:1",
            "url: \"redis://[::1]\"",
            "url: redis://anna:x%40y@h/3",
            "url: redis://:x@h",
            "url: [redis://a, redis://b]",
            "url: redis://a, cluster-mode: true",
            "url: redis://a, sentinel: m, sentinel-password: x",
            "url: redis://h, key-prefix: \"atlantis:lock:\"",
            "url: redis://h, pool-size: 16, wait-timeout: 10ms, dial-timeout: 100ms, db: 65535",
            "url: rediss://h, tls: {ca-file: ca}",
        ] {
            let settings = settings(&format!("store: redis\nredis: {{{redis_settings}}}\n"));
            assert_eq!(redis(&settings, "me").check(), Ok(()), "{redis_settings}");
        }
    }

    #[test]
    fn a_store_of_our_own_needs_neither_grace_nor_presence() {
        let settings = settings("");
        let options = actors(&settings, "me", "me.1".into());
        assert!(options.rules.lease_grace.is_zero() && options.token_file.is_none());
        assert!(presence(&settings, "me", "me.1", "127.0.0.1:1".parse().unwrap(), "host").is_none());
    }

    #[test]
    fn others_hear_where_this_instance_is() {
        let settings = settings("store: redis\nredis.url: redis://h\npresence-lease: 9s\ndata-dir: d\n");
        let presence =
            presence(&settings, "me", "me.1", "0.0.0.0:7".parse().unwrap(), "ci-3").expect("presence");
        assert_eq!((presence.record.id.as_str(), presence.record.incarnation.as_str()), ("me", "me.1"));
        assert_eq!((presence.record.address.as_str(), presence.lease.as_secs()), ("ci-3:7", 9));
        let options = actors(&settings, "me", "me.1".into());
        assert_eq!(options.token_file.as_deref(), Some(Path::new("d/greatest-token-me")));
        assert_eq!((options.settle_window.as_secs(), options.settle_max.as_secs()), (5, 30));
    }
}
