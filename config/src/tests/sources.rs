//! Precedence, all errors together, expansion, and text that is not a settings file.

use super::{FILE, try_load, wrong};
use crate::{ConfigFile, Environment, Inputs, Position, Source, load};

#[test]
fn later_sources_win() {
    let variable = ("LOCKKEEPER_HTTP__MAX_WAIT", "20s");
    let flag = ("http.max-wait", "30s", "--max-wait");
    let file = "http:\n  max-wait: 10s\n";
    let at = |position| Source::File { name: FILE.to_owned(), at: Some(position) };
    for (loaded, secs, source) in [
        (try_load("", &[], &[]), 50, Source::Default),
        (try_load(file, &[], &[]), 10, at(Position { line: 2, column: 13 })),
        (try_load(file, &[variable], &[]), 20, Source::Environment(variable.0.to_owned())),
        (try_load(file, &[variable], &[flag]), 30, Source::Flag("--max-wait".to_owned())),
        (try_load(file, &[], &[flag]), 30, Source::Flag("--max-wait".to_owned())),
        (try_load("", &[variable], &[]), 20, Source::Environment(variable.0.to_owned())),
    ] {
        let loaded = loaded.unwrap();
        assert_eq!(loaded.settings.http.max_wait.as_secs(), secs);
        assert_eq!(loaded.effective.source("http.max-wait"), Some(&source));
        assert_eq!(loaded.effective.source("listen"), Some(&Source::Default));
    }
}

#[test]
fn names_may_be_written_with_dots() {
    let loaded = try_load("http.max-wait: 10s\n", &[], &[]).unwrap();
    assert_eq!(loaded.settings.http.max_wait.as_secs(), 10);
}

#[test]
fn a_setting_is_given_once() {
    assert_eq!(
        wrong("http.max-wait: 10s\nhttp:\n  max-wait: 20s\n", &[], &[]),
        ["http.max-wait (lockkeeper.yaml:3:13): is given a second time; the first is lockkeeper.yaml:1:16"]
    );
    assert_eq!(
        wrong("listen: \"127.0.0.1:1\"\nlisten: \"127.0.0.1:2\"\n", &[], &[]),
        ["lockkeeper.yaml:2:1: has \"listen\" a second time; the first is in line 1"]
    );
    let twice = [("data-dir", "a", "--data-dir"), ("data-dir", "b", "--data-dir")];
    assert_eq!(
        wrong("", &[], &twice),
        ["data-dir (--data-dir): is given a second time; the first is --data-dir"]
    );
}

#[test]
fn everything_wrong_is_said_at_once_and_in_order() {
    let file = "store: boltdb\nhttp:\n  max-wait: 2m\n  wrokers: 1\nlog-format: xml\nlog-format: text\nsweep-interval: ${SOON}\n";
    let problems = wrong(
        file,
        &[("LOCKKEEPER_QUEUE__MAX_SIZE", "0"), ("LOCKKEEPER_QUEUE_MAX_SIZE", "5")],
        &[("listen", "0.0.0.0:1", "--listen"), ("embedded.cache-size", "big", "--cache")],
    );
    let beginnings = [
        "store (lockkeeper.yaml:1:8): \"boltdb\" is not available: Atlantis's own store comes with a later version",
        "http.max-wait (lockkeeper.yaml:3:13): \"2m\" is more than 1m; allowed: 0s to 1m",
        "http.wrokers (lockkeeper.yaml:4:3): there is no such setting; did you mean \"http.workers\"?",
        "log-format (lockkeeper.yaml:5:13): \"xml\" is not known; allowed: text or json",
        "lockkeeper.yaml:6:1: has \"log-format\" a second time",
        "sweep-interval (lockkeeper.yaml:7:17): \"${SOON}\" uses the variable SOON, which is not set",
        "queue-max-size (environment LOCKKEEPER_QUEUE_MAX_SIZE): there is no such setting; did you mean LOCKKEEPER_QUEUE__MAX_SIZE?",
        "queue.max-size (environment LOCKKEEPER_QUEUE__MAX_SIZE): \"0\" is less than 1; allowed: 1 to 1000000",
        "embedded.cache-size (--cache): \"big\" is not a size",
        "listen (--listen): \"0.0.0.0:1\" is not a loopback address",
    ];
    assert_eq!(problems.len(), beginnings.len(), "{problems:#?}");
    for (problem, beginning) in problems.iter().zip(beginnings) {
        assert!(problem.starts_with(beginning), "{beginning}\nin {problems:#?}");
    }
}

#[test]
fn what_is_overridden_must_be_valid_too() {
    let problems = wrong("http:\n  workers: many\n", &[], &[("http.workers", "2", "--workers")]);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("http.workers (lockkeeper.yaml:2:12): \"many\""), "{problems:?}");
}

