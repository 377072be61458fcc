//! The series of one metric, each behind a handle made once.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use metrics::{Counter, Gauge, Histogram, Key, Recorder};
use metrics_exporter_prometheus::PrometheusRecorder;

use crate::declare::{Metric, ORIGIN};

/// A family stops making series here and counts the rest under `other`. Label values come from our
/// own code, so only a mistake there reaches it; that mistake must not eat the memory.
const SERIES_PER_FAMILY_MAX: usize = 512;
const OTHER: &str = "other";

/// A kind of handle that the recorder can make.
pub(crate) trait Handle: Clone {
    fn register(recorder: &PrometheusRecorder, key: &Key) -> Self;
}

impl Handle for Counter {
    fn register(recorder: &PrometheusRecorder, key: &Key) -> Self {
        recorder.register_counter(key, &ORIGIN)
    }
}

impl Handle for Gauge {
    fn register(recorder: &PrometheusRecorder, key: &Key) -> Self {
        recorder.register_gauge(key, &ORIGIN)
    }
}

impl Handle for Histogram {
    fn register(recorder: &PrometheusRecorder, key: &Key) -> Self {
        recorder.register_histogram(key, &ORIGIN)
    }
}

/// One series of a metric; `values` are those of its labels, in their declared order.
pub(crate) fn series<H: Handle>(recorder: &PrometheusRecorder, metric: &Metric, values: &[&str]) -> H {
    debug_assert_eq!(metric.labels.len(), values.len(), "{}: a value for each label", metric.name);
    let labels = metric
        .labels
        .iter()
        .zip(values)
        .map(|(label, value)| metrics::Label::new(label.name, (*value).to_owned()))
        .collect::<Vec<_>>();
    H::register(recorder, &Key::from_parts(metric.name, labels))
}

/// One series for each value of a metric's only label, in the declared order. They exist from the
/// start, at zero: a rate over a series that appears with its first event misses that event.
pub(crate) fn closed<H: Handle>(recorder: &PrometheusRecorder, metric: &Metric) -> Box<[H]> {
    let values = metric.labels.first().map_or(&[][..], |label| label.values);
    values.iter().map(|value| series(recorder, metric, &[value])).collect()
}

/// The series of a metric whose label values are known only to the callers.
pub(crate) struct Family<H> {
    recorder: &'static PrometheusRecorder,
    metric: &'static Metric,
    /// The value of the metric's second label, if it has one.
    second: Option<&'static str>,
    series: RwLock<HashMap<String, H>>,
}

impl<H: Handle> Family<H> {
    pub(crate) fn new(recorder: &'static PrometheusRecorder, metric: &'static Metric) -> Self {
        Self { recorder, metric, second: None, series: RwLock::default() }
    }

    /// One family for each value of the metric's second label, in the declared order.
    pub(crate) fn by_second(recorder: &'static PrometheusRecorder, metric: &'static Metric) -> Box<[Self]> {
        let values = metric.labels.get(1).map_or(&[][..], |label| label.values);
        values
            .iter()
            .map(|value| Self { recorder, metric, second: Some(value), series: RwLock::default() })
            .collect()
    }

    /// The handle of one series, made at its first use.
    pub(crate) fn get(&self, value: &'static str) -> H {
        lookup(&self.series, value, |value| match self.second {
            None => series(self.recorder, self.metric, &[value]),
            Some(second) => series(self.recorder, self.metric, &[value, second]),
        })
    }
}

/// Finds an entry, or makes it while there is room.
pub(crate) fn lookup<T: Clone>(
    entries: &RwLock<HashMap<String, T>>,
    name: &str,
    make: impl FnOnce(&str) -> T,
) -> T {
    if let Some(found) = entries.read().unwrap_or_else(PoisonError::into_inner).get(name) {
        return found.clone();
    }
    let mut entries = entries.write().unwrap_or_else(PoisonError::into_inner);
    let name = if entries.len() < SERIES_PER_FAMILY_MAX || entries.contains_key(name) { name } else { OTHER };
    entries.entry(name.to_owned()).or_insert_with(|| make(name)).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_does_not_grow_for_ever() {
        let entries = RwLock::default();
        for n in 0..SERIES_PER_FAMILY_MAX * 2 {
            lookup(&entries, &format!("value-{n}"), str::to_owned);
        }
        assert_eq!(lookup(&entries, "value-0", str::to_owned), "value-0");
        assert_eq!(lookup(&entries, "one more", str::to_owned), OTHER);
        assert_eq!(entries.read().unwrap().len(), SERIES_PER_FAMILY_MAX + 1);
    }
}
