//! Names that do not exist, and names that exist only in other versions.

use super::{try_load, wrong};

#[test]
fn an_unknown_name_in_the_file_is_refused_with_a_suggestion() {
    for (file, said) in [
        (
            "lisen: \"127.0.0.1:1\"\n",
            "lisen (lockkeeper.yaml:1:1): there is no such setting; did you mean \"listen\"?",
        ),
        (
            "data_dir: x\n",
            "data_dir (lockkeeper.yaml:1:1): there is no such setting; did you mean \"data-dir\"?",
        ),
        ("max-size-queue: 5\n", "did you mean \"queue.max-size\"?"),
        ("rate-limits:\n  per-client: 5\n", "did you mean \"rate-limit\"?"),
        ("breaker:\n  failures: 5\n", "breaker.failures (lockkeeper.yaml:2:3): there is no such setting"),
        ("max-wait: 5s\n", "did you mean \"http.max-wait\"?"),
        (
            "http:\n  max_wait: 5s\n",
            "http.max_wait (lockkeeper.yaml:2:3): there is no such setting; did you mean \"http.max-wait\"?",
        ),
        (
            "quue:\n  max-size: 1\n  claim-within: 1s\n",
            "quue (lockkeeper.yaml:1:1): there is no such setting; did you mean \"queue\"?",
        ),
        (
            "banana: 1\n",
            "banana (lockkeeper.yaml:1:1): there is no such setting; docs/configuration.md lists them all",
        ),
        ("<<: {store: embedded}\n", "there is no such setting"),
    ] {
        let problems = wrong(file, &[], &[]);
        assert!(problems.len() == 1 && problems[0].contains(said), "{file}: {problems:?}");
    }
}

#[test]
fn an_unknown_variable_is_refused_with_a_suggestion() {
    for (variable, said) in [
        ("LOCKKEEPER_HTTP_MAX_WAIT", "did you mean LOCKKEEPER_HTTP__MAX_WAIT?"),
        (
            "LOCKKEEPER_LISTN",
            "listn (environment LOCKKEEPER_LISTN): there is no such setting; did you mean LOCKKEEPER_LISTEN?",
        ),
        ("LOCKKEEPER_QUEUE", "did you mean LOCKKEEPER_QUEUE__…?"),
        ("LOCKKEEPER_", "docs/configuration.md lists them all"),
        ("LOCKKEEPER_DATA__DIR", "did you mean LOCKKEEPER_DATA_DIR?"),
    ] {
        let problems = wrong("", &[(variable, "x")], &[]);
        assert!(problems.len() == 1 && problems[0].contains(said), "{variable}: {problems:?}");
    }
}

#[test]
fn variables_of_the_clients_and_of_others_are_left_alone() {
    let variables: Vec<_> = crate::settings::SCHEMA
        .other_variables
        .iter()
        .copied()
        .chain(["LOCKKEEPER_SERVICE_HOST", "PATH", "lockkeeper_listen", "LOCKKEEPER", "ATLANTIS_PORT"])
        .map(|name| (name, "anything"))
        .collect();
    assert!(try_load("", &variables, &[]).is_ok());
}

#[test]
fn settings_of_other_versions_are_refused_by_name() {
    for (file, setting, said) in [
        ("redis-url: redis://u:hunter2@h\n", "redis-url", "did you mean \"redis.url\"?"),
        ("redis-cluster:\n  nodes: [a, b]\n", "redis-cluster", "give the URLs of the nodes as redis.url"),
        (
            "redis-migration:\n  legacy-key-pattern: \"pr:*\"\n",
            "redis-migration",
            "comes with a later version",
        ),
        ("enable-lock-caching: true\n", "enable-lock-caching", "granted twice"),
        ("lock-cache-ttl: 5m\n", "lock-cache-ttl", "granted twice"),
        ("tokens-file: hunter2\n", "tokens-file", "tokens come with a later version"),
        ("key-prefix: lk\n", "key-prefix", "did you mean \"redis.key-prefix\"?"),
        ("deadlock-timeout: 0s\n", "deadlock-timeout", "deadlock detection comes"),
        ("deadlock:\n  check-interval: 15s\n", "deadlock", "deadlock detection comes"),
        ("auto-tuning:\n  enabled: true\n", "auto-tuning", "cannot be relied on"),
        ("enable-adaptive-timeouts: true\n", "enable-adaptive-timeouts", "cannot be relied on"),
        ("adaptive-timeout-factor: 1.5\n", "adaptive-timeout-factor", "cannot be relied on"),
        ("fallback-enabled: true\n", "fallback-enabled", "comes with a later version"),
        ("queue-processing-interval: 500ms\n", "queue-processing-interval", "nothing to set"),
        (
            "enhanced-locking.redis:\n  password: hunter2\n",
            "enhanced-locking.redis",
            "come as aliases with a later version",
        ),
        ("locking:\n  enhanced:\n    enabled: true\n", "locking", "come as aliases with a later version"),
        ("locking-db-type: boltdb\n", "locking-db-type", "use \"store\""),
    ] {
        let problems = wrong(file, &[], &[]);
        let [problem] = &problems[..] else { panic!("{file}: {problems:?}") };
        assert!(problem.starts_with(&format!("{setting} (lockkeeper.yaml:1:1): ")), "{problem}");
        assert!(problem.contains(said) && !problem.contains("hunter2"), "{problem}");
    }
}

