//! What must hold between the Redis store's settings, and the names it refuses.

use super::{try_load, wrong};

/// What is wrong with a file that begins with `store: redis`.
fn wrong_with_redis(file: &str) -> Vec<String> {
    wrong(&format!("store: redis\n{file}"), &[], &[])
}

/// One thing is wrong, and it is this.
fn refused(file: &str, said: &str) {
    let problems = wrong_with_redis(file);
    assert!(problems.len() == 1 && problems[0].starts_with(said), "{file}: {problems:#?}\nnot {said}");
}

fn fine(file: &str) {
    assert_eq!(wrong_with_redis(file), [""; 0], "{file}");
}

#[test]
fn settings_of_the_store_that_is_not_used_are_refused() {
    for (file, name, value) in [
        ("redis:\n  url: redis://h\n", "redis.url", "lockkeeper.yaml:2:8"),
        ("redis:\n  addr: h:1\n", "redis.addr", "lockkeeper.yaml:2:9"),
        ("redis:\n  timeout: 2s\n", "redis.timeout", "lockkeeper.yaml:2:12"),
        ("redis:\n  tls:\n    ca-file: x\n", "redis.tls.ca-file", "lockkeeper.yaml:3:14"),
        ("settle-window: 6s\n", "settle-window", "lockkeeper.yaml:1:16"),
        ("settle-max: 31s\n", "settle-max", "lockkeeper.yaml:1:13"),
        ("lease-grace: 2s\n", "lease-grace", "lockkeeper.yaml:1:14"),
        ("presence-lease: 16s\n", "presence-lease", "lockkeeper.yaml:1:17"),
        ("advertise-address: h:1\n", "advertise-address", "lockkeeper.yaml:1:20"),
    ] {
        assert_eq!(
            wrong(file, &[], &[]),
            [format!(
                "{name} ({value}): is only for the store \"redis\", but store is \"embedded\" (default); leave it out, or set store to \"redis\""
            )]
        );
    }
    refused(
        "redis.url: redis://h\nembedded:\n  batch-size: 5\n",
        "embedded.batch-size (lockkeeper.yaml:4:15): is only for the store \"embedded\", but store is \"redis\" (lockkeeper.yaml:1:8)",
    );
    let variables = [("LOCKKEEPER_REDIS__URL", "redis://h"), ("LOCKKEEPER_REDIS__DB", "1")];
    assert_eq!(wrong("", &variables, &[]).len(), 2);
    // Saying what holds anyway is no contradiction: the shipped file and every dump do.
    assert_eq!(wrong("lease-grace: 1s\nredis: {url: [], db: 0, timeout: 1s}\n", &[], &[]), [""; 0]);
    fine("redis.url: redis://h\nembedded:\n  batch-size: 256\n");
    // One mistake and not two.
    assert_eq!(wrong("store: nonsense\nredis.url: redis://h\n", &[], &[]).len(), 1);
}

#[test]
fn there_is_an_address() {
    refused(
        "",
        "store (lockkeeper.yaml:1:8): \"redis\" needs the servers' addresses; give redis.url (--redis-url)",
    );
    refused("redis:\n  url: []\n", "store (lockkeeper.yaml:1:8): \"redis\" needs");
    assert!(
        wrong("", &[], &[("store", "redis", "--store")])[0].starts_with("store (--store): \"redis\" needs")
    );
    refused("redis:\n  url: nonsense\n", "redis.url (lockkeeper.yaml:3:8): \"********\" has no port");
}

#[test]
fn servers_are_single_or_a_cluster_or_behind_sentinels() {
    refused(
        "redis: {url: \"redis://h\", sentinel: main, cluster-mode: true}\n",
        "redis.sentinel (lockkeeper.yaml:2:37): \"main\" is for Sentinels, but redis.cluster-mode is true (lockkeeper.yaml:2:57)",
    );
    refused(
        "redis: {url: [redis://a, redis://b], cluster-mode: false}\n",
        "redis.cluster-mode (lockkeeper.yaml:2:52): \"false\" contradicts the 2 URLs of redis.url (lockkeeper.yaml:2:14)",
    );
    for (file, said) in [
        ("sentinel-username: anna, sentinel-password: x", "redis.sentinel-username ("),
        ("sentinel-password: hunter2", "redis.sentinel-password ("),
    ] {
        let problems = wrong_with_redis(&format!("redis: {{url: \"redis://h\", {file}}}\n"));
        assert!(
            problems[0].starts_with(said) && problems[0].contains("redis.sentinel is not given"),
            "{problems:?}"
        );
    }
    // A name that is wrong itself is one mistake and not two.
    refused("redis: {url: \"redis://h\", sentinel: \"a b\", sentinel-password: x}\n", "redis.sentinel (");
}

