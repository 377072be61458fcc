//! May this instance grant, and if not, why? The one place that knows.
//!
//! Each part that can say no sets its own [`Hindrance`] and takes it back; nobody sets another's. What
//! follows from them (the phase, may anything be granted) is worked out here. Every change of the
//! phase is an event, a metric and a log line.

use crate::events::{EventLog, Occurrence};
use lockkeeper_core::Timestamp;
use lockkeeper_telemetry::metrics;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::watch;

/// Why an instance does not grant. In the order in which an operator wants to hear of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hindrance {
    /// It was told to stop.
    Leaving,
    /// A kill switch, at the start or while it runs.
    SwitchedOff,
    /// Its actors die too often.
    Storm,
    /// The store is not reached, is unfit, or failed its last probe.
    Store,
    /// The circuit breaker of the store is not closed.
    Breaker,
    /// All partitions of a shared store are sealed.
    Sealed,
    /// The store is back; releases that were accepted while it was away are carried out first.
    Journal,
}

impl Hindrance {
    /// The machine word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leaving => "leaving",
            Self::SwitchedOff => "switched_off",
            Self::Storm => "storm",
            Self::Store => "store",
            Self::Breaker => "breaker",
            Self::Sealed => "sealed",
            Self::Journal => "journal",
        }
    }

    /// Does it mean that the store cannot be trusted now? Then releases are journalled, renewals
    /// refused, reads answered from the view.
    #[must_use]
    pub const fn concerns_store(self) -> bool {
        matches!(self, Self::Store | Self::Breaker | Self::Sealed)
    }
}

/// What an instance does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Everything.
    Granting,
    /// It protects what is held: no grants, no renewals; releases are journalled.
    HoldOnly,
    /// The store may have lost data: the instances write back what they know.
    Sealed,
    /// It grants nothing, since it stops or was switched off.
    Draining,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Granting, Self::HoldOnly, Self::Sealed, Self::Draining];

    /// The machine word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Granting => "granting",
            Self::HoldOnly => "hold_only",
            Self::Sealed => "sealed",
            Self::Draining => "draining",
        }
    }

    const fn label(self) -> lockkeeper_telemetry::Phase {
        match self {
            Self::Granting => lockkeeper_telemetry::Phase::Granting,
            Self::HoldOnly => lockkeeper_telemetry::Phase::HoldOnly,
            Self::Sealed => lockkeeper_telemetry::Phase::Sealed,
            Self::Draining => lockkeeper_telemetry::Phase::Draining,
        }
    }

    const fn of(first: Option<Hindrance>) -> Self {
        match first {
            None => Self::Granting,
            Some(Hindrance::Leaving | Hindrance::SwitchedOff) => Self::Draining,
            Some(Hindrance::Storm | Hindrance::Store | Hindrance::Breaker | Hindrance::Journal) => {
                Self::HoldOnly
            }
            Some(Hindrance::Sealed) => Self::Sealed,
        }
    }
}

/// One reason why nothing is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hindered {
    /// Which.
    pub by: Hindrance,
    /// Since when, by the store's clock.
    pub since: Timestamp,
    /// In words.
    pub reason: String,
}

/// How the instance stands.
#[derive(Clone, Debug)]
pub struct ServiceStatus {
    /// What it does.
    pub phase: Phase,
    /// Since when it has been in this phase, by the store's clock.
    pub since: Timestamp,
    /// All that keeps it from granting, the most telling first; empty: it grants.
    pub hindered: Vec<Hindered>,
}

impl ServiceStatus {
    /// The most telling reason.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.hindered.first().map(|first| first.reason.as_str())
    }

    /// Is it hindered by this?
    #[must_use]
    pub fn is_hindered_by(&self, what: Hindrance) -> bool {
        self.hindered.iter().any(|hindered| hindered.by == what)
    }
}

struct State {
    phase: Phase,
    since: Timestamp,
    hindered: BTreeMap<Hindrance, (Timestamp, String)>,
}

