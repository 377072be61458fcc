//! The store's clock: starts at the larger of the last persisted time and the wall clock, and is
//! advanced by the boot clock, which counts through suspend and which nobody sets.

use crate::boot_clock::{boot_micros, wall_micros};
use lockkeeper_core::Timestamp;

/// A clock that never runs backwards.
#[derive(Debug)]
pub(super) struct Clock {
    /// The store's time when the boot clock stood at zero, in microseconds; may be negative.
    offset_micros: i128,
}

impl Clock {
    /// Starts at `last_micros` or the wall clock, whichever is later.
    pub(super) fn start(last_micros: u64) -> Self {
        let start = last_micros.max(wall_micros());
        Self { offset_micros: i128::from(start) - i128::from(boot_micros()) }
    }

    pub(super) fn now(&self) -> Timestamp {
        let micros = self.offset_micros + i128::from(boot_micros());
        Timestamp::from_micros(u64::try_from(micros).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_set_back_does_not_turn_it_back() {
        let tomorrow = wall_micros() + 86_400_000_000;
        let clock = Clock::start(tomorrow);
        let first = clock.now();
        assert!(first.as_micros() >= tomorrow);
        assert!(clock.now() >= first);
    }

    #[test]
    fn a_late_start_takes_the_wall_clock() {
        let before = wall_micros();
        assert!(Clock::start(1_000).now().as_micros() >= before);
    }
}
