//! The store behind its circuit breaker: what everybody here uses as the store.
//!
//! While the breaker is not closed, reads and commits are answered at once, and the store hears
//! nothing of them. Otherwise they pass, and how they ended is told to the breaker and, if the store
//! failed, to whoever watches its health. Probes and what brings a shared store back always pass.

use crate::breaker::{BreakerGate, Turn};
use crate::health::HealthState;
use lockkeeper_core::{Partition, ResourceId, Timestamp};
use lockkeeper_store::{Commit, Committed, Known, Loaded, Page, SharedStore, Store, StoreError, StoreFuture};
use std::sync::Arc;

/// A store behind its circuit breaker.
pub(crate) struct GuardedStore {
    inner: Arc<dyn Store>,
    gate: Option<Arc<BreakerGate>>,
    health: Arc<HealthState>,
}

/// What the end of a call says of the store.
enum Verdict {
    /// It answered, if only that it will not.
    Answered,
    /// It failed.
    Fault,
    /// Nothing: it was not asked.
    Nothing,
}

fn verdict(error: Option<&StoreError>) -> Verdict {
    match error {
        // Conflicts and late commits are answers, too.
        None | Some(StoreError::Sealed(_) | StoreError::Damaged(_)) => Verdict::Answered,
        Some(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_) | StoreError::Unfit(_)) => {
            Verdict::Fault
        }
        Some(StoreError::Overloaded { .. } | StoreError::Refused(_) | StoreError::Closed) => Verdict::Nothing,
    }
}

impl GuardedStore {
    pub(crate) fn new(
        inner: Arc<dyn Store>,
        gate: Option<Arc<BreakerGate>>,
        health: Arc<HealthState>,
    ) -> Self {
        Self { inner, gate, health }
    }

    fn pass(&self) -> Result<Option<Turn>, StoreError> {
        self.gate.as_ref().map(|gate| gate.pass()).transpose()
    }

    fn ended<T>(&self, turn: Option<Turn>, result: &Result<T, StoreError>) {
        let error = result.as_ref().err();
        match (verdict(error), error) {
            (Verdict::Fault, Some(error)) => {
                // Every fault is a reason to look what is the matter.
                self.health.suspect();
                if let (Some(gate), Some(turn)) = (&self.gate, turn) {
                    gate.failed(turn, error);
                }
            }
            (Verdict::Answered, _) => {
                if let (Some(gate), Some(turn)) = (&self.gate, turn) {
                    gate.answered(turn);
                }
            }
            (Verdict::Nothing | Verdict::Fault, _) => {}
        }
    }

    async fn guard<'a, T: 'a>(
        &self,
        call: impl FnOnce() -> StoreFuture<'a, Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let turn = self.pass()?;
        let result = call().await;
        self.ended(turn, &result);
        result
    }
}

impl Store for GuardedStore {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn now_in(&self, partition: Partition) -> Timestamp {
        self.inner.now_in(partition)
    }

    fn known(&self, partition: Partition) -> Known {
        self.inner.known(partition)
    }

    fn shared(&self) -> Option<&dyn SharedStore> {
        self.inner.shared()
    }

    fn load(&self, id: ResourceId) -> StoreFuture<'_, Result<Loaded, StoreError>> {
        Box::pin(async move { self.guard(|| self.inner.load(id)).await })
    }

    fn commit(&self, commit: Commit) -> StoreFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async move { self.guard(|| self.inner.commit(commit)).await })
    }

    fn list(&self, from: Option<ResourceId>, limit: usize) -> StoreFuture<'_, Result<Page, StoreError>> {
        Box::pin(async move { self.guard(|| self.inner.list(from, limit)).await })
    }

    fn probe(&self) -> StoreFuture<'_, Result<(), StoreError>> {
        self.inner.probe()
    }
}
