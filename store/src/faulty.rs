//! A store that fails when a test says so: the same trait around any store, with faults at exact
//! points. Nothing happens by chance or by time.

use crate::contract::{
    Commit, Committed, Conflict, Known, Loaded, Page, Store, StoreError, StoreFuture, StoredDocument,
};
use crate::shared::{
    CHANGES_MAX, Change, ChangedSince, InstanceRecord, Marker, Opening, ServerCondition, SharedStore,
    Signature, Signed, WrittenBack,
};
use lockkeeper_core::{Partition, ResourceId, Timestamp};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// What happens to one commit.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is not done; this is the answer.
    Refuse(StoreError),
    /// It is done, but its answer is lost: `OutcomeUnknown`.
    LoseReply,
    /// It is not done, and the outcome is unknown all the same.
    LoseRequest,
    /// It is not done; the answer is a conflict that names the versions the documents really have.
    Conflict,
    /// It waits before it is done, until the gate is opened.
    HoldBefore(Gate),
    /// It is done; its answer waits until the gate is opened.
    HoldAfter(Gate),
}

/// What happens to one probe.
#[derive(Clone, Debug)]
pub enum ProbeFault {
    /// It fails with this.
    Fail(StoreError),
    /// It waits until the gate is opened, and fails with this, if anything.
    Hold(Gate, Option<StoreError>),
}

/// What happens to one change of another instance on its way here.
#[derive(Clone, Debug)]
pub enum HintFault {
    /// Nobody hears of it, nor of that.
    Lose,
    /// It comes twice.
    Double,
    /// It comes after the next one.
    Overtaken,
    /// It waits until the gate is opened, and all later ones behind it.
    Hold(Gate),
}

/// Holds a commit or a change until a test lets it go. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate {
    inner: Arc<(Semaphore, Semaphore)>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { inner: Arc::new((Semaphore::new(0), Semaphore::new(0))) }
    }
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until a commit stands at the gate; each one that came is noticed once.
    pub async fn reached(&self) {
        if let Ok(permit) = self.inner.0.acquire().await {
            permit.forget();
        }
    }

    /// Opens the gate for good.
    pub fn open(&self) {
        self.inner.1.close();
    }

    async fn pass(&self) {
        self.inner.0.add_permits(1);
        // Nothing is ever added: this ends when the gate is opened.
        let _ = self.inner.1.acquire().await;
    }
}

#[derive(Debug, Default)]
struct Plan {
    commits: u64,
    loads: u64,
    on_commit: BTreeMap<u64, Fault>,
    on_load: BTreeMap<u64, StoreError>,
    changes: u64,
    on_change: BTreeMap<u64, HintFault>,
    outage: Option<StoreError>,
    probes: u64,
    on_probe: BTreeMap<u64, ProbeFault>,
}

/// A store with planned faults.
#[derive(Debug)]
pub struct FaultyStore<S: Store + ?Sized> {
    inner: Arc<S>,
    plan: Arc<Mutex<Plan>>,
}

impl<S: Store + ?Sized> FaultyStore<S> {
    /// Wraps a store; without faults it behaves like that one.
    #[must_use]
    pub fn new(inner: Arc<S>) -> Self {
        Self { inner, plan: Arc::default() }
    }

    /// The store inside, to look at what really happened.
    #[must_use]
    pub fn inner(&self) -> &Arc<S> {
        &self.inner
    }