#[test]
fn the_display_of_all_problems_begins_with_what_people_search_for() {
    let problems = try_load("store: boltdb\nlog-format: xml\n", &[], &[]).unwrap_err();
    let text = problems.to_string();
    assert!(text.starts_with("invalid configuration\n  store (lockkeeper.yaml:1:8): "), "{text}");
    assert_eq!(text.lines().count(), 1 + problems.len());
}

#[test]
fn variables_are_replaced_in_the_file_and_only_there() {
    let variables = [("HOST", "ci.example.org"), ("DIR", "/srv")];
    let file = "default-host: ${HOST}\ndata-dir: '${DIR}/lockkeeper'\nhttp:\n  workers: ${WORKERS:-3}\n";
    let settings = try_load(file, &variables, &[]).unwrap().settings;
    assert_eq!(settings.default_host, "ci.example.org");
    assert_eq!(settings.data_dir.to_str(), Some("/srv/lockkeeper"));
    assert_eq!(settings.http.workers.unwrap().get(), 3);

    let variables = [("LOCKKEEPER_DEFAULT_HOST", "${HOST}")];
    assert_eq!(try_load("", &variables, &[]).unwrap().settings.default_host, "${HOST}");
    let flags = [("default-host", "${HOST}", "--default-host")];
    assert_eq!(try_load("", &[], &flags).unwrap().settings.default_host, "${HOST}");
    assert_eq!(try_load("default-host: $${HOST}\n", &[], &[]).unwrap().settings.default_host, "${HOST}");
}

#[test]
fn a_missing_variable_is_named() {
    assert_eq!(
        wrong("default-host: ${VCS_HOST}\n", &[], &[]),
        [
            "default-host (lockkeeper.yaml:1:15): \"${VCS_HOST}\" uses the variable VCS_HOST, which is not set; set it, or write ${VCS_HOST:-default}"
        ]
    );
    // What a variable holds is checked like any other value.
    let problems = wrong("http:\n  workers: ${N}\n", &[("N", "many")], &[]);
    assert!(problems[0].starts_with("http.workers (lockkeeper.yaml:2:12): \"many\" is not"), "{problems:?}");
}

#[test]
fn a_file_that_is_none_is_told_with_its_line() {
    for (text, said) in [
        (
            "http:\n\tmax-wait: 5s\n",
            "lockkeeper.yaml:2:1: is not valid YAML: the line is indented with a tab",
        ),
        ("listen: \"127.0.0.1:1\n", "lockkeeper.yaml:1:9: is not valid YAML"),
        ("- listen\n", "lockkeeper.yaml:1:1: must hold settings"),
        ("listen\n", "lockkeeper.yaml:1:1: must hold settings"),
        ("a: &a [1]\nb: *a\n", "lockkeeper.yaml:2:4: uses an alias"),
        ("store: embedded\n---\nstore: embedded\n", "lockkeeper.yaml:2:1: has a second YAML document"),
    ] {
        let problems = wrong(text, &[], &[]);
        assert!(problems.iter().any(|problem| problem.starts_with(said)), "{text:?}: {problems:?}");
    }
}

#[test]
fn a_syntax_error_does_not_hide_the_other_sources() {
    let problems =
        wrong("a: [\n", &[("LOCKKEEPER_STORE", "boltdb")], &[("log-format", "xml", "--log-format")]);
    assert_eq!(problems.len(), 3, "{problems:?}");
}

#[test]
#[cfg(unix)]
fn bytes_that_are_no_text_are_refused_only_where_they_matter() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    let bytes = || OsString::from_vec(b"a\xffb".to_vec());
    let load_with = |pairs: Vec<(OsString, OsString)>, file: &[u8]| {
        load(&Inputs {
            file: Some(ConfigFile { name: FILE, bytes: file }),
            environment: Environment::from_pairs(pairs),
            flags: &[],
            read_secret: &|_| unreachable!(),
        })
        .map_err(|problems| problems.to_string())
    };
    assert!(load_with(vec![("OTHER".into(), bytes()), (bytes(), "x".into())], b"").is_ok());
    let error = load_with(vec![("LOCKKEEPER_DATA_DIR".into(), bytes())], b"").unwrap_err();
    assert!(error.contains("data-dir (environment LOCKKEEPER_DATA_DIR): is not UTF-8 text"), "{error}");
    let error = load_with(vec![("DIR".into(), bytes())], b"data-dir: ${DIR}\n").unwrap_err();
    assert!(error.contains("uses the variable DIR, which is not UTF-8"), "{error}");
    let error = load_with(vec![], b"store: embedded\ndata-dir: \xff\n").unwrap_err();
    assert!(error.contains("lockkeeper.yaml:2:11: is not UTF-8 text"), "{error}");
}
