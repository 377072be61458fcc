//! What this server did lately, in numbers that fit into an answer: rates, percentiles, totals.
//!
//! Metrics are the process's and are for a monitoring system that keeps them; this is one server's,
//! bounded, and forgotten with it. Once per commit the durable events are counted under one short
//! lock. Times are told to it: how long ago it began, by a clock that only goes forward.

use crate::recorder::is_grant;
use lockkeeper_core::{Event, EventKind, Former, Span};
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// Seconds over which rates are taken, the present one included.
const WINDOW_SECS: u64 = 60;
/// Newest samples of each length of time that percentiles are taken from.
const SAMPLES_MAX: usize = 1024;

/// What a server did since it started, and lately.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// What rates are taken over.
    pub window: Span,
    /// What happened per second within the window, or since the start if that is shorter.
    pub rates: Rates,
    /// How long the newest grants to tickets had waited in their queues.
    pub queue_wait: Percentiles,
    /// How long the newest locks to end were held.
    pub hold: Percentiles,
    /// What happened since the start.
    pub totals: Totals,
}

/// Events per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Locks granted, at once or to a ticket.
    pub granted: f64,
    /// Locks given back.
    pub released: f64,
    /// Leases that ran out.
    pub expired: f64,
    /// Tickets that entered a queue.
    pub queued: f64,
}

/// Of so many samples, this share was at most so long; `None` without samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// Half of them.
    pub p50: Option<Span>,
    /// 19 of 20.
    pub p95: Option<Span>,
    /// 99 of 100.
    pub p99: Option<Span>,
    /// How many samples there were.
    pub samples: usize,
}

/// Events since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Locks granted, at once or to a ticket.
    pub granted: u64,
    /// Locks given back.
    pub released: u64,
    /// Leases that ran out.
    pub expired: u64,
    /// Locks that an operator ended.
    pub forced: u64,
    /// Grants that nobody fetched in time.
    pub unclaimed: u64,
    /// Tickets that entered a queue.
    pub queued: u64,
    /// Tickets that were cancelled or abandoned.
    pub cancelled: u64,
    /// Tickets that waited as long as they wanted to.
    pub timed_out: u64,
}

/// Counts what becomes durable.
pub(crate) struct Tally {
    begun: Instant,
    counts: Mutex<Counts>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), counts: Mutex::default() }
    }

    /// Counts the events of a commit.
    pub(crate) fn note(&self, events: &[Event]) {
        if !events.is_empty() {
            let at = self.begun.elapsed();
            self.counts.lock().note(at, events);
        }
    }

    /// What there is to tell now.
    pub(crate) fn read(&self) -> Statistics {
        let at = self.begun.elapsed();
        // Sorting is done on a copy, so that no commit waits for it.
        let counts = self.counts.lock().clone();
        counts.read(at)
    }
}

/// The counts themselves; they know no clock.
#[derive(Clone, Default)]
struct Counts {
    totals: Totals,
    seconds: Seconds,
    waits: Samples,
    holds: Samples,
}

impl Counts {
    fn note(&mut self, at: Duration, events: &[Event]) {
        let (totals, second) = (&mut self.totals, self.seconds.at(at));
        for event in events {
            match (event.kind, &event.subject) {
                (EventKind::LockAcquired | EventKind::LockReserved, Former::Lock(lock)) => {
                    if is_grant(event, lock) {
                        totals.granted += 1;
                        second.granted += 1;
                        if let Some(enqueued) = lock.enqueued_at {
                            self.waits.push(lock.acquired_at.since(enqueued));
                        }
                    }
                }
                (EventKind::LockReleased, _) => {
                    totals.released += 1;
                    second.released += 1;
                }
                (EventKind::LockExpired, _) => {
                    totals.expired += 1;
                    second.expired += 1;
                }
                (EventKind::LockForced, _) => totals.forced += 1,
                (EventKind::TicketUnclaimed, _) => totals.unclaimed += 1,
                (EventKind::TicketQueued, _) => {
                    totals.queued += 1;
                    second.queued += 1;
                }
                (EventKind::TicketCancelled, _) => totals.cancelled += 1,
                (EventKind::TicketTimedOut, _) => totals.timed_out += 1,
                (EventKind::LockRenewed | EventKind::LockAcquired | EventKind::LockReserved, _) => {}
            }
            // What was reserved only, nobody worked under.
            if let Former::Lock(lock) = &event.subject
                && ends_lock(event.kind)
                && !lock.is_reserved()
            {
                self.holds.push(lock.held_for(event.at));
            }
        }
    }

