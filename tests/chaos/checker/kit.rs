//! Histories by hand, for the checker's own tests: a line each, times in milliseconds.

use super::check;
use crate::chaos::history::{
    Absence, Answer, Ask, Bounds, Call, History, Lease, Limit, Limited, LockSeen, Loss, Mode, Op,
};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// The wall clock when stories begin.
const WALL_AT_ZERO_MS: u64 = 1_790_000_000_000;

/// The resource of all stories.
pub(super) const RESOURCE: &str = "acme/infra/net/default/";

/// What an owner asks for unless a story says otherwise.
pub(super) fn ask(owner: &str) -> Ask {
    Ask {
        namespace: "acme/infra".into(),
        path: "net".into(),
        resource: RESOURCE.into(),
        owner: owner.into(),
        pull: 1,
        mode: Mode::Exclusive,
        priority: 1,
        ttl_ms: 1000,
        queue: true,
        queue_timeout_ms: 5000,
        attended: true,
        reentrant: true,
        request_id: Some("r".into()),
    }
}

/// An id as the service makes it, of an entry made at that millisecond of a story.
pub(super) fn id_made_at(at: u64) -> String {
    let millis = WALL_AT_ZERO_MS + at;
    let digit = |place: u64| super::denials::ALPHABET[(millis >> (5 * place) & 31) as usize] as char;
    (0..10).rev().map(digit).chain(std::iter::repeat_n('0', 16)).collect()
}

/// The end of its lease is another one, in milliseconds since the story began.
pub(super) fn until(lock: LockSeen, at: u64) -> LockSeen {
    LockSeen { expires_at: Some((WALL_AT_ZERO_MS + at) * 1000), ..lock }
}

/// A lock of `owner`, held, with a lease in milliseconds from the story's beginning; 0 is a hold.
pub(super) fn lock(id: &str, owner: &str, token: u64, lease_ms: u64) -> LockSeen {
    LockSeen {
        id: id.into(),
        resource: RESOURCE.into(),
        owner: owner.into(),
        token,
        held: true,
        expires_in: (lease_ms > 0).then_some(lease_ms * 1000),
        expires_at: (lease_ms > 0).then_some((WALL_AT_ZERO_MS + lease_ms) * 1000),
    }
}

pub(super) fn refused(status: u16, code: &str) -> Answer {
    Answer::Refused { status, code: code.into(), locks: Vec::new(), lease: None }
}

/// A refusal that names the end of a lease, in milliseconds since the story began; `None`: a hold.
pub(super) fn refused_until(lease: Option<u64>) -> Answer {
    let lease = lease.map_or(Lease::Hold, |at| Lease::Until((WALL_AT_ZERO_MS + at) * 1000));
    Answer::Refused { status: 503, code: "backend_unavailable".into(), locks: Vec::new(), lease: Some(lease) }
}

pub(super) fn acquired(lock: LockSeen) -> Answer {
    Answer::Acquired { lock, reentrant: false }
}

pub(super) fn queued(ticket: &str, owner: &str) -> Answer {
    Answer::Queued { ticket: ticket.into(), owner: owner.into(), holders: Vec::new(), confirmed: true }
}

/// A history in the making.
pub(super) struct Story(History);

impl Story {
    pub(super) fn new() -> Self {
        let bounds = Bounds { lease_grace: 1_000_000, abandon_after: 3_000_000, calm_bound: 5_000_000 };
        Self(History {
            ops: Vec::new(),
            absences: Vec::new(),
            losses: Vec::new(),
            limited: Vec::new(),
            faults: Vec::new(),
            bounds,
            calm_since: None,
            tokens: BTreeMap::new(),
            wall_at_zero: WALL_AT_ZERO_MS * 1000,
        })
    }

    /// A request to the first instance.
    pub(super) fn op(self, during: Range<u64>, call: Call, answer: Answer) -> Self {
        self.op_at(0, during, call, answer)
    }

    pub(super) fn op_at(mut self, instance: usize, during: Range<u64>, call: Call, answer: Answer) -> Self {
        let (invoked, answered) = (during.start * 1000, during.end * 1000);
        self.0.ops.push(Op { client: 1, instance, invoked, answered, call, answer });
        self
    }

    pub(super) fn acquire(self, during: Range<u64>, ask: Ask, answer: Answer) -> Self {
        self.op(during, Call::Acquire { ask: Arc::new(ask), wait_ms: 0 }, answer)
    }

    pub(super) fn poll(self, during: Range<u64>, id: &str, answer: Answer) -> Self {
        self.op(during, Call::Poll { id: id.into(), wait_ms: 0 }, answer)
    }

    pub(super) fn show(self, during: Range<u64>, id: &str, answer: Answer) -> Self {
        self.op(during, Call::Show { id: id.into() }, answer)
    }

    pub(super) fn renew(self, during: Range<u64>, id: &str, answer: Answer) -> Self {
        self.op(during, Call::Renew { id: id.into(), token: 1 }, answer)
    }

    pub(super) fn release(self, during: Range<u64>, lock: LockSeen, granted_to: Option<LockSeen>) -> Self {
        let call = Call::Release { id: lock.id.clone(), token: lock.token, key: None };
        self.op(during, call, Answer::Released { lock, granted_to })
    }

    pub(super) fn loss(mut self, during: Range<u64>) -> Self {
        self.0.losses.push(Loss { from: during.start * 1000, to: during.end * 1000 });
        self
    }

    /// The end of a run asks after a lock.
    pub(super) fn asked_at_the_end(mut self, during: Range<u64>, id: &str, answer: Answer) -> Self {
        self = self.show(during, id, answer);
        if let Some(op) = self.0.ops.last_mut() {
            op.client = crate::chaos::closing::CLIENT;
        }
        self
    }

    pub(super) fn absence(mut self, instance: usize, during: Range<u64>) -> Self {
        let (from, to) = (during.start * 1000, during.end * 1000);
        self.0.absences.push(Absence { instance, from, to });
        self
    }

    /// An instance was certainly limited so, and nobody knows for how much longer before and after.
    pub(super) fn limited(mut self, instance: usize, limit: Limit, during: Range<u64>) -> Self {
        let (from, to) = (during.start * 1000, during.end * 1000);
        let perhaps = 10_000;
        let (perhaps_from, perhaps_to) = (from.saturating_sub(perhaps), to + perhaps);
        self.0.limited.push(Limited { instance, limit, from, to, perhaps_from, perhaps_to });
        self
    }

    pub(super) fn calm_since(mut self, at: u64) -> Self {
        self.0.calm_since = Some(at * 1000);
        self
    }

    pub(super) fn earlier_token(mut self, token: u64) -> Self {
        self.0.tokens.insert(RESOURCE.into(), token);
        self
    }

    /// Nothing is wrong with it.
    #[track_caller]
    pub(super) fn holds(mut self) {
        self.0.ops.sort_by_key(|op| op.invoked);
        let found = check(&self.0).violations;
        assert!(found.is_empty(), "{found:#?}");
    }

    /// It breaks this promise, and no other.
    #[track_caller]
    pub(super) fn breaks(mut self, promise: &str, what: &str) {
        self.0.ops.sort_by_key(|op| op.invoked);
        let found = check(&self.0).violations;
        assert!(!found.is_empty(), "nothing was found");
        for violation in &found {
            assert_eq!(violation.promise, promise, "{found:#?}");
        }
        assert!(found.iter().any(|violation| violation.what.contains(what)), "{found:#?}");
    }
}
