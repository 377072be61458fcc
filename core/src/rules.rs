//! The settings that decide, and the bounds that do not move.

use crate::id::Seq;
use crate::time::{Span, Timestamp};

/// After this many overtakes a class's oldest ticket goes next, whatever its priority.
pub const AGING_BOUND: u8 = 16;
/// How long it is remembered what became of a lock, a ticket, or a request id.
pub const RETENTION: Span = Span::from_secs(600);
/// How long a document without locks and tickets stays in the store.
pub const EMPTY_STAYS: Span = Span::from_secs(900);
/// How many ended entries one document keeps, whatever their age; the oldest go first.
pub const ENDED_MAX: usize = 100_000;
/// How many ended entries one command may clear away while it passes.
pub const PURGE_PER_COMMAND: usize = 4;
/// How many ended entries one clean-up may clear away.
pub const PURGE_PER_SETTLE: usize = 10_000;
/// How many request ids one lock or ticket remembers; the oldest go first.
pub const REQUESTS_PER_ENTRY_MAX: usize = 32;
/// How many holders a refusal or a ticket names.
pub const HOLDERS_SHOWN_MAX: usize = 100;
/// Fencing tokens stay below this, so that every JSON reader carries them exactly.
pub const TOKEN_LIMIT: u64 = 1 << 53;

/// The settings that the rules depend on; the same on every instance.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How long a client may stay silent before its ticket is abandoned or its grant unclaimed.
    pub abandon_after: Span,
    /// How long an unattended ticket's grant waits to be fetched.
    pub claim_within: Span,
    /// How long a resource rests after a lock that was not released by its owner (Consul's
    /// lock-delay): its holder may still be at work.
    pub lock_delay: Span,
    /// How far clocks may be apart: added to a lease's end before the next grant.
    pub lease_grace: Span,
    /// How many tickets may wait for one resource.
    pub queue_max: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            abandon_after: Span::from_secs(60),
            claim_within: Span::from_secs(900),
            lock_delay: Span::ZERO,
            lease_grace: Span::ZERO,
            queue_max: 100_000,
        }
    }
}

/// Knows which tickets' clients wait, connected, on the instance that decides.
pub trait Presence {
    /// Is a client waiting for this ticket here and now?
    fn is_waiting(&self, seq: Seq) -> bool;
}

/// Nobody waits.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Presence for Nobody {
    fn is_waiting(&self, _: Seq) -> bool {
        false
    }
}

/// What a decision depends on besides the document and the command.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The store's clock.
    pub now: Timestamp,
    /// Since when clients have been able to reach the service: deadlines that need their care
    /// count from here at the earliest, so that an outage empties no queue.
    pub opened_at: Timestamp,
    /// The command may have been carried out before, and its answer lost: look for its nonce.
    pub retried: bool,
    /// May anything be granted? If not, nothing becomes a lock and nothing is handed on: tickets keep their
    /// places, and go on by the first command that may grant.
    pub granting: bool,
    /// The settings.
    pub rules: &'a Rules,
    /// Whose clients are connected.
    pub presence: &'a dyn Presence,
}
