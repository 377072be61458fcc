//! Limits that contradict each other.

use super::{try_load, wrong};

#[test]
fn a_part_may_not_have_more_than_the_whole() {
    for (file, part, whole) in [
        ("rate-limit:\n  per-client: 50\n  global: 49\n", "rate-limit.per-client", "rate-limit.global"),
        (
            "queue:\n  max-tickets-per-namespace: 6\n  max-tickets: 5\n",
            "queue.max-tickets-per-namespace",
            "queue.max-tickets",
        ),
        (
            "queue:\n  max-tickets-per-client: 6\n  max-tickets: 5\n",
            "queue.max-tickets-per-client",
            "queue.max-tickets",
        ),
        (
            "http:\n  max-waiting-per-client: 6\n  max-waiting: 5\n",
            "http.max-waiting-per-client",
            "http.max-waiting",
        ),
        (
            "events:\n  max-subscribers-per-client: 6\n  max-subscribers: 5\n",
            "events.max-subscribers-per-client",
            "events.max-subscribers",
        ),
        (
            "supervision:\n  max-deaths-per-resource: 6\n  max-deaths: 5\n",
            "supervision.max-deaths-per-resource",
            "supervision.max-deaths",
        ),
    ] {
        let problems = wrong(file, &[], &[]);
        let [problem] = &problems[..] else { panic!("{file}: {problems:?}") };
        assert!(problem.starts_with(&format!("{part} (lockkeeper.yaml:2:")), "{problem}");
        assert!(problem.contains(&format!("is more than {whole}, which is ")), "{problem}");
        assert!(problem.contains(&format!("lower {part} or raise {whole}")), "{problem}");
    }
    // As many are allowed, and whatever there is when the whole has no limit.
    for file in [
        "rate-limit: {per-client: 50, global: 50}\n",
        "rate-limit: {per-client: 50}\n",
        "rate-limit: {global: 50}\n",
        "queue: {max-tickets: 1}\n",
        // Nobody asked for ten deaths of a resource.
        "supervision: {max-deaths: 5}\n",
    ] {
        assert_eq!(wrong(file, &[], &[]), [""; 0], "{file}");
    }
}

#[test]
fn what_contradicts_itself_is_told_with_both_places() {
    for (file, said) in [
        (
            "rate-limit: {burst: 5}\n",
            "rate-limit.burst (lockkeeper.yaml:1:21): \"5\" has no meaning without a rate: rate-limit.per-client is 0 (default)",
        ),
        (
            "circuit-breaker: {min-calls: 4}\n",
            "circuit-breaker.min-calls (lockkeeper.yaml:1:30): \"4\" is less than circuit-breaker.failure-threshold, which is 5 (default)",
        ),
        (
            "breaker: {failure-threshold: 21}\n",
            "circuit-breaker.min-calls (default): \"20\" is less than circuit-breaker.failure-threshold, which is 21 (lockkeeper.yaml:1:30)",
        ),
        (
            "health: {slow-after: 1s}\n",
            "health.slow-after (lockkeeper.yaml:1:22): \"1s\" is not less than store-call-timeout, which is 1s (default)",
        ),
    ] {
        let problems = wrong(file, &[], &[]);
        assert!(problems.len() == 1 && problems[0].starts_with(said), "{file}: {problems:?}");
    }
    for file in [
        "circuit-breaker: {min-calls: 4, failure-percent: 0}\n",
        "circuit-breaker: {min-calls: 4, enabled: false}\n",
        "circuit-breaker: {min-calls: 5}\n",
        "health: {slow-after: 999ms}\n",
        "store-call-timeout: 100ms\n",
        "rate-limit: {burst: 5, per-client: 1}\n",
    ] {
        assert_eq!(wrong(file, &[], &[]), [""; 0], "{file}");
    }
}

#[test]
fn all_contradictions_are_told_at_once() {
    let file = "rate-limit: {burst: 5, global: 4}\nhealth.slow-after: 1m\nhttp: {max-waiting: 1, max-waiting-per-client: 2}\n";
    assert_eq!(wrong(file, &[], &[]).len(), 3);
}

#[test]
fn chaos_is_for_ourselves_unless_knowingly() {
    let flags = [("listen", "0.0.0.0:1", "--listen"), ("chaos", "true", "--chaos")];
    let problems = wrong("", &[], &flags);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[1].starts_with(
            "chaos (--chaos): \"true\" would let everyone who reaches 0.0.0.0:1 (--listen) kill"
        )
    );
    assert!(
        try_load("", &[], &[flags[0], flags[1], ("insecure", "true", "--insecure")]).unwrap().settings.chaos
    );
    assert!(try_load("chaos: true\n", &[], &[]).unwrap().settings.chaos);
}

#[test]
fn a_breaker_that_is_switched_off_is_none() {
    assert_eq!(try_load("enable-circuit-breaker: false\n", &[], &[]).unwrap().settings.circuit_breaker, None);
}
