//! States, inputs, and what leads from one state to another.

use super::window::Window;
use std::fmt;
use std::time::Duration;

/// When a breaker opens and closes. A count of 0 is taken for 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// So many faults in a row open it.
    pub failures: u32,
    /// So many good probes in a row close it again.
    pub successes: u32,
    /// How long it stays open before it is tried again.
    pub open_for: Duration,
    /// Over how long the share of faults is looked at.
    pub window: Duration,
    /// So many per cent of faults among the calls of a window open it, too; 0: that is not looked at.
    pub failure_percent: u32,
    /// With fewer calls than this in the window their share of faults says nothing.
    pub calls_min: u32,
}

/// What a breaker does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// They pass.
    Closed,
    /// They are answered at once.
    Open,
    /// They are answered at once; probes decide how it goes on.
    HalfOpen,
}

impl State {
    /// The machine word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// What a breaker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// So many calls were answered since it was last told. That a lock is held, or that a commit lost
    /// against another, is an answer.
    Successes(u64),
    /// The store failed a call.
    Fault,
    /// A probe found the store well.
    ProbeOk,
    /// A probe failed.
    ProbeFailed,
    /// Time went by.
    Tick,
}

/// A change of state, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// What it was.
    pub from: State,
    /// What it is now.
    pub to: State,
    /// Why.
    pub cause: Cause,
}

/// Why a breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// So many faults in a row.
    Row(u32),
    /// So many of so many calls of the window were faults.
    Rate {
        /// Faults.
        faults: u64,
        /// Calls, faults included.
        calls: u64,
    },
    /// A probe failed while it was half-open.
    ProbeFailed,
    /// It was open for long enough.
    Waited,
    /// A good probe after a failed one.
    AnswersAgain,
    /// So many good probes.
    GoodProbes(u32),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row(faults) => write!(f, "{faults} faults of the store in a row"),
            Self::Rate { faults, calls } => {
                write!(f, "{faults} of the last {calls} calls of the store failed")
            }
            Self::ProbeFailed => f.write_str("a probe of the store failed"),
            Self::Waited => f.write_str("it was open for long enough"),
            Self::AnswersAgain => f.write_str("the store answers again"),
            Self::GoodProbes(probes) => write!(f, "{probes} good probes of the store in a row"),
        }
    }
}

/// A circuit breaker.
#[derive(Clone, Debug)]
pub struct Breaker {
    settings: Settings,
    state: State,
    /// The latest instant it was told.
    now: Duration,
    /// When it came to its state.
    since: Duration,
    /// Calls in a row that were faults.
    faults: u32,
    /// Probes in a row that failed, while it is closed.
    failed_probes: u32,
    /// Probes in a row that were good, while it is half-open.
    good_probes: u32,
    /// The latest probe before it opened failed, or one since.
    seen_away: bool,
    window: Window,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: State::Closed,
            now: Duration::ZERO,
            since: Duration::ZERO,
            faults: 0,
            failed_probes: 0,
            good_probes: 0,
            seen_away: false,
            window: Window::new(settings.window),
        }
    }

    /// Takes note of what happened; tells if that changed the state.
    pub fn on(&mut self, input: Input, now: Duration) -> Option<Transition> {
        self.now = self.now.max(now);
        let (to, cause) = match self.state {
            State::Closed => (State::Open, self.closed(input)?),
            State::Open => (State::HalfOpen, self.open(input)?),
            State::HalfOpen => self.half_open(input)?,
        };
        let from = std::mem::replace(&mut self.state, to);
        self.since = self.now;
        self.seen_away = to == State::Open && (input == Input::ProbeFailed || self.failed_probes > 0);
        (self.faults, self.failed_probes, self.good_probes) = (0, 0, 0);
        self.window.clear();
        Some(Transition { from, to, cause })
    }

    /// Why it opens.
    fn closed(&mut self, input: Input) -> Option<Cause> {
        match input {
            Input::Tick | Input::Successes(0) => return None,
            Input::Successes(calls) => {
                (self.faults, self.failed_probes) = (0, 0);
                self.window.add(self.now, calls, 0);
                return None;
            }
            Input::ProbeOk => {
                // It says nothing of calls that fail all the same.
                self.failed_probes = 0;
                self.window.add(self.now, 1, 0);
                return None;
            }
            Input::Fault => self.faults = self.faults.saturating_add(1),
            Input::ProbeFailed => self.failed_probes = self.failed_probes.saturating_add(1),
        }
        self.window.add(self.now, 1, 1);
        let row = self.failures_in_a_row();
        if row >= self.settings.failures.max(1) {
            return Some(Cause::Row(row));
        }
        let (calls, faults) = self.window.counts(self.now);
        let Settings { failure_percent, calls_min, .. } = self.settings;
        let too_many = failure_percent > 0
            && calls >= u64::from(calls_min)
            && u128::from(faults) * 100 >= u128::from(calls) * u128::from(failure_percent);
        too_many.then_some(Cause::Rate { faults, calls })
    }

    /// Why it half-opens.
    fn open(&mut self, input: Input) -> Option<Cause> {
        let over = self.now >= self.since.saturating_add(self.settings.open_for);
        match input {
            Input::ProbeOk if self.seen_away => Some(Cause::AnswersAgain),
            Input::Tick | Input::ProbeOk if over => Some(Cause::Waited),
            Input::ProbeFailed => {
                self.seen_away = true;
                None
            }
            // Of calls that were made before it opened.
            Input::Successes(_) | Input::Fault | Input::Tick | Input::ProbeOk => None,
        }
    }

    /// Where it goes from half-open, and why.
    fn half_open(&mut self, input: Input) -> Option<(State, Cause)> {
        match input {
            Input::ProbeOk => {
                self.good_probes += 1;
                let enough = self.good_probes >= self.settings.successes.max(1);
                enough.then_some((State::Closed, Cause::GoodProbes(self.good_probes)))
            }
            Input::ProbeFailed => Some((State::Open, Cause::ProbeFailed)),
            Input::Successes(_) | Input::Fault | Input::Tick => None,
        }
    }

    /// Do calls pass?
    #[must_use]
    pub fn passes(&self) -> bool {
        self.state == State::Closed
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// When it came to its state.
    #[must_use]
    pub fn since(&self) -> Duration {
        self.since
    }

    /// When it half-opens at the latest, if it is told then; `None`: it is not open.
    #[must_use]
    pub fn open_until(&self) -> Option<Duration> {
        (self.state == State::Open).then(|| self.since.saturating_add(self.settings.open_for))
    }

    /// Calls and probes in a row that were faults; 0 unless it is closed.
    #[must_use]
    pub fn failures_in_a_row(&self) -> u32 {
        self.faults.saturating_add(self.failed_probes)
    }

    /// Good probes in a row; 0 unless it is half-open.
    #[must_use]
    pub fn good_probes(&self) -> u32 {
        self.good_probes
    }

    /// When it opens and closes.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}
