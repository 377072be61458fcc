//! Keeps the log readable while everything fails: of failures of one kind a line now and then, with
//! how many were left out. What each client was told is counted by metrics in any case.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Of one kind of failure, one line within this time.
const QUIET_FOR: Duration = Duration::from_secs(10);

/// What was logged last of each kind, and how many were left out since.
#[derive(Default)]
pub(super) struct Quiet(Mutex<HashMap<Kind, (Instant, u64)>>);

/// A code with the words it is logged with.
type Kind = (&'static str, &'static str);

impl Quiet {
    /// Is this one to be logged? With how many of its kind were left out before it.
    pub(super) fn speaks(&self, code: &'static str, message: &'static str, now: Instant) -> Option<u64> {
        let kind = (code, message);
        let mut kinds = self.0.lock();
        match kinds.get_mut(&kind) {
            Some((last, left_out)) if now.saturating_duration_since(*last) < QUIET_FOR => {
                *left_out += 1;
                None
            }
            Some((last, left_out)) => {
                *last = now;
                Some(std::mem::take(left_out))
            }
            None => {
                kinds.insert(kind, (now, 0));
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_kind_a_line_now_and_then() {
        let quiet = Quiet::default();
        let begin = Instant::now();
        assert_eq!(quiet.speaks("a", "m", begin), Some(0));
        assert_eq!(quiet.speaks("a", "m", begin), None);
        assert_eq!(quiet.speaks("a", "n", begin), Some(0));
        assert_eq!(quiet.speaks("a", "m", begin + QUIET_FOR / 2), None);
        assert_eq!(quiet.speaks("a", "m", begin + QUIET_FOR), Some(2));
        assert_eq!(quiet.speaks("a", "m", begin + QUIET_FOR * 3), Some(0));
    }
}
