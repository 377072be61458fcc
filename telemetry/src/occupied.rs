//! A gauge that counts what exists, kept right by ownership.

use metrics::Gauge;

/// Counts one on a gauge for as long as it lives, however it ends.
#[must_use = "the gauge goes down again when this is dropped"]
pub struct Occupied(Gauge);

impl Occupied {
    pub(crate) fn new(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
