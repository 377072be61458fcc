//! Comparing the view with the store.

use super::state::{PartitionState, TRUSTED_FOR};
use super::write_back;
use crate::queue_actor::SeenInStore;
use crate::shared::Shared;
use futures_util::StreamExt;
use lockkeeper_core::{Document, Partition, ResourceId, Span, Version};
use lockkeeper_store::StoreError;
use lockkeeper_store::shared::{ChangedSince, MarkerState, SharedStore};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// Documents of one partition that are read at the same time.
const READS_MAX: usize = 16;

/// Brings what changed in a partition since it was last looked at into the view.
///
/// # Errors
/// The store cannot be read, or the partition is sealed.
pub(crate) async fn catch_up(
    shared: &Arc<Shared>,
    store: &dyn SharedStore,
    partition: Partition,
) -> Result<(), StoreError> {
    let _alone = shared.replica.comparing(partition).await;
    let begun = Instant::now();
    let state = forget_if_old(shared, partition);
    let changed = store.changed_since(partition, state.sequence).await?;
    if let MarkerState::Sealed(_) = changed.marker.state {
        shared.replica.suspect();
        return Err(StoreError::Sealed(partition));
    }
    if state.generation != Some(changed.marker.generation) {
        // The store may have lost data since: only a look at everything tells.
        return whole(shared, store, partition).await;
    }
    read(shared, &changed).await?;
    caught_up(shared, &changed, begun);
    Ok(())
}

/// Compares everything, also what only one side knows.
///
/// # Errors
/// As [`catch_up`].
pub(crate) async fn compare(
    shared: &Arc<Shared>,
    store: &dyn SharedStore,
    partition: Partition,
) -> Result<(), StoreError> {
    let _alone = shared.replica.comparing(partition).await;
    forget_if_old(shared, partition);
    whole(shared, store, partition).await
}

async fn whole(
    shared: &Arc<Shared>,
    store: &dyn SharedStore,
    partition: Partition,
) -> Result<(), StoreError> {
    let begun = Instant::now();
    let all = store.changed_since(partition, 0).await?;
    if let MarkerState::Sealed(_) = all.marker.state {
        shared.replica.suspect();
        return Err(StoreError::Sealed(partition));
    }
    let there: HashMap<ResourceId, Version> = all.documents.iter().copied().collect();
    let ours = shared.view.copies(partition);
    read(shared, &all).await?;
    for copy in ours {
        if copy.version() > there.get(&copy.id()).copied() {
            write_back::late(shared, store, &copy, all.marker.generation).await?;
        } else if copy.version().is_some_and(|version| version.generation < all.marker.generation) {
            write_back::judge(shared, &copy);
        }
    }
    caught_up(shared, &all, begun);
    shared.replica.change(partition, |state| state.whole_at = Some(begun));
    Ok(())
}

/// A replica that has slept for too long may keep what was ended and deleted since.
fn forget_if_old(shared: &Shared, partition: Partition) -> PartitionState {
    let state = shared.replica.get(partition);
    if state.compared_at.is_none_or(|at| at.elapsed() <= TRUSTED_FOR) {
        return state;
    }
    tracing::warn!(partition = partition.0, "the local copies are too old to be of use: they are read anew");
    for copy in shared.view.copies(partition) {
        shared.view.remove_copy(&copy);
        tell(shared, copy.id(), None);
    }
    shared.replica.change(partition, |state| {
        *state =
            PartitionState { generation: None, sequence: 0, compared_at: None, whole_at: None, ..*state };
        *state
    })
}

/// Reads the documents that the view has in an older version, or not at all.
async fn read(shared: &Arc<Shared>, changed: &ChangedSince) -> Result<(), StoreError> {
    let newer = |(id, version): &(ResourceId, Version)| {
        shared.view.get(*id).and_then(|copy| copy.version()) < Some(*version)
    };
    let wanted: Vec<ResourceId> =
        changed.documents.iter().filter(|it| newer(it)).map(|(id, _)| *id).collect();
    let mut reads = futures_util::stream::iter(wanted.into_iter().map(|id| refresh(shared, id)))
        .buffer_unordered(READS_MAX);
    while let Some(result) = reads.next().await {
        result?;
    }
    // The view may know more than an actor whose mailbox was full.
    for (id, version) in &changed.documents {
        tell(shared, *id, Some(*version));
    }
    Ok(())
}

/// Brings one document into the view as the store has it.
pub(super) async fn refresh(shared: &Arc<Shared>, id: ResourceId) -> Result<(), StoreError> {
    let loaded = shared.unguarded.load(id).await?;
    let Some(stored) = loaded.document else { return Ok(()) };
    match crate::system::read(&stored, loaded.floor) {
        Ok(document) => {
            publish(shared, &document);
            tell(shared, id, Some(stored.version));
        }
        // Whoever asks for it is told; the others must not wait for that.
        Err(damaged) => tracing::error!(%damaged, "a document in the store cannot be read"),
    }
    Ok(())
}

/// How much later than its own this instance looks after a document that others change: they are
/// nearer to it, and when all came at the same instant all but one would come in vain.
pub(super) fn later() -> Span {
    Span::from_millis(rand::random_range(20..80))
}

pub(super) fn publish(shared: &Shared, document: &Document) {
    shared.view.publish_newer(document, later());
}

/// The queue actor of a resource, if there is one, hears what the store has.
pub(super) fn tell(shared: &Shared, id: ResourceId, version: Option<Version>) {
    let actor = shared.registry(id).actors.lock().get(&id).cloned();
    if let Some(actor) = actor {
        // A full mailbox: its next commit finds out.
        let _ = actor.try_send(SeenInStore { version });
    }
}

fn caught_up(shared: &Shared, changed: &ChangedSince, begun: Instant) {
    let marker = changed.marker;
    let opened = shared.replica.change(marker.partition, |state| {
        let same = state.generation == Some(marker.generation);
        let other = state.generation.is_some() && !same;
        state.sequence = if same { state.sequence.max(marker.sequence) } else { marker.sequence };
        state.generation = Some(marker.generation);
        state.lost_before = marker.lost_before;
        state.compared_at = Some(begun);
        state.sealed.take().is_some() || other
    });
    if opened {
        shared.partition_opened(marker.partition, marker.generation);
    }
}
