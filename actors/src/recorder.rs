//! From what happened to metrics, statistics and log lines: one place, so that all say the same.

use crate::statistics::Tally;
use lockkeeper_core::{Document, Event, EventKind, Former, Lock, Priority};
use lockkeeper_store::{Committed, StoreError};
use lockkeeper_telemetry::{self as telemetry, CommitOutcome, Grant, HoldClass, ReleaseReason, metrics};
use std::time::Duration;

/// Records how a commit ended.
pub(crate) fn commit(store: &'static str, result: &Result<Committed, StoreError>, elapsed: Duration) {
    let outcome = match result {
        Ok(Committed::Done) => CommitOutcome::Done,
        Ok(Committed::Conflict(_) | Committed::Late) => CommitOutcome::Conflict,
        Err(StoreError::Overloaded { .. }) => CommitOutcome::Overloaded,
        Err(StoreError::OutcomeUnknown(_)) => CommitOutcome::Unknown,
        Err(
            StoreError::Unavailable(_)
            | StoreError::Sealed(_)
            | StoreError::Unfit(_)
            | StoreError::Damaged(_)
            | StoreError::Refused(_)
            | StoreError::Closed,
        ) => CommitOutcome::Unavailable,
    };
    metrics().store_commit(store, outcome, elapsed);
}

/// Records what became durable. Grants are logged for those who look closely, what needs somebody's
/// attention for everyone.
pub(crate) fn events(events: &[Event], tally: &Tally) {
    tally.note(events);
    for event in events {
        match &event.subject {
            Former::Lock(lock) => lock_event(event, lock),
            Former::Ticket(ticket) => {
                let owner = &ticket.intent.owner.id;
                match event.kind {
                    EventKind::TicketQueued => {
                        tracing::debug!(key = event.resource.key(), owner = %owner, "ticket queued");
                    }
                    EventKind::TicketTimedOut => {
                        tracing::info!(
                            key = event.resource.key(), owner = %owner,
                            "lock acquisition timeout: the ticket waited as long as it wanted to"
                        );
                    }
                    _ => {
                        let reason = event.reason.map_or("", |reason| reason.as_str());
                        tracing::debug!(key = event.resource.key(), owner = %owner, reason, "ticket left the queue");
                    }
                }
            }
        }
    }
}

/// Is this the grant itself, and not what its client did with it later?
pub(crate) fn is_grant(event: &Event, lock: &Lock) -> bool {
    lock.acquired_at == event.at && lock.touch == 0
}

fn lock_event(event: &Event, lock: &Lock) {
    let owner = &lock.intent.owner.id;
    match event.kind {
        EventKind::LockAcquired | EventKind::LockReserved => {
            let granted_now = is_grant(event, lock);
            if granted_now {
                let handoff = lock.enqueued_at.is_some();
                metrics().granted(if handoff { Grant::Handoff } else { Grant::Direct });
                if let Some(enqueued) = lock.enqueued_at {
                    let priority = priority(lock.intent.priority);
                    metrics().queue_wait(priority, lock.acquired_at.since(enqueued).to_std());
                }
            }
            if event.kind == EventKind::LockAcquired {
                let waited = lock.enqueued_at.map_or(0, |at| event.at.since(at).as_micros() / 1000);
                tracing::debug!(
                    key = event.resource.key(), owner = %owner, fencing_token = lock.token,
                    "lock acquired after {waited}ms"
                );
            } else {
                tracing::debug!(key = event.resource.key(), owner = %owner, "lock reserved");
            }
        }
        EventKind::LockRenewed => {}
        EventKind::LockReleased
        | EventKind::LockExpired
        | EventKind::LockForced
        | EventKind::TicketUnclaimed => {
            let (reason, word) = match event.kind {
                EventKind::LockExpired => (ReleaseReason::Expired, "expired"),
                EventKind::LockForced => (ReleaseReason::Forced, "forced"),
                EventKind::TicketUnclaimed => (ReleaseReason::Unclaimed, "unclaimed"),
                _ if event.reason == Some(lockkeeper_core::EndReason::Abandoned) => {
                    (ReleaseReason::Abandoned, "abandoned")
                }
                _ if event.note.is_some() => (ReleaseReason::PullClosed, "released"),
                _ => (ReleaseReason::Released, "released"),
            };
            let class = if lock.ttl.is_zero() { HoldClass::Hold } else { HoldClass::Lease };
            metrics().released(reason, class, lock.held_for(event.at).to_std());
            let (key, note) = (event.resource.key(), event.note.as_deref().unwrap_or(""));
            if event.kind == EventKind::LockReleased {
                tracing::debug!(key, owner = %owner, reason = word, "lock ended");
            } else {
                tracing::info!(key, owner = %owner, reason = word, note, "lock ended without a release by its owner");
            }
        }
        EventKind::TicketQueued | EventKind::TicketCancelled | EventKind::TicketTimedOut => {}
    }
}

/// Gauges follow the view: what other instances did counts too, whoever did it.
pub(crate) fn gauges(before: Option<&Document>, after: Option<&Document>) {
    for (state, reserved) in [(telemetry::LockState::Reserved, true), (telemetry::LockState::Held, false)] {
        let count = |document: Option<&Document>| {
            document.map_or(0, |d| d.locks().filter(|lock| lock.is_reserved() == reserved).count())
        };
        let change = count(after) as f64 - count(before) as f64;
        if change != 0.0 {
            metrics().locks(state).increment(change);
        }
    }
    let depths = |document: Option<&Document>| document.map_or([0; Priority::COUNT], Document::depths);
    for ((class, after), before) in Priority::ALL.into_iter().zip(depths(after)).zip(depths(before)) {
        if after != before {
            metrics().queue_depth(priority(class)).increment(after as f64 - before as f64);
        }
    }
}

fn priority(priority: Priority) -> telemetry::Priority {
    match priority {
        Priority::Low => telemetry::Priority::Low,
        Priority::Normal => telemetry::Priority::Normal,
        Priority::High => telemetry::Priority::High,
        Priority::Critical => telemetry::Priority::Critical,
    }
}