    /// Commits that were begun so far.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.plan.lock().commits
    }

    /// Plans the fault of the `nth` commit from the beginning, counted from 1.
    pub fn on_commit(&self, nth: u64, fault: Fault) {
        self.plan.lock().on_commit.insert(nth, fault);
    }

    /// Plans the fault of the next commit that has none planned.
    pub fn on_next_commit(&self, fault: Fault) {
        let mut plan = self.plan.lock();
        let mut nth = plan.commits + 1;
        while plan.on_commit.contains_key(&nth) {
            nth += 1;
        }
        plan.on_commit.insert(nth, fault);
    }

    /// Plans that the `nth` load or list from the beginning, counted from 1, fails.
    pub fn on_load(&self, nth: u64, error: StoreError) {
        self.plan.lock().on_load.insert(nth, error);
    }

    /// Plans that the next load or list fails.
    pub fn on_next_load(&self, error: StoreError) {
        let mut plan = self.plan.lock();
        let nth = plan.loads + 1;
        plan.on_load.insert(nth, error);
    }

    /// Plans what happens to the next change of another instance that has nothing planned.
    pub fn on_next_change(&self, fault: HintFault) {
        let mut plan = self.plan.lock();
        let mut nth = plan.changes + 1;
        while plan.on_change.contains_key(&nth) {
            nth += 1;
        }
        plan.on_change.insert(nth, fault);
    }

    /// Changes of other instances that came here so far.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.plan.lock().changes
    }

    /// Loads and lists that were begun so far.
    #[must_use]
    pub fn loads(&self) -> u64 {
        self.plan.lock().loads
    }

    /// Probes that were begun so far.
    #[must_use]
    pub fn probes(&self) -> u64 {
        self.plan.lock().probes
    }

    /// Plans what happens to the next probe that has nothing planned.
    pub fn on_next_probe(&self, fault: ProbeFault) {
        let mut plan = self.plan.lock();
        let mut nth = plan.probes + 1;
        while plan.on_probe.contains_key(&nth) {
            nth += 1;
        }
        plan.on_probe.insert(nth, fault);
    }

    /// From now on everything fails with this and nothing is done; `None` ends the outage.
    pub fn set_outage(&self, error: Option<StoreError>) {
        self.plan.lock().outage = error;
    }

    fn begin_load(&self) -> Result<(), StoreError> {
        let mut plan = self.plan.lock();
        plan.loads += 1;
        let nth = plan.loads;
        match plan.on_load.remove(&nth).or_else(|| plan.outage.clone()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn begin_commit(&self) -> Option<Fault> {
        let mut plan = self.plan.lock();
        plan.commits += 1;
        let nth = plan.commits;
        plan.on_commit.remove(&nth).or_else(|| plan.outage.clone().map(Fault::Refuse))
    }

    /// What is asked of a shared store fails in an outage, too.
    fn shared_store(&self) -> Result<&dyn SharedStore, StoreError> {
        let outage = self.plan.lock().outage.clone();
        match (outage, self.inner.shared()) {
            (Some(error), _) => Err(error),
            (None, Some(store)) => Ok(store),
            (None, None) => Err(StoreError::Refused("the store inside is not shared".into())),
        }
    }

    async fn conflict(&self, commit: &Commit) -> Result<Committed, StoreError> {
        let mut actual = Vec::with_capacity(commit.deltas.len());
        for delta in &commit.deltas {
            let document = self.inner.load(delta.id).await?.document;
            actual.push((delta.id, document.map(|document| document.version)));
        }
        Ok(Committed::Conflict(Conflict::of(actual)))
    }
}

impl<S: Store + ?Sized> Store for FaultyStore<S> {
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
        self.inner.shared().map(|_| self as &dyn SharedStore)
    }

    fn load(&self, id: ResourceId) -> StoreFuture<'_, Result<Loaded, StoreError>> {
        Box::pin(async move {
            self.begin_load()?;
            self.inner.load(id).await
        })
    }

    fn commit(&self, commit: Commit) -> StoreFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async move {
            match self.begin_commit() {
                None => self.inner.commit(commit).await,
                Some(Fault::Refuse(error)) => Err(error),
                Some(Fault::LoseReply) => {
                    self.inner.commit(commit).await?;
                    Err(StoreError::OutcomeUnknown("the reply was lost".into()))
                }
                Some(Fault::LoseRequest) => Err(StoreError::OutcomeUnknown("the request was lost".into())),
                Some(Fault::Conflict) => self.conflict(&commit).await,
                Some(Fault::HoldBefore(gate)) => {
                    gate.pass().await;
                    self.inner.commit(commit).await
                }
                Some(Fault::HoldAfter(gate)) => {
                    let outcome = self.inner.commit(commit).await;
                    gate.pass().await;
                    outcome
                }
            }
        })
    }

    fn list(&self, from: Option<ResourceId>, limit: usize) -> StoreFuture<'_, Result<Page, StoreError>> {
        Box::pin(async move {
            self.begin_load()?;
            self.inner.list(from, limit).await
        })
    }

    fn probe(&self) -> StoreFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let planned = {
                let mut plan = self.plan.lock();
                plan.probes += 1;
                let nth = plan.probes;
                plan.on_probe.remove(&nth).or_else(|| plan.outage.clone().map(ProbeFault::Fail))
            };
            let failure = match planned {
                None => None,
                Some(ProbeFault::Fail(error)) => Some(error),
                Some(ProbeFault::Hold(gate, error)) => {
                    gate.pass().await;
                    error
                }
            };
            match failure {
                Some(error) => Err(error),
                None => self.inner.probe().await,
            }
        })
    }
}

