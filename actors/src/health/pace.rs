//! When the store is probed next.

use std::time::Duration;

/// A suspicion has the store probed at once, but not sooner after the last probe than this: calls may
/// fail by the thousand.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(20);
/// By so much of it the interval varies, so that instances do not all probe at the same instant.
const JITTER: f64 = 0.1;

/// The pause before the next probe; `chance` is from 0 to 1.
pub(super) fn pause(interval: Duration, chance: f64) -> Duration {
    let factor = 1.0 + JITTER * (chance.clamp(0.0, 1.0) * 2.0 - 1.0);
    interval.mul_f64(factor).max(PAUSE_MIN.min(interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_varies_by_a_tenth_to_both_sides() {
        let second = Duration::from_secs(1);
        assert_eq!(pause(second, 0.0), Duration::from_millis(900));
        assert_eq!(pause(second, 0.5), second);
        assert_eq!(pause(second, 1.0), Duration::from_millis(1100));
        assert_eq!(pause(PAUSE_MIN, 0.0), PAUSE_MIN);
        assert_eq!(pause(Duration::from_millis(10), 0.0), Duration::from_millis(10));
    }
}
