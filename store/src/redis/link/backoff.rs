//! How long to wait before the next attempt.

use std::time::Duration;

/// After the first failure; each further one doubles it.
const FIRST: Duration = Duration::from_millis(20);
/// The longest wait: a server that is back is found within it.
const LONGEST: Duration = Duration::from_millis(500);

/// The wait after so many failures in a row: half of it by chance, so that many clients of one
/// server do not come back all at once.
pub(super) fn wait_after(failures: u32) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
    let full = FIRST.saturating_mul(1 << doublings.min(16)).min(LONGEST);
    full.mul_f64(rand::random_range(0.5..=1.0))
}
