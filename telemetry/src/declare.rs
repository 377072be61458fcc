//! What a declaration says.

use metrics::Level;

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows; starts at zero with the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts values by size; the upper bounds of its buckets. Never empty: without buckets the
    /// exporter would make a summary of it, and summaries of several instances cannot be added up.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The word of the Prometheus `# TYPE` line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// What a metric's number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds, with their fraction.
    Seconds,
    /// Bytes.
    Bytes,
    /// Things; which ones is the word given.
    Count(&'static str),
    /// 0 or 1.
    Flag,
}

impl Unit {
    /// The word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::Count(things) => things,
            Self::Flag => "0 or 1",
        }
    }
}

/// A label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its values; empty when they come from elsewhere.
    pub values: &'static [&'static str],
    /// What it tells, and where its values come from.
    pub help: &'static str,
}

/// One metric, as declared in [`crate::table::METRICS`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// The full name.
    pub name: &'static str,
    /// How it behaves, with buckets for histograms.
    pub kind: Kind,
    /// What its number counts.
    pub unit: Unit,
    /// Its labels.
    pub labels: &'static [Label],
    /// What it tells.
    pub help: &'static str,
}

/// The facade asks for a level and origin with every registration; the exporter uses neither.
pub(crate) const ORIGIN: metrics::Metadata<'static> =
    metrics::Metadata::new("lockkeeper", Level::INFO, Some(module_path!()));
