//! The custodian actor: watches the markers of the shared store, and brings sealed partitions back.
//!
//! Every interval, and at once when somebody suspects something, it reads all markers. Where a
//! marker counts more commits than the view has, the partition is caught up with: this is the sweep
//! behind all hints. Where it is missing or foreign the partition is sealed: this instance signs,
//! writes back all it knows, signs that it is done, and opens when the settle window is over. Where
//! it was opened by another, everything is compared.

use super::follower::compare_all;
use super::state::Sealing;
use super::write_back;
use crate::resident::Kill;
use crate::shared::Shared;
use actix::prelude::*;
use futures_util::StreamExt;
use lockkeeper_core::{Document, Partition};
use lockkeeper_store::StoreError;
use lockkeeper_store::shared::{
    InstanceRecord, Marker, MarkerState, Opening, SharedStore, Signature, Signed,
};
use lockkeeper_telemetry::{Occupied, metrics};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Sealed partitions that are worked on at the same time.
const PARTITIONS_AT_ONCE: usize = 16;
/// While partitions are sealed they are looked at so many times in a settle window.
const LOOKS_PER_WINDOW: u32 = 8;
/// The shortest pause between two looks.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Everything is compared in full this often, whatever the numbers say.
const FULL_COMPARISON: Duration = Duration::from_secs(300);

/// Watches the markers.
pub(crate) struct Custodian {
    shared: Arc<Shared>,
    failing: bool,
    _counted: Occupied,
}

impl Custodian {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, failing: false, _counted: metrics().actor("custodian") }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let shared = Arc::clone(&self.shared);
        let look = async move {
            let Some(store) = shared.store.shared() else { return Ok(0) };
            shared.replica.note_awake();
            announce(&shared, store).await;
            let sealed = look(&shared, store).await?;
            shared.tokens.keep().await;
            Ok(sealed)
        };
        ctx.spawn(look.into_actor(self).map(|result: Result<usize, StoreError>, custodian, ctx| {
            let sealed = match result {
                Ok(sealed) => {
                    custodian.failing = false;
                    sealed
                }
                Err(error) => {
                    // The health actor tells everyone; this one only says it once more for itself.
                    if !std::mem::replace(&mut custodian.failing, true) {
                        tracing::debug!(%error, "the markers cannot be read");
                    }
                    custodian.shared.replica.status().sealed
                }
            };
            custodian.pause(sealed, ctx);
        }));
    }

    fn pause(&self, sealed: usize, ctx: &mut Context<Self>) {
        let shared = Arc::clone(&self.shared);
        let options = &shared.options;
        let at_ease = shared.tunables().health_interval;
        let interval = match sealed {
            0 => at_ease,
            _ => (options.settle_window / LOOKS_PER_WINDOW).min(at_ease),
        };
        let interval = interval.max(PAUSE_MIN);
        let pause = async move {
            // A suspicion shortens the pause, but there always is one.
            tokio::time::sleep(PAUSE_MIN).await;
            let _ = tokio::time::timeout(interval - PAUSE_MIN, shared.replica.suspected()).await;
        };
        ctx.spawn(pause.into_actor(self).map(|(), custodian, ctx| custodian.look(ctx)));
    }
}

/// Says that this instance lives, and learns who else does. For the operator's eyes only.
async fn announce(shared: &Shared, store: &dyn SharedStore) {
    let Some(presence) = &shared.options.presence else { return };
    let now = shared.store.now();
    let record = InstanceRecord { started_at: shared.started_at(), seen_at: now, ..presence.record.clone() };
    match store.announce(record, presence.lease).await {
        Ok(instances) => {
            metrics().instances(instances.len());
            shared.replica.set_instances(instances);
        }
        Err(error) => tracing::debug!(%error, "the presence record could not be written"),
    }
}

