//! Every metric of Lockkeeper: name, kind, unit, labels, help, buckets.
//!
//! [`table::METRICS`] is the one place where a metric is declared; `docs/metrics.md` is held against
//! it by a test. [`metrics()`] gives the handles through which the other crates record, [`install`]
//! the exporter that `/metrics` renders.
//!
//! The recorder is this crate's own and not the process-wide one of the `metrics` facade: what is not
//! in the table cannot reach `/metrics`, the handles work in whatever order a test touches them, and
//! several servers in one process share them. Recording is an atomic operation on a handle made
//! beforehand; series whose label values are not known here (a store's name, a route) cost one read
//! lock and a lookup more, and their handles may be kept.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod declare;
mod docs;
mod exporter;
mod family;
mod handles;
mod labels;
mod occupied;
mod routes;
pub mod table;

pub use declare::{Kind, Label, Metric, Unit};
pub use docs::markdown_table;
pub use exporter::{Exporter, InstallError, install};
pub use handles::{Metrics, metrics};
pub use labels::{
    Acquisition, BackendState, BreakerState, CommitOutcome, ConfigChange, Grant, HoldClass, JournalOutcome,
    LockState, Phase, Priority, ReleaseReason, Retry,
};
pub use metrics::{Counter, Gauge, Histogram};
pub use occupied::Occupied;

#[cfg(test)]
mod tests;
