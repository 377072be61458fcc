//! The cards of the operations guide.

use super::guide::{GUIDE, Section, cards, quoted, sections};
use super::promql::Expression;
use super::rules::rules;
use super::source::{has_code, source};
use super::{file, read};
use crate::support::lockkeeper;
use std::collections::BTreeSet;

/// What somebody needs at three in the morning, in this order.
const PARTS: [&str; 4] = ["**Clients see.**", "**By itself.**", "**Do.**", "**Call somebody**"];

/// Sections of settings; `phase.changed` and its like are something else.
const SETTINGS: [&str; 10] = [
    "queue",
    "http",
    "events",
    "actors",
    "embedded",
    "redis",
    "health",
    "circuit-breaker",
    "journal",
    "rate-limit",
];

fn anchors() -> BTreeSet<String> {
    sections().iter().map(Section::anchor).collect()
}

#[test]
fn every_alert_leads_to_a_card_that_knows_it() {
    let cards = cards();
    for rule in rules() {
        let anchor = rule.runbook.strip_prefix(&format!("{GUIDE}#")).unwrap_or_else(|| panic!("{rule:?}"));
        let card = cards.iter().find(|card| card.anchor() == anchor);
        let card = card.unwrap_or_else(|| panic!("{}: there is no card {anchor}", rule.name));
        let alerts = card.items("Alert").join(" ");
        assert!(quoted(&alerts).contains(&&*rule.name), "the card {anchor} does not name {}", rule.name);
    }
    let known: BTreeSet<String> = rules().into_iter().map(|rule| rule.name).collect();
    for card in &cards {
        for alert in card.items("Alert").iter().flat_map(|item| quoted(item)) {
            assert!(known.contains(alert), "{}: there is no alert {alert}", card.title);
        }
    }
}

#[test]
fn every_card_has_what_somebody_needs() {
    let cards = cards();
    assert!(cards.len() > 20, "{} cards", cards.len());
    for card in &cards {
        let places: Vec<_> = PARTS.iter().map(|part| card.text.find(part)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{}: {places:?}", card.title);
        let looks = ["Log", "Metric", "Event", "Alert"].iter().any(|word| !card.items(word).is_empty());
        assert!(looks, "{}: how does it look?", card.title);
    }
}

#[test]
fn every_card_is_found_by_its_symptom() {
    let text = read(GUIDE);
    let index = sections().into_iter().find(|section| section.title == "What is wrong?").unwrap().text;
    for card in cards() {
        assert!(index.contains(&format!("(#{})", card.anchor())), "{} is not in the index", card.title);
    }
    let anchors = anchors();
    for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        if path.is_empty() {
            assert!(anchors.contains(anchor), "{link} leads nowhere");
        } else if !path.contains("://") {
            assert!(file(&format!("docs/{path}")).exists(), "{link} leads nowhere");
        }
    }
}

#[test]
fn quoted_log_lines_are_really_printed() {
    let source = source();
    let mut phrases: Vec<String> = Vec::new();
    for section in sections() {
        let logs = section.items("Log").join(" ");
        phrases.extend(quoted(&logs).into_iter().map(ToOwned::to_owned));
        if section.title == "Log lines" {
            let rows = section.text.lines().filter(|line| line.starts_with("| `"));
            phrases.extend(rows.filter_map(|row| Some((*quoted(row).first()?).to_owned())));
        }
    }
    assert!(phrases.len() > 30, "{phrases:?}");
    let printed = |phrase: &&String| phrase.split('…').all(|piece| source.contains(piece.trim()));
    let invented: Vec<_> = phrases.iter().filter(|phrase| !printed(phrase)).collect();
    assert!(invented.is_empty(), "{invented:#?}");
}

#[test]
fn metrics_events_and_codes_exist() {
    let source = source();
    let mut wrong = Vec::new();
    for section in sections() {
        let title = &section.title;
        for metric in section.items("Metric").iter().flat_map(|item| quoted(item)) {
            let complaints = Expression::read(metric).complaints();
            wrong.extend(complaints.into_iter().map(|complaint| format!("{title}: {complaint}")));
        }
        for event in section.items("Event").iter().flat_map(|item| quoted(item)) {
            if !source.contains(&format!("\"{event}\"")) {
                wrong.push(format!("{title}: no event {event}"));
            }
        }
        // As in: 503 `overloaded`
        let words: Vec<&str> = section.text.split_whitespace().collect();
        for pair in words.windows(2) {
            let is_status = |word: &str| {
                word.len() == 3 && word.starts_with(['4', '5']) && word.bytes().all(|b| b.is_ascii_digit())
            };
            let Some(code) = pair[1].strip_prefix('`').and_then(|rest| rest.split('`').next()) else {
                continue;
            };
            let is_word = code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            let is_phase = ["hold_only", "sealed", "draining"].contains(&code);
            if is_status(pair[0]) && is_word && !is_phase && !has_code(code) {
                wrong.push(format!("{title}: no code {code}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn commands_and_settings_exist() {
    let help = lockkeeper().arg("--help").output().unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let commands: BTreeSet<&str> =
        help.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    assert!(commands.contains("serve"), "{help}");
    let settings = read("docs/configuration.md");
    let mut wrong = Vec::new();
    for section in sections() {
        let inline = quoted(&section.text).into_iter();
        let blocks = section.text.lines().filter_map(|line| line.strip_prefix("    "));
        for line in inline.clone().chain(blocks) {
            let Some(rest) = line.trim_start().strip_prefix("lockkeeper ") else { continue };
            let command = rest.split(' ').find(|word| !word.starts_with('-') && !word.contains("://"));
            if command.is_none_or(|command| !commands.contains(command)) {
                wrong.push(format!("{}: no command: {line}", section.title));
            }
        }
        for name in inline {
            let is_setting = name.split_once('.').is_some_and(|(group, rest)| {
                SETTINGS.contains(&group)
                    && rest.bytes().all(|byte| byte.is_ascii_lowercase() || b"-.".contains(&byte))
            });
            // Secrets may be given as the path of a file.
            let of_file = name.strip_suffix("-file").unwrap_or(name);
            let is_known = [name, of_file].iter().any(|name| settings.contains(&format!("| `{name}` |")));
            if is_setting && !is_known {
                wrong.push(format!("{}: no setting {name}", section.title));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