impl<S: Store + ?Sized> SharedStore for FaultyStore<S> {
    fn follow(&self) -> mpsc::Receiver<Change> {
        let (sender, receiver) = mpsc::channel(CHANGES_MAX);
        if let Some(store) = self.inner.shared() {
            tokio::spawn(pass_on(store.follow(), sender, Arc::clone(&self.plan)));
        }
        receiver
    }

    fn markers(&self) -> StoreFuture<'_, Result<Vec<Marker>, StoreError>> {
        Box::pin(async move { self.shared_store()?.markers().await })
    }

    fn changed_since(
        &self,
        partition: Partition,
        sequence: u64,
    ) -> StoreFuture<'_, Result<ChangedSince, StoreError>> {
        Box::pin(async move { self.shared_store()?.changed_since(partition, sequence).await })
    }

    fn sign(
        &self,
        partition: Partition,
        signature: Signature,
    ) -> StoreFuture<'_, Result<Signed, StoreError>> {
        Box::pin(async move { self.shared_store()?.sign(partition, signature).await })
    }

    fn write_back(&self, document: StoredDocument) -> StoreFuture<'_, Result<WrittenBack, StoreError>> {
        Box::pin(async move { self.shared_store()?.write_back(document).await })
    }

    fn open(
        &self,
        partition: Partition,
        settle: Duration,
        settle_max: Duration,
    ) -> StoreFuture<'_, Result<Opening, StoreError>> {
        Box::pin(async move { self.shared_store()?.open(partition, settle, settle_max).await })
    }

    fn seal(&self, partition: Partition, generation: u64) -> StoreFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.shared_store()?.seal(partition, generation).await })
    }

    fn announce(
        &self,
        record: InstanceRecord,
        lease: Duration,
    ) -> StoreFuture<'_, Result<Vec<InstanceRecord>, StoreError>> {
        Box::pin(async move { self.shared_store()?.announce(record, lease).await })
    }

    fn leave(&self) -> StoreFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.shared_store()?.leave().await })
    }

    fn warnings(&self) -> Vec<String> {
        self.inner.shared().map(SharedStore::warnings).unwrap_or_default()
    }

    fn condition(&self) -> Vec<ServerCondition> {
        self.inner.shared().map(SharedStore::condition).unwrap_or_default()
    }
}

