//! Secrets, on a schema of their own, which has one of each kind.

use std::io;
use std::path::Path;

use super::FILE;
use crate::effective::Effective;
use crate::resolve::resolve;
use crate::schema::Schema;
use crate::{ConfigFile, Environment, Flag, Inputs, Kind, Setting};

const fn setting(name: &'static str, kind: Kind, default: &'static str, secret: bool) -> Setting {
    Setting { name, kind, default, help: "A test's.", secret, restart: true }
}

fn short(text: &str) -> Result<(), String> {
    if text.len() > 20 { Err("is too long".to_owned()) } else { Ok(()) }
}

const TEXT: Kind = Kind::Text { allowed: "up to 20 bytes", check: short };

const SCHEMA: Schema = Schema {
    settings: &[
        setting("name", TEXT, "anna", false),
        setting("db.password", TEXT, "", true),
        setting("db.pin", Kind::Integer { min: 1000, max: 9999, zero: None }, "1234", true),
    ],
    refused: &[],
    aliases: &[],
    defaults: "name: anna\ndb:\n  password: \"\"\n  pin: 1234\n",
    switches: &[],
    other_variables: &[],
    rules: &[],
    spread: |_| {},
};

fn try_load(
    file: &str,
    variables: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Effective, Vec<String>> {
    let flags: Vec<_> =
        flags.iter().map(|&(setting, value)| Flag { setting, value, spelling: "--flag" }).collect();
    let inputs = Inputs {
        file: Some(ConfigFile { name: FILE, bytes: file.as_bytes() }),
        environment: Environment::from_pairs(variables.iter().copied()),
        flags: &flags,
        read_secret: &|path: &Path| match path.to_str() {
            Some("/run/password") => Ok("from a file\n".to_owned()),
            Some("/run/dos") => Ok("from a file\r\n".to_owned()),
            Some("/run/two") => Ok("from a file\n\n".to_owned()),
            Some("/run/long") => Ok("hunter2".repeat(10)),
            Some("/run/pin") => Ok("4711".to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        },
    };
    resolve(&SCHEMA, &inputs).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn a_secret_may_come_from_a_file() {
    for (path, password) in
        [("/run/password", "from a file"), ("/run/dos", "from a file"), ("/run/two", "from a file\n")]
    {
        let file = format!("db:\n  password-file: {path}\n");
        assert_eq!(try_load(&file, &[], &[]).unwrap().text("db.password"), password);
        let variables = [("LOCKKEEPER_DB__PASSWORD_FILE", path)];
        assert_eq!(try_load("", &variables, &[]).unwrap().text("db.password"), password);
        let flags = [("db.password-file", path)];
        assert_eq!(try_load("", &[], &flags).unwrap().text("db.password"), password);
    }
    let variables = [("RUN", "/run")];
    let loaded = try_load("db:\n  pin-file: ${RUN}/pin\n", &variables, &[]).unwrap();
    assert_eq!(loaded.integer("db.pin"), 4711);
}

#[test]
fn only_secrets_have_a_file() {
    let problems = try_load("name-file: /run/password\n", &[], &[]).unwrap_err();
    assert!(
        problems[0].starts_with("name-file (lockkeeper.yaml:1:1): there is no such setting"),
        "{problems:?}"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let problems = try_load("db:\n  password-file: /run/none\n", &[], &[]).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].starts_with("db.password-file (lockkeeper.yaml:2:18): \"/run/none\" cannot be read: "),
        "{problems:?}"
    );
}

#[test]
fn both_forms_at_once_are_refused() {
    for (file, variables) in [
        ("db:\n  password: a\n  password-file: /run/password\n", &[][..]),
        ("db:\n  password-file: /run/password\n  password: a\n", &[]),
        ("db:\n  password: a\n", &[("LOCKKEEPER_DB__PASSWORD_FILE", "/run/password")]),
        ("db:\n  password-file: /run/password\n", &[("LOCKKEEPER_DB__PASSWORD", "a")]),
    ] {
        let problems = try_load(file, variables, &[]).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].starts_with("db.password (") && problems[0].contains("give only one"),
            "{problems:?}"
        );
    }
    // A copy of the default file may be completed by the secret's file, in any order and place.
    for (file, variables) in [
        ("db:\n  password: \"\"\n  password-file: /run/password\n", &[][..]),
        ("db:\n  password-file: /run/password\n  password: \"\"\n", &[]),
        ("db:\n  password: \"\"\n", &[("LOCKKEEPER_DB__PASSWORD_FILE", "/run/password")]),
    ] {
        assert_eq!(try_load(file, variables, &[]).unwrap().text("db.password"), "from a file");
    }
    // But whoever empties it later meant something by it.
    let variables = [("LOCKKEEPER_DB__PASSWORD", "")];
    assert!(try_load("db:\n  password-file: /run/password\n", &variables, &[]).is_err());
    // The same form in two places is the usual precedence.
    let variables = [("LOCKKEEPER_DB__PASSWORD", "b")];
    assert_eq!(try_load("db:\n  password: a\n", &variables, &[]).unwrap().text("db.password"), "b");
}

#[test]
fn a_secret_is_never_shown() {
    let secret = "hunter2hunter2hunter2";
    for problems in [
        try_load(&format!("db:\n  password: {secret}\n"), &[], &[]).unwrap_err(),
        try_load("", &[("LOCKKEEPER_DB__PASSWORD", secret)], &[]).unwrap_err(),
        try_load("", &[], &[("db.password", secret)]).unwrap_err(),
        try_load("", &[], &[("db.pin", "hunter2")]).unwrap_err(),
        try_load("db:\n  password: hunter2${X\n", &[], &[]).unwrap_err(),
        try_load("db:\n  password: hunter2${X}\n", &[], &[]).unwrap_err(),
        try_load("db:\n  password-file: /run/long\n", &[], &[]).unwrap_err(),
        try_load("db:\n  pasword: hunter2\n", &[], &[]).unwrap_err(),
        try_load("db:\n  password: &a hunter2\n  pin: *a\n", &[], &[]).unwrap_err(),
        try_load("db:\n  password: hunter2\n  password: hunter2\n", &[], &[]).unwrap_err(),
    ] {
        assert!(!problems.is_empty());
        for problem in problems {
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }
    let problems = try_load("", &[], &[("db.pin", "1")]).unwrap_err();
    assert_eq!(problems, ["db.pin (--flag): \"********\" is less than 1000; allowed: 1000 to 9999"]);
}

#[test]
fn a_dump_shows_no_secret_and_loads_again() {
    let dump = try_load("db:\n  password: hunter2\n  pin-file: /run/pin\n", &[], &[]).unwrap().dump();
    assert_eq!(
        dump,
        "# The effective settings, each with where its value comes from.\n\
         name: \"anna\"  # default\n\
         db:\n\
         \x20 # password: \"********\"  # lockkeeper.yaml:2:13\n\
         \x20 pin-file: \"/run/pin\"  # lockkeeper.yaml:3:13\n"
    );
    let again = try_load(&dump, &[], &[]).unwrap();
    assert_eq!(again.text("db.password"), "");
    assert_eq!(again.integer("db.pin"), 4711);
    // A default is no secret, whoever says it.
    let dump = try_load("db:\n  password: \"\"\n", &[], &[]).unwrap().dump();
    assert!(dump.contains("  password: \"\"  # lockkeeper.yaml:2:13\n"), "{dump}");
    assert!(try_load("", &[], &[]).unwrap().dump().contains("  pin: 1234  # default\n"));
}