#[test]
fn credentials_are_given_once() {
    let url = "redis: {url: \"redis://anna:x@h\"";
    refused(
        &format!("{url}, username: bob}}\n"),
        "redis.username (lockkeeper.yaml:2:44): is given although redis.url has a user (lockkeeper.yaml:2:14); give only one",
    );
    refused(
        &format!("{url}, password: y}}\n"),
        "redis.password (lockkeeper.yaml:2:44): is given although redis.url has a password",
    );
    assert_eq!(wrong_with_redis(&format!("{url}, username: bob, password: y}}\n")).len(), 2);
    refused(
        &format!("{url}, sentinel: main}}\n"),
        "redis.url (lockkeeper.yaml:2:14): has credentials, and it cannot be seen whether",
    );
    refused(
        "redis: {url: \"redis://anna@h\"}\n",
        "redis.url (lockkeeper.yaml:2:14): names a user without a password; give redis.password or redis.password-file",
    );
    refused(
        "redis: {url: \"redis://h\", username: anna}\n",
        "redis.username (lockkeeper.yaml:2:37): names a user without a password",
    );
    refused(
        "redis: {url: \"redis://h\", sentinel: m, sentinel-username: anna}\n",
        "redis.sentinel-username (lockkeeper.yaml:2:59): names a user without a password",
    );
    for good in [
        "redis: {url: \"redis://anna@h\", password: x}\n",
        "redis: {url: \"redis://:x@h\", username: anna}\n",
        "redis: {url: \"redis://h\", password: x}\n",
        "redis: {url: \"redis://h\", sentinel: m, username: anna, password: x, sentinel-username: bob, sentinel-password: y}\n",
    ] {
        fine(good);
    }
}

#[test]
fn the_database_is_given_once_and_only_where_there_are_several() {
    refused(
        "redis: {url: \"redis://h/3\", db: 4}\n",
        "redis.db (lockkeeper.yaml:2:33): \"4\" is not the 3 that redis.url says (lockkeeper.yaml:2:14)",
    );
    refused("redis: {url: \"redis://h/3\", db: 0}\n", "redis.db (");
    refused(
        "redis: {url: \"redis://h/3\", sentinel: m}\n",
        "redis.url (lockkeeper.yaml:2:14): \"redis://h/3\" names a database, which Sentinels do not have",
    );
    refused(
        "redis: {url: [redis://a, redis://b], db: 1}\n",
        "redis.db (lockkeeper.yaml:2:42): \"1\" is not 0, the only database of a Cluster",
    );
    refused(
        "redis: {url: \"redis://a/1\", cluster-mode: true}\n",
        "redis.url (lockkeeper.yaml:2:14): names a database that is not 0",
    );
    for good in [
        "redis: {url: \"redis://h/0\", cluster-mode: true}\n",
        "redis: {url: \"redis://h\", sentinel: m, db: 3}\n",
        "redis: {url: \"redis://h/3\", db: 3}\n",
    ] {
        fine(good);
    }
}

#[test]
fn files_for_tls_need_tls_and_each_other() {
    refused(
        "redis: {url: \"redis://h\", tls: {ca-file: ca}}\n",
        "redis.tls.ca-file (lockkeeper.yaml:2:42): \"ca\" has no use without TLS; write rediss:// in redis.url",
    );
    refused(
        "redis: {url: \"rediss://h\", tls: {cert-file: c}}\n",
        "redis.tls.cert-file (lockkeeper.yaml:2:45): \"c\" needs redis.tls.key-file beside it",
    );
    refused(
        "redis: {url: \"rediss://h\", tls: {key-file: k}}\n",
        "redis.tls.key-file (lockkeeper.yaml:2:44): \"k\" needs redis.tls.cert-file beside it",
    );
    assert_eq!(wrong_with_redis("redis: {url: \"redis://h\", tls: {cert-file: c, key-file: k}}\n").len(), 2);
    fine("redis: {url: \"rediss://h\", tls: {ca-file: a, cert-file: c, key-file: k}}\n");
    let problems = wrong_with_redis("redis: {url: \"rediss://h\", tls: true}\n");
    assert!(problems[0].contains("redis.tls (") && problems[0].contains("is a section"), "{problems:?}");
}