    fn read(self, at: Duration) -> Statistics {
        Statistics {
            window: Span::from_secs(WINDOW_SECS),
            rates: self.seconds.rates(at),
            queue_wait: self.waits.percentiles(),
            hold: self.holds.percentiles(),
            totals: self.totals,
        }
    }
}

fn ends_lock(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::LockReleased | EventKind::LockExpired | EventKind::LockForced | EventKind::TicketUnclaimed
    )
}

/// What happened in one second.
#[derive(Clone, Copy, Default)]
struct Second {
    /// Which one, from the start on.
    number: u64,
    granted: u32,
    released: u32,
    expired: u32,
    queued: u32,
}

/// The seconds of the window; each has its place by its number.
#[derive(Clone)]
struct Seconds([Second; WINDOW_SECS as usize]);

impl Default for Seconds {
    fn default() -> Self {
        Self([Second::default(); WINDOW_SECS as usize])
    }
}

impl Seconds {
    fn at(&mut self, at: Duration) -> &mut Second {
        let number = at.as_secs();
        let second = &mut self.0[(number % WINDOW_SECS) as usize];
        if second.number != number {
            *second = Second { number, ..Second::default() };
        }
        second
    }

    fn rates(&self, at: Duration) -> Rates {
        let oldest = (at.as_secs() + 1).saturating_sub(WINDOW_SECS);
        // The present second is not over, and a young server has no full window: what is divided by
        // is the time that was counted in, and not less than one second.
        let counted = (at - Duration::from_secs(oldest)).as_secs_f64().max(1.0);
        let within = || self.0.iter().filter(|second| second.number >= oldest);
        let rate = |of: fn(&Second) -> u32| within().map(|s| f64::from(of(s))).sum::<f64>() / counted;
        Rates {
            granted: rate(|second| second.granted),
            released: rate(|second| second.released),
            expired: rate(|second| second.expired),
            queued: rate(|second| second.queued),
        }
    }
}

/// The newest samples of a length of time.
#[derive(Clone, Default)]
struct Samples {
    kept: Vec<Span>,
    /// The oldest, once all places are taken.
    next: usize,
}

impl Samples {
    fn push(&mut self, sample: Span) {
        if self.kept.len() < SAMPLES_MAX {
            self.kept.push(sample);
        } else {
            self.kept[self.next] = sample;
            self.next = (self.next + 1) % SAMPLES_MAX;
        }
    }