/// Gives changes on as it was planned, until either side ends.
async fn pass_on(mut from: mpsc::Receiver<Change>, to: mpsc::Sender<Change>, plan: Arc<Mutex<Plan>>) {
    let mut overtaken: Option<Change> = None;
    loop {
        let change = tokio::select! {
            () = to.closed() => return,
            change = from.recv() => change,
        };
        let Some(change) = change else { return };
        let passes = match planned(&plan, &change) {
            None => vec![change],
            Some(HintFault::Lose) => vec![],
            Some(HintFault::Double) => vec![change.clone(), change],
            Some(HintFault::Overtaken) => {
                overtaken = Some(change);
                continue;
            }
            Some(HintFault::Hold(gate)) => {
                gate.pass().await;
                vec![change]
            }
        };
        for change in passes.into_iter().chain(overtaken.take()) {
            if to.send(change).await.is_err() {
                return;
            }
        }
    }
}

/// Only what others committed is counted.
fn planned(plan: &Mutex<Plan>, change: &Change) -> Option<HintFault> {
    match change {
        Change::Committed(change) if !change.own => {
            let mut plan = plan.lock();
            plan.changes += 1;
            let nth = plan.changes;
            plan.on_change.remove(&nth)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::make::{created, id, version};
    use crate::embedded::tests::Place;

    async fn landed(store: &FaultyStore<crate::EmbeddedStore>, document: ResourceId) -> bool {
        store.inner().load(document).await.unwrap().document.is_some()
    }

    #[tokio::test]
    async fn each_fault_happens_where_it_was_planned() {
        let place = Place::new();
        let store = FaultyStore::new(place.open());
        let down = StoreError::Unavailable("planned".into());
        store.on_commit(2, Fault::Refuse(down.clone()));
        store.on_next_commit(Fault::LoseReply);
        store.on_next_commit(Fault::LoseRequest);
        store.on_next_commit(Fault::Conflict);

        let unknown = |result| matches!(result, Err(StoreError::OutcomeUnknown(_)));
        assert!(unknown(store.commit(created(id(1, 1), 1)).await));
        assert!(landed(&store, id(1, 1)).await, "done, though the reply was lost");
        assert_eq!(store.commit(created(id(1, 2), 1)).await, Err(down.clone()));
        assert!(unknown(store.commit(created(id(1, 2), 1)).await));
        let conflict = Committed::Conflict(Conflict::of([(id(1, 1), Some(version(1)))]));
        assert_eq!(store.commit(created(id(1, 1), 9)).await, Ok(conflict));
        assert!(!landed(&store, id(1, 2)).await);
        assert_eq!(store.commit(created(id(1, 2), 1)).await, Ok(Committed::Done));
        assert_eq!(store.commits(), 5);

        store.on_next_load(down.clone());
        assert_eq!(store.load(id(1, 1)).await, Err(down.clone()));
        assert!(store.load(id(1, 1)).await.is_ok());
        store.set_outage(Some(down.clone()));
        assert_eq!(store.probe().await, Err(down.clone()));
        assert_eq!(store.commit(created(id(1, 3), 1)).await, Err(down.clone()));
        assert_eq!(store.list(None, 1).await, Err(down));
        store.set_outage(None);
        assert_eq!(store.probe().await, Ok(()));
    }

    #[tokio::test]
    async fn a_held_commit_waits_for_its_gate() {
        let place = Place::new();
        let store = Arc::new(FaultyStore::new(place.open()));
        let (before, after) = (Gate::new(), Gate::new());
        store.on_commit(1, Fault::HoldBefore(before.clone()));
        store.on_commit(2, Fault::HoldAfter(after.clone()));
        for (gate, document, done) in [(before, id(1, 1), false), (after, id(1, 2), true)] {
            let held = tokio::spawn({
                let store = Arc::clone(&store);
                async move { store.commit(created(document, 1)).await }
            });
            gate.reached().await;
            assert_eq!(landed(&store, document).await, done);
            assert!(!held.is_finished());
            gate.open();
            assert_eq!(held.await.unwrap(), Ok(Committed::Done));
            assert!(landed(&store, document).await);
        }
    }
}
