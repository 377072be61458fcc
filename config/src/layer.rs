//! What one source gave.

use crate::problem::Problem;
use crate::schema::{Form, Setting};
use crate::source::Source;

/// A value as it was given, not yet read.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) setting: &'static Setting,
    pub(crate) form: Form,
    /// The setting's name as it was written.
    pub(crate) name: &'static str,
    pub(crate) text: String,
    pub(crate) source: Source,
}

/// Everything one source gave; each setting at most once.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    pub(crate) given: Vec<Given>,
    pub(crate) problems: Vec<Problem>,
}

impl Layer {
    /// Notes a value, or that there already is one.
    pub(crate) fn give(&mut self, given: Given) {
        let first = self
            .given
            .iter()
            .find(|other| other.setting.name == given.setting.name && other.form == given.form);
        match first {
            Some(first) => {
                let message = format!("is given a second time; the first is {}", first.source);
                self.problems.push(Problem::new(given.name, &given.source, message));
            }
            None => self.given.push(given),
        }
    }

    /// The same for a flag: one that takes a list may be repeated.
    pub(crate) fn give_flag(&mut self, given: Given) {
        let begun = self.given.iter_mut().find(|begun| {
            given.setting.kind.is_list()
                && begun.setting.name == given.setting.name
                && begun.source == given.source
        });
        match begun {
            Some(begun) => begun.text = format!("{},{}", begun.text, given.text),
            None => self.give(given),
        }
    }
}