#[test]
fn replicas_answer_within_the_call() {
    refused(
        "redis: {url: \"redis://h\", min-replicas: 1, wait-timeout: 1s}\n",
        "redis.wait-timeout (lockkeeper.yaml:2:58): \"1s\" is not less than store-call-timeout, which is 1s (default)",
    );
    refused(
        "redis: {url: \"redis://h\", min-replicas: 1, timeout: 500ms}\n",
        "redis.wait-timeout (default): \"500ms\" is not less than redis.timeout, which is 500ms (lockkeeper.yaml:2:53)",
    );
    fine("redis: {url: \"redis://h\", min-replicas: 1, wait-timeout: 999ms}\n");
    // Without replicas nobody waits for them.
    fine("redis: {url: \"redis://h\", timeout: 100ms}\n");
}

#[test]
fn what_waits_for_others_waits_long_enough() {
    refused(
        "redis.url: redis://h\nsettle-window: 3s\n",
        "settle-window (lockkeeper.yaml:3:16): \"3s\" is not more than 3s: health.interval, 2s (default), and store-call-timeout, 1s (default), together",
    );
    refused(
        "redis: {url: \"redis://h\", timeout: 4s}\n",
        "settle-window (default): \"5s\" is not more than 6s: health.interval, 2s (default), and redis.timeout, 4s (lockkeeper.yaml:2:36), together",
    );
    refused(
        "redis.url: redis://h\npresence-lease: 3s\n",
        "presence-lease (lockkeeper.yaml:3:17): \"3s\" is not more than 3s",
    );
    refused(
        "redis.url: redis://h\nsettle-max: 4s\n",
        "settle-max (lockkeeper.yaml:3:13): \"4s\" is less than settle-window, which is 5s (default)",
    );
    fine("redis.url: redis://h\nsettle-window: 3001ms\nsettle-max: 3001ms\npresence-lease: 3001ms\n");
    // With a store of our own nobody waits for others.
    assert_eq!(wrong("health.interval: 30s\n", &[], &[]), [""; 0]);
}

#[test]
fn everything_is_said_at_once() {
    let problems = wrong_with_redis(
        "settle-window: 1s\nsettle-max: 700s\nembedded: {batch-size: 1}\nredis:\n  url: [\"redis://:x@a/1\", \"redis://:x@b/1\"]\n  password: y\n  cluster-mode: false\n  \
         key-prefix: prod\n  pool-size: 20\n  lock-ttl: 1h\n  tls: {ca-file: ca}\n  min-replicas: 1\n  wait-timeout: 1s\n",
    );
    let mut names: Vec<_> = problems.iter().map(|problem| problem.split(' ').next().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "embedded.batch-size",
            "redis.cluster-mode",
            "redis.key-prefix",
            "redis.lock-ttl",
            "redis.password",
            "redis.pool-size",
            "redis.tls.ca-file",
            "redis.wait-timeout",
            "settle-window",
        ],
        "{problems:#?}"
    );
}

#[test]
fn what_is_unsafe_or_has_no_meaning_is_refused_by_name_and_reason() {
    for (name, said) in [
        ("read-preference", "granted twice"),
        ("route-by-latency", "granted twice"),
        ("cache-ttl", "granted twice"),
        ("retry-on-failure", "under the same nonce"),
        ("retry-delay", "under the same nonce"),
        ("max-retries", "under the same nonce"),
        ("max-redirects", "follows redirections"),
        ("pool-timeout", "redis.pool-size"),
        ("min-idle-conns", "redis.pool-size"),
        ("max-conn-age", "redis.pool-size"),
        ("idle-timeout", "redis.pool-size"),
        ("idle-check-frequency", "redis.pool-size"),
        ("keep-alive", "stay open"),
        ("read-timeout", "use store-call-timeout"),
        ("write-timeout", "use store-call-timeout"),
        ("lock-ttl", "default-ttl"),
        ("health-check-period", "use health.interval"),
        ("host", "redis.url"),
        ("port", "redis.url"),
        ("nodes", "redis.url"),
    ] {
        refused(
            &format!("redis:\n  url: redis://h\n  {name}: hunter2\n"),
            &format!("redis.{name} (lockkeeper.yaml:4:3): "),
        );
        let problem = wrong_with_redis(&format!("redis:\n  url: redis://h\n  {name}: hunter2\n")).remove(0);
        assert!(problem.contains(said) && !problem.contains("hunter2"), "{problem}");
        let variable = format!("LOCKKEEPER_REDIS__{}", name.to_uppercase().replace('-', "_"));
        assert!(wrong("", &[(&variable, "hunter2")], &[])[0].contains(said), "{variable}");
        let setting = format!("redis.{name}");
        assert!(wrong("", &[], &[(&setting, "hunter2", "--set")])[0].contains(said), "{name}");
    }
    assert!(try_load("store: redis\nredis.url: redis://h\n", &[], &[]).is_ok());
}
