//! The bounded log of what happened lately.

use crate::service::Phase;
use lockkeeper_core::Event;
use parking_lot::RwLock;
use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use tokio::sync::Notify;

/// Where an event stands: which incarnation of which instance, and its number there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventId {
    /// The instance's incarnation; without a dot.
    pub instance: Arc<str>,
    /// Counts from 1.
    pub sequence: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.instance, self.sequence)
    }
}

impl FromStr for EventId {
    type Err = ResumeError;

    fn from_str(text: &str) -> Result<Self, ResumeError> {
        let (instance, sequence) = text.rsplit_once('.').ok_or(ResumeError::Foreign)?;
        let sequence = sequence.parse().map_err(|_| ResumeError::Foreign)?;
        Ok(Self { instance: instance.into(), sequence })
    }
}

/// Why a reader cannot go on from where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResumeError {
    /// The event is older than what is kept.
    #[error("that event is older than what is kept")]
    TooOld,
    /// The id is not one of this incarnation of this instance.
    #[error("that event id is not one of this server's")]
    Foreign,
}

/// What happened: to a lock or ticket, or to the service itself.
#[derive(Clone, Debug)]
pub enum Occurrence {
    /// To a lock or ticket.
    Entry(Event),
    /// The store can no longer be used; the text says why.
    BackendUnhealthy(String),
    /// The store can be used again.
    BackendRecovered,
    /// The store may have lost data: so many partitions more are sealed.
    StoreSealed(usize),
    /// All partitions are open again.
    StoreOpened,
    /// The store was opened without a state that this instance knew; the store's state stands.
    StoreConflict(Arc<lockkeeper_core::Resource>),
    /// The store's circuit breaker opened; the text says why.
    BreakerOpened(String),
    /// The store is tried again, by probes only.
    BreakerHalfOpen,
    /// Calls of the store pass again.
    BreakerClosed,
    /// This instance does more or less than before.
    PhaseChanged {
        /// What it did.
        from: Phase,
        /// What it does now.
        to: Phase,
        /// Why it does not grant, if it does not.
        reason: Option<String>,
    },
}

impl Occurrence {
    /// The event's type as clients see it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Entry(event) => event.kind.as_str(),
            Self::BackendUnhealthy(_) => "backend.unhealthy",
            Self::BackendRecovered => "backend.recovered",
            Self::StoreSealed(_) => "store.sealed",
            Self::StoreOpened => "store.opened",
            Self::StoreConflict(_) => "store.conflict",
            Self::BreakerOpened(_) => "breaker.opened",
            Self::BreakerHalfOpen => "breaker.half_open",
            Self::BreakerClosed => "breaker.closed",
            Self::PhaseChanged { .. } => "phase.changed",
        }
    }
}

/// An occurrence with its number.
#[derive(Clone, Debug)]
pub struct LoggedEvent {
    /// Its number in this log.
    pub sequence: u64,
    /// The store's clock when it was logged, for occurrences without one of their own.
    pub at: lockkeeper_core::Timestamp,
    /// What happened.
    pub what: Occurrence,
}

struct Ring {
    events: VecDeque<Arc<LoggedEvent>>,
    last: u64,
}

/// The latest events of this instance; the oldest make room for new ones.
pub struct EventLog {
    instance: Arc<str>,
    limit: usize,
    ring: RwLock<Ring>,
    grown: Notify,
}

impl EventLog {
    /// A log that keeps `limit` events.
    pub(crate) fn new(instance: &str, limit: usize) -> Self {
        Self {
            instance: instance.into(),
            limit,
            ring: RwLock::new(Ring { events: VecDeque::new(), last: 0 }),
            grown: Notify::new(),
        }
    }

    /// The id of the event with this number.
    #[must_use]
    pub fn id(&self, sequence: u64) -> EventId {
        EventId { instance: Arc::clone(&self.instance), sequence }
    }

