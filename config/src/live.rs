//! Settings of a server that runs: which of them change, and to what.
//!
//! What changes is checked as a whole with the same rules as at the start, so that nothing can come into
//! force that would not start. Nothing here acts: the caller makes the result known.

use std::collections::HashMap;

use crate::Loaded;
use crate::effective::{Effective, Entry};
use crate::problem::{MASK, Problem, Problems};
use crate::resolve::{Candidates, broken_rules};
use crate::schema::{Form, Found, Schema, Setting};
use crate::settings::{SCHEMA, Settings};
use crate::source::Source;

/// Said of a setting that is not taken over by a running server.
const NEEDS_RESTART: &str = "takes effect at the start only: change it where it is set (settings file, environment or flag) and restart this instance";

/// What a setting shall be from now on.
#[derive(Clone, Copy, Debug)]
pub struct Amendment<'a> {
    /// The setting's name.
    pub setting: &'a str,
    /// Its value, as it could stand in a variable.
    pub value: &'a str,
}

/// A setting that has, or would have, another value than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub setting: &'static str,
    /// What it was; masked for a secret.
    pub before: String,
    /// What it is; masked for a secret.
    pub after: String,
    /// Where the new value comes from.
    pub source: Source,
}

/// What a running server takes over.
#[derive(Clone, Debug)]
pub struct Amended {
    /// All settings, as they are in force then.
    pub loaded: Loaded,
    /// Those that are different then.
    pub changes: Vec<Change>,
}

impl Loaded {
    /// These settings with some changed while the server runs: all of them or, if anything is wrong, none.
    ///
    /// # Errors
    /// Everything that is wrong: names that do not exist, values out of range, settings that only a restart
    /// changes, what contradicts another.
    pub fn amended(&self, amendments: &[Amendment<'_>]) -> Result<Amended, Problems> {
        let mut candidates = candidates(&self.effective);
        let mut problems = Vec::new();
        let mut given: Vec<&'static str> = Vec::new();
        for Amendment { setting: name, value } in amendments {
            match amend(&SCHEMA, name, value) {
                Ok(entry) if given.contains(&entry.setting.name) => {
                    problems.push(Problem::new(entry.name, &Source::Runtime, "is given a second time"));
                }
                Ok(entry) => {
                    given.push(entry.setting.name);
                    // What it is already it has from where it has it.
                    if candidates.get(entry.setting.name).is_none_or(|known| known.value != entry.value) {
                        candidates.put(entry);
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
        self.with(candidates, problems)
    }

    /// These settings with those of `newer` that a running server takes over.
    ///
    /// # Errors
    /// Everything that does not fit together as long as the rest stays as it is.
    pub fn adopting(&self, newer: &Self) -> Result<Amended, Problems> {
        let mut candidates = candidates(&self.effective);
        for entry in newer.effective.entries().iter().filter(|entry| !entry.setting.restart) {
            candidates.put(entry.clone());
        }
        self.with(candidates, Vec::new())
    }

    /// What would be different after a restart with `newer`, apart from what needs none.
    #[must_use]
    pub fn pending(&self, newer: &Self) -> Vec<Change> {
        let mut changes = changes(&self.effective, &newer.effective);
        changes.retain(|change| SCHEMA.find(change.setting).is_some_and(|found| found.setting.restart));
        changes
    }

    fn with(&self, candidates: Candidates, mut problems: Vec<Problem>) -> Result<Amended, Problems> {
        problems.append(&mut broken_rules(&SCHEMA, &candidates));
        if let Some(problems) = Problems::from_list(problems) {
            return Err(problems);
        }
        let effective = candidates.into_effective(SCHEMA.settings);
        let changes = changes(&self.effective, &effective);
        Ok(Amended { loaded: Self { settings: Settings::from_effective(&effective), effective }, changes })
    }
}

fn candidates(effective: &Effective) -> Candidates {
    let entries = effective.entries().iter();
    Candidates::new(entries.map(|entry| (entry.setting.name, entry.clone())).collect::<HashMap<_, _>>())
}

fn amend(schema: &Schema, name: &str, value: &str) -> Result<Entry, Problem> {
    let source = Source::Runtime;
    let Some(Found { setting, form, name: known }) = schema.find(name) else {
        return Err(Problem::new(name, &source, schema.unknown(name, |meant| format!("{meant:?}"))));
    };
    if setting.restart || form == Form::File {
        return Err(Problem::new(name, &source, NEEDS_RESTART));
    }
    let parsed = setting.kind.parse(value);
    let value = parsed
        .map_err(|message| Problem::new(known, &source, message).with_value(value, setting.masked()))?;
    Ok(Entry { setting, name: known, value, source, file: None })
}

fn changes(before: &Effective, after: &Effective) -> Vec<Change> {
    let pairs = before.entries().iter().zip(after.entries());
    let changed = pairs.filter(|(before, after)| before.value != after.value);
    changed
        .map(|(before, after)| Change {
            setting: after.setting.name,
            before: shown(before.setting, before),
            after: shown(after.setting, after),
            source: after.source.clone(),
        })
        .collect()
}

fn shown(setting: &Setting, entry: &Entry) -> String {
    if setting.secret { MASK.to_owned() } else { entry.value.to_string() }
}
