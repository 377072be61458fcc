//! INT, TERM and HUP as values.

use std::future::pending;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A request to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Int,
    Term,
    Hup,
}

impl Stop {
    /// The signal itself.
    pub(crate) fn signal(self) -> rustix::process::Signal {
        match self {
            Self::Int => rustix::process::Signal::INT,
            Self::Term => rustix::process::Signal::TERM,
            Self::Hup => rustix::process::Signal::HUP,
        }
    }

    /// What a shell reports of a process that a signal ended.
    pub(crate) fn exit_code(self) -> u8 {
        128 + match self {
            Self::Hup => 1,
            Self::Int => 2,
            Self::Term => 15,
        }
    }
}

/// Where stop requests come from. From its creation on none is missed, and none ends the process.
pub(crate) enum Signals {
    /// This process's signals. HUP is absent where it was ignored from the start (`nohup`).
    Process { int: Signal, term: Signal, hup: Option<Signal> },
    /// A test's.
    #[cfg(test)]
    Scripted(tokio::sync::mpsc::UnboundedReceiver<Stop>),
}

impl Signals {
    /// Takes over this process's signals.
    ///
    /// # Errors
    /// When the system refuses handlers.
    pub(crate) fn of_process() -> io::Result<Self> {
        // Read before any handler is installed; a handler would hide it.
        let hup = if hup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self::Process {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
            hup,
        })
    }

    /// The next one. Cancel safe.
    pub(crate) async fn next(&mut self) -> Stop {
        match self {
            Self::Process { int, term, hup } => {
                let hup = async {
                    match hup {
                        Some(hup) => hup.recv().await,
                        None => pending().await,
                    }
                };
                tokio::select! {
                    _ = term.recv() => Stop::Term,
                    _ = int.recv() => Stop::Int,
                    _ = hup => Stop::Hup,
                }
            }
            #[cfg(test)]
            Self::Scripted(stops) => match stops.recv().await {
                Some(stop) => stop,
                None => pending().await,
            },
        }
    }

    /// One that has already come.
    pub(crate) fn pending(&mut self) -> Option<Stop> {
        use futures_util::FutureExt;
        self.next().now_or_never()
    }
}

#[cfg(test)]
impl Signals {
    /// Signals that a test sends.
    pub(crate) fn scripted() -> (tokio::sync::mpsc::UnboundedSender<Stop>, Self) {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        (sender, Self::Scripted(receiver))
    }
}

/// Reads the inherited disposition of HUP: without unsafe code only /proc tells it.
fn hup_is_ignored() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 != 0)
}
