//! The shipped file and the documentation, held against the table.

use std::collections::BTreeSet;
use std::path::Path;

use super::{FILE, try_load};
use crate::settings::SCHEMA;
use crate::{
    ConfigFile, Environment, Inputs, Kind, RateLimitSettings, Settings, StoreKind, default_file, describe,
    load, markdown_table, yaml,
};

const BEGIN: &str = "<!-- generated from the table in config/src/settings/table.rs: begin -->\n";
const END: &str = "<!-- generated: end -->";

fn without_file() -> Settings {
    let inputs = Inputs {
        file: None,
        environment: Environment::default(),
        flags: &[],
        read_secret: &|_| unreachable!(),
    };
    load(&inputs).unwrap().settings
}

#[test]
fn the_shipped_file_has_exactly_the_declared_settings_and_defaults() {
    let read = yaml::read(default_file().as_bytes());
    assert_eq!(read.mistakes, []);
    let mut found = Vec::new();
    collect("", read.entries, &mut found);
    let declared: Vec<_> = describe().iter().map(|s| (s.name.to_owned(), s.default.to_owned())).collect();
    assert_eq!(found, declared);
}

fn collect(section: &str, entries: Vec<yaml::Entry>, found: &mut Vec<(String, String)>) {
    for entry in entries {
        let name = format!("{section}{}", entry.key);
        match entry.value.shape {
            yaml::Shape::Scalar(text) => found.push((name, text)),
            yaml::Shape::Mapping(inner) => collect(&format!("{name}."), inner, found),
            yaml::Shape::Sequence(items) if items.is_empty() => found.push((name, String::new())),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn the_shipped_file_says_what_is_allowed() {
    // The comment lines right above each setting.
    let mut comment = Vec::new();
    let mut sections: Vec<&str> = Vec::new();
    let mut explained = BTreeSet::new();
    for line in default_file().lines() {
        if let Some(text) = line.trim_start().strip_prefix('#') {
            comment.push(text.trim().to_owned());
            continue;
        }
        if let Some((key, value)) = line.split_once(':') {
            sections.truncate((key.len() - key.trim_start().len()) / 2);
            sections.push(key.trim());
            if !value.is_empty() {
                let name = sections.join(".");
                let setting = describe().iter().find(|setting| setting.name == name).unwrap();
                assert_eq!(comment.last(), Some(&format!("Allowed: {}", setting.kind.allowed())), "{name}");
                assert!(comment.len() > 1, "{name} is not explained");
                explained.insert(name);
            }
        }
        comment.clear();
    }
    assert_eq!(explained.len(), describe().len());
}

#[test]
fn the_declared_defaults_are_allowed() {
    for setting in describe() {
        setting.kind.parse(setting.default).unwrap_or_else(|wrong| panic!("{}: {wrong}", setting.name));
    }
}

#[test]
fn the_table_is_in_order() {
    let mut names = BTreeSet::new();
    let mut sections = vec![""];
    for setting in describe() {
        assert!(names.insert(setting.name), "{} is declared twice", setting.name);
        let kebab = |c: char| c.is_ascii_lowercase() || c == '-' || c == '.';
        assert!(setting.name.chars().all(kebab), "{}", setting.name);
        assert!(setting.help.ends_with('.') && !setting.help.contains('|'), "{}", setting.name);
        // Sections in one piece each, top level first: the dump writes them as they come.
        let section = setting.name.rsplit_once('.').map_or("", |(section, _)| section);
        if sections.last() != Some(&section) {
            assert!(!sections.contains(&section), "{section} is in two pieces");
            sections.push(section);
        }
        assert_eq!(SCHEMA.refusal(setting.name), None, "{} is also refused", setting.name);
        assert!(!SCHEMA.other_variables.contains(&&*setting.variable()), "{}", setting.name);
        if let Kind::Integer { min, max, .. } = setting.kind {
            assert!(min < max && max <= u64::from(u32::MAX), "{}", setting.name);
        }
    }
}

#[test]
fn no_file_an_empty_one_and_the_shipped_one_are_the_same() {
    let settings = without_file();
    for file in ["", "# nothing\n", "\u{feff}", "http:\n  # max-wait: 5s\n", "---\n...\n", default_file()] {
        assert_eq!(try_load(file, &[], &[]).unwrap().settings, settings, "{file}");
    }
}

#[test]
fn defaults_that_matter_to_operation() {
    let settings = without_file();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:4142");
    assert_eq!(settings.data_dir, Path::new("./data"));
    assert_eq!(settings.store, StoreKind::Embedded);
    assert!(!settings.insecure);
    assert_eq!(settings.drain_timeout.as_secs(), 10);
    assert_eq!(settings.max_timeout.to_string(), "720h0m0s");
    assert_eq!(settings.sweep_interval.as_secs(), 5);
    assert_eq!(settings.store_call_timeout.as_secs(), 1);
    assert_eq!(settings.health.interval.as_secs(), 2);
    assert_eq!(settings.queue.max_size, 100_000);
    assert_eq!(settings.queue.abandon_after.to_string(), "1m0s");
    assert_eq!(settings.queue.claim_within.to_string(), "15m0s");
    assert_eq!(settings.http.max_wait.as_secs(), 50);
    assert_eq!(settings.http.keep_alive.as_secs(), 75);
    assert_eq!(settings.http.workers, None);
    assert_eq!(settings.embedded.cache_size, 16 << 20);
    assert_eq!(settings.settle_window.as_secs(), 5);
    assert_eq!(settings.settle_max.as_secs(), 30);
    assert_eq!(settings.presence_lease.as_secs(), 15);
    assert_eq!(settings.redis.key_prefix, "lk");
    assert_eq!(settings.redis.min_replicas, 0);
    assert!(settings.enabled && !settings.chaos);
    let breaker = settings.circuit_breaker.unwrap();
    assert_eq!((breaker.failure_threshold, breaker.success_threshold), (5, 2));
    assert_eq!((breaker.timeout.as_secs(), breaker.window.as_secs()), (5, 10));
    assert_eq!((breaker.failure_percent, breaker.min_calls), (50, 20));
    assert_eq!(settings.health.slow_after.as_millis(), 250);
    assert_eq!((settings.supervision.max_deaths, settings.supervision.max_deaths_per_resource), (100, 10));
    assert_eq!(settings.rate_limit, RateLimitSettings::default());
    assert_eq!((settings.queue.max_tickets, settings.queue.max_tickets_per_namespace), (1_000_000, None));
    assert_eq!((settings.journal_max_entries, settings.actors.max_commands), (10_000, 16_384));
    // One instance with one clock needs none.
    assert_eq!(settings.lease_grace.as_micros(), 0);
}

#[test]
fn the_instance_is_named_after_its_host() {
    let mut settings = without_file();
    assert_eq!(settings.instance_id_on("ci-3.example.org"), "ci-3-example-org");
    assert_eq!(settings.instance_id_on(""), "lockkeeper");
    assert_eq!(settings.instance_id_on(&"ä".repeat(300)).len(), 64);
    settings.instance_id = "a".to_owned();
    assert_eq!(settings.instance_id_on("host"), "a");
}

#[test]
fn the_documentation_lists_exactly_the_settings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the begin mark");
    let (table, after) = rest.split_once(END).expect("the end mark");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}\n{}\n{END}{after}", markdown_table())).unwrap();
        return;
    }
    assert_eq!(
        table.trim(),
        markdown_table().trim(),
        "docs/configuration.md is old: run `UPDATE_DOCS=1 cargo test -p lockkeeper-config`"
    );
    // The prose may not name variables that do not exist.
    for word in page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        if word.starts_with("LOCKKEEPER_") && word != "LOCKKEEPER_" {
            let known = SCHEMA.find_variable(word).is_some() || SCHEMA.other_variables.contains(&word);
            assert!(known, "docs/configuration.md names {word}");
        }
    }
    // The examples of the page are ones that load.
    for example in page.split("```yaml\n").skip(1) {
        let (example, _) = example.split_once("```").expect("the end of the example");
        let inputs = Inputs {
            file: Some(ConfigFile { name: FILE, bytes: example.as_bytes() }),
            environment: Environment::from_pairs([("HOSTNAME", "ci-3")]),
            flags: &[],
            read_secret: &|_| Ok("a password".to_owned()),
        };
        load(&inputs).unwrap();
    }
}

#[test]
fn other_names_are_of_settings_and_not_settings_or_refused() {
    for (alias, name) in SCHEMA.aliases {
        assert!(describe().iter().any(|setting| setting.name == *name), "{alias}");
        assert!(describe().iter().all(|setting| setting.name != *alias), "{alias}");
        assert_eq!(SCHEMA.refusal(alias), None, "{alias} is also refused");
    }
}
