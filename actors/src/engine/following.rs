//! How an engine's copy follows what other instances commit.
//!
//! Hints may be lost, doubled and late; what does not follow the copy has it read again when
//! somebody needs it. Nothing is confirmed or denied on the strength of a hint alone.

use super::{Client, Copy, Engine};
use lockkeeper_core::{Delta, Document, Followed, Timestamp, Version};
use lockkeeper_store::Conflict;

/// Changes of others that may wait for a commit or a load to end; after more, the copy is read again.
pub(super) const FOLLOWED_LATER_MAX: usize = 64;

impl<C: Client> Engine<C> {
    /// Another instance has committed this. Call [`Engine::step`] afterwards.
    pub fn follow(&mut self, delta: Delta, now: Timestamp) {
        if self.flight.is_none() && !self.loading {
            self.take_over(&delta, now);
        } else if self.followed_later.len() < FOLLOWED_LATER_MAX {
            // What is under way may rest on it already, or be refused because of it.
            self.followed_later.push_back(delta);
        } else {
            self.left_out = true;
        }
    }

    /// The store was seen to have this version (`None`: to be absent). Call [`Engine::step`]
    /// afterwards.
    pub fn seen_in_store(&mut self, version: Option<Version>) {
        if self.flight.is_some() || self.loading {
            return;
        }
        let own = match &self.copy {
            Copy::Unknown => return,
            Copy::Absent { .. } => None,
            Copy::Present(document) => document.version(),
        };
        // A look that was taken before the copy's last change says nothing.
        if own < version || (own.is_some() && version.is_none()) {
            self.copy = Copy::Unknown;
            self.reload = true;
        }
    }

    /// True once after the copy was moved or replaced by what others did.
    pub fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    pub(super) fn follow_what_waited(&mut self, now: Timestamp) {
        for delta in std::mem::take(&mut self.followed_later) {
            self.take_over(&delta, now);
        }
        if std::mem::take(&mut self.left_out) {
            self.read_again();
        }
    }

    /// A conflict tells what came in between, or at least that something did.
    pub(super) fn learn(&mut self, conflict: &Conflict, now: Timestamp) {
        let Some(moved) = conflict.moved.iter().find(|moved| moved.id == self.id) else { return };
        for delta in &moved.since {
            self.take_over(delta, now);
        }
        let reached = match &self.copy {
            Copy::Present(document) => document.version() == moved.version,
            Copy::Absent { .. } | Copy::Unknown => false,
        };
        if !reached {
            self.copy = Copy::Unknown;
        }
    }

    fn take_over(&mut self, delta: &Delta, now: Timestamp) {
        let (copy, floor) = match &self.copy {
            Copy::Unknown => return,
            Copy::Absent { floor } => (None, *floor),
            Copy::Present(document) => (Some(&**document), document.floor()),
        };
        match Document::followed(copy, delta, floor) {
            Ok(Followed::Changed(document, changed)) => {
                self.copy = Copy::Present(document.clone());
                self.moved = true;
                for seq in changed {
                    self.answer_changed(&document, None, seq, now);
                }
            }
            Ok(Followed::Deleted) => {
                self.copy = Copy::Absent { floor };
                self.moved = true;
                self.answer_all_changed(now);
            }
            Ok(Followed::Known) => {}
            Ok(Followed::Gap) => self.read_again(),
            Err(damaged) => {
                tracing::error!(%damaged, "a change of another instance cannot be read");
                self.read_again();
            }
        }
    }

    fn read_again(&mut self) {
        self.copy = Copy::Unknown;
        self.reload = true;
    }
}
