//! Losers are not starved: whoever won against one lets it have the next turn.
//!
//! A commit that lost leaves a mark beside the document, with its round trip. The winner sees the
//! mark in the reply to its next commit, and then waits a little longer than that round trip.

use lockkeeper_core::ResourceId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// The longest pause, whatever a mark says.
pub(super) const PAUSE_MAX: Duration = Duration::from_millis(50);
/// How long the winner pauses, in halves of the loser's round trip: it needs one for the load that may
/// be needed, one for the commit, and a little.
const PAUSE_HALF_TRIPS: u32 = 5;
/// Documents that pause at once; a loser beyond these is not waited for.
const PAUSES_MAX: usize = 4096;
/// How long a mark lives: so many round trips of the loser, which may have to load the document,
const MARK_TRIPS: u32 = 4;
/// and this, for deciding again.
const MARK_EXTRA: Duration = Duration::from_millis(10);

/// How long a mark lives that is left by somebody with this round trip.
pub(super) fn mark_life(trip: Duration) -> Duration {
    trip * MARK_TRIPS + MARK_EXTRA
}

/// Documents whose next commit waits.
#[derive(Debug, Default)]
pub(super) struct Pauses(Mutex<HashMap<ResourceId, Instant>>);

impl Pauses {
    /// Somebody lost against us who needs this long for a try.
    pub(super) fn add(&self, id: ResourceId, trip: Duration) {
        let now = Instant::now();
        let mut pauses = self.0.lock();
        if pauses.len() >= PAUSES_MAX {
            pauses.retain(|_, until| *until > now);
        }
        if pauses.len() < PAUSES_MAX {
            pauses.insert(id, now + (trip.saturating_mul(PAUSE_HALF_TRIPS) / 2).min(PAUSE_MAX));
        }
    }

    /// Waits until none of these pauses. Each pause is kept once.
    pub(super) async fn wait(&self, ids: impl Iterator<Item = ResourceId>) {
        let until = {
            let mut pauses = self.0.lock();
            if pauses.is_empty() {
                return;
            }
            ids.filter_map(|id| pauses.remove(&id)).max()
        };
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
    }
}
