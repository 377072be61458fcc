//! Settings from file, environment and flags, and all that is wrong with them at once.

use super::{Ended, ended, run, serve};
use crate::support::{TestServer, lockkeeper};
use serde_json::json;
use std::path::PathBuf;

struct File {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

fn file(text: &str) -> File {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lockkeeper.yaml");
    std::fs::write(&path, text).unwrap();
    File { _directory: directory, path }
}

/// `serve --check` with a file, variables and flags.
async fn check(text: &str, env: &[(&str, &str)], flags: &[&str]) -> Ended {
    let file = file(text);
    let mut command = lockkeeper();
    command.args(["serve", "--check", "--config"]).arg(&file.path).args(flags).envs(env.iter().copied());
    ended(command).await
}

#[tokio::test]
async fn good_settings_are_said_to_be_good_and_nothing_is_started() {
    let checked = check(
        "queue:\n  max-size: 5\n",
        &[("LOCKKEEPER_HTTP__MAX_WAIT", "10s")],
        &["--listen", "127.0.0.1:1"],
    )
    .await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    assert_eq!(serve(&data, &["--check"]).await.code, Some(0));
    assert_eq!(serve(&data, &["--dry-run"]).await.code, Some(0));
    assert!(!data.exists(), "a check made the data directory");
}

#[tokio::test]
async fn the_shipped_file_is_valid_and_complete() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config/lockkeeper.yaml");
    let checked = run(&["serve", "--check", "--config", shipped]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let plain = run(&["serve", "--dry-run", "--config-dump"]).await;
    let from_file = run(&["serve", "--dry-run", "--config-dump", "--config", shipped]).await;
    let values = |dump: &str| {
        dump.lines().map(|line| line.split("  #").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(values(&plain.out), values(&from_file.out));
}

#[tokio::test]
async fn the_dump_shows_what_is_in_force_and_loads_again() {
    let file = file("default-ttl: 1h\nqueue:\n  max-size: 7\n  abandon-after: 30s\n");
    let mut command = lockkeeper();
    command.args(["serve", "--dry-run", "--config-dump", "--config"]).arg(&file.path);
    command.args(["--set", "queue.claim-within=2m", "--drain-timeout", "3s"]);
    command.env("LOCKKEEPER_QUEUE__ABANDON_AFTER", "45s").env("LOCKKEEPER_HTTP__MAX_WAIT", "20s");
    let dumped = ended(command).await;
    assert_eq!(dumped.code, Some(0), "{dumped:?}");
    for (line, source) in [
        ("default-ttl: 1h", "lockkeeper.yaml"),
        ("max-size: 7", "lockkeeper.yaml"),
        ("abandon-after: 45s", "LOCKKEEPER_QUEUE__ABANDON_AFTER"),
        ("max-wait: 20s", "LOCKKEEPER_HTTP__MAX_WAIT"),
        ("claim-within: 2m", "--set"),
        ("drain-timeout: 3s", "--drain-timeout"),
        ("sweep-interval: 5s", "default"),
    ] {
        let found = dumped
            .out
            .lines()
            .find(|text| text.contains(line))
            .unwrap_or_else(|| panic!("{line}: {}", dumped.out));
        assert!(found.contains(source), "{source} in {found}");
    }
    let again = check(&dumped.out, &[], &[]).await;
    assert_eq!(again.code, Some(0), "{again:?}");
}

#[tokio::test]
async fn settings_are_obeyed_wherever_they_come_from() {
    let directory = tempfile::tempdir().unwrap();
    let file = file("max-timeout: 1h\nqueue:\n  max-size: 1\n");
    let server = TestServer::start_in(directory.path(), &["--config", file.path.to_str().unwrap()]);
    let client = server.client();
    assert_eq!(client.acquire("a", "me", json!({"ttl": "2h"})).await.what(), (400, "invalid_request"));
    client.lock("a", "me", json!({})).await;
    client.queue("a", "first", json!({})).await;
    assert_eq!(client.acquire("a", "second", json!({"queue": true})).await.what(), (429, "queue_full"));
}

#[tokio::test]
async fn everything_wrong_is_told_at_once_with_source_and_what_is_allowed() {
    let text = "queue:\n  max-size: 0\nstore: boltdb\nnonsense: 1\nmax-timout: 1h\n";
    let env = [("LOCKKEEPER_SWEEP_INTERVAL", "10"), ("LOCKKEEPER_NO_SUCH", "x")];
    let flags = [
        "--listen",
        "somewhere",
        "--set",
        "drain-timeout=1d",
        "--log-format",
        "xml",
        "--set",
        "unknown.name=1",
    ];
    let checked = check(text, &env, &flags).await;
    assert_eq!((checked.code, checked.out.as_str()), (Some(2), ""), "{checked:?}");
    for (setting, source, said) in [
        ("queue.max-size", "lockkeeper.yaml:2", "1 to 1000000"),
        ("store", "lockkeeper.yaml:3", "embedded"),
        ("nonsense", "lockkeeper.yaml:4", ""),
        ("max-timout", "lockkeeper.yaml:5", "max-timeout"),
        ("sweep-interval", "LOCKKEEPER_SWEEP_INTERVAL", "100ms to 1m"),
        ("no-such", "LOCKKEEPER_NO_SUCH", ""),
        ("listen", "--listen", "address"),
        ("drain-timeout", "--set drain-timeout", "1s to 10m"),
        ("log-format", "--log-format", "text or json"),
        ("unknown.name", "--set unknown.name", ""),
    ] {
        let line = checked
            .err
            .lines()
            .find(|line| line.contains(source))
            .unwrap_or_else(|| panic!("{source}: {}", checked.err));
        assert!(line.contains(setting) && line.contains(said), "{setting} {said:?} in {line}");
    }
    // The same without --check: it does not start.
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let refused = serve(&data, &["--set", "queue.max-size=0"]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(!data.exists());
}

#[tokio::test]
async fn what_this_build_lacks_is_refused_by_name() {
    for (flags, said) in [
        (&["--tokens-file", "/tokens.yaml"][..], "tokens"),
        (&["--store", "boltdb"], "later version"),
        (&["--set", "redis.read-preference=slave"], "granted twice"),
        (&["--set", "redis.retry-on-failure=true"], "under the same nonce"),
        (&["--set", "redis.lock-ttl=1h"], "default-ttl"),
        (&["--set", "fallback-enabled=true"], "later version"),
        (&["--set", "auto-tuning.enabled=true"], "cannot be relied on"),
        (&["--chaos", "--listen", "0.0.0.0:0"], "kill actors"),
        (&["--set", "rate-limit.burst=5"], "has no meaning without a rate"),
        (&["--set", "deadlock-timeout=1s"], "deadlock"),
        (&["--set", "rate-limits.enabled=true"], "did you mean"),
    ] {
        let mut line = vec!["serve", "--check"];
        line.extend(flags);
        let refused = run(&line).await;
        assert_eq!(refused.code, Some(2), "{flags:?}: {refused:?}");
        assert!(refused.err.contains(said), "{flags:?}: {refused:?}");
    }
}

#[tokio::test]
async fn a_shared_store_is_set_up_by_flags_variables_and_file_alike() {
    let urls = "url: [\"redis://a:6379\", \"redis://b:1\"]";
    let variables = [("LOCKKEEPER_STORE", "redis"), ("LOCKKEEPER_REDIS__URL", "redis://a,redis://b:1")];
    let flags = ["--store", "redis", "--redis-url", "redis://a", "--redis-url", "redis://b:1"];
    for checked in [
        check("store: redis\nredis:\n  url: [redis://a, redis://b:1]\n", &[], &["--config-dump"]).await,
        check("", &variables, &["--config-dump"]).await,
        check("", &[], &[&flags[..], &["--config-dump"]].concat()).await,
    ] {
        assert_eq!(checked.code, Some(0), "{checked:?}");
        assert!(checked.out.contains(urls), "{checked:?}");
    }
    let flags = [&flags[..], &["--redis-sentinel", "main", "--config-dump"]].concat();
    let sentinels = check("", &[], &flags).await;
    assert_eq!(sentinels.code, Some(0), "{sentinels:?}");
    assert!(sentinels.out.contains("redis://a:26379"), "{sentinels:?}");
}

#[tokio::test]
async fn a_password_is_shown_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    std::fs::write(&path, "hunter2\n").unwrap();
    let by_file = format!("redis.password-file={}", path.display());
    let flags = ["--store", "redis", "--config-dump"];
    for (given, code) in [
        (&["--redis-url", "redis://anna:hunter2@h"][..], 0),
        (&["--redis-url", "redis://h", "--set", &by_file], 0),
        (&["--redis-url", "redis://h", "--set", "redis.password=hunter2"], 0),
        (&["--redis-url", "redis://anna:hunter2@"], 2),
        (&["--redis-url", "redis://anna:hunter2@h", "--set", &by_file], 2),
        (&["--redis-url", "redis://anna:hunter2@h", "--redis-sentinel", "main"], 2),
        (&["--redis-url", "redis://h", "--redis-url", "anna:hunter2"], 2),
    ] {
        let checked = check("", &[], &[&flags[..], given].concat()).await;
        assert_eq!(checked.code, Some(code), "{given:?}: {checked:?}");
        assert!(!checked.out.contains("hunter2") && !checked.err.contains("hunter2"), "{checked:?}");
    }
}

#[tokio::test]
async fn everything_about_the_shared_store_that_does_not_fit_is_told_at_once() {
    let text = "store: redis\nsettle-window: 2s\nredis:\n  url: [redis://a, redis://b]\n  db: 1\n  username: anna\n  \
                min-replicas: 1\n  wait-timeout: 2s\n  tls:\n    ca-file: ca.pem\nembedded:\n  batch-size: 2\n";
    let checked = check(text, &[], &[]).await;
    assert_eq!(checked.code, Some(2), "{checked:?}");
    for said in [
        "settle-window (",
        "health.interval, 2s (default), and store-call-timeout, 1s (default)",
        "redis.db (",
        "redis.username (",
        "redis.wait-timeout (",
        "redis.tls.ca-file (",
        "embedded.batch-size (",
    ] {
        assert!(checked.err.contains(said), "{said} in {checked:?}");
    }
    let alone = run(&["serve", "--check", "--store", "redis"]).await;
    assert!(alone.code == Some(2) && alone.err.contains("--redis-url"), "{alone:?}");
    let other = run(&["serve", "--check", "--redis-url", "redis://h"]).await;
    assert!(other.code == Some(2) && other.err.contains("set store to \"redis\""), "{other:?}");
}

#[tokio::test]
async fn a_public_address_needs_insistence() {
    for (address, loopback) in [
        ("127.0.0.1:0", true),
        ("127.8.8.8:0", true),
        ("[::1]:0", true),
        ("0.0.0.0:0", false),
        ("[::]:0", false),
        ("192.0.2.7:4142", false),
        ("[::ffff:192.0.2.7]:4142", false),
    ] {
        let refused = run(&["serve", "--check", "--listen", address]).await;
        assert_eq!(refused.code, Some(if loopback { 0 } else { 2 }), "{address}: {refused:?}");
        assert!(loopback || refused.err.contains("--insecure"), "{refused:?}");
        assert_eq!(
            run(&["serve", "--check", "--listen", address, "--insecure"]).await.code,
            Some(0),
            "{address}"
        );
    }
}

#[tokio::test]
async fn files_that_cannot_be_read_or_understood_are_named() {
    for text in ["a: [", "- 1", "just text", "a: 1\na: 2\n", "\u{0}", "x: &a [*a]"] {
        let refused = check(text, &[], &[]).await;
        assert_eq!(refused.code, Some(2), "{text:?}: {refused:?}");
        assert!(
            refused.err.contains("lockkeeper.yaml") && !refused.err.contains("panicked"),
            "{text:?}: {refused:?}"
        );
    }
    let empty = check("", &[], &[]).await;
    assert_eq!(empty.code, Some(0), "{empty:?}");
    let missing = run(&["serve", "--check", "--config", "/does/not/exist.yaml"]).await;
    assert_eq!(missing.code, Some(2), "{missing:?}");
    assert!(missing.err.contains("/does/not/exist.yaml"), "{missing:?}");
}

#[tokio::test]
async fn variables_in_the_file_are_expanded() {
    let expanded = check(
        "default-host: ${HOST_OF_TEST}\nmax-timeout: ${NOT_SET:-2h}\n",
        &[("HOST_OF_TEST", "github.com")],
        &["--config-dump"],
    )
    .await;
    assert_eq!(expanded.code, Some(0), "{expanded:?}");
    assert!(expanded.out.contains("github.com") && expanded.out.contains("max-timeout: 2h"), "{expanded:?}");
    let missing = check("default-host: ${NOT_SET}\n", &[], &[]).await;
    assert!(missing.code == Some(2) && missing.err.contains("NOT_SET"), "{missing:?}");
}

#[tokio::test]
async fn bad_values_are_refused_from_file_environment_and_flag_alike() {
    for (name, bad) in [
        ("queue.max-size", "0"),
        ("queue.max-size", "x"),
        ("queue.abandon-after", "60"),
        ("http.max-wait", "61s"),
        ("http.max-connections", "0"),
        ("drain-timeout", "1d"),
        ("max-timeout", "721h"),
        ("insecure", "yes"),
        ("log-level", "loud"),
        ("log-format", ""),
        ("listen", "4142"),
        ("data-dir", ""),
        ("instance-id", "a.b"),
        ("events.ring-size", "15"),
        ("embedded.cache-size", "16"),
        ("store", "memory"),
        ("settle-window", "1"),
        ("lease-grace", "31s"),
        ("advertise-address", "0.0.0.0:4142"),
        ("redis.url", "http://h"),
        ("redis.key-prefix", "pr"),
        ("redis.db", "-1"),
        ("redis.tls.ca-file", "\u{7f}"),
    ] {
        // A name may be written with its dots.
        let yaml = format!("{name}: \"{}\"\n", bad.replace('\u{7f}', "\\x7f"));
        let variable = format!("LOCKKEEPER_{}", name.replace('.', "__").replace('-', "_").to_uppercase());
        for refused in [
            check(&yaml, &[], &[]).await,
            check("", &[(&variable, bad)], &[]).await,
            check("", &[], &["--set", &format!("{name}={bad}")]).await,
        ] {
            assert_eq!(refused.code, Some(2), "{name}={bad:?}: {refused:?}");
            assert!(
                refused.err.contains(name) && refused.err.contains("allowed"),
                "{name}={bad:?}: {refused:?}"
            );
        }
    }
}
