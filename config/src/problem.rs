//! What is wrong with the settings: always all of it, since fixing one line per start is a bad way to
//! spend an outage.

use std::fmt;

use crate::source::Source;

/// What stands for the value of a secret, wherever a value is shown.
pub(crate) const MASK: &str = "********";

/// A longer value is cut in messages.
const SHOWN_CHARS_MAX: usize = 100;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting; none when it is about a file as a whole.
    pub setting: Option<String>,
    /// Where the value stands.
    pub source: Source,
    /// The value, masked for secrets; none where it would not help, or might be a secret.
    pub value: Option<String>,
    /// What is wrong with it and what is allowed, as the rest of a sentence about the value.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(setting: &str, source: &Source, message: impl Into<String>) -> Self {
        Self {
            setting: Some(setting.to_owned()),
            source: source.clone(),
            value: None,
            message: message.into(),
        }
    }

    pub(crate) fn with_value(mut self, value: &str, secret: bool) -> Self {
        self.value = Some(if secret { MASK.to_owned() } else { shown(value) });
        self
    }
}

/// A text without what could break out of its line.
pub(crate) fn plain(text: &str) -> String {
    text.replace(char::is_control, "?")
}

pub(crate) fn shown(value: &str) -> String {
    let mut chars = value.chars();
    let mut shown: String = chars.by_ref().take(SHOWN_CHARS_MAX).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.setting {
            // A name that does not exist can be anything; it must not fill or drive a terminal.
            Some(setting) => write!(f, "{} ({}): ", plain(&shown(setting)), plain(&self.source.to_string()))?,
            None => write!(f, "{}: ", plain(&self.source.to_string()))?,
        }
        if let Some(value) = &self.value {
            write!(f, "{value:?} ")?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// None when nothing is wrong.
    pub(crate) fn from_list(problems: Vec<Problem>) -> Option<Self> {
        if problems.is_empty() { None } else { Some(Self(problems)) }
    }

    /// One after the other: the file's in its order, then the environment's, the flags', and what
    /// does not fit together.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// How many; never zero.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always at least one")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid configuration")?;
        for problem in self {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
