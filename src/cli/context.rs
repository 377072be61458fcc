//! What a command works with: the client, the terminal, the environment.

use super::client::{Client, Failure};
use super::environment::Environment;
use super::options::{ClientOptions, Format};
use std::cell::RefCell;
use std::fmt::Display;
use std::io::{self, Write};

/// Everything a client command needs.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) console: Console,
    pub(crate) env: Environment,
}

impl Context {
    /// The real one.
    ///
    /// # Errors
    /// Names what is wrong with the options.
    pub(crate) fn of_process(options: &ClientOptions) -> Result<Self, String> {
        Ok(Self {
            client: Client::new(options)?,
            console: Console::of_process(options.output),
            env: Environment::of_process(),
        })
    }
}

/// Data goes to stdout, prose to stderr.
pub(crate) struct Console {
    format: Format,
    out: RefCell<Box<dyn Write>>,
    err: RefCell<Box<dyn Write>>,
}

impl Console {
    pub(crate) fn new(format: Format, out: Box<dyn Write>, err: Box<dyn Write>) -> Self {
        Self { format, out: RefCell::new(out), err: RefCell::new(err) }
    }

    pub(crate) fn of_process(format: Format) -> Self {
        Self::new(format, Box::new(io::stdout()), Box::new(io::stderr()))
    }

    /// How to print data.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Prints data.
    ///
    /// # Errors
    /// When stdout cannot take it (closed, disk full): the caller must not pretend it was said.
    pub(crate) fn data(&self, text: &str) -> io::Result<()> {
        let mut out = self.out.borrow_mut();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Says something to people, without control characters of whoever is quoted. A stderr that is gone has nobody to complain to.
    pub(crate) fn say(&self, text: impl Display) {
        let text = text.to_string();
        let clean: String = text.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect();
        let mut err = self.err.borrow_mut();
        let _ = writeln!(err, "lockkeeper: {clean}");
        let _ = err.flush();
    }
}

/// Why a command did not do its work. An answer ("somebody else has it") is not an error.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// The command line is wrong.
    Usage(String),
    /// The server refused or could not be asked.
    Failure(Failure),
    /// stdout could not take the answer.
    Output(io::Error),
}

impl From<Failure> for CommandError {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Display for CommandError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Usage(text) => f.write_str(text),
            Self::Failure(failure) => failure.fmt(f),
            Self::Output(error) => write!(f, "cannot write to stdout: {error}"),
        }
    }
}

/// Exit codes of all commands but `run`.
pub(crate) mod code {
    /// Done.
    pub(crate) const DONE: u8 = 0;
    /// Something failed.
    pub(crate) const ERROR: u8 = 1;
    /// The command line is wrong.
    pub(crate) const USAGE: u8 = 2;
    /// The answer is no: somebody else has it, or it stays queued.
    pub(crate) const NOT_ACQUIRED: u8 = 3;
}

/// A command's exit code, or why there is none of its own.
pub(crate) type CommandResult = Result<u8, CommandError>;
