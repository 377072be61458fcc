//! The follower actor: applies what other instances tell of their commits.
//!
//! It reads the store's changes in order and gives each document's change to its queue actor, if
//! there is one here, or to the view. A gap in the numbers has the partition compared. If the actor
//! dies its successor follows anew, and everything is compared.

use super::state::all;
use super::{catch_up, compare};
use crate::events::Occurrence;
use crate::queue_actor::Follow;
use crate::resident::Kill;
use crate::shared::Shared;
use actix::prelude::*;
use futures_util::StreamExt;
use lockkeeper_core::{Delta, Document, Followed, Note, Partition};
use lockkeeper_store::StoreError;
use lockkeeper_store::shared::{Change, CommittedChange, SharedStore};
use lockkeeper_telemetry::{Occupied, metrics};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

/// Changes that are applied before other messages of the actor's thread have their turn.
const BATCH_MAX: usize = 256;
/// Partitions that are compared at the same time.
const COMPARISONS_MAX: usize = 16;
/// How soon a stream of changes that ended is asked for anew.
const FOLLOW_AGAIN: Duration = Duration::from_millis(100);

/// Follows what other instances do.
pub(crate) struct Follower {
    shared: Arc<Shared>,
    _counted: Occupied,
}

impl Follower {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, _counted: metrics().actor("follower") }
    }

    fn listen(&self, mut changes: Receiver<Change>, ctx: &mut Context<Self>) {
        let next = async move {
            let mut batch = Vec::new();
            let count = changes.recv_many(&mut batch, BATCH_MAX).await;
            (count > 0).then_some((changes, batch))
        };
        ctx.spawn(next.into_actor(self).map(|next, follower, ctx| match next {
            Some((changes, batch)) => {
                follower.apply(batch);
                follower.listen(changes, ctx);
            }
            // The store ended the stream: it is asked for another one.
            None => {
                ctx.run_later(FOLLOW_AGAIN, |follower, ctx| follower.follow_all(ctx));
            }
        }));
    }

    fn follow_all(&self, ctx: &mut Context<Self>) {
        match self.shared.store.shared() {
            Some(store) => self.listen(store.follow(), ctx),
            None => ctx.stop(),
        }
    }

    fn apply(&self, batch: Vec<Change>) {
        let mut behind = BTreeSet::new();
        let mut missed = false;
        for change in batch {
            match change {
                Change::Committed(change) => {
                    if !self.committed(change.partition, &change) {
                        behind.insert(change.partition);
                    }
                }
                Change::Missed(Some(partition)) => {
                    missed = true;
                    behind.insert(partition);
                }
                Change::Missed(None) => {
                    missed = true;
                    behind.extend(all());
                }
                Change::Marker(_) => self.shared.replica.suspect(),
            }
        }
        if missed && self.shared.replica.status().unread == 0 {
            tracing::warn!("messages of other instances may have been missed: everything is compared");
            metrics().hints_missed();
            // Whoever follows the events must know that some may be missing.
            self.shared.log.gap();
        }
        if !behind.is_empty() {
            let shared = Arc::clone(&self.shared);
            actix_rt::spawn(async move { compare_all(&shared, behind.into_iter().collect(), false).await });
        }
    }

    /// Takes a commit over. False when the partition must be compared.
    fn committed(&self, partition: Partition, change: &CommittedChange) -> bool {
        // Every one of them, whatever became of the one before.
        let mut joined = true;
        for delta in &change.deltas {
            joined &= self.follow(delta);
        }
        let (first, gap) = self.shared.replica.change(partition, |state| state.tell(change));
        if gap {
            // Whoever follows the events must know that some are missing.
            self.shared.log.gap();
        }
        if first && !change.own {
            match Note::from_bytes(&change.note) {
                Ok(note) => {
                    let now = self.shared.store.now_in(partition);
                    self.shared.log.append(now, note.events.into_iter().map(Occurrence::Entry));
                }
                Err(error) => tracing::error!(error, "another instance's events cannot be read"),
            }
        }
        self.shared.replica.change(partition, |state| {
            if state.generation != Some(change.generation) {
                // Of a comparison that is under way, or of a marker that is not known yet.
                return false;
            }
            // Only what is in the view counts: the sweep brings the rest.
            if joined && change.sequence == state.sequence + 1 {
                state.sequence = change.sequence;
            }
            change.sequence <= state.sequence
        })
    }

    /// Brings a change into the view, whatever the document's actor makes of it, and tells the actor.
    /// False when the view lacks what came before it.
    fn follow(&self, delta: &Delta) -> bool {
        let shared = &self.shared;
        let copy = shared.view.get(delta.id);
        let floor = shared.store.known(delta.id.partition()).floor;
        let joined = match Document::followed(copy.as_deref(), delta, floor) {
            Ok(Followed::Changed(document, _)) => {
                shared.tokens.note(document.last_token());
                super::catch_up::publish(shared, &document);
                true
            }
            Ok(Followed::Deleted) => {
                if let Some(copy) = copy {
                    shared.view.remove_copy(&copy);
                }
                true
            }
            Ok(Followed::Known) => true,
            Ok(Followed::Gap) => false,
            Err(damaged) => {
                tracing::error!(%damaged, "a change of another instance cannot be read");
                false
            }
        };
        let actor = shared.registry(delta.id).actors.lock().get(&delta.id).cloned();
        match actor.map(|actor| actor.try_send(Follow(delta.clone()))) {
            // Clients may wait there: the comparison tells the actor.
            Some(Err(SendError::Full(_))) => false,
            Some(Ok(()) | Err(SendError::Closed(_))) | None => joined,
        }
    }
}

/// Compares several partitions with the store; `whole`: also what only one side knows. What cannot
/// be compared now is noticed by the next sweep.
pub(super) async fn compare_all(shared: &Arc<Shared>, partitions: Vec<Partition>, whole: bool) -> usize {
    let Some(store) = shared.store.shared() else { return 0 };
    let mut failed = 0;
    let mut comparisons = futures_util::stream::iter(
        partitions.into_iter().map(|partition| one(shared, store, partition, whole)),
    )
    .buffer_unordered(COMPARISONS_MAX);
    while let Some(result) = comparisons.next().await {
        if let Err(error) = result {
            tracing::debug!(%error, "a partition could not be compared");
            failed += 1;
        }
    }
    failed
}

async fn one(
    shared: &Arc<Shared>,
    store: &dyn SharedStore,
    partition: Partition,
    whole: bool,
) -> Result<(), StoreError> {
    if whole { compare(shared, store, partition).await } else { catch_up(shared, store, partition).await }
}

impl Actor for Follower {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.follow_all(ctx);
    }
}

impl Handler<Kill> for Follower {
    type Result = ();

    fn handle(&mut self, kill: Kill, ctx: &mut Self::Context) {
        kill.carry_out(ctx);
    }
}
