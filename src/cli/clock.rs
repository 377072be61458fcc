//! Time as the client needs it: the boot clock for leases, the wall clock for people.

use std::time::{Duration, SystemTime};

/// An instant of the boot clock, which runs on while the machine sleeps.
///
/// Leases are counted with it: the monotonic clock behind tokio's timers stands still during a
/// suspend, and a laptop that wakes up must not believe in a lease that ended hours ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BootTime(Duration);

impl BootTime {
    /// Now.
    pub(crate) fn now() -> Self {
        #[cfg(target_os = "linux")]
        let clock = rustix::time::ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        let clock = rustix::time::ClockId::Monotonic;
        let now = rustix::time::clock_gettime(clock);
        let secs = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(now.tv_nsec).unwrap_or(0);
        Self(Duration::new(secs, nanos))
    }

    /// This long after `self` (saturating).
    pub(crate) fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// The time from now until `self`; zero when it has passed.
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_sub(Self::now().0)
    }

    /// Sleeps until `self`, in slices, so that a suspend is noticed soon after the wake-up.
    pub(crate) async fn sleep_until(self) {
        /// Longest sleep before the boot clock is read again.
        const SLICE: Duration = Duration::from_secs(1);
        loop {
            let left = self.left();
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(SLICE)).await;
        }
    }
}

/// The wall clock; only ever used to render times for people.
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}
