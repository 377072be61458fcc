//! Looking at what there is: the view, the store, events, health.

use super::{Locks, span};
use crate::answer::Failure;
use crate::bound::Bound;
use crate::breaker::BreakerStatus;
use crate::events::{EventLog, Filter, LoggedEvent, Subscribe, SubscribeError, Subscription};
use crate::health::{Health, Probe};
use crate::replica::ReplicaStatus;
use crate::service::ServiceStatus;
use crate::view::View;
use futures_util::TryStreamExt;
use lockkeeper_core::{Document, Partition, ResourceId, Timestamp};
use lockkeeper_store::shared::{InstanceRecord, ServerCondition};
use std::sync::Arc;
use std::time::Duration;

/// Documents read from the store at once.
const PAGE: usize = 1000;
/// Partitions that are compared with a shared store at once.
const CATCH_UPS_MAX: usize = 16;
/// How often the event hub is asked for a subscription, if it dies before it answers.
const SUBSCRIPTIONS_MAX: usize = 8;
/// The pause between.
const SUBSCRIPTION_PAUSE: Duration = Duration::from_millis(5);

impl Locks {
    /// The local view.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.shared().view
    }

    /// The store's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared().store.now()
    }

    /// The store's name.
    #[must_use]
    pub fn store_name(&self) -> &'static str {
        self.shared().store.name()
    }

    /// Live documents of one partition, or of all, read from the store itself.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn documents_from_store(
        &self,
        partition: Option<Partition>,
    ) -> Result<Vec<Arc<Document>>, Failure> {
        if self.shared().store.shared().is_some() {
            self.catch_up(partition).await?;
            return Ok(self.view().documents(partition));
        }
        let mut documents = Vec::new();
        let mut from = partition.map(|partition| ResourceId(u64::from(partition.0) << 56));
        loop {
            let page = self.shared().store.list(from, PAGE).await;
            let page = page.map_err(|error| self.told(partition, Failure::from(error), None))?;
            for stored in page.documents {
                if partition.is_some_and(|partition| stored.id.partition() != partition) {
                    return Ok(documents);
                }
                let document =
                    crate::system::read(&stored, 0).map_err(|e| Failure::Damaged(e.to_string()))?;
                if document.is_live() {
                    documents.push(Arc::new(document));
                }
            }
            from = page.next;
            if from.is_none() {
                return Ok(documents);
            }
        }
    }

    /// Brings the view of one partition, or of all, up to what a shared store has now. On a store
    /// of this process's own it always is.
    pub(super) async fn catch_up(&self, partition: Option<Partition>) -> Result<(), Failure> {
        let shared = self.shared();
        let Some(store) = shared.store.shared() else { return Ok(()) };
        if let Some(breaker) = &shared.breaker {
            breaker.pass()?;
        }
        let partitions = match partition {
            Some(partition) => vec![partition],
            None => crate::replica::all().collect(),
        };
        futures_util::stream::iter(
            partitions.into_iter().map(|partition| Ok(crate::replica::catch_up(shared, store, partition))),
        )
        .try_buffer_unordered(CATCH_UPS_MAX)
        .try_collect::<()>()
        .await
        .map_err(|error| self.told(partition, Failure::from(error), None))
    }

    /// How the view of a shared store stands; `None` on a store of this process's own.
    #[must_use]
    pub fn replica(&self) -> Option<ReplicaStatus> {
        self.shared().store.shared().map(|_| self.shared().replica.status())
    }

    /// As of when the view is, at least: what a shared store had then is in it.
    #[must_use]
    pub fn as_of(&self, now: Timestamp) -> Timestamp {
        match self.replica() {
            None => self.trusted_until(now),
            Some(ReplicaStatus { age: Some(age), .. }) => now - span(age),
            Some(ReplicaStatus { age: None, .. }) => Timestamp::ZERO,
        }
    }

    /// Until when a store of this process's own is known to have been well: what was decided then is
    /// in the view.
    fn trusted_until(&self, now: Timestamp) -> Timestamp {
        let status = self.shared().service.status();
        let away = status.hindered.iter().filter(|hindered| hindered.by.concerns_store());
        match away.map(|hindered| hindered.since).min() {
            None => now,
            // It was found out at most that much later.
            Some(since) => since - span(self.shared().options.health_interval),
        }
    }

    /// Who shares the store, as this instance heard last.
    #[must_use]
    pub fn instances(&self) -> Vec<InstanceRecord> {
        self.shared().replica.instances()
    }

    /// What there is to warn of though the store can be used.
    #[must_use]
    pub fn store_warnings(&self) -> Vec<String> {
        self.shared().store.shared().map(|store| store.warnings()).unwrap_or_default()
    }

    /// What the servers of a shared store say of themselves.
    #[must_use]
    pub fn store_condition(&self) -> Vec<ServerCondition> {
        self.shared().store.shared().map(|store| store.condition()).unwrap_or_default()
    }

    /// What is known of the store's health.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared().health.get()
    }

    /// The last probes of the store, the newest first; at most [`crate::PROBES_KEPT`].
    #[must_use]
    pub fn probes(&self) -> Vec<Probe> {
        self.shared().health.probes()
    }

    /// How the store's circuit breaker stands; `None`: there is none.
    #[must_use]
    pub fn breaker(&self) -> Option<BreakerStatus> {
        self.shared().breaker.as_ref().map(|breaker| breaker.status())
    }

    /// May this instance grant, and if not, why?
    #[must_use]
    pub fn service(&self) -> ServiceStatus {
        self.shared().service.status()
    }

    /// The event log.
    #[must_use]
    pub fn events(&self) -> &Arc<EventLog> {
        &self.shared().log
    }

    /// Follows the events after number `after` that the filter takes.
    ///
    /// # Errors
    /// See [`SubscribeError`]; `Ok(Err(_))` never: failures of the hub itself are [`Failure`]s.
    pub async fn subscribe(
        &self,
        after: u64,
        filter: impl Fn(&LoggedEvent) -> bool + Send + Sync + 'static,
    ) -> Result<Result<Subscription, SubscribeError>, Failure> {
        let hub = &self.inner.hub;
        let filter: Filter = Arc::new(filter);
        for _ in 0..SUBSCRIPTIONS_MAX {
            hub.revive();
            let Some(address) = hub.address() else { break };
            // A hub that dies with the question in its mailbox has a successor at once.
            if let Ok(answer) = address.send(Subscribe { after, filter: Arc::clone(&filter) }).await {
                return Ok(answer);
            }
            tokio::time::sleep(SUBSCRIPTION_PAUSE).await;
        }
        let limit = self.shared().options.mailbox;
        Err(Failure::Overloaded { what: Bound::HubMailbox, limit })
    }
}
