//! The servers' clocks, as well as they are known between two replies.
//!
//! Every reply carries the server's time. It was taken after the call was sent and before the
//! reply came, so it tells between which bounds the server's clock stands against our boot clock.

use crate::boot_clock::{boot_micros, wall_micros};
use lockkeeper_core::{Partition, Timestamp};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const PARTITIONS: usize = 256;

/// An instant of our boot clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Boot(pub(super) i64);

/// The clocks of all servers.
#[derive(Debug)]
pub(super) struct Clocks {
    /// One server has all partitions.
    one_server: bool,
    /// A clock that was set back by more than this is followed; less is taken for jitter.
    window_micros: i64,
    /// Tests let our own clocks differ from what they are.
    skew_micros: i64,
    servers: RwLock<Servers>,
}

#[derive(Debug)]
struct Servers {
    by_address: HashMap<Arc<str>, Arc<Clock>>,
    by_partition: Vec<Option<Arc<Clock>>>,
    latest: Arc<Clock>,
}

impl Clocks {
    pub(super) fn new(one_server: bool, window: Duration, skew_micros: i64) -> Self {
        let window_micros = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
        // Until a server has been heard our own wall clock is the best guess; a commit decided by
        // a bad one is refused as late, with the right time.
        let guess = wall_micros().cast_signed() + skew_micros - now_micros(skew_micros);
        let latest = Arc::new(Clock::new("".into(), Some(guess)));
        let servers = Servers { by_address: HashMap::new(), by_partition: vec![None; PARTITIONS], latest };
        Self { one_server, window_micros, skew_micros, servers: RwLock::new(servers) }
    }

    /// Our own clock, to note when a call is sent.
    pub(super) fn boot(&self) -> Boot {
        Boot(now_micros(self.skew_micros))
    }

    /// How long ago that was, sleep included.
    pub(super) fn since(&self, boot: Boot) -> Duration {
        Duration::from_micros((self.boot().0 - boot.0).max(0).unsigned_abs())
    }

    /// Takes note of a reply to a call that was sent at `sent`.
    pub(super) fn learn(&self, partition: Partition, server: &Arc<str>, sent: Boot, time: Timestamp) {
        let received = self.boot();
        let time = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let clock = self.clock_of(partition, server);
        clock.learn(time.saturating_sub(received.0), time.saturating_sub(sent.0));
    }

    /// The clock of the server that has a partition.
    pub(super) fn now_in(&self, partition: Partition) -> Timestamp {
        let servers = self.servers.read();
        let own =
            if self.one_server { None } else { servers.by_partition[usize::from(partition.0)].as_ref() };
        own.unwrap_or(&servers.latest).now(self.boot(), self.window_micros)
    }

    /// The clock of the server that was heard last.
    pub(super) fn now(&self) -> Timestamp {
        self.servers.read().latest.now(self.boot(), self.window_micros)
    }

    /// One partition of every server that is known, and those whose server is not.
    pub(super) fn partition_of_each_server(&self) -> Vec<Partition> {
        if self.one_server {
            return vec![Partition(0)];
        }
        let servers = self.servers.read();
        let mut seen: Vec<&str> = Vec::new();
        let mut partitions = Vec::new();
        for (number, clock) in (0..=u8::MAX).zip(&servers.by_partition) {
            if let Some(clock) = clock {
                if seen.contains(&&*clock.server) {
                    continue;
                }
                seen.push(&clock.server);
            }
            partitions.push(Partition(number));
        }
        partitions
    }

