//! What is not done while the store cannot be trusted, and how clients wait for it.
//!
//! Nothing is granted, renewed or denied on the strength of a copy. Who asks for a lock and wants to
//! wait is kept here, in memory, without a ticket, and goes on when locks are granted again.

use super::Locks;
use crate::answer::{Failure, HoldOnly, LastLease};
use crate::service::Phase;
use lockkeeper_core::Partition;
use std::time::Duration;
use tokio::time::Instant;

/// The pause before something is tried again that the store failed though it counts as usable; it
/// doubles with each failure.
pub(super) const STORE_RETRY_MIN: Duration = Duration::from_millis(50);
/// The longest such pause.
const STORE_RETRY_MAX: Duration = Duration::from_secs(1);
/// When locks are granted again, those who waited go on over so long, for each of them; so that they
/// do not all come at once.
const RETURN_SPREAD_EACH: Duration = Duration::from_micros(20);
/// The longest such time for all of them.
const RETURN_SPREAD_MAX: Duration = Duration::from_millis(500);

/// What a waiting client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Locks are granted.
    Granting,
    /// The store can be asked.
    Trusted,
}

impl Locks {
    /// New grants are refused, whatever the store does.
    pub(super) fn closed_for_grants(&self) -> Option<Failure> {
        let shared = self.shared();
        if shared.is_draining() {
            return Some(Failure::ShuttingDown);
        }
        shared.switched_off().map(|by| Failure::SwitchedOff(by.as_ref().into()))
    }

    /// Can the store be asked?
    ///
    /// # Errors
    /// Why not.
    pub(super) fn store_trusted(&self, partition: Partition) -> Result<(), Failure> {
        if self.shared().service.is_store_trusted() {
            Ok(())
        } else {
            Err(self.hold_only(Some(partition), None, None))
        }
    }

    /// May what the view lacks be denied?
    ///
    /// # Errors
    /// Why not: the store may have it.
    pub fn confirms(&self, partition: Option<Partition>) -> Result<(), Failure> {
        if self.shared().service.is_store_trusted() {
            Ok(())
        } else {
            Err(self.hold_only(partition, None, None))
        }
    }

    /// Nothing was changed, since this instance only protects what is held. `cause`: what the store
    /// said of this very command.
    pub(super) fn hold_only(
        &self,
        partition: Option<Partition>,
        cause: Option<String>,
        lease: Option<LastLease>,
    ) -> Failure {
        let shared = self.shared();
        let status = shared.service.status();
        let sealed = partition.is_some_and(|partition| shared.replica.get(partition).sealed.is_some());
        let (phase, reason) = match (status.reason(), cause) {
            (Some(reason), None) => (status.phase, reason.to_owned()),
            (Some(reason), Some(_)) if !shared.service.is_store_trusted() => {
                (status.phase, reason.to_owned())
            }
            (_, Some(cause)) if sealed => (Phase::Sealed, cause),
            (_, Some(cause)) => (Phase::HoldOnly, cause),
            // It has just come back.
            (None, None) => (Phase::HoldOnly, "the store has just come back".to_owned()),
        };
        Failure::HoldOnly(Box::new(HoldOnly { phase, reason, lease }))
    }

    /// A failure as it is told to whoever asked.
    pub(super) fn told(
        &self,
        partition: Option<Partition>,
        failure: Failure,
        lease: Option<LastLease>,
    ) -> Failure {
        match failure {
            Failure::Unavailable(cause) => self.hold_only(partition, Some(cause), lease),
            other => other,
        }
    }

    /// Waits, in memory, until it can go on. The caller has a waiting place.
    ///
    /// # Errors
    /// [`Failure::ShuttingDown`], [`Failure::SwitchedOff`]: nothing more is granted here. [`Failure::HoldOnly`]: its time is over.
    pub(super) async fn parked(
        &self,
        partition: Partition,
        what: Until,
        until: Instant,
    ) -> Result<(), Failure> {
        let service = &self.shared().service;
        let goes_on = async {
            match what {
                Until::Granting => service.granting().await,
                Until::Trusted => service.trusted().await,
            }
        };
        tokio::select! {
            biased;
            () = goes_on => {}
            () = self.let_go() => return Err(self.closed_for_grants().unwrap_or(Failure::ShuttingDown)),
            () = tokio::time::sleep_until(until) => return Err(self.hold_only(Some(partition), None, None)),
        }
        let others = u32::try_from(self.waiting_clients().saturating_sub(1)).unwrap_or(u32::MAX);
        let spread = RETURN_SPREAD_EACH.saturating_mul(others).min(RETURN_SPREAD_MAX);
        tokio::time::sleep(spread.mul_f64(rand::random::<f64>())).await;
        Ok(())
    }

    /// Waits until clients are turned away from here, and the turn of this one has come.
    pub(super) async fn let_go(&self) {
        self.shared().turned_away().await;
        let spread = self.shared().tunables().drain_spread;
        tokio::time::sleep(spread.mul_f64(rand::random::<f64>())).await;
    }

    /// The pause before another try, after this one; not longer than until `until`. While the
    /// partition is known to be sealed there is no point in trying.
    pub(super) async fn pause_before_retry(
        &self,
        partition: Partition,
        pause: Duration,
        until: Instant,
    ) -> Duration {
        let mut pause = pause;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until.min(Instant::now() + pause)) => {}
                () = self.shared().turned_away() => return pause,
            }
            pause = (pause * 2).min(STORE_RETRY_MAX);
            if Instant::now() >= until || self.shared().replica.get(partition).sealed.is_none() {
                return pause;
            }
        }
    }
}
