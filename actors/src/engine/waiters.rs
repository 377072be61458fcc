//! Clients that stay connected until their ticket is granted.

use super::Client;
use lockkeeper_core::{Presence, Seq};
use std::collections::BTreeMap;

/// A client that waits.
pub(super) struct Waiter<C> {
    pub(super) nonce: u64,
    pub(super) client: C,
}

/// Waiting clients by ticket; a ticket may be waited for over several connections.
///
/// Ordered, so that a simulation repeats itself from its seed.
pub(super) struct Waiters<C> {
    by_seq: BTreeMap<Seq, Vec<Waiter<C>>>,
    by_nonce: BTreeMap<u64, Seq>,
}

impl<C> Default for Waiters<C> {
    fn default() -> Self {
        Self { by_seq: BTreeMap::new(), by_nonce: BTreeMap::new() }
    }
}

impl<C> Waiters<C> {
    pub(super) fn is_empty(&self) -> bool {
        self.by_nonce.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.by_nonce.len()
    }

    pub(super) fn has(&self, seq: Seq) -> bool {
        self.by_seq.contains_key(&seq)
    }

    pub(super) fn seqs(&self) -> impl Iterator<Item = Seq> + '_ {
        self.by_seq.keys().copied()
    }

    pub(super) fn insert(&mut self, seq: Seq, waiter: Waiter<C>) {
        self.by_nonce.insert(waiter.nonce, seq);
        self.by_seq.entry(seq).or_default().push(waiter);
    }

    pub(super) fn remove(&mut self, seq: Seq) -> Vec<Waiter<C>> {
        let waiters = self.by_seq.remove(&seq).unwrap_or_default();
        for waiter in &waiters {
            self.by_nonce.remove(&waiter.nonce);
        }
        waiters
    }

    pub(super) fn remove_by_nonce(&mut self, nonce: u64) -> Option<(Seq, Waiter<C>)> {
        let seq = self.by_nonce.remove(&nonce)?;
        let waiters = self.by_seq.get_mut(&seq)?;
        let place = waiters.iter().position(|waiter| waiter.nonce == nonce)?;
        let waiter = waiters.swap_remove(place);
        if waiters.is_empty() {
            self.by_seq.remove(&seq);
        }
        Some((seq, waiter))
    }
}

impl<C: Client> Presence for Waiters<C> {
    fn is_waiting(&self, seq: Seq) -> bool {
        self.by_seq.get(&seq).is_some_and(|waiters| waiters.iter().any(|waiter| waiter.client.is_connected()))
    }
}