    fn clock_of(&self, partition: Partition, server: &Arc<str>) -> Arc<Clock> {
        let at = usize::from(partition.0);
        {
            let servers = self.servers.read();
            let known = servers.by_partition[at].as_ref().filter(|clock| clock.server == *server);
            if let Some(clock) = known
                && servers.latest.server == *server
            {
                return Arc::clone(clock);
            }
        }
        let mut servers = self.servers.write();
        let clock = match servers.by_address.get(server) {
            Some(clock) => Arc::clone(clock),
            None => {
                // Servers that no partition is on any more are forgotten: addresses come and go.
                servers.by_address.retain(|_, clock| Arc::strong_count(clock) > 1);
                let clock = Arc::new(Clock::new(Arc::clone(server), None));
                if self.one_server && !servers.latest.server.is_empty() {
                    // A replica that was made master takes over: one clock follows another.
                    clock.state.lock().told_micros = servers.latest.state.lock().told_micros;
                }
                servers.by_address.insert(Arc::clone(server), Arc::clone(&clock));
                clock
            }
        };
        servers.by_partition[at] = Some(Arc::clone(&clock));
        servers.latest = Arc::clone(&clock);
        clock
    }
}

fn now_micros(skew_micros: i64) -> i64 {
    boot_micros().cast_signed().saturating_add(skew_micros)
}

/// One server's clock.
#[derive(Debug)]
struct Clock {
    server: Arc<str>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The server's time when our boot clock stood at zero; `None`: not heard yet.
    offset_micros: Option<i64>,
    /// The latest instant that was told.
    told_micros: i64,
}

impl Clock {
    fn new(server: Arc<str>, offset_micros: Option<i64>) -> Self {
        Self { server, state: Mutex::new(State { offset_micros, told_micros: 0 }) }
    }

    /// The offset lies between these. An older estimate within them stands: a reply that took long
    /// tells less than one that was quick.
    fn learn(&self, least: i64, most: i64) {
        let mut state = self.state.lock();
        let offset = state.offset_micros.unwrap_or(least);
        state.offset_micros = Some(offset.clamp(least, most.max(least)));
    }

    fn now(&self, boot: Boot, window_micros: i64) -> Timestamp {
        let mut state = self.state.lock();
        let now = boot.0.saturating_add(state.offset_micros.unwrap_or(0)).max(0);
        if now >= state.told_micros || state.told_micros - now > window_micros {
            state.told_micros = now;
        }
        Timestamp::from_micros(state.told_micros.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: i64 = 500_000;

    fn clock() -> Clock {
        Clock::new("server".into(), None)
    }

    #[test]
    fn a_slow_reply_does_not_spoil_what_a_quick_one_told() {
        let clock = clock();
        clock.learn(1_000_000 - 10, 1_000_000);
        // The reply came 700 ms after the server had looked at its clock.
        clock.learn(1_000_000 - 700_000, 1_000_005);
        assert_eq!(clock.now(Boot(0), WINDOW).as_micros(), 1_000_000 - 10);
    }

    #[test]
    fn jitter_never_runs_backwards_and_a_clock_set_back_is_followed() {
        let clock = clock();
        clock.learn(1_000_000, 1_000_000);
        assert_eq!(clock.now(Boot(50), WINDOW).as_micros(), 1_000_050);
        clock.learn(900_000, 900_000);
        assert_eq!(clock.now(Boot(60), WINDOW).as_micros(), 1_000_050);
        assert_eq!(clock.now(Boot(200_000), WINDOW).as_micros(), 1_100_000);
        clock.learn(100_000, 100_000);
        assert_eq!(clock.now(Boot(200_000), WINDOW).as_micros(), 300_000);
    }

    #[test]
    fn each_partition_goes_by_its_own_server() {
        let clocks = Clocks::new(false, Duration::from_millis(500), 0);
        let (near, far): (Arc<str>, Arc<str>) = ("near".into(), "far".into());
        let sent = clocks.boot();
        clocks.learn(Partition(1), &near, sent, Timestamp::from_micros(1_000_000_000_000));
        clocks.learn(Partition(2), &far, sent, Timestamp::from_micros(5_000_000_000_000));
        assert!(clocks.now_in(Partition(1)).as_micros() < 1_100_000_000_000);
        assert!(clocks.now_in(Partition(2)).as_micros() >= 5_000_000_000_000);
        assert_eq!(clocks.partition_of_each_server().len(), 256);
        for partition in 0..=u8::MAX {
            clocks.learn(Partition(partition), &far, sent, Timestamp::from_micros(5_000_000_000_000));
        }
        assert_eq!(clocks.partition_of_each_server(), [Partition(0)]);
    }
}