    /// The number of the latest event; 0 before the first.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.ring.read().last
    }

    pub(crate) fn append(
        &self,
        at: lockkeeper_core::Timestamp,
        occurrences: impl IntoIterator<Item = Occurrence>,
    ) {
        let mut ring = self.ring.write();
        let before = ring.last;
        for what in occurrences {
            ring.last += 1;
            let sequence = ring.last;
            if ring.events.len() == self.limit {
                ring.events.pop_front();
            }
            ring.events.push_back(Arc::new(LoggedEvent { sequence, at, what }));
        }
        let grown = ring.last - before;
        drop(ring);
        if grown > 0 {
            lockkeeper_telemetry::metrics().events_published(grown);
            self.grown.notify_one();
        }
    }

    /// Events may be missing here: nobody can go on from before, and those who follow are let go.
    pub(crate) fn gap(&self) {
        let mut ring = self.ring.write();
        ring.events.clear();
        // The number itself is left out, so that whoever had seen all sees that one is missing.
        ring.last += 1;
        drop(ring);
        self.grown.notify_one();
    }

    /// Checks that a reader can go on after this event, and gives its number.
    ///
    /// # Errors
    /// The id is foreign, or what follows it is no longer kept.
    pub fn resume_after(&self, id: &EventId) -> Result<u64, ResumeError> {
        let ring = self.ring.read();
        if id.instance != self.instance || id.sequence > ring.last {
            return Err(ResumeError::Foreign);
        }
        let oldest = ring.events.front().map_or(ring.last + 1, |event| event.sequence);
        if id.sequence + 1 < oldest { Err(ResumeError::TooOld) } else { Ok(id.sequence) }
    }

    /// Events after number `after`, at most `max`, in order.
    ///
    /// # Errors
    /// [`ResumeError::TooOld`] when some of them are no longer kept.
    pub fn read_after(&self, after: u64, max: usize) -> Result<Vec<Arc<LoggedEvent>>, ResumeError> {
        let ring = self.ring.read();
        let oldest = ring.events.front().map_or(ring.last + 1, |event| event.sequence);
        if after + 1 < oldest {
            return Err(ResumeError::TooOld);
        }
        let skip = usize::try_from(after + 1 - oldest).unwrap_or(usize::MAX);
        Ok(ring.events.iter().skip(skip).take(max).cloned().collect())
    }

    /// Waits until something was appended (for one waiter: the hub).
    pub(crate) async fn grown(&self) {
        self.grown.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_core::Timestamp;

    fn log_of(count: usize, limit: usize) -> EventLog {
        let log = EventLog::new("a", limit);
        for _ in 0..count {
            log.append(Timestamp::ZERO, [Occurrence::BackendRecovered]);
        }
        log
    }

    fn numbers(log: &EventLog, after: u64) -> Result<Vec<u64>, ResumeError> {
        Ok(log.read_after(after, 100)?.iter().map(|event| event.sequence).collect())
    }

    #[test]
    fn readers_go_on_where_they_were() {
        let log = log_of(5, 3);
        assert_eq!(numbers(&log, 2), Ok(vec![3, 4, 5]));
        assert_eq!(numbers(&log, 4), Ok(vec![5]));
        assert_eq!(numbers(&log, 5), Ok(vec![]));
        assert_eq!(numbers(&log, 1), Err(ResumeError::TooOld));
    }

    #[test]
    fn nobody_goes_on_over_a_gap() {
        let log = log_of(5, 10);
        log.gap();
        assert_eq!(numbers(&log, 5), Err(ResumeError::TooOld));
        assert_eq!("a.5".parse().and_then(|id| log.resume_after(&id)), Err(ResumeError::TooOld));
        assert_eq!(numbers(&log, log.last()), Ok(vec![]));
        log.append(Timestamp::ZERO, [Occurrence::BackendRecovered]);
        assert_eq!(numbers(&log, 6), Ok(vec![7]));
    }

    #[test]
    fn only_known_places_are_resumed() {
        let log = log_of(5, 3);
        let resume = |text: &str| text.parse().and_then(|id| log.resume_after(&id));
        assert_eq!(resume("a.2"), Ok(2));
        assert_eq!(resume("a.5"), Ok(5));
        assert_eq!(resume("a.1"), Err(ResumeError::TooOld));
        assert_eq!(resume("a.6"), Err(ResumeError::Foreign));
        assert_eq!(resume("b.4"), Err(ResumeError::Foreign));
        assert_eq!(resume("nonsense"), Err(ResumeError::Foreign));
        assert_eq!(resume("a.x"), Err(ResumeError::Foreign));
    }
}
