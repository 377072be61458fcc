//! The kill switch by the names it has elsewhere.

use super::{try_load, wrong};
use crate::Source;

const DISABLE: &str = "DISABLE_ENHANCED_LOCKING";
const ENABLED: &str = "ATLANTIS_ENHANCED_LOCKING_ENABLED";

#[test]
fn a_thrown_switch_wins_over_every_source() {
    for (variable, value) in [
        (DISABLE, "true"),
        (DISABLE, "1"),
        (DISABLE, "yes"),
        (DISABLE, "TRUE"),
        (ENABLED, "false"),
        (ENABLED, "0"),
        (ENABLED, "no"),
    ] {
        let loaded = try_load(
            "enabled: true\n",
            &[(variable, value), ("LOCKKEEPER_ENABLED", "true")],
            &[("enabled", "true", "--set enabled")],
        )
        .unwrap();
        assert!(!loaded.settings.enabled, "{variable}={value}");
        let source = Source::Environment(variable.to_owned());
        assert_eq!(loaded.effective.source("enabled"), Some(&source));
    }
}

#[test]
fn a_switch_that_is_not_thrown_says_nothing() {
    for (variable, value) in [
        (DISABLE, "false"),
        (DISABLE, "0"),
        (DISABLE, "no"),
        (DISABLE, ""),
        (ENABLED, "true"),
        (ENABLED, "1"),
        (ENABLED, ""),
    ] {
        assert!(try_load("", &[(variable, value)], &[]).unwrap().settings.enabled, "{variable}={value}");
        // It does not turn on what another turned off.
        assert!(!try_load("enabled: false\n", &[(variable, value)], &[]).unwrap().settings.enabled);
    }
    let both = [(DISABLE, "false"), (ENABLED, "false")];
    assert!(!try_load("", &both, &[]).unwrap().settings.enabled);
}

#[test]
fn a_word_that_says_neither_is_refused_by_the_switchs_name() {
    for variable in [DISABLE, ENABLED] {
        for value in ["off", "on", "enabled", "2", " true"] {
            assert_eq!(
                wrong("", &[(variable, value)], &[]),
                [format!(
                    "enabled (environment {variable}): {value:?} is not true, false, 1, 0, yes or no; unset it, or say which"
                )]
            );
        }
    }
}

#[test]
fn the_usual_ways_work_too() {
    for (file, variables, flags) in [
        ("enabled: false\n", &[][..], &[][..]),
        ("", &[("LOCKKEEPER_ENABLED", "false")], &[]),
        ("", &[], &[("enabled", "false", "--set enabled")]),
    ] {
        assert!(!try_load(file, variables, flags).unwrap().settings.enabled);
    }
}
