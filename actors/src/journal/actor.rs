//! The journal actor: carries pending releases out when the store can be asked again.
//!
//! Message: [`Kill`]. What is pending lives outside of it, so a successor goes on where it was. While
//! the store is away it waits to be told of a change; what fails is tried again after a pause that
//! grows. Releases of one resource go in their order, of several resources beside each other.

use super::Pending;
use crate::answer::{Answer, Failure};
use crate::locks::Locks;
use crate::resident::Kill;
use crate::service::Hindrance;
use crate::shared::Shared;
use actix::prelude::*;
use futures_util::StreamExt;
use lockkeeper_core::command::Release;
use lockkeeper_core::{Command, Refusal, ResourceId};
use lockkeeper_telemetry::{JournalOutcome, Occupied, metrics};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Resources whose releases are carried out at the same time.
const RESOURCES_AT_ONCE: usize = 16;
/// The pause after a release that failed; it doubles with each round that gets no further.
const RETRY_MIN: Duration = Duration::from_millis(50);
/// The longest such pause.
const RETRY_MAX: Duration = Duration::from_secs(2);
/// A release that failed so often though the store was trusted keeps the others waiting no longer:
/// it is tried on, while locks are granted.
const TRIES_AWAITED_MAX: u32 = 8;

/// Carries out what is pending.
pub(crate) struct JournalActor {
    locks: Locks,
    _counted: Occupied,
}

impl JournalActor {
    pub(crate) fn new(locks: Locks) -> Self {
        Self { locks, _counted: metrics().actor("journal") }
    }
}

impl Actor for JournalActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let locks = self.locks.clone();
        ctx.spawn(async move { run(&locks).await }.into_actor(self));
    }
}

impl Handler<Kill> for JournalActor {
    type Result = ();

    fn handle(&mut self, kill: Kill, ctx: &mut Self::Context) {
        kill.carry_out(ctx);
    }
}

async fn run(locks: &Locks) {
    let shared = locks.shared();
    let mut changes = shared.service.changes();
    let mut pause = RETRY_MIN;
    loop {
        changes.mark_unchanged();
        let mut failed = false;
        if shared.service.is_store_trusted() {
            let before = shared.journal.book().len();
            failed = !carry_out(locks).await;
            pause = if failed && shared.journal.book().len() == before {
                (pause * 2).min(RETRY_MAX)
            } else {
                RETRY_MIN
            };
            release_grants(shared);
        }
        if failed || is_partly_sealed(shared) {
            tokio::time::sleep(pause).await;
        } else {
            tokio::select! {
                () = shared.journal.news() => {}
                // The sender lives as long as the service.
                _ = changes.changed() => {}
            }
        }
    }
}

/// Grants need not wait for what cannot be carried out yet: releases in sealed partitions, and what
/// fails though the store is well.
fn release_grants(shared: &Shared) {
    if !shared.service.is_hindered_by(Hindrance::Journal) {
        return;
    }
    let awaited = |pending: &Arc<Pending>| {
        !is_sealed(shared, pending.accepted.id) && pending.tries.load(Ordering::Relaxed) < TRIES_AWAITED_MAX
    };
    if !shared.journal.book().all().iter().any(awaited) {
        shared.service.clear(Hindrance::Journal, shared.store.now());
    }
}

fn is_sealed(shared: &Shared, id: ResourceId) -> bool {
    shared.replica.get(id.partition()).sealed.is_some()
}

/// Nobody tells when a partition opens.
fn is_partly_sealed(shared: &Shared) -> bool {
    shared.service.is_store_trusted()
        && shared.journal.book().all().iter().any(|pending| is_sealed(shared, pending.accepted.id))
}

/// Carries out what can be; true when nothing failed.
async fn carry_out(locks: &Locks) -> bool {
    let shared = locks.shared();
    let mut lanes: BTreeMap<ResourceId, Vec<Arc<Pending>>> = BTreeMap::new();
    for pending in shared.journal.book().all() {
        lanes.entry(pending.accepted.id).or_default().push(pending);
    }
    let lanes = lanes.into_iter().filter(|(id, _)| !is_sealed(shared, *id)).map(|(_, lane)| async move {
        for pending in lane {
            if !carry(locks, &pending).await {
                return false;
            }
        }
        true
    });
    let results = futures_util::stream::iter(lanes).buffer_unordered(RESOURCES_AT_ONCE);
    results.fold(true, |all, one| async move { all && one }).await
}

/// Carries one out; false when it must be tried again.
async fn carry(locks: &Locks, pending: &Pending) -> bool {
    let accepted = &pending.accepted;
    let (entry, owner) = (accepted.entry(), &accepted.lock.intent.owner.id);
    let command = Command::Release(Release {
        seq: accepted.lock.seq,
        token: accepted.lock.token,
        touch: Some(accepted.lock.touch),
        nonce: accepted.nonce,
    });
    let outcome = match locks.carry_again(accepted.id, command, accepted.nonce).await {
        Ok(Answer { outcome: Ok(_), .. }) => JournalOutcome::Applied,
        Ok(Answer { outcome: Err(Refusal::Superseded), .. }) => JournalOutcome::Superseded,
        Ok(Answer { outcome: Err(_), .. }) => JournalOutcome::Gone,
        Err(failure) => {
            note_failure(locks.shared(), pending, &failure);
            return false;
        }
    };
    metrics().journal_outcome(outcome);
    tracing::info!(
        lock = %entry,
        key = accepted.resource.key(),
        owner = %owner,
        outcome = JournalOutcome::WORDS[outcome as usize],
        "a release that was accepted while the store was away was carried out"
    );
    if !locks.shared().journal.done(entry).await {
        tracing::warn!(lock = %entry, "that a release was carried out could not be noted; it is carried out again");
        return false;
    }
    true
}

fn note_failure(shared: &Shared, pending: &Pending, failure: &Failure) {
    if !shared.service.is_store_trusted() {
        return;
    }
    let tries = pending.tries.fetch_add(1, Ordering::Relaxed) + 1;
    let lock = pending.accepted.entry();
    if tries == TRIES_AWAITED_MAX {
        tracing::error!(
            %lock, key = pending.accepted.resource.key(), %failure,
            "an accepted release cannot be carried out; it is tried on, while locks are granted"
        );
    } else {
        tracing::debug!(%lock, %failure, tries, "an accepted release could not be carried out yet");
    }
}
