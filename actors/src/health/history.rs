//! How the last probes ended.

use lockkeeper_core::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// So many probes are remembered.
pub const PROBES_KEPT: usize = 60;

/// How one probe of the store ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// When it ended, by the store's clock.
    pub at: Timestamp,
    /// How long it took.
    pub elapsed: Duration,
    /// What it failed with; `None`: it was good.
    pub failure: Option<String>,
}

impl Probe {
    /// Was it good?
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.failure.is_none()
    }
}

/// The last probes, the newest first.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Probe>);

impl History {
    pub(super) fn add(&mut self, probe: Probe) {
        self.0.truncate(PROBES_KEPT - 1);
        self.0.push_front(probe);
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Probe> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept_and_come_first() {
        let mut history = History::default();
        for n in 1..=(PROBES_KEPT as u64 + 7) {
            history.add(Probe { at: Timestamp::from_micros(n), elapsed: Duration::ZERO, failure: None });
        }
        let kept: Vec<u64> = history.newest_first().map(|probe| probe.at.as_micros()).collect();
        assert_eq!(kept.len(), PROBES_KEPT);
        assert_eq!((kept[0], kept[PROBES_KEPT - 1]), (67, 8));
    }
}
