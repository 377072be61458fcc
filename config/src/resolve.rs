//! File, environment and flags to one value for each setting, or to everything that is wrong.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{io, mem};

use crate::effective::{Effective, Entry};
use crate::environment::Environment;
use crate::file::{self, ConfigFile};
use crate::layer::{Given, Layer};
use crate::problem::{Problem, Problems};
use crate::schema::{Form, Found, Rule, Schema, Setting, Switch, name_of_variable, variable};
use crate::source::Source;
use crate::value::Value;

/// A setting given on the command line.
#[derive(Clone, Copy, Debug)]
pub struct Flag<'a> {
    /// The setting's name.
    pub setting: &'a str,
    /// Its value; `true` for a flag without one.
    pub value: &'a str,
    /// The flag as spelt, for messages.
    pub spelling: &'a str,
}

/// Everything that settings are made from. Reading it from the process and the disk is the caller's
/// business, so the same inputs always give the same settings.
pub struct Inputs<'a> {
    /// The settings file, if there is one.
    pub file: Option<ConfigFile<'a>>,
    /// The environment.
    pub environment: Environment,
    /// The flags, in their order.
    pub flags: &'a [Flag<'a>],
    /// Reads the file of a secret.
    pub read_secret: &'a dyn Fn(&Path) -> io::Result<String>,
}

