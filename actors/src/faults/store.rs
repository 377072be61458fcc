//! A store at whose doors faults can be planned.

use super::{FaultPoint, Faults};
use lockkeeper_core::{Partition, ResourceId, Timestamp};
use lockkeeper_store::{Commit, Committed, Known, Loaded, Page, SharedStore, Store, StoreError, StoreFuture};
use std::sync::Arc;

/// A store whose commits, reads and probes can fail as planned. What a shared store does besides is
/// not touched.
pub(crate) struct ChaosStore {
    inner: Arc<dyn Store>,
    faults: Arc<Faults>,
}

impl ChaosStore {
    pub(crate) fn new(inner: Arc<dyn Store>, faults: Arc<Faults>) -> Self {
        Self { inner, faults }
    }
}

impl Store for ChaosStore {
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
        Box::pin(async move {
            self.faults.pass(FaultPoint::StoreLoad, Some(id)).await?;
            self.inner.load(id).await
        })
    }

    fn commit(&self, commit: Commit) -> StoreFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async move {
            let first = commit.deltas.first().map(|delta| delta.id);
            let id = first.or_else(|| commit.checks.first().map(|(id, _)| *id));
            let reply_is_lost = self.faults.pass(FaultPoint::StoreCommit, id).await?;
            let outcome = self.inner.commit(commit).await?;
            if reply_is_lost {
                return Err(StoreError::OutcomeUnknown("a planned fault: the reply was lost".into()));
            }
            Ok(outcome)
        })
    }

    fn list(&self, from: Option<ResourceId>, limit: usize) -> StoreFuture<'_, Result<Page, StoreError>> {
        Box::pin(async move {
            self.faults.pass(FaultPoint::StoreLoad, None).await?;
            self.inner.list(from, limit).await
        })
    }

    fn probe(&self) -> StoreFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.faults.pass(FaultPoint::StoreProbe, None).await?;
            self.inner.probe().await
        })
    }
}
