//! When which document must be looked at: the reaper's calendar.

use lockkeeper_core::{ResourceId, Timestamp};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use tokio::sync::Notify;

/// A calendar of documents, shared between those who write it and the reaper.
#[derive(Default)]
pub(crate) struct Deadlines {
    calendar: Mutex<BTreeSet<(Timestamp, ResourceId)>>,
    /// Told when the first entry became an earlier one.
    earlier: Notify,
}

impl Deadlines {
    /// Moves a document's entry.
    pub(crate) fn replace(&self, id: ResourceId, before: Option<Timestamp>, after: Option<Timestamp>) {
        if before == after {
            // Taken out when it fired and due again: it must stand there once more.
            if let Some(at) = after {
                self.calendar.lock().insert((at, id));
            }
            return;
        }
        let mut calendar = self.calendar.lock();
        if let Some(at) = before {
            calendar.remove(&(at, id));
        }
        let Some(at) = after else { return };
        let is_first = calendar.first().is_none_or(|(first, _)| at < *first);
        calendar.insert((at, id));
        drop(calendar);
        if is_first {
            self.earlier.notify_one();
        }
    }

    /// The earliest entry's instant.
    pub(crate) fn first(&self) -> Option<Timestamp> {
        self.calendar.lock().first().map(|(at, _)| *at)
    }

    /// Takes out what is due, at most `max`, in order.
    pub(crate) fn take_due(&self, now: Timestamp, max: usize) -> Vec<ResourceId> {
        let mut calendar = self.calendar.lock();
        let mut due = Vec::new();
        while due.len() < max
            && let Some((at, id)) = calendar.first().copied()
            && at <= now
        {
            calendar.remove(&(at, id));
            due.push(id);
        }
        due
    }

    /// Puts a document back whose turn could not be carried out.
    pub(crate) fn put_back(&self, id: ResourceId, at: Timestamp) {
        self.calendar.lock().insert((at, id));
    }

    /// Puts documents on that are due now, whatever their own entry says.
    pub(crate) fn put_due(&self, ids: impl Iterator<Item = ResourceId>, now: Timestamp) {
        self.calendar.lock().extend(ids.map(|id| (now, id)));
        self.earlier.notify_one();
    }

    /// Waits until the earliest entry became an earlier one.
    pub(crate) async fn changed(&self) {
        self.earlier.notified().await;
    }
}