/// May this instance grant?
pub(crate) struct Service {
    state: RwLock<State>,
    log: Arc<EventLog>,
    store_trusted: AtomicBool,
    may_grant: watch::Sender<bool>,
    /// Told at every change of what hinders it.
    changes: watch::Sender<()>,
    /// How many accepted releases are not carried out yet.
    releases: Arc<AtomicUsize>,
}

impl Service {
    /// An instance that nothing hinders.
    pub(crate) fn new(log: Arc<EventLog>, now: Timestamp) -> Self {
        let state = State { phase: Phase::Granting, since: now, hindered: BTreeMap::new() };
        metrics().phase(Phase::Granting.label());
        metrics().ready(true);
        Self {
            state: RwLock::new(state),
            log,
            store_trusted: AtomicBool::new(true),
            may_grant: watch::Sender::new(true),
            changes: watch::Sender::new(()),
            releases: Arc::default(),
        }
    }

    /// When the store comes back and so many releases are pending, these come first.
    pub(crate) fn after_releases(mut self, pending: Arc<AtomicUsize>) -> Self {
        self.releases = pending;
        self
    }

    /// From now on this hinders it; or, if it did already, for this reason.
    pub(crate) fn hinder(&self, what: Hindrance, reason: impl Into<String>, now: Timestamp) {
        let reason = reason.into();
        self.change(now, |hindered| match hindered.get_mut(&what) {
            Some((_, known)) => *known = reason,
            None => {
                hindered.insert(what, (now, reason));
            }
        });
    }

    /// This does not hinder it any more.
    pub(crate) fn clear(&self, what: Hindrance, now: Timestamp) {
        self.change(now, |hindered| {
            hindered.remove(&what);
        });
    }

    fn change(&self, now: Timestamp, change: impl FnOnce(&mut BTreeMap<Hindrance, (Timestamp, String)>)) {
        let mut state = self.state.write();
        let concerns_store =
            |hindered: &BTreeMap<Hindrance, _>| hindered.keys().any(|what| what.concerns_store());
        let was_trusted = !concerns_store(&state.hindered);
        change(&mut state.hindered);
        let trusted = !concerns_store(&state.hindered);
        let releases = self.releases.load(Ordering::Acquire);
        if releases > 0 && !(was_trusted && trusted) {
            // In the same step: nothing is granted between the store's return and the releases.
            let reason = format!(
                "releases that were accepted while the store was away come first ({releases} pending)"
            );
            match state.hindered.get_mut(&Hindrance::Journal) {
                Some((_, known)) => *known = reason,
                None => drop(state.hindered.insert(Hindrance::Journal, (now, reason))),
            }
        }
        let first = state.hindered.first_key_value().map(|(what, (_, reason))| (*what, reason.clone()));
        let (before, after) = (state.phase, Phase::of(first.as_ref().map(|(what, _)| *what)));
        self.store_trusted.store(trusted, Ordering::Release);
        if before != after {
            state.phase = after;
            state.since = now;
            let reason = first.as_ref().map(|(_, reason)| reason.clone());
            metrics().phase(after.label());
            metrics().ready(after == Phase::Granting);
            match &reason {
                None => tracing::info!(phase = after.as_str(), before = before.as_str(), "locks are granted"),
                Some(reason) => tracing::warn!(
                    phase = after.as_str(),
                    before = before.as_str(),
                    reason,
                    "nothing is granted by this instance"
                ),
            }
            self.log.append(now, [Occurrence::PhaseChanged { from: before, to: after, reason }]);
        }
        // Told while the state is locked: nobody hears of an older change after a newer one.
        let granting = state.hindered.is_empty();
        self.may_grant.send_if_modified(|may| std::mem::replace(may, granting) != granting);
        self.changes.send_replace(());
    }

    /// More releases are pending.
    pub(crate) fn releases_pend(&self, now: Timestamp) {
        self.change(now, |_| {});
    }

    /// Follows every change of what hinders it.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Does this hinder it?
    pub(crate) fn is_hindered_by(&self, what: Hindrance) -> bool {
        self.state.read().hindered.contains_key(&what)
    }

