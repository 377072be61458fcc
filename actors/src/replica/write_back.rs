//! Giving the store back what it lost.

use super::catch_up::{refresh, tell};
use crate::events::Occurrence;
use crate::shared::Shared;
use futures_util::StreamExt;
use lockkeeper_core::Document;
use lockkeeper_store::shared::{SharedStore, WrittenBack};
use lockkeeper_store::{StoreError, StoredDocument};
use lockkeeper_telemetry::metrics;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Documents of one partition that are written back at the same time.
const WRITES_MAX: usize = 16;

/// Writes all copies of a sealed partition back, live or not: an older state of the store, in which
/// a lock was still held that has been released since, must not win.
///
/// # Errors
/// The store cannot be reached: nothing may be signed as finished.
pub(super) async fn partition(
    shared: &Arc<Shared>,
    store: &dyn SharedStore,
    copies: &[Arc<Document>],
) -> Result<usize, StoreError> {
    let mut taken = 0;
    let mut writes = futures_util::stream::iter(copies.iter().map(|copy| async move {
        let result = match stored(copy) {
            Some(document) => store.write_back(document).await,
            None => Ok(WrittenBack::Same),
        };
        (copy, result)
    }))
    .buffer_unordered(WRITES_MAX);
    while let Some((copy, result)) = writes.next().await {
        match result? {
            WrittenBack::Taken => {
                taken += 1;
                metrics().written_back();
            }
            WrittenBack::Same => {}
            // It is read when the partition is open.
            WrittenBack::Newer(_) => {}
            WrittenBack::Lost(_) => conflict(shared, copy),
        }
    }
    Ok(taken)
}

/// Tells whether a partition's copies have changed: what this instance learns after it wrote back (a
/// late reply, a late message) must be written back too before it says that it has finished.
pub(super) fn mark(copies: &[Arc<Document>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for copy in copies {
        (copy.id(), copy.version()).hash(&mut hasher);
    }
    hasher.finish()
}

/// A copy that the store has not, or only an older one, though its partition is open: whoever knew
/// of it came too late for the write-back, or it vanished from an intact store.
pub(super) async fn late(
    shared: &Arc<Shared>,
    store: &dyn SharedStore,
    copy: &Arc<Document>,
    generation: u64,
) -> Result<(), StoreError> {
    let (Some(document), Some(version)) = (stored(copy), copy.version()) else { return Ok(()) };
    // Since the list was made the copy may have become the store's, or another one's.
    let loaded = shared.unguarded.load(copy.id()).await?;
    let there = loaded.document.map(|document| document.version);
    if there >= Some(version) {
        return refresh(shared, copy.id()).await;
    }
    if version.generation >= generation {
        return if copy.is_live() && there.is_none() {
            vanished(store, copy, generation).await
        } else {
            // Deleted, since nobody needed it any more.
            shared.view.remove_copy(copy);
            tell(shared, copy.id(), there);
            Ok(())
        };
    }
    match store.write_back(document).await? {
        WrittenBack::Taken | WrittenBack::Same => {
            metrics().written_back();
            Ok(())
        }
        WrittenBack::Newer(_) => refresh(shared, copy.id()).await,
        WrittenBack::Lost(_) => {
            conflict(shared, copy);
            shared.view.remove_copy(copy);
            tell(shared, copy.id(), None);
            refresh(shared, copy.id()).await
        }
    }
}

/// The store was opened without this instance, and has a newer state than this copy. If that knows
/// nothing of somebody who held or waited in the copy, something was lost.
pub(super) fn judge(shared: &Shared, copy: &Document) {
    let Some(now_there) = shared.view.get(copy.id()) else { return };
    let known = |seq| {
        now_there.lock(seq).is_some() || now_there.ticket(seq).is_some() || now_there.ended(seq).is_some()
    };
    let seqs = copy.locks().map(|lock| lock.seq).chain(copy.tickets().map(|ticket| ticket.seq));
    if !seqs.into_iter().all(known) {
        conflict(shared, copy);
    }
}

/// A document that is held or waited for is not in the store, though nothing was lost that the
/// marker would show: somebody deleted it. The partition is sealed, so that all write back.
pub(super) async fn vanished(
    store: &dyn SharedStore,
    copy: &Document,
    generation: u64,
) -> Result<(), StoreError> {
    tracing::error!(
        resource = %copy.id(),
        key = copy.resource().key(),
        "a document that is in use vanished from the store: its partition is sealed and written back"
    );
    store.seal(copy.id().partition(), generation).await?;
    Err(StoreError::Sealed(copy.id().partition()))
}

/// The store's state wins over what this instance knew.
fn conflict(shared: &Shared, copy: &Document) {
    let lost = copy.is_live();
    tracing::warn!(
        resource = %copy.id(), key = copy.resource().key(), live = lost,
        "the store was opened without a state that this instance knew, and has changed since: the store's state stands"
    );
    metrics().store_conflict();
    let now = shared.store.now();
    shared.log.append(now, [Occurrence::StoreConflict(Arc::clone(copy.resource()))]);
}

fn stored(copy: &Document) -> Option<StoredDocument> {
    let version = copy.version()?;
    let (header, fields) = copy.to_records();
    Some(StoredDocument { id: copy.id(), version, header, fields })
}