/// The settings whose value is valid so far, for rules between several.
pub(crate) struct Candidates(HashMap<&'static str, Entry>);

impl Candidates {
    pub(crate) fn new(entries: HashMap<&'static str, Entry>) -> Self {
        Self(entries)
    }

    pub(crate) fn put(&mut self, entry: Entry) {
        self.0.insert(entry.setting.name, entry);
    }

    pub(crate) fn into_effective(self, settings: &'static [Setting]) -> Effective {
        Effective::new(settings, self.0)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.0.get(name)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Entry> {
        self.0.get_mut(name)
    }
}

/// Makes the settings of a schema.
pub(crate) fn resolve(schema: &Schema, inputs: &Inputs<'_>) -> Result<Effective, Problems> {
    let mut layers = vec![defaults(schema)];
    if let Some(file) = inputs.file {
        let source = |at| Source::File { name: file.name.to_owned(), at };
        layers.push(file::read(schema, file.bytes, &inputs.environment, &source));
    }
    layers.push(from_environment(schema, &inputs.environment));
    layers.push(from_flags(schema, inputs.flags));

    let mut problems = Vec::new();
    for layer in &mut layers {
        problems.append(&mut mem::take(&mut layer.problems));
    }
    let mut candidates = HashMap::new();
    let mut refused = Vec::new();
    for mut layer in layers {
        // A source may give a secret's default beside the file that holds it, in either order.
        layer.given.sort_by_key(|given| given.form == Form::File);
        for given in layer.given {
            match take(&given, inputs.read_secret) {
                Ok(entry) => {
                    if let Some(problem) = both_forms(candidates.get(given.setting.name), &entry) {
                        problems.push(problem);
                    }
                    refused.retain(|name| *name != given.setting.name);
                    candidates.insert(given.setting.name, entry);
                }
                Err(problem) => {
                    // What is overridden must be valid too: a mistake that waits in the file strikes on
                    // the day the override goes. But a rule must not speak about a value not in force.
                    refused.push(given.setting.name);
                    problems.push(problem);
                }
            }
        }
    }
    refused.iter().for_each(|name| {
        candidates.remove(name);
    });
    let mut candidates = Candidates(candidates);
    problems.append(&mut throw_switches(schema, &inputs.environment, &mut candidates));
    problems.sort_by_key(|problem| problem.source.order());
    problems.append(&mut broken_rules(schema, &candidates));
    if let Some(problems) = Problems::from_list(problems) {
        return Err(problems);
    }
    (schema.spread)(&mut candidates);
    Ok(candidates.into_effective(schema.settings))
}

/// What does not fit together.
pub(crate) fn broken_rules(schema: &Schema, candidates: &Candidates) -> Vec<Problem> {
    let mut problems = Vec::new();
    for rule in schema.rules.iter().copied().flatten() {
        match rule {
            Rule::One(rule) => problems.extend(rule(candidates)),
            Rule::Many(rule) => problems.append(&mut rule(candidates)),
        }
    }
    problems
}

/// A switch that is thrown wins; one that is not says nothing.
fn throw_switches(schema: &Schema, environment: &Environment, candidates: &mut Candidates) -> Vec<Problem> {
    let mut problems = Vec::new();
    for Switch { variable, setting, off } in schema.switches {
        let Some(value) = environment.get(variable) else { continue };
        let source = Source::Environment((*variable).to_owned());
        let said = match value.map(str::to_ascii_lowercase).as_deref() {
            Ok("") => continue,
            Ok("true" | "1" | "yes") => true,
            Ok("false" | "0" | "no") => false,
            Ok(_) => {
                let message = "is not true, false, 1, 0, yes or no; unset it, or say which";
                let problem = Problem::new(setting, &source, message);
                problems.push(problem.with_value(value.unwrap_or_default(), false));
                continue;
            }
            Err(_) => {
                problems.push(Problem::new(setting, &source, "is not UTF-8 text"));
                continue;
            }
        };
        let Some(Found { setting, name, .. }) = schema.find(setting).filter(|_| said == *off) else {
            continue;
        };
        candidates.put(Entry { setting, name, value: Value::Bool(false), source, file: None });
    }
    problems
}

fn defaults(schema: &Schema) -> Layer {
    file::read(schema, schema.defaults.as_bytes(), &Environment::default(), &|_| Source::Default)
}

fn from_environment(schema: &Schema, environment: &Environment) -> Layer {
    let mut layer = Layer::default();
    for (name, value) in environment.ours().filter(|(name, _)| !schema.other_variables.contains(name)) {
        let source = Source::Environment(name.to_owned());
        match (schema.find_variable(name), value) {
            (Some(Found { setting, form, name }), Ok(value)) => {
                layer.give(Given { setting, form, name, text: value.to_owned(), source });
            }
            (Some(found), Err(_)) => {
                layer.problems.push(Problem::new(found.name, &source, "is not UTF-8 text"));
            }
            (None, _) => {
                let unknown = name_of_variable(name);
                let message = schema.unknown(&unknown, |meant| {
                    // A section has no variable of its own.
                    if schema.find(meant).is_some() {
                        variable(meant)
                    } else {
                        format!("{}__…", variable(meant))
                    }
                });
                layer.problems.push(Problem::new(&unknown, &source, message));
            }
        }
    }
    layer
}

fn from_flags(schema: &Schema, flags: &[Flag<'_>]) -> Layer {
    let mut layer = Layer::default();
    for flag in flags {
        let source = Source::Flag(flag.spelling.to_owned());
        match schema.find(flag.setting) {
            Some(Found { setting, form, name }) => {
                layer.give_flag(Given { setting, form, name, text: flag.value.to_owned(), source });
            }
            None => {
                let message = schema.unknown(flag.setting, |meant| format!("{meant:?}"));
                let problem = Problem::new(flag.setting, &source, message);
                // A refused flag may be repeated; once is enough to say so.
                if !layer.problems.contains(&problem) {
                    layer.problems.push(problem);
                }
            }
        }
    }
    layer
}

/// Reads a given value, or the file that holds it.
fn take(given: &Given, read_secret: &dyn Fn(&Path) -> io::Result<String>) -> Result<Entry, Problem> {
    let Given { setting, form, name, text, source } = given;
    let entry = |value, file| Entry { setting, name, value, source: source.clone(), file };
    match form {
        Form::Value => {
            let value = parse(setting, text)
                .map_err(|message| Problem::new(name, source, message).with_value(text, setting.masked()))?;
            Ok(entry(value, None))
        }
        Form::File => {
            let name = setting.file_name().unwrap_or_default();
            let wrong = |message: String| Problem::new(&name, source, message).with_value(text, false);
            let content =
                read_secret(Path::new(text)).map_err(|error| wrong(format!("cannot be read: {error}")))?;
            let content =
                content.strip_suffix('\n').map_or(&*content, |cut| cut.strip_suffix('\r').unwrap_or(cut));
            let value =
                parse(setting, content).map_err(|message| wrong(format!("holds a value that {message}")))?;
            Ok(entry(value, Some(PathBuf::from(text))))
        }
    }
}

fn parse(setting: &Setting, text: &str) -> Result<Value, String> {
    setting.kind.parse(text)
}

/// A secret given directly and by file: whichever won, someone would think it was the other. A copy of
/// the default file says of each secret that there is none, which a file may then replace.
fn both_forms(earlier: Option<&Entry>, entry: &Entry) -> Option<Problem> {
    let earlier = earlier.filter(|earlier| earlier.file.is_some() || earlier.differs_from_default())?;
    let message = || {
        let file = entry.setting.file_name().unwrap_or_default();
        format!("is given both directly and by {file:?} ({}); give only one", earlier.source)
    };
    (earlier.file.is_some() != entry.file.is_some())
        .then(|| Problem::new(entry.setting.name, &entry.source, message()))
}