/// Reads all markers and does what they ask for. Gives how many partitions are sealed after it.
async fn look(shared: &Arc<Shared>, store: &dyn SharedStore) -> Result<usize, StoreError> {
    let begun = Instant::now();
    let markers = store.markers().await?;
    shared.first_contact();
    let (mut behind, mut anew, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
    for marker in markers {
        let state = shared.replica.get(marker.partition);
        match marker.state {
            MarkerState::Sealed(_) => sealed.push(marker),
            MarkerState::Open if state.generation != Some(marker.generation) || state.sealed.is_some() => {
                anew.push(marker.partition);
            }
            MarkerState::Open if state.sequence < marker.sequence => behind.push(marker.partition),
            MarkerState::Open if state.whole_at.is_none_or(|at| at.elapsed() > FULL_COMPARISON) => {
                anew.push(marker.partition);
            }
            // The numbers say that nothing is missing.
            MarkerState::Open => shared.replica.change(marker.partition, |state| {
                state.compared_at = state.compared_at.max(Some(begun));
            }),
        }
    }
    if !sealed.is_empty() {
        restore(shared, store, &sealed).await;
    }
    compare_all(shared, anew, true).await;
    compare_all(shared, behind, false).await;
    Ok(shared.replica.status().sealed)
}

/// Notes what is sealed, before anybody is told that a store that was away can be used again.
///
/// # Errors
/// The markers cannot be read.
pub(crate) async fn look_before_use(shared: &Shared, store: &dyn SharedStore) -> Result<(), StoreError> {
    let mut sealed = store.markers().await?;
    sealed.retain(|marker| matches!(marker.state, MarkerState::Sealed(_)));
    note_all_sealed(shared, &sealed);
    shared.replica.suspect();
    Ok(())
}

/// Works on all sealed partitions, one step each.
async fn restore(shared: &Arc<Shared>, store: &dyn SharedStore, sealed: &[Marker]) {
    note_all_sealed(shared, sealed);
    let mut steps = futures_util::stream::iter(sealed.iter().map(|marker| step(shared, store, marker)))
        .buffer_unordered(PARTITIONS_AT_ONCE);
    while let Some(result) = steps.next().await {
        if let Err(error) = result {
            tracing::debug!(%error, "a sealed partition could not be brought on; it is tried again");
        }
    }
}

fn note_all_sealed(shared: &Shared, sealed: &[Marker]) {
    let fresh = sealed.iter().filter(|marker| note_sealed(shared, marker.partition)).count();
    if fresh > 0 {
        shared.partitions_sealed(fresh);
    }
}

/// True when it was not known to be sealed.
fn note_sealed(shared: &Shared, partition: Partition) -> bool {
    let noticed = shared.store.now();
    shared.replica.change(partition, |state| {
        let fresh = state.sealed.is_none();
        state.sealed.get_or_insert(Sealing { noticed, ..Sealing::default() });
        fresh
    })
}

async fn step(shared: &Arc<Shared>, store: &dyn SharedStore, marker: &Marker) -> Result<(), StoreError> {
    let partition = marker.partition;
    let sealing = shared.replica.get(partition).sealed.unwrap_or_default();
    let copies = believable(shared, partition);
    let mark = write_back::mark(&copies);
    let signature = signature(shared, marker, sealing.written == Some(mark));
    let since = match store.sign(partition, signature).await? {
        // By another: the comparison with what it opened follows at the next look.
        Signed::Open { .. } => return Ok(()),
        Signed::Sealed(since) => since,
    };
    let written = sealing.written.filter(|written| *written == mark && sealing.since == Some(since));
    let mut sealing = Sealing { since: Some(since), written, ..sealing };
    shared.replica.change(partition, |state| state.sealed = Some(sealing));
    if sealing.written.is_none() {
        let begun = Instant::now();
        let taken = write_back::partition(shared, store, &copies).await?;
        if taken > 0 {
            tracing::info!(partition = partition.0, documents = taken, elapsed = ?begun.elapsed(), "written back");
        }
        if write_back::mark(&believable(shared, partition)) != mark {
            // Something was learnt meanwhile: that is written back too, at the next look.
            return Ok(());
        }
        match store.sign(partition, Signature { finished: true, ..signature }).await? {
            Signed::Sealed(again) if again == since => {
                sealing.written = Some(mark);
                shared.replica.change(partition, |state| state.sealed = Some(sealing));
            }
            // It began anew in between: so does this instance, at the next look.
            Signed::Sealed(_) | Signed::Open { .. } => return Ok(()),
        }
    }
    let options = &shared.options;
    match store.open(partition, options.settle_window, options.settle_max).await? {
        Opening::Open { .. } => super::compare(shared, store, partition).await,
        Opening::NotBefore(_) | Opening::Unsigned => Ok(()),
    }
}

/// What may be written back: everything, however long the store was away (to lose a lock that is
/// held is worse than to bring one back that was released); but nothing if it was this process that
/// slept while others went on.
fn believable(shared: &Shared, partition: Partition) -> Vec<Arc<Document>> {
    if shared.replica.has_slept(partition) { Vec::new() } else { shared.view.copies(partition) }
}

/// The greatest generation and token that this instance knows of a partition.
fn signature(shared: &Shared, marker: &Marker, finished: bool) -> Signature {
    let known = shared.store.known(marker.partition);
    let copies = shared.view.copies(marker.partition);
    let token = copies.iter().map(|copy| copy.last_token().max(copy.floor())).max().unwrap_or_default();
    let versions = copies.iter().filter_map(|copy| copy.version());
    let generation = versions.map(|version| version.generation).max().unwrap_or_default();
    Signature {
        generation: generation.max(known.generation).max(marker.generation),
        token: token.max(known.floor).max(shared.tokens.greatest()),
        finished,
    }
}

impl Actor for Custodian {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.look(ctx);
    }
}

impl Handler<Kill> for Custodian {
    type Result = ();

    fn handle(&mut self, kill: Kill, ctx: &mut Self::Context) {
        kill.carry_out(ctx);
    }
}
