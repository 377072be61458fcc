//! What can become of a call, and whether it may have happened all the same.

use super::super::problem::Problem;
use std::fmt;

/// A call without a usable answer.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// Why.
    pub(crate) cause: Cause,
    /// True when one of the attempts may have taken effect although its answer was lost. A later
    /// "already gone" then means that it did.
    pub(crate) unsure: bool,
}

/// Why a call failed.
#[derive(Clone, Debug)]
pub(crate) enum Cause {
    /// A server answered with a refusal.
    Problem(Box<Problem>),
    /// No server gave an answer: each with its reason.
    Unreachable(Vec<Silence>),
    /// Something answered that is not a Lockkeeper server.
    Foreign {
        /// Who answered.
        server: String,
        /// What is wrong with the answer.
        reason: String,
    },
}

/// One server that did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Silence {
    /// Its address.
    pub(crate) server: String,
    /// Why it did not.
    pub(crate) reason: String,
}

impl Failure {
    /// The refusal, if it is one.
    pub(crate) fn problem(&self) -> Option<&Problem> {
        match &self.cause {
            Cause::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// The refusal's machine word, or nothing.
    pub(crate) fn code(&self) -> &str {
        self.problem().map_or("", |problem| problem.code.as_str())
    }

    /// The refusal's status, or 0.
    pub(crate) fn status(&self) -> u16 {
        self.problem().map_or(0, |problem| problem.status)
    }

    /// True when no server could decide: none answered, or all were out of service.
    pub(crate) fn is_unreachable(&self) -> bool {
        match &self.cause {
            Cause::Unreachable(_) => true,
            Cause::Problem(problem) => problem.status == 503,
            Cause::Foreign { .. } => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Problem(problem) => problem.fmt(f)?,
            Cause::Unreachable(silences) => {
                f.write_str("no server answered")?;
                for silence in silences {
                    write!(f, "\n  {}: {}", silence.server, silence.reason)?;
                }
            }
            Cause::Foreign { server, reason } => {
                write!(f, "{server} does not answer like a lockkeeper server: {reason}")?;
            }
        }
        if self.unsure {
            f.write_str("\n  an answer was lost on the way: the request may have taken effect")?;
        }
        Ok(())
    }
}
