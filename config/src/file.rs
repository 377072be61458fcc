//! The settings file as a layer.

use crate::environment::Environment;
use crate::expand::expand;
use crate::layer::{Given, Layer};
use crate::problem::Problem;
use crate::schema::{Form, Found, Schema};
use crate::source::{Position, Source};
use crate::yaml::{self, Entry, Node, Shape};

/// A settings file that the caller has read.
#[derive(Clone, Copy, Debug)]
pub struct ConfigFile<'a> {
    /// Its name, for messages.
    pub name: &'a str,
    /// What is in it.
    pub bytes: &'a [u8],
}

/// Reads the file; `source` tells how its values are called.
pub(crate) fn read(
    schema: &Schema,
    bytes: &[u8],
    environment: &Environment,
    source: &dyn Fn(Option<Position>) -> Source,
) -> Layer {
    let read = yaml::read(bytes);
    let mut walk = Walk { schema, environment, source, layer: Layer::default() };
    for mistake in read.mistakes {
        let problem =
            Problem { setting: None, source: source(mistake.at), value: None, message: mistake.message };
        walk.layer.problems.push(problem);
    }
    walk.entries("", read.entries);
    walk.layer
}

struct Walk<'a> {
    schema: &'a Schema,
    environment: &'a Environment,
    source: &'a dyn Fn(Option<Position>) -> Source,
    layer: Layer,
}

impl Walk<'_> {
    fn entries(&mut self, section: &str, entries: Vec<Entry>) {
        for entry in entries {
            let name = if section.is_empty() { entry.key } else { format!("{section}.{}", entry.key) };
            if let Some(Found { setting, form, name: known }) = self.schema.find(&name) {
                let masked = setting.masked() && form == Form::Value;
                let text = match &entry.value.shape {
                    Shape::Sequence(items) if setting.kind.is_list() => self.list(&name, masked, items),
                    _ => self.text(&name, masked, &entry.value),
                };
                match text {
                    Ok(text) => {
                        let source = (self.source)(Some(entry.value.at));
                        self.layer.give(Given { setting, form, name: known, text, source });
                    }
                    Err(problem) => self.layer.problems.push(problem),
                }
            } else if self.schema.is_section(&name) {
                self.section(&name, entry.value);
            } else {
                // Reported once, however much is below it, and without its value: it may be a secret.
                let message = self.schema.unknown(&name, |meant| format!("{meant:?}"));
                self.problem(&name, entry.at, message);
            }
        }
    }

    fn section(&mut self, name: &str, value: Node) {
        match value.shape {
            Shape::Mapping(entries) => self.entries(name, entries),
            // All of its settings are commented out.
            Shape::Null => {}
            Shape::Scalar(_) | Shape::Sequence(_) => {
                let message = "is a section; write its settings below it, indented by two spaces";
                self.problem(name, value.at, message.to_owned());
            }
        }
    }

    fn text(&self, name: &str, secret: bool, value: &Node) -> Result<String, Problem> {
        let source = (self.source)(Some(value.at));
        match &value.shape {
            Shape::Scalar(text) => expand(text, self.environment)
                .map_err(|message| Problem::new(name, &source, message).with_value(text, secret)),
            Shape::Null => {
                let message =
                    "has no value; write one, \"\" for an empty text, or leave the line out for the default";
                Err(Problem::new(name, &source, message))
            }
            Shape::Mapping(_) | Shape::Sequence(_) => {
                Err(Problem::new(name, &source, "takes a single value, not a list or a section"))
            }
        }
    }

    /// The items as one text, as they would stand in a variable or behind a flag.
    fn list(&self, name: &str, masked: bool, items: &[Node]) -> Result<String, Problem> {
        let texts: Result<Vec<_>, _> = items.iter().map(|item| self.text(name, masked, item)).collect();
        Ok(texts?.join(","))
    }

    fn problem(&mut self, name: &str, at: Position, message: String) {
        self.layer.problems.push(Problem::new(name, &(self.source)(Some(at)), message));
    }
}
