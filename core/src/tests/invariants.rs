//! What holds after every command, whatever it was: checked without knowing the rules' code.

use super::kit::Present;
use crate::{Command, Context, Document, EventKind, Former, Lock, Mode, Seq, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Checks the document after a command on `before`.
pub(super) fn after_command(before: &Document, after: &Document, ctx: &Context<'_>) {
    let now = ctx.now.max(before.header.clock);
    exclusion(after);
    no_lease_is_over(after, now);
    tokens_grow(before, after);
    positions_follow_the_order(after);
    if ctx.granting {
        nothing_grantable_waits(after, now);
    } else {
        nothing_is_granted(before, after);
    }
    nothing_is_silent(before, after);
    nobody_is_lost(before, after);
    the_deadline_is_exact(after, ctx, now);
}

fn exclusion(document: &Document) {
    let holders: Vec<&Arc<Lock>> = document.locks().collect();
    let Some(first) = holders.first() else { return };
    let most = match first.intent.mode {
        Mode::Exclusive => 1,
        Mode::Shared => usize::MAX,
        Mode::Counted { limit } => usize::from(limit),
    };
    assert!(holders.len() <= most, "{} holders in mode {:?}", holders.len(), first.intent.mode);
    assert!(holders.iter().all(|lock| lock.intent.mode == first.intent.mode), "modes do not mix");
}

fn no_lease_is_over(document: &Document, now: Timestamp) {
    for lock in document.locks() {
        assert!(!lock.is_over(now), "{lock:?} is over at {now:?}");
    }
    for ticket in document.tickets() {
        assert!(ticket.deadline > now && ticket.seen_until > now, "{ticket:?} is over at {now:?}");
    }
}

fn tokens_grow(before: &Document, after: &Document) {
    let last = before.header.last_token.max(before.floor().saturating_sub(1));
    let mut fresh: Vec<u64> =
        after.locks().filter(|lock| before.lock(lock.seq).is_none()).map(|lock| lock.token).collect();
    fresh.sort_unstable();
    assert!(fresh.iter().all(|token| *token > last), "{fresh:?} after {last}");
    assert!(fresh.windows(2).all(|pair| pair[0] < pair[1]), "{fresh:?}");
    for lock in after.locks() {
        if let Some(same) = before.lock(lock.seq) {
            assert_eq!(same.token, lock.token, "a lock keeps its token");
        }
    }
    assert!(after.header.last_token >= before.header.last_token);
}

fn positions_follow_the_order(document: &Document) {
    // For long queues the ends and some of the middle stand for all.
    let every = document.waiting() / 64 + 1;
    let mut count = 0;
    for (place, ticket) in document.tickets().enumerate() {
        count += 1;
        if place < 20 || place % every == 0 {
            assert_eq!(document.position(ticket), place + 1, "{ticket:?}");
            assert!(document.ticket(ticket.seq).is_some());
        }
    }
    assert_eq!(count, document.waiting());
    assert_eq!(document.next_ticket(), document.tickets().next());
}

/// Could one more of this mode join? Written down once more, without the core's help.
fn fits(document: &Document, mode: Mode) -> bool {
    document.locks().all(|holder| match (holder.intent.mode, mode) {
        (Mode::Shared, Mode::Shared) => true,
        (Mode::Counted { .. }, Mode::Counted { limit }) => document.locks().count() < usize::from(limit),
        _ => false,
    })
}

fn nothing_grantable_waits(document: &Document, now: Timestamp) {
    if let Some(next) = document.tickets().next() {
        let resting = document.header.free_from > now;
        assert!(resting || !fits(document, next.intent.mode), "{next:?} waits and could be granted");
    }
}

/// Where nothing may be granted no lock is made.
fn nothing_is_granted(before: &Document, after: &Document) {
    for lock in after.locks() {
        assert!(before.lock(lock.seq).is_some(), "{lock:?} was granted where nothing may be");
    }
}

/// Every grant and every end is told as an event, an end with its reason.
fn nothing_is_silent(before: &Document, after: &Document) {
    let effects = after.clone().take_effects();
    let told_before = before.clone().take_effects().events.len();
    let events = &effects.events[told_before..];
    let subject = |former: &Former| match former {
        Former::Lock(lock) => lock.seq,
        Former::Ticket(ticket) => ticket.seq,
    };
    for (seq, ended) in after.ended.iter().filter(|(seq, _)| before.ended(**seq).is_none()) {
        assert_eq!(ended.reason, why(events, *seq, subject), "entry {seq:?}");
        assert!(effects.changed.contains(seq), "whoever waits for {seq:?} is not answered");
    }
    for lock in after.locks().filter(|lock| before.lock(lock.seq).is_none()) {
        let grants = [EventKind::LockAcquired, EventKind::LockReserved];
        assert!(
            events.iter().any(|e| subject(&e.subject) == lock.seq && grants.contains(&e.kind)),
            "{lock:?} was granted and no event says so"
        );
        if before.ticket(lock.seq).is_some() {
            assert!(effects.changed.contains(&lock.seq), "whoever waits for {lock:?} is not answered");
        }
    }
}

fn why(events: &[crate::Event], seq: Seq, subject: impl Fn(&Former) -> Seq) -> crate::EndReason {
    let told: Vec<_> = events
        .iter()
        .filter(|event| subject(&event.subject) == seq)
        .filter_map(|event| event.reason)
        .collect();
    assert_eq!(told.len(), 1, "the end of {seq:?} is told once with its reason");
    told[0]
}

/// An entry stays what it was, becomes a lock, or leaves an ended record: it does not vanish.
fn nobody_is_lost(before: &Document, after: &Document) {
    let known = |seq: Seq| {
        usize::from(after.lock(seq).is_some())
            + usize::from(after.ticket(seq).is_some())
            + usize::from(after.ended(seq).is_some())
    };
    let all = before.locks().map(|lock| lock.seq).chain(before.tickets().map(|ticket| ticket.seq));
    for seq in all.take(200) {
        assert_eq!(known(seq), 1, "entry {seq:?} is in {} places", known(seq));
    }
    for lock in after.locks().take(200) {
        assert_eq!(known(lock.seq), 1, "{lock:?}");
    }
}

/// Time changes nothing before the deadline, and something at it.
fn the_deadline_is_exact(document: &Document, ctx: &Context<'_>, now: Timestamp) {
    // A copy that is settled costs as much as it has to say: long queues say the same as short ones.
    if document.waiting() > 200 {
        return;
    }
    let settle_at = |at: Timestamp| {
        let mut later = document.clone();
        let _ = later.finish(0);
        let silent = Present::default();
        let _ = later.apply(&Command::Settle, &Context { now: at, presence: &silent, ..*ctx });
        visible(&later)
    };
    let here = visible(document);
    if !ctx.granting {
        assert_eq!(settle_at(now), here, "a change that was due is not made");
        return;
    }
    let Some(at) = document.next_deadline() else {
        assert_eq!(settle_at(now + crate::Span::from_secs(1_000_000)), here, "no deadline, and yet a change");
        return;
    };
    assert!(at > now, "the deadline {at:?} is past at {now:?}");
    assert_eq!(settle_at(Timestamp::from_micros(at.as_micros() - 1)), here, "a change before the deadline");
    if at != Timestamp::NEVER {
        assert_ne!(settle_at(at), here, "no change at the deadline");
    }
}

/// Locks and tickets as anyone sees them.
fn visible(document: &Document) -> String {
    let locks: Vec<_> = document.locks().collect();
    let tickets: Vec<_> = document.tickets().collect();
    format!("{locks:?} {tickets:?}")
}

/// Both documents say the same, indexes included.
pub(super) fn equal(one: &Document, other: &Document) {
    assert_eq!(one.id(), other.id());
    assert_eq!(one.resource(), other.resource());
    assert_eq!(one.version(), other.version());
    assert_eq!(one.floor(), other.floor());
    assert_eq!(one.header, other.header);
    assert_eq!(one.counted_limit(), other.counted_limit());
    assert_eq!(one.depths(), other.depths());
    assert_eq!(one.deadlines, other.deadlines);
    assert_eq!(one.locks, other.locks);
    assert!(one.queue == other.queue, "the queues differ");
    assert!(one.ended == other.ended, "what ended differs");
    assert!(one.tickets().eq(other.tickets()));
    assert_eq!(one.next_deadline(), other.next_deadline());
    assert_eq!(one.delete_at(), other.delete_at());
    let live = one.locks().map(|lock| &lock.intent).chain(one.tickets().map(|ticket| &ticket.intent));
    let ended = one.ended.iter().map(|(_, ended)| ended.former.intent());
    let mut owners = BTreeSet::new();
    for intent in live.chain(ended) {
        for request in intent.requests.iter() {
            assert_eq!(one.request(request.key), other.request(request.key), "{request:?}");
        }
        if owners.len() < 50 && owners.insert(&intent.owner.id) {
            assert!(one.entries_of(&intent.owner.id).eq(other.entries_of(&intent.owner.id)));
        }
    }
}
