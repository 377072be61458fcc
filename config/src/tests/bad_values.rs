//! Bad input for every setting, through the file, the environment and a flag.

use super::{try_load, wrong};
use crate::settings::SCHEMA;

/// For each setting: values just outside and of other kinds, then the limits themselves, which are
/// allowed.
const CASES: &[(&str, &[&str], &[&str])] = &[
    (
        "listen",
        &["", "4142", "127.0.0.1", "localhost:4142", "127.0.0.1:70000", "::1:4142", "1.2.3.4.5:1", ":4142"],
        &["127.0.0.1:0", "[::1]:4142", "127.9.9.9:1", "[::ffff:127.0.0.1]:65535"],
    ),
    ("data-dir", &["", "a\u{7}b"], &["/var/lib/lockkeeper", "a b", "${HOME"]),
    (
        "store",
        &["", "boltdb", "memory", "Embedded", "Redis", "redis,embedded", "enhanced-redis"],
        &["embedded", "redis"],
    ),
    (
        "instance-id",
        &["a.b", "a b", "ä", "a/b", "01234567890123456789012345678901234567890123456789012345678901234"],
        &["", "A_b-9", "0123456789012345678901234567890123456789012345678901234567890123"],
    ),
    ("log-format", &["", "xml", "JSON"], &["text", "json"]),
    (
        "log-level",
        &["", "loud", "info,", "a=", "info\u{1b}"],
        &["trace", "off", "warn,lockkeeper_store=debug"],
    ),
    ("insecure", &["", "yes", "1", "True", "on"], &["true", "false"]),
    ("enabled", &["", "no", "0", "False", "off"], &["true", "false"]),
    ("chaos", &["", "yes", "1"], &["true", "false"]),
    ("drain-timeout", &["", "999ms", "10m1s", "10", "1d", "-1s"], &["1s", "10m"]),
    ("drain-delay", &["", "5m1s", "1", "-1s", "0"], &["0s", "5m"]),
    ("default-host", &["a\u{7f}"], &["", "github.com"]),
    ("default-ttl", &["", "99ms", "721h", "30", "30 m", "0s"], &["100ms", "720h"]),
    ("max-timeout", &["", "999ms", "720h1s", "inf"], &["30m", "720h"]),
    ("sweep-interval", &["", "99ms", "61s", "5"], &["100ms", "1m"]),
    ("lock-delay", &["", "1h1us", "1"], &["0s", "1h"]),
    ("answer-max-age", &["", "99ms", "61s", "1"], &["100ms", "1m"]),
    ("store-call-timeout", &["", "0s", "61s", "1M"], &["100ms", "1m"]),
    ("lease-grace", &["", "99ms", "30001ms", "0s", "1"], &["100ms", "30s"]),
    ("settle-window", &["", "249ms", "10m1s", "5"], &["250ms", "10m"]),
    ("settle-max", &["", "999ms", "1h1s", "30"], &["1s", "1h"]),
    ("presence-lease", &["", "999ms", "10m1s", "15"], &["1s", "10m"]),
    (
        "advertise-address",
        &[
            "4142",
            "host",
            "host:0",
            "host:65536",
            "http://host:4142",
            "0.0.0.0:4142",
            "[::]:4142",
            "::1:4142",
            "a b:1",
            "10.0.0:1",
        ],
        &["", "locks-1.example.org:4142", "10.0.0.7:1", "[fd00::7]:65535"],
    ),
    (
        "queue.max-size",
        &["", "0", "1000001", "1e3", "-1", "1_000", "10.5", "0x10", "1k", " 1"],
        &["1", "1000000"],
    ),
    ("queue.default-timeout", &["", "99ms", "168h1s", "10"], &["100ms", "168h"]),
    ("queue.abandon-after", &["", "99ms", "1h1s", "60"], &["100ms", "1h"]),
    ("queue.claim-within", &["", "99ms", "24h1s", "15"], &["100ms", "24h"]),
    ("queue.max-tickets", &["", "0", "10000001", "many"], &["1", "10000000"]),
    ("queue.max-tickets-per-namespace", &["", "10000001", "-1"], &["0", "10000000"]),
    ("queue.max-tickets-per-client", &["", "10000001", "-1"], &["0", "10000000"]),
    ("http.max-wait", &["", "61s", "50", "-1s"], &["0s", "60s"]),
    ("http.workers", &["", "65", "-1", "auto"], &["0", "64"]),
    ("http.max-connections", &["", "15", "1000001", "many"], &["16", "1000000"]),
    ("http.keep-alive", &["", "999ms", "10m1s", "75"], &["1s", "10m"]),
    ("http.header-timeout", &["", "99ms", "61s", "5"], &["100ms", "1m"]),
    ("http.max-waiting", &["", "0", "1000001", "x"], &["1", "1000000"]),
    ("http.max-waiting-per-client", &["", "1000001", "x"], &["0", "1000000"]),
    ("http.body-timeout", &["", "99ms", "10m1s", "0s", "10"], &["100ms", "10m"]),
    ("http.send-timeout", &["", "99ms", "10m1s", "0s", "30"], &["100ms", "10m"]),
    (
        "http.trusted-proxies",
        &["localhost", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.1,", "10.0.0.0/8/8", "*"],
        &["", "10.0.0.7", "10.0.0.0/8, fd00::/8", "::1"],
    ),
    ("events.ring-size", &["", "15", "1000001", "10k"], &["16", "1000000"]),
    ("events.max-subscribers", &["", "0", "100001", "x"], &["1", "100000"]),
    ("events.max-subscribers-per-client", &["", "100001", "x"], &["0", "100000"]),
    ("actors.shards", &["", "65", "two"], &["0", "64"]),
    ("actors.mailbox", &["", "15", "65537", "x"], &["16", "65536"]),
    ("actors.rest-after", &["", "99ms", "1h1s", "10"], &["100ms", "1h"]),
    ("actors.max-commands", &["", "0", "1000001", "x"], &["1", "1000000"]),
    ("embedded.queue-size", &["", "15", "65537", "99999999999999999999999"], &["16", "65536"]),
    ("embedded.batch-size", &["", "0", "4097", "x"], &["1", "4096"]),
    (
        "embedded.cache-size",
        &["", "1023KiB", "4097MiB", "16", "16MB", "16M", "1.5GiB", "-1MiB"],
        &["1MiB", "4GiB", "5000KiB"],
    ),
    (
        "redis.url",
        &[
            "h",
            "http://h",
            "redis://",
            "redis://h:0",
            "redis://h/x",
            "redis://a,rediss://b",
            "redis://a,",
            "redis://h?x=1",
        ],
        &["redis://h", "rediss://u:p@h:6380/3", "h:6379", "redis://a, redis://b", "redis://[::1]:1"],
    ),
    ("redis.sentinel", &["a b", "my:master", "ä", "{x}"], &["", "mymaster", "A.b-9_"]),
    ("redis.sentinel-username", &["a\u{7}"], &["", "anna", "ä b"]),
    ("redis.sentinel-password", &["a\u{7}"], &["", "p w,:@%"]),
    ("redis.cluster-mode", &["", "yes", "True", "1"], &["auto", "true", "false"]),
    ("redis.username", &["a\u{7}"], &["", "anna", "ä b"]),
    ("redis.password", &["a\u{7}"], &["", "p w,:@%"]),
    ("redis.db", &["", "-1", "65536", "one"], &["0", "65535"]),
    (
        "redis.key-prefix",
        &[
            "",
            "pr",
            "pr/",
            "prod",
            "{lk}",
            "lk{",
            "lk}",
            "a b",
            "lk*",
            "ä",
            "01234567890123456789012345678901234567890123456789012345678901234",
        ],
        &["lk", "l", "atlantis:lock:", "PR", "a-b_c.d/e:9"],
    ),
    ("redis.pool-size", &["", "0", "17", "20"], &["1", "16"]),
    ("redis.dial-timeout", &["", "99ms", "31s", "5"], &["100ms", "30s"]),
    ("redis.min-replicas", &["", "11", "-1"], &["0", "10"]),
    ("redis.wait-timeout", &["", "9ms", "31s", "500"], &["10ms", "30s"]),
    ("redis.tls.ca-file", &["a\u{7}"], &["", "/etc/ca.pem"]),
    ("redis.tls.cert-file", &["a\u{7}"], &["", "/etc/cert.pem"]),
    ("redis.tls.key-file", &["a\u{7}"], &["", "/etc/key.pem"]),
    ("health.interval", &["", "99ms", "61s", "2"], &["100ms", "1m"]),
    ("health.slow-after", &["", "999us", "1m", "250"], &["1ms", "59s"]),
    ("circuit-breaker.enabled", &["", "on", "1"], &["true", "false"]),
    ("circuit-breaker.failure-threshold", &["", "0", "10001", "x"], &["1", "10000"]),
    ("circuit-breaker.success-threshold", &["", "0", "1001", "x"], &["1", "1000"]),
    ("circuit-breaker.timeout", &["", "99ms", "10m1s", "5"], &["100ms", "10m"]),
    ("circuit-breaker.window", &["", "999ms", "10m1s", "10"], &["1s", "10m"]),
    ("circuit-breaker.failure-percent", &["", "101", "50%", "0.5"], &["0", "100"]),
    ("circuit-breaker.min-calls", &["", "0", "1000001", "x"], &["1", "1000000"]),
    ("supervision.max-deaths", &["", "0", "1000001", "x"], &["1", "1000000"]),
    ("supervision.max-deaths-per-resource", &["", "0", "1000001", "x"], &["1", "1000000"]),
    ("supervision.window", &["", "99ms", "1h1s", "10"], &["100ms", "1h"]),
    ("supervision.calm", &["", "99ms", "1h1s", "10"], &["100ms", "1h"]),
    ("journal.max-entries", &["", "0", "1000001", "x"], &["1", "1000000"]),
    ("rate-limit.per-client", &["", "1000001", "-1", "5/s"], &["0", "1000000"]),
    ("rate-limit.burst", &["", "1000001", "-1"], &["0", "1000000"]),
    ("rate-limit.global", &["", "10000001", "-1"], &["0", "10000000"]),
];

/// The setting as YAML, its value in double quotes.
fn file(name: &str, value: &str) -> String {
    let value: String = value
        .chars()
        .map(|c| if c.is_control() { format!("\\x{:02x}", u32::from(c)) } else { c.to_string() })
        .collect();
    let value = value.replace("${", "$${");
    match name.split_once('.') {
        Some((section, name)) => format!("{section}:\n  {name}: \"{value}\"\n"),
        None => format!("\n{name}: \"{value}\"\n"),
    }
}

/// Flags without which a setting has no meaning, or would not fit to the others' defaults.
fn beside(name: &'static str) -> Vec<(&'static str, &'static str, &'static str)> {
    let shared = ["lease-grace", "settle-", "presence-lease", "advertise-address"];
    let mut flags = Vec::new();
    if name.starts_with("redis.") || name == "store" || shared.iter().any(|begin| name.starts_with(begin)) {
        flags.extend([("store", "redis"), ("redis.url", "rediss://h")]);
    }
    match name {
        "settle-window" | "settle-max" | "presence-lease" => flags.extend([
            ("health.interval", "100ms"),
            ("store-call-timeout", "100ms"),
            ("settle-max", "1h"),
            ("settle-window", "250ms"),
        ]),
        "queue.max-tickets-per-namespace" | "queue.max-tickets-per-client" => {
            flags.push(("queue.max-tickets", "10000000"));
        }
        "http.max-waiting-per-client" => flags.push(("http.max-waiting", "1000000")),
        "events.max-subscribers-per-client" => flags.push(("events.max-subscribers", "100000")),
        "supervision.max-deaths-per-resource" => flags.push(("supervision.max-deaths", "1000000")),
        "health.slow-after" => flags.push(("store-call-timeout", "1m")),
        "circuit-breaker.failure-threshold" => flags.push(("circuit-breaker.min-calls", "10000")),
        "circuit-breaker.min-calls" => flags.push(("circuit-breaker.failure-threshold", "1")),
        "rate-limit.burst" => flags.push(("rate-limit.per-client", "1")),
        "redis.username" => flags.push(("redis.password", "x")),
        "redis.sentinel-username" => {
            flags.extend([("redis.sentinel", "m"), ("redis.sentinel-password", "x")])
        }
        "redis.sentinel-password" => flags.push(("redis.sentinel", "m")),
        "redis.tls.cert-file" => flags.push(("redis.tls.key-file", "k")),
        "redis.tls.key-file" => flags.push(("redis.tls.cert-file", "c")),
        _ => {}
    }
    flags.retain(|(flag, _)| *flag != name);
    flags.into_iter().map(|(flag, value)| (flag, value, "--beside")).collect()
}

#[test]
fn every_setting_has_bad_and_good_values_here() {
    let names: Vec<_> = CASES.iter().map(|(name, ..)| *name).collect();
    let declared: Vec<_> = SCHEMA.settings.iter().map(|setting| setting.name).collect();
    assert_eq!(names, declared);
}

#[test]
fn bad_values_are_refused_with_source_value_and_what_is_allowed() {
    for (name, bad, _) in CASES {
        let setting = SCHEMA.find(name).unwrap().setting;
        let variable = setting.variable();
        let column =
            if name.contains('.') { name.split_once('.').unwrap().1.len() + 5 } else { name.len() + 3 };
        for value in *bad {
            for (source, problems) in [
                (format!("lockkeeper.yaml:2:{column}"), wrong(&file(name, value), &[], &[])),
                (format!("environment {variable}"), wrong("", &[(&variable, value)], &[])),
                ("--flag".to_owned(), wrong("", &[], &[(name, value, "--flag")])),
            ] {
                let [problem] = &problems[..] else { panic!("{name} = {value:?}: {problems:?}") };
                let shown = if setting.masked() { "********" } else { value };
                assert!(problem.starts_with(&format!("{name} ({source}): {shown:?} ")), "{problem}");
                assert!(problem.ends_with(&format!("; allowed: {}", setting.kind.allowed())), "{problem}");
            }
        }
    }
}

#[test]
fn the_limits_themselves_are_allowed() {
    for (name, _, good) in CASES {
        let variable = SCHEMA.find(name).unwrap().setting.variable();
        for value in *good {
            let mut flags = beside(name);
            let alone =
                ["embedded", ""].contains(value) && (*name == "store" || name.starts_with("redis.tls."));
            if alone {
                flags.clear();
            }
            assert_eq!(wrong(&file(name, value), &[], &flags), [""; 0], "{name} = {value}");
            assert_eq!(wrong("", &[(&variable, value)], &flags), [""; 0], "{name} = {value}");
            flags.push((name, value, "--flag"));
            assert_eq!(wrong("", &[], &flags), [""; 0], "{name} = {value}");
        }
    }
}

#[test]
fn values_of_another_shape_are_refused() {
    for setting in SCHEMA.settings {
        let file = |value: &str| match setting.name.split_once('.') {
            Some((section, name)) => format!("{section}: {{{name}: {value}}}\n"),
            None => format!("{}: {value}\n", setting.name),
        };
        let list = if setting.kind.is_list() { "has a mistake in" } else { "takes a single value" };
        for (value, said) in [
            ("[1, 2]", list),
            ("{a: 1}", "takes a single value"),
            ("~", "has no value"),
            ("null", "has no value"),
        ] {
            let problems = wrong(&file(value), &[], &[]);
            assert!(
                problems.len() == 1 && problems[0].contains(said),
                "{} {value}: {problems:?}",
                setting.name
            );
            assert!(
                problems[0].starts_with(&format!("{} (lockkeeper.yaml:1:", setting.name)),
                "{problems:?}"
            );
        }
    }
}

#[test]
fn a_section_is_not_a_value() {
    for value in ["5s", "[a]", "\"\""] {
        let problems = wrong(&format!("http: {value}\n"), &[], &[]);
        assert!(
            problems.len() == 1 && problems[0].contains("http (lockkeeper.yaml:1:7): is a section"),
            "{problems:?}"
        );
    }
}

#[test]
fn a_long_host_or_path_is_refused_and_cut_in_the_message() {
    for (name, bytes) in [("default-host", 257), ("data-dir", 4097)] {
        let problems = wrong("", &[], &[(name, &"x".repeat(bytes), "--flag")]);
        assert!(problems.len() == 1 && problems[0].contains("x…\" is longer than"), "{problems:?}");
        assert!(problems[0].len() < 300);
        assert!(try_load("", &[], &[(name, &"x".repeat(bytes - 1), "--flag")]).is_ok());
    }
}

#[test]
fn the_default_lease_must_fit_the_longest() {
    let problems = wrong("default-ttl: 2h\n", &[("LOCKKEEPER_MAX_TIMEOUT", "1h")], &[]);
    assert_eq!(
        problems,
        [
            "default-ttl (lockkeeper.yaml:1:14): \"2h\" is more than max-timeout, which is 1h (environment LOCKKEEPER_MAX_TIMEOUT); lower default-ttl or raise max-timeout"
        ]
    );
    // Also when only one of them was changed.
    assert!(
        wrong("max-timeout: 29m\n", &[], &[])[0].starts_with("default-ttl (default): \"30m\" is more than")
    );
    assert_eq!(wrong("max-timeout: 30m\n", &[], &[]), [""; 0]);
    // A value that is no duration is one mistake and not two.
    assert_eq!(wrong("max-timeout: soon\n", &[], &[("default-ttl", "720h", "--x")]).len(), 1);
}

#[test]
fn others_may_only_reach_it_knowingly() {
    for address in ["0.0.0.0:4142", "[::]:4142", "192.168.1.1:4142", "[::ffff:10.0.0.1]:1", "8.8.8.8:0"] {
        let problems = wrong("", &[], &[("listen", address, "--listen")]);
        assert_eq!(
            problems,
            [format!(
                "listen (--listen): {address:?} is not a loopback address: without tokens only loopback may be served; use --insecure to accept that everyone who reaches this address can release any lock"
            )]
        );
        let knowingly = [("listen", address, "--listen"), ("insecure", "true", "--insecure")];
        assert!(try_load("", &[], &knowingly).unwrap().settings.insecure);
    }
}
