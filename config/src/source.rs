//! Where a value came from, in the words of someone who has to go there and change it.

use std::fmt;

/// A place in a file, both counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character within the line.
    pub column: usize,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The default file within the program.
    Default,
    /// The settings file.
    File {
        /// Its name, as the caller gave it.
        name: String,
        /// Where in it; none when it is about the file as a whole.
        at: Option<Position>,
    },
    /// This environment variable.
    Environment(String),
    /// This flag, as spelt on the command line.
    Flag(String),
    /// A change while the server runs.
    Runtime,
}

impl Source {
    /// Sorts what is said about several sources: as they take effect, a file from its top.
    pub(crate) fn order(&self) -> (u8, Option<Position>) {
        match self {
            Self::Default => (0, None),
            Self::File { at, .. } => (1, *at),
            Self::Environment(_) => (2, None),
            Self::Flag(_) => (3, None),
            Self::Runtime => (4, None),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, at: None } => f.write_str(name),
            Self::File { name, at: Some(at) } => write!(f, "{name}:{}:{}", at.line, at.column),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Flag(spelling) => f.write_str(spelling),
            Self::Runtime => f.write_str("changed while running"),
        }
    }
}