    fn percentiles(mut self) -> Percentiles {
        self.kept.sort_unstable();
        let samples = self.kept.len();
        // The nearest rank: a length that really occurred.
        let of = |percent: usize| {
            let rank = (samples * percent).div_ceil(100);
            rank.checked_sub(1).map(|place| self.kept[place])
        };
        Percentiles { p50: of(50), p95: of(95), p99: of(99), samples }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_core::{
        Intent, Lock, LockState, Mode, Owner, Priority, Resource, ResourceInput, Seq, Ticket, Timestamp,
    };
    use std::sync::Arc;

    const T0: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn intent() -> Arc<Intent> {
        Arc::new(Intent {
            owner: Owner { id: "me".into(), user: None, pull: None },
            created_by: "anonymous".into(),
            mode: Mode::Exclusive,
            priority: Priority::Normal,
            ttl: Span::from_secs(1800),
            protected: false,
            attended: true,
            metadata: None,
            nonce: 1,
            requests: Arc::default(),
        })
    }

    fn event(kind: EventKind, at: Timestamp, subject: Former) -> Event {
        let input = ResourceInput { namespace: Some("acme/infra"), ..ResourceInput::default() };
        let resource = Arc::new(Resource::parse(&input, "").unwrap());
        Event { kind, at, resource, subject, reason: None, note: None }
    }

    fn lock(state: LockState, waited: Option<Span>) -> Lock {
        Lock {
            seq: Seq::default(),
            intent: intent(),
            token: 1,
            state,
            acquired_at: T0,
            renewed_at: T0,
            expires_at: None,
            ttl: Span::ZERO,
            touch: 0,
            enqueued_at: waited.map(|waited| T0 - waited),
        }
    }

    fn of_lock(kind: EventKind, after: Span, lock: Lock) -> Event {
        event(kind, T0 + after, Former::Lock(Arc::new(lock)))
    }

    fn of_ticket(kind: EventKind) -> Event {
        let ticket =
            Ticket { seq: Seq::default(), intent: intent(), enqueued_at: T0, deadline: T0, seen_until: T0 };
        event(kind, T0, Former::Ticket(Arc::new(ticket)))
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn without_events_there_is_nothing_to_tell() {
        let told = Counts::default().read(Duration::ZERO);
        assert_eq!((told.rates, told.totals), (Rates::default(), Totals::default()));
        assert_eq!((told.queue_wait, told.hold), (Percentiles::default(), Percentiles::default()));
        assert_eq!(told.window.to_string(), "1m0s");
    }

    #[test]
    fn every_end_and_every_beginning_is_counted() {
        let mut counts = Counts::default();
        let held = || lock(LockState::Held, None);
        let events = [
            of_lock(EventKind::LockAcquired, Span::ZERO, held()),
            of_lock(EventKind::LockRenewed, Span::ZERO, held()),
            of_lock(EventKind::LockReleased, Span::from_secs(1), held()),
            of_lock(EventKind::LockExpired, Span::from_secs(2), held()),
            of_lock(EventKind::LockForced, Span::from_secs(3), held()),
            of_lock(EventKind::TicketUnclaimed, Span::from_secs(4), lock(LockState::Reserved, None)),
            of_ticket(EventKind::TicketQueued),
            of_ticket(EventKind::TicketCancelled),
            of_ticket(EventKind::TicketTimedOut),
        ];
        counts.note(secs(0), &events);
        let told = counts.read(secs(0));
        let each = Totals {
            granted: 1,
            released: 1,
            expired: 1,
            forced: 1,
            unclaimed: 1,
            queued: 1,
            cancelled: 1,
            timed_out: 1,
        };
        assert_eq!(told.totals, each);
        assert_eq!(told.rates, Rates { granted: 1.0, released: 1.0, expired: 1.0, queued: 1.0 });
        // The lock that nobody fetched was not held.
        assert_eq!((told.hold.samples, told.hold.p99), (3, Some(Span::from_secs(3))));
    }

    #[test]
    fn a_grant_is_counted_once_with_the_wait_before_it() {
        let mut counts = Counts::default();
        let waited = Some(Span::from_secs(7));
        let reserved = of_lock(EventKind::LockReserved, Span::ZERO, lock(LockState::Reserved, waited));
        // Fetched later: another event of the same grant.
        let claimed = of_lock(EventKind::LockAcquired, Span::from_secs(5), lock(LockState::Held, waited));
        counts.note(secs(1), &[reserved]);
        counts.note(secs(6), &[claimed]);
        let told = counts.read(secs(9));
        assert_eq!((told.totals.granted, told.queue_wait.samples), (1, 1));
        assert_eq!(told.queue_wait.p50, waited);
    }

    #[test]
    fn rates_are_of_the_last_minute() {
        let mut counts = Counts::default();
        let grants =
            |number| vec![of_lock(EventKind::LockAcquired, Span::ZERO, lock(LockState::Held, None)); number];
        counts.note(secs(0), &grants(20));
        counts.note(secs(9), &grants(20));
        let granted = |counts: &Counts, at: Duration| counts.clone().read(at).rates.granted;
        // A young server: what happened, by how long it has been there.
        assert_eq!(granted(&counts, secs(10)), 4.0);
        assert_eq!(granted(&counts, Duration::from_millis(59_999)), 40.0 / 59.999);
        // The first second is out of the window, then the other.
        assert_eq!(granted(&counts, Duration::from_millis(60_000)), 20.0 / 59.0);
        assert_eq!(granted(&counts, Duration::from_millis(68_500)), 20.0 / 59.5);
        assert_eq!(granted(&counts, secs(69)), 0.0);
        // Its place in the ring is used anew, whatever was there.
        counts.note(secs(129), &grants(59));
        assert_eq!(granted(&counts, secs(129)), 1.0);
        assert_eq!(counts.read(secs(3600)).totals.granted, 99);
    }

    #[test]
    fn percentiles_are_lengths_that_occurred() {
        let mut samples = Samples::default();
        samples.push(Span::from_secs(5));
        let one = samples.clone().percentiles();
        assert_eq!((one.p50, one.p99, one.samples), (Some(Span::from_secs(5)), Some(Span::from_secs(5)), 1));
        let mut samples = Samples::default();
        (1..=100).rev().for_each(|length| samples.push(Span::from_secs(length)));
        let told = samples.percentiles();
        let lengths = [told.p50, told.p95, told.p99].map(Option::unwrap);
        assert_eq!(lengths, [50, 95, 99].map(Span::from_secs));
    }

    #[test]
    fn only_the_newest_samples_are_kept() {
        let mut samples = Samples::default();
        for length in 0..3 * SAMPLES_MAX as u64 + 10 {
            samples.push(Span::from_secs(length));
        }
        assert_eq!(samples.kept.len(), SAMPLES_MAX);
        let oldest = samples.kept.iter().min().unwrap();
        assert_eq!(*oldest, Span::from_secs(2 * SAMPLES_MAX as u64 + 10));
    }
}