    /// May anything be granted now?
    pub(crate) fn may_grant(&self) -> bool {
        *self.may_grant.borrow()
    }

    /// Can the store be asked now? If not, nothing it is said to have may be confirmed or denied.
    pub(crate) fn is_store_trusted(&self) -> bool {
        self.store_trusted.load(Ordering::Acquire)
    }

    /// Waits until something may be granted.
    pub(crate) async fn granting(&self) {
        // The sender lives as long as this.
        let _ = self.may_grant.subscribe().wait_for(|may| *may).await;
    }

    /// Waits until the store can be asked.
    pub(crate) async fn trusted(&self) {
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            if self.is_store_trusted() {
                return;
            }
            // The sender lives as long as this.
            let _ = changes.changed().await;
        }
    }

    /// How it stands.
    pub(crate) fn status(&self) -> ServiceStatus {
        let state = self.state.read();
        let hindered = state
            .hindered
            .iter()
            .map(|(by, (since, reason))| Hindered { by: *by, since: *since, reason: reason.clone() })
            .collect();
        ServiceStatus { phase: state.phase, since: state.since, hindered }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_micros(secs * 1_000_000)
    }

    #[test]
    fn the_most_telling_hindrance_names_the_phase() {
        let log = Arc::new(EventLog::new("me", 16));
        let service = Service::new(Arc::clone(&log), at(1));
        assert!(service.may_grant() && service.is_store_trusted());
        service.hinder(Hindrance::Journal, "releases wait", at(2));
        assert_eq!((service.status().phase, service.is_store_trusted()), (Phase::HoldOnly, true));
        service.hinder(Hindrance::Store, "no answer", at(3));
        service.hinder(Hindrance::Store, "refused", at(4));
        let status = service.status();
        assert_eq!((status.phase, status.since, status.reason()), (Phase::HoldOnly, at(2), Some("refused")));
        assert_eq!(status.hindered[0].since, at(3));
        assert!(!service.is_store_trusted());
        service.hinder(Hindrance::Leaving, "stopping", at(5));
        assert_eq!((service.status().phase, service.status().since), (Phase::Draining, at(5)));
        for what in [Hindrance::Leaving, Hindrance::Store, Hindrance::Journal] {
            assert!(!service.may_grant());
            service.clear(what, at(6));
        }
        assert!(service.may_grant() && service.is_store_trusted());
        // Granting, hold-only, draining, hold-only, granting.
        assert_eq!(log.last(), 4);
    }

    #[test]
    fn releases_that_are_pending_come_between_the_store_and_grants() {
        let pending = Arc::new(AtomicUsize::new(0));
        let service =
            Service::new(Arc::new(EventLog::new("me", 16)), at(1)).after_releases(Arc::clone(&pending));
        service.hinder(Hindrance::Store, "no answer", at(2));
        pending.store(2, Ordering::Release);
        service.clear(Hindrance::Store, at(3));
        assert!(service.is_store_trusted() && !service.may_grant());
        assert_eq!(service.status().hindered[0].by, Hindrance::Journal);
        // It goes away again before they were carried out.
        service.hinder(Hindrance::Breaker, "open", at(4));
        service.clear(Hindrance::Journal, at(4));
        assert!(service.is_hindered_by(Hindrance::Journal), "not while the store is away");
        service.clear(Hindrance::Breaker, at(5));
        assert!(!service.may_grant());
        service.clear(Hindrance::Journal, at(6));
        assert!(service.may_grant());
        // A release that came while the store was trusted stops nobody.
        service.hinder(Hindrance::Storm, "storm", at(7));
        service.clear(Hindrance::Storm, at(7));
        assert!(service.may_grant());
    }

    #[tokio::test]
    async fn whoever_waits_hears_that_granting_begins() {
        let service = Arc::new(Service::new(Arc::new(EventLog::new("me", 16)), at(1)));
        service.hinder(Hindrance::Store, "no answer", at(2));
        let waits = tokio::spawn({
            let service = Arc::clone(&service);
            async move { service.granting().await }
        });
        service.clear(Hindrance::Store, at(3));
        waits.await.unwrap();
    }
}
