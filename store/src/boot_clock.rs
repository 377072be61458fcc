//! The clocks of this machine: the boot clock, which counts through suspend and which nobody sets,
//! and the wall clock, which anybody may set.

use rustix::time::{ClockId, clock_gettime};
use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since the machine was started.
pub(crate) fn boot_micros() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    (time.tv_sec as u64).wrapping_mul(1_000_000).wrapping_add(time.tv_nsec as u64 / 1_000)
}

/// Microseconds since the Unix epoch; 0 before it.
pub(crate) fn wall_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
