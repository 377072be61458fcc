//! Tests of loading as a whole; each small part has its own beside it.

mod bad_values;
mod dump;
mod limits;
mod live;
mod names;
mod redis;
mod redis_rules;
mod secrets;
mod shipped;
mod sources;
mod switches;

use crate::{ConfigFile, Environment, Flag, Inputs, Loaded, Problems, load};

/// The name under which the tests' settings file appears in messages.
const FILE: &str = "lockkeeper.yaml";

/// Loads from a file's text, variables, and flags as (setting, value, spelling).
fn try_load(
    file: &str,
    variables: &[(&str, &str)],
    flags: &[(&str, &str, &str)],
) -> Result<Loaded, Problems> {
    let flags: Vec<_> =
        flags.iter().map(|&(setting, value, spelling)| Flag { setting, value, spelling }).collect();
    load(&Inputs {
        file: Some(ConfigFile { name: FILE, bytes: file.as_bytes() }),
        environment: Environment::from_pairs(variables.iter().copied()),
        flags: &flags,
        read_secret: &|path| panic!("nothing is secret, yet {} was read", path.display()),
    })
}

/// What is wrong, one line each.
fn wrong(file: &str, variables: &[(&str, &str)], flags: &[(&str, &str, &str)]) -> Vec<String> {
    match try_load(file, variables, flags) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}
