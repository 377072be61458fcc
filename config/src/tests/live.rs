//! Settings that change while the server runs.

use super::{FILE, try_load};
use crate::{Amendment, Change, Loaded, Source};

fn amend(loaded: &Loaded, changes: &[(&str, &str)]) -> Result<crate::Amended, Vec<String>> {
    let amendments: Vec<_> = changes.iter().map(|&(setting, value)| Amendment { setting, value }).collect();
    loaded.amended(&amendments).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn what_changes_is_told_from_what_to_what() {
    let loaded = try_load("rate-limit:\n  global: 100\n", &[], &[]).unwrap();
    let amended =
        amend(&loaded, &[("rate-limit.per-client", "50"), ("enhanced-locking.enabled", "false")]).unwrap();
    let change = |setting, before: &str, after: &str| Change {
        setting,
        before: before.to_owned(),
        after: after.to_owned(),
        source: Source::Runtime,
    };
    let expected = [change("enabled", "true", "false"), change("rate-limit.per-client", "0", "50")];
    assert_eq!(amended.changes, expected);
    let settings = &amended.loaded.settings;
    assert_eq!((settings.enabled, settings.rate_limit.per_client.unwrap().get()), (false, 50));
    assert_eq!(settings.rate_limit.global.unwrap().get(), 100);
    // What it was made from is as it was.
    assert!(loaded.settings.enabled);
    assert_eq!(amended.loaded.effective.source("rate-limit.per-client"), Some(&Source::Runtime));
    // One after the other adds up; what says nothing new changes nothing, not even its source.
    let again = amend(&amended.loaded, &[("enabled", "false"), ("rate-limit.global", "100")]).unwrap();
    assert_eq!(again.changes, []);
    assert!(matches!(again.loaded.effective.source("rate-limit.global"), Some(Source::File { .. })));
}

#[test]
fn all_or_nothing_and_everything_wrong_at_once() {
    let loaded = try_load("", &[], &[]).unwrap();
    let problems = amend(
        &loaded,
        &[
            ("rate-limit.per-clint", "1"),
            ("max-timeout", "1000h"),
            ("listen", "127.0.0.1:1"),
            ("redis.password", "hunter2"),
            ("redis.password-file", "/hunter2"),
            ("enabled", "false"),
            ("enabled", "true"),
            ("rate-limit.burst", "5"),
        ],
    )
    .unwrap_err();
    for (problem, said) in problems.iter().zip([
        "rate-limit.per-clint (changed while running): there is no such setting; did you mean \"rate-limit.per-client\"?",
        "max-timeout (changed while running): \"1000h\" is more than 720h; allowed: 1s to 720h",
        "listen (changed while running): takes effect at the start only",
        "redis.password (changed while running): takes effect at the start only",
        "redis.password-file (changed while running): takes effect at the start only",
        "enabled (changed while running): is given a second time",
        "rate-limit.burst (changed while running): \"5\" has no meaning without a rate",
    ]) {
        assert!(problem.starts_with(said), "{problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
    }
    assert_eq!(problems.len(), 7, "{problems:#?}");
}

#[test]
fn a_contradiction_to_what_is_in_force_is_refused() {
    let loaded = try_load("rate-limit: {global: 10}\nmax-timeout: 1h\n", &[], &[]).unwrap();
    let problems = amend(&loaded, &[("rate-limit.per-client", "11"), ("default-ttl", "2h")]).unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(problems[0].contains(&format!("max-timeout, which is 1h ({FILE}:2:14)")), "{problems:#?}");
    assert!(problems[1].contains(&format!("rate-limit.global, which is 10 ({FILE}:1:22)")), "{problems:#?}");
    assert!(amend(&loaded, &[("rate-limit.per-client", "11"), ("rate-limit.global", "11")]).is_ok());
}

#[test]
fn a_file_read_again_is_taken_over_as_far_as_it_can_be() {
    let running = try_load("listen: \"127.0.0.1:1\"\nlog-level: info\n", &[], &[]).unwrap();
    let running = amend(&running, &[("rate-limit.per-client", "5")]).unwrap().loaded;
    let newer = try_load("listen: \"127.0.0.1:2\"\nlog-level: debug\n", &[], &[]).unwrap();
    let adopted = running.adopting(&newer).unwrap();
    let names: Vec<_> = adopted.changes.iter().map(|change| (change.setting, &*change.after)).collect();
    // What was changed while running is what the file says again.
    assert_eq!(names, [("log-level", "debug"), ("rate-limit.per-client", "0")]);
    assert_eq!(adopted.loaded.settings.listen.port(), 1);
    let pending = adopted.loaded.pending(&newer);
    assert_eq!(pending.len(), 1);
    assert_eq!(
        (pending[0].setting, &*pending[0].before, &*pending[0].after),
        ("listen", "127.0.0.1:1", "127.0.0.1:2")
    );
    assert_eq!(adopted.loaded.adopting(&newer).unwrap().changes, []);
}

#[test]
fn a_secret_that_waits_for_a_restart_is_not_shown() {
    let redis =
        |password: &str| format!("store: redis\nredis: {{url: \"redis://h\", password: {password}}}\n");
    let running = try_load(&redis("hunter1"), &[], &[]).unwrap();
    let newer = try_load(&redis("hunter2"), &[], &[]).unwrap();
    let pending = running.pending(&newer);
    assert_eq!(pending.len(), 1);
    assert!(!format!("{pending:?}").contains("hunter"), "{pending:?}");
    // Nor is what is in force.
    let shown = format!("{:?}", running.effective.iter().map(|it| it.value).collect::<Vec<_>>());
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn what_cannot_be_taken_over_without_the_rest_is_refused() {
    // The newer file fits in itself: both are raised together. Only one of them can be, without a restart.
    let file =
        |all: u8, one: u8| format!("events: {{max-subscribers: {all}, max-subscribers-per-client: {one}}}\n");
    let running = try_load(&file(10, 5), &[], &[]).unwrap();
    let newer = try_load(&file(100, 50), &[], &[]).unwrap();
    let problems = running.adopting(&newer).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems}");
    assert!(problems.to_string().contains("events.max-subscribers-per-client"), "{problems}");
}
