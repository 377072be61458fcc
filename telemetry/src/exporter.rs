//! The recorder, and what `/metrics` needs of it.

use std::sync::OnceLock;

use metrics::Recorder;
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use crate::declare::{Kind, Metric, Unit};
use crate::table::METRICS;

static RECORDER: OnceLock<PrometheusRecorder> = OnceLock::new();

/// Why there are no metrics.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The exporter refused the declared buckets of a metric.
    #[error("the buckets of the metric {metric} were refused: {source}")]
    Buckets {
        /// Its name.
        metric: &'static str,
        /// What the exporter said.
        source: BuildError,
    },
}

/// Renders the metrics and keeps them in shape. Every one shares the process's recorder.
#[derive(Clone)]
pub struct Exporter {
    handle: PrometheusHandle,
}

/// Makes the recorder, if there is none yet, and returns its exporter.
///
/// # Errors
/// When a declaration cannot be exported.
pub fn install() -> Result<Exporter, InstallError> {
    Ok(Exporter { handle: recorder()?.handle() })
}

/// The process's recorder.
pub(crate) fn recorder() -> Result<&'static PrometheusRecorder, InstallError> {
    if let Some(recorder) = RECORDER.get() {
        return Ok(recorder);
    }
    let built = build()?;
    Ok(RECORDER.get_or_init(|| built))
}

fn build() -> Result<PrometheusRecorder, InstallError> {
    let mut builder = PrometheusBuilder::new();
    for metric in METRICS {
        if let Kind::Histogram(buckets) = metric.kind {
            builder = builder
                .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)
                .map_err(|source| InstallError::Buckets { metric: metric.name, source })?;
        }
    }
    let recorder = builder.build_recorder();
    for metric in METRICS {
        describe(&recorder, metric);
    }
    Ok(recorder)
}

fn describe(recorder: &PrometheusRecorder, metric: &Metric) {
    let unit = match metric.unit {
        Unit::Seconds => Some(metrics::Unit::Seconds),
        Unit::Bytes => Some(metrics::Unit::Bytes),
        Unit::Count(_) => Some(metrics::Unit::Count),
        Unit::Flag => None,
    };
    let (name, help) = (metric.name.into(), metric.help.into());
    match metric.kind {
        Kind::Counter => recorder.describe_counter(name, unit, help),
        Kind::Gauge => recorder.describe_gauge(name, unit, help),
        Kind::Histogram(_) => recorder.describe_histogram(name, unit, help),
    }
}

impl Exporter {
    /// The metrics as Prometheus text, sorted by name. (The exporter's order changes from call to
    /// call, which people and diffs do not like.)
    #[must_use]
    pub fn render(&self) -> String {
        let text = self.handle.render();
        // Families are separated by an empty line; a newline within a label value is escaped.
        let mut families: Vec<&str> = text.split("\n\n").map(str::trim).filter(|f| !f.is_empty()).collect();
        families.sort_unstable();
        let mut sorted = families.join("\n\n");
        sorted.push('\n');
        sorted
    }

    /// Takes the histograms' collected values into their buckets and reads the process's own figures.
    /// To be called every few seconds: between two calls every recorded duration takes memory.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
        // The crate knows only the process-wide recorder of the facade; ours is not that one.
        if let Ok(recorder) = recorder() {
            metrics::with_local_recorder(recorder, || metrics_process::Collector::default().collect());
        }
    }
}
