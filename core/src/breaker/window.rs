//! How many calls there were lately, and how many of them were faults.

use std::time::Duration;

/// Into so many parts a window is cut: what is older than a window is forgotten part by part.
const PARTS: usize = 10;

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    /// Which part of all time it counts.
    number: u128,
    calls: u64,
    faults: u64,
}

/// The calls of the last window, to the tenth of it. Its size does not depend on how many there are.
#[derive(Clone, Debug)]
pub(super) struct Window {
    part_nanos: u128,
    parts: [Part; PARTS],
}

impl Window {
    pub(super) fn new(window: Duration) -> Self {
        Self { part_nanos: (window.as_nanos() / PARTS as u128).max(1), parts: [Part::default(); PARTS] }
    }

    pub(super) fn add(&mut self, now: Duration, calls: u64, faults: u64) {
        let number = self.number(now);
        let part = &mut self.parts[(number % PARTS as u128) as usize];
        if part.number != number {
            *part = Part { number, calls: 0, faults: 0 };
        }
        part.calls = part.calls.saturating_add(calls);
        part.faults = part.faults.saturating_add(faults);
    }

    /// Calls and faults of the window that ends now.
    pub(super) fn counts(&self, now: Duration) -> (u64, u64) {
        let now = self.number(now);
        let counted = self.parts.iter().filter(|part| part.number + PARTS as u128 > now);
        counted.fold((0, 0), |(calls, faults): (u64, u64), part| {
            (calls.saturating_add(part.calls), faults.saturating_add(part.faults))
        })
    }

    pub(super) fn clear(&mut self) {
        self.parts = [Part::default(); PARTS];
    }

    fn number(&self, now: Duration) -> u128 {
        now.as_nanos() / self.part_nanos
    }
}