#[test]
fn their_variables_and_flags_too() {
    for variable in
        ["LOCKKEEPER_TOKENS_FILE", "LOCKKEEPER_DEADLOCK_TIMEOUT", "LOCKKEEPER_ENHANCED_LOCKING__BACKEND"]
    {
        let problems = wrong("", &[(variable, "hunter2")], &[]);
        let [problem] = &problems[..] else { panic!("{variable}: {problems:?}") };
        assert!(problem.contains(&format!("(environment {variable}): ")), "{problem}");
        assert!(problem.contains("later version") && !problem.contains("hunter2"), "{problem}");
    }
    let flags = [
        ("fallback-threshold", "5", "--set fallback-threshold"),
        ("tokens-file", "t.yaml", "--tokens-file"),
        ("deadlock-timeout", "1s", "--set deadlock-timeout"),
    ];
    let problems = wrong("", &[], &flags);
    assert_eq!(problems.len(), 3, "{problems:#?}");
    for (problem, spelling) in
        problems.iter().zip(["--set fallback-threshold", "--tokens-file", "--set deadlock-timeout"])
    {
        assert!(
            problem.contains(&format!("({spelling}): ")) && problem.contains("later version"),
            "{problem}"
        );
    }
}

#[test]
fn names_of_the_design_that_mean_the_same_are_taken() {
    for (file, of) in [
        ("enhanced-locking:\n  enabled: false\n", "enabled"),
        ("max-queue-size: 5\n", "queue.max-size"),
        ("queue-timeout: 5m\n", "queue.default-timeout"),
        ("event-buffer-size: 5000\n", "events.ring-size"),
        ("health-check-interval: 30s\n", "health.interval"),
        ("enable-circuit-breaker: false\n", "circuit-breaker.enabled"),
        ("breaker:\n  timeout: 30s\n", "circuit-breaker.timeout"),
    ] {
        let loaded = try_load(file, &[], &[]).unwrap_or_else(|problems| panic!("{file}: {problems}"));
        assert_ne!(loaded.effective.source(of), Some(&crate::Source::Default), "{file}");
    }
    let settings = try_load("", &[("LOCKKEEPER_ENHANCED_LOCKING__ENABLED", "false")], &[]).unwrap().settings;
    assert!(!settings.enabled);
    // The rest of the tree is refused, each at its place, and so is saying the same thing twice.
    let file = "enhanced-locking:\n  enabled: true\n  backend: redis\n  redis:\n    password: hunter2\n";
    let problems = wrong(file, &[], &[]);
    let starts =
        ["enhanced-locking.backend (lockkeeper.yaml:3:3)", "enhanced-locking.redis (lockkeeper.yaml:4:3)"];
    assert_eq!(problems.len(), 2, "{problems:#?}");
    for (problem, start) in problems.iter().zip(starts) {
        assert!(problem.starts_with(start) && problem.contains("later version"), "{problem}");
    }
    let twice = wrong("enabled: true\nenhanced-locking:\n  enabled: true\n", &[], &[]);
    assert!(twice.len() == 1 && twice[0].contains("is given a second time"), "{twice:?}");
}

#[test]
fn a_name_cannot_break_out_of_its_line() {
    let problems = wrong(&format!("\"a\\n\\e[2J{}\": 1\n", "x".repeat(900)), &[], &[]);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("a??[2Jxxx") && problems[0].len() < 300, "{problems:?}");
}
