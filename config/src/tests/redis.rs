//! The Redis store's settings from every source, what becomes of them, and what is shown of them.

use std::io;
use std::path::Path;

use super::{FILE, try_load, wrong};
use crate::{
    ConfigFile, Environment, Flag, Inputs, Loaded, RedisTls, RedisTopology, Secret, Source, StoreKind, load,
};

/// Loads a file with `store: redis`.
fn redis(file: &str) -> Loaded {
    try_load(&format!("store: redis\n{file}"), &[], &[])
        .unwrap_or_else(|problems| panic!("{file}: {problems}"))
}

fn urls(loaded: &Loaded) -> Vec<String> {
    loaded.settings.redis.urls.iter().map(ToString::to_string).collect()
}

fn exposed(secret: Option<&Secret>) -> Option<&str> {
    secret.map(Secret::expose)
}

/// With the files that hold secrets.
fn with_files(file: &str, flags: &[(&str, &str)]) -> Loaded {
    let flags: Vec<_> =
        flags.iter().map(|&(setting, value)| Flag { setting, value, spelling: "--flag" }).collect();
    load(&Inputs {
        file: Some(ConfigFile { name: FILE, bytes: file.as_bytes() }),
        environment: Environment::default(),
        flags: &flags,
        read_secret: &|path: &Path| match path.to_str() {
            Some("/run/password") => Ok("hunter2\n".to_owned()),
            Some("/run/sentinel") => Ok("hunter3\n".to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        },
    })
    .unwrap()
}

#[test]
fn one_url_is_all_that_is_needed() {
    let loaded =
        try_load("", &[], &[("store", "redis", "--store"), ("redis.url", "redis://h", "--redis-url")]);
    let settings = loaded.unwrap().settings;
    assert_eq!(settings.store, StoreKind::Redis);
    assert_eq!(settings.lease_grace.to_string(), "1s");
    let redis = settings.redis;
    assert_eq!(redis.topology, RedisTopology::Single);
    assert_eq!(redis.urls[0].to_string(), "redis://h:6379");
    assert_eq!((redis.username, redis.password, redis.database), (None, None, 0));
    assert_eq!((redis.sentinel_username, redis.sentinel_password), (None, None));
    assert_eq!((redis.key_prefix.as_str(), redis.pool_size, redis.min_replicas), ("lk", 1, 0));
    assert_eq!((redis.dial_timeout.as_millis(), redis.wait_timeout.as_millis()), (1000, 500));
    assert_eq!(redis.tls, RedisTls::default());
}

#[test]
fn urls_from_file_environment_and_flags() {
    let both = ["redis://a:1", "redis://b:2"];
    for file in [
        "redis:\n  url: [redis://a:1, redis://b:2]\n",
        "redis:\n  url:\n    - redis://a:1\n    - \"redis://b:2\"\n",
        "redis:\n  url: redis://a:1,redis://b:2\n",
        "redis.url: [\"redis://a:1, redis://b:2\"]\n",
        "redis:\n  addr: [\"a:1\", \"b:2\"]\n",
        "redis:\n  address: a:1,b:2\n",
    ] {
        assert_eq!(urls(&redis(file)), both, "{file}");
    }
    let variables = [("LOCKKEEPER_STORE", "redis"), ("LOCKKEEPER_REDIS__URL", "redis://a:1, redis://b:2")];
    assert_eq!(urls(&try_load("", &variables, &[]).unwrap()), both);
    let variables = [("LOCKKEEPER_STORE", "redis"), ("LOCKKEEPER_REDIS__ADDR", "a:1,b:2")];
    assert_eq!(urls(&try_load("", &variables, &[]).unwrap()), both);
    let variables = [("A", "redis://a:1"), ("MORE", ",redis://b:2")];
    assert_eq!(
        urls(&try_load("store: redis\nredis: {url: \"${A}${MORE}\"}\n", &variables, &[]).unwrap()),
        both
    );
    assert_eq!(
        urls(&try_load("store: redis\nredis: {url: [\"${A}\"]}\n", &variables, &[]).unwrap()),
        both[..1]
    );

    // Flags are a list of their own: they win over the file's as one.
    let flags = [("redis.url", both[0], "--redis-url"), ("redis.url", both[1], "--redis-url")];
    let loaded = try_load("store: redis\nredis:\n  url: redis://c\n", &[], &flags).unwrap();
    assert_eq!(urls(&loaded), both);
    assert_eq!(loaded.effective.source("redis.url"), Some(&Source::Flag("--redis-url".to_owned())));
}

#[test]
fn only_one_flag_may_be_repeated() {
    let flags = [("redis.url", "redis://a", "--redis-url"), ("redis.addr", "b:1", "--set redis.addr")];
    let problems = wrong("store: redis\n", &[], &flags);
    assert_eq!(problems, ["redis.addr (--set redis.addr): is given a second time; the first is --redis-url"]);
    assert_eq!(
        wrong("store: redis\nredis:\n  url: redis://a\n  addr: b:1\n", &[], &[]),
        ["redis.addr (lockkeeper.yaml:4:9): is given a second time; the first is lockkeeper.yaml:3:8"]
    );
    let flags = [("redis.db", "1", "--set redis.db"), ("redis.db", "2", "--set redis.db")];
    assert!(wrong("store: redis\nredis.url: redis://h\n", &[], &flags)[0].contains("a second time"));
}

#[test]
fn lists_hold_plain_values() {
    for (file, said) in [
        ("redis:\n  url: [[redis://a]]\n", "takes a single value"),
        ("redis:\n  url: [{a: b}]\n", "takes a single value"),
        ("redis:\n  url: [~]\n", "has no value"),
        ("redis:\n  url: [\"${NONE}\"]\n", "NONE, which is not set"),
        ("redis:\n  url: [redis://a, \"\"]\n", "URL 2 of 2: it is empty"),
        ("redis:\n  key-prefix: [lk]\n", "takes a single value"),
    ] {
        let problems = wrong(file, &[], &[]);
        assert!(problems.len() == 1 && problems[0].contains(said), "{file}: {problems:?}");
    }
}

#[test]
fn what_the_urls_are_of() {
    let sentinel = RedisTopology::Sentinel { master: "main".to_owned() };
    for (file, topology, port) in [
        ("url: redis://a", RedisTopology::Single, 6379),
        ("url: redis://a\n  cluster-mode: false", RedisTopology::Single, 6379),
        ("url: redis://a\n  cluster-mode: true", RedisTopology::Cluster, 6379),
        ("url: redis://a\n  cluster-mode: auto", RedisTopology::Single, 6379),
        ("url: [redis://a, redis://b]", RedisTopology::Cluster, 6379),
        ("url: [redis://a, redis://b]\n  cluster-mode: true", RedisTopology::Cluster, 6379),
        ("url: redis://a\n  sentinel: main", sentinel.clone(), 26379),
        ("url: [redis://a, redis://b]\n  sentinel: main", sentinel.clone(), 26379),
        ("url: [redis://a, redis://b]\n  sentinel: main\n  cluster-mode: false", sentinel, 26379),
    ] {
        let settings = redis(&format!("redis:\n  {file}\n")).settings.redis;
        assert_eq!(settings.topology, topology, "{file}");
        assert!(settings.urls.iter().all(|url| url.port == Some(port)), "{file}: {:?}", settings.urls);
    }
}

#[test]
fn what_a_url_says_besides_the_address_becomes_settings() {
    let loaded = redis("redis:\n  url: rediss://anna:hunter%32@h:1/3\n");
    let redis = &loaded.settings.redis;
    assert_eq!(urls(&loaded), ["rediss://h:1"]);
    assert_eq!(redis.username.as_deref(), Some("anna"));
    assert_eq!(exposed(redis.password.as_ref()), Some("hunter2"));
    assert_eq!(redis.database, 3);
    assert!(redis.urls[0].tls && redis.urls[0].password.is_none());
    // A user in the URL and its password in a file is one of each.
    let loaded =
        with_files("store: redis\nredis:\n  url: redis://anna@h\n  password-file: /run/password\n", &[]);
    assert_eq!(loaded.settings.redis.username.as_deref(), Some("anna"));
    assert_eq!(exposed(loaded.settings.redis.password.as_ref()), Some("hunter2"));
    // The same database twice is no contradiction.
    assert_eq!(
        try_load("store: redis\nredis:\n  url: redis://h/3\n  db: 3\n", &[], &[])
            .unwrap()
            .settings
            .redis
            .database,
        3
    );
}

#[test]
fn every_setting_arrives() {
    let loaded = with_files(
        "store: redis\nstore-call-timeout: 3s\nsettle-window: 9s\nsettle-max: 40s\nlease-grace: 2s\n\
         presence-lease: 20s\nadvertise-address: locks-1:4142\nredis:\n  url: rediss://s\n  sentinel: main\n  \
         sentinel-username: bob\n  sentinel-password-file: /run/sentinel\n  username: anna\n  \
         password-file: /run/password\n  db: 2\n  key-prefix: x\n  pool-size: 4\n  dial-timeout: 2s\n  \
         min-replicas: 1\n  wait-timeout: 700ms\n  tls:\n    ca-file: ca\n    cert-file: cert\n    key-file: key\n",
        &[],
    );
    let settings = &loaded.settings;
    assert_eq!(settings.store_call_timeout.as_secs(), 3);
    assert_eq!((settings.settle_window.as_secs(), settings.settle_max.as_secs()), (9, 40));
    assert_eq!((settings.lease_grace.to_string(), settings.presence_lease.as_secs()), ("2s".to_owned(), 20));
    assert_eq!(settings.advertise_address, "locks-1:4142");
    let redis = &settings.redis;
    assert_eq!(redis.topology, RedisTopology::Sentinel { master: "main".to_owned() });
    assert_eq!(redis.sentinel_username.as_deref(), Some("bob"));
    assert_eq!(exposed(redis.sentinel_password.as_ref()), Some("hunter3"));
    assert_eq!(redis.username.as_deref(), Some("anna"));
    assert_eq!(exposed(redis.password.as_ref()), Some("hunter2"));
    assert_eq!((redis.database, redis.key_prefix.as_str(), redis.pool_size), (2, "x", 4));
    assert_eq!(
        (redis.dial_timeout.as_secs(), redis.wait_timeout.as_millis(), redis.min_replicas),
        (2, 700, 1)
    );
    let tls =
        RedisTls { ca_file: Some("ca".into()), cert_file: Some("cert".into()), key_file: Some("key".into()) };
    assert_eq!(redis.tls, tls);
}

#[test]
fn the_call_timeout_has_a_second_name() {
    let loaded = redis("redis:\n  url: redis://h\n  timeout: 1500ms\n");
    assert_eq!(loaded.settings.store_call_timeout.as_millis(), 1500);
    let problems =
        wrong("store-call-timeout: 1s\nstore: redis\nredis: {url: \"redis://h\", timeout: 2s}\n", &[], &[]);
    assert!(
        problems.len() == 1
            && problems[0].starts_with("redis.timeout (")
            && problems[0].contains("second time"),
        "{problems:?}"
    );
    let problems = wrong("redis: {timeout: soon}\n", &[], &[]);
    assert!(problems[0].starts_with("redis.timeout (lockkeeper.yaml:1:18): \"soon\" is not"), "{problems:?}");
}

#[test]
fn the_dump_has_every_secret_masked_and_loads_again() {
    let loaded =
        with_files("store: redis\nredis:\n  url: rediss://anna:hunter2@h/3\n  tls:\n    ca-file: ca\n", &[]);
    let dump = loaded.effective.dump();
    for line in [
        "redis:",
        "  url: [\"rediss://h:6379\"]  # lockkeeper.yaml:3:8",
        "  username: \"anna\"  # lockkeeper.yaml:3:8",
        "  # password: \"********\"  # lockkeeper.yaml:3:8",
        "  db: 3  # lockkeeper.yaml:3:8",
        "  tls:",
        "    ca-file: \"ca\"  # lockkeeper.yaml:5:14",
        "    key-file: \"\"  # default",
        "health:",
    ] {
        assert!(dump.lines().any(|found| found == line), "{line}\nin\n{dump}");
    }
    assert!(!dump.contains("hunter2") && !format!("{loaded:?}").contains("hunter2"), "{dump}{loaded:?}");
    // It lacks only the password.
    let again = with_files(&dump, &[("redis.password-file", "/run/password")]);
    assert_eq!(again.settings, loaded.settings);

    let loaded = with_files(
        "store: redis\nredis:\n  url: [redis://a, redis://b]\n  password-file: /run/password\n",
        &[],
    );
    assert_eq!(with_files(&loaded.effective.dump(), &[]).settings, loaded.settings);
    let loaded = with_files(
        "store: redis\nredis:\n  url: [redis://a, redis://b]\n  sentinel: m\n  sentinel-password-file: /run/sentinel\n",
        &[],
    );
    let dump = loaded.effective.dump();
    assert!(
        dump.contains("  sentinel-password-file: \"/run/sentinel\"") && !dump.contains("hunter3"),
        "{dump}"
    );
    assert_eq!(with_files(&dump, &[]).settings, loaded.settings);
}

#[test]
fn no_error_shows_a_secret() {
    for (file, flags) in [
        ("store: redis\nredis:\n  url: redis://anna:hunter2@\n", &[][..]),
        ("store: redis\nredis:\n  url: redis://anna:hunter2\n", &[]),
        ("store: redis\nredis:\n  url: [\"redis://anna:hunter2@h\", \"redis://b\"]\n", &[]),
        ("store: redis\nredis:\n  url: \"redis://anna:hunter2${X}@h\"\n", &[]),
        ("store: redis\nredis:\n  url: [\"redis://anna:hunter2${X}@h\"]\n", &[]),
        ("redis:\n  url: redis://anna:hunter2@h\n", &[]),
        ("redis:\n  password: hunter2\n", &[]),
        ("store: redis\nredis:\n  url: redis://:hunter2@h\n  sentinel: m\n", &[]),
        ("store: redis\nredis:\n  url: redis://:hunter2@h/2\n  cluster-mode: true\n", &[]),
        ("store: redis\nredis:\n  url: redis://:hunter2@h\n  password: hunter2x\n  db: 70000\n", &[]),
        ("store: redis\nredis:\n  url: redis://:hunter2@h\n  url: redis://:hunter2@h\n", &[]),
        ("store: redis\nredis:\n  uri: redis://:hunter2@h\n", &[]),
        ("store: redis\n", &[("redis.url", "hunter2", "--redis-url")]),
        (
            "store: redis\n",
            &[("redis.url", "redis://:hunter2@h", "--redis-url"), ("redis.addr", "hunter2", "--x")],
        ),
    ] {
        let problems = wrong(file, &[], flags);
        assert!(!problems.is_empty(), "{file}");
        assert!(!problems.join("\n").contains("hunter2"), "{file}: {problems:?}");
    }
}

#[test]
fn an_instance_says_where_it_is() {
    let mut settings = redis("redis.url: redis://h\n").settings;
    for (bound, host, said) in [
        ("10.0.0.7:4142", "ci-3", "10.0.0.7:4142"),
        ("[::1]:1", "ci-3", "[::1]:1"),
        ("0.0.0.0:4142", "ci-3", "ci-3:4142"),
        ("[::]:4142", "ci-3", "ci-3:4142"),
        ("0.0.0.0:4142", "", "0.0.0.0:4142"),
    ] {
        assert_eq!(settings.advertised_at(bound.parse().unwrap(), host), said);
    }
    settings.advertise_address = "locks.example.org:80".to_owned();
    assert_eq!(settings.advertised_at("10.0.0.7:4142".parse().unwrap(), "ci-3"), "locks.example.org:80");
}
