//! How large a world is, and what may go wrong in it.

use super::rules::Rules;

/// Ticks for which a commit's instant may be off.
pub(super) const WINDOW: u8 = 1;
/// Ticks between the end of a lease and the next grant.
pub(super) const GRACE: u8 = 2 * WINDOW;
/// Ticks after which an answer is too old to be given.
pub(super) const ANSWER_AGE: u8 = 1;
/// Ticks from the first signature to the opening; more than health interval and answer age.
pub(super) const SETTLE: u8 = 2;
/// Ticks for which at most unfinished instances are waited for.
pub(super) const SETTLE_MAX: u8 = 4;
/// Ticks that a lease lasts.
pub(super) const LEASE: u8 = 3;
/// An instance that did not look for this many ticks is stale ...
pub(super) const STALE: u8 = 3;
/// ... and this long an empty document stays: longer, by all that instants may be off.
pub(super) const RETAIN: u8 = STALE + 2 * WINDOW;
/// Tokens (microseconds) per tick.
pub(super) const TOKENS_PER_TICK: u16 = 64;
/// Versions per tick, where a counter starts at the time.
pub(super) const COUNTS_PER_TICK: u16 = 64;
/// Nonces that a document remembers.
pub(super) const RING: usize = 2;
/// How often one commit is sent.
pub(super) const ATTEMPTS: u8 = 3;

/// How many of each may happen in one schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    pub(super) ticks: u8,
    pub(super) operations: u8,
    pub(super) retries: u8,
    /// Clients that do not wait, and instances that do not ask any longer.
    pub(super) impatience: u8,
    /// Operators who end a hold by force.
    pub(super) forced: u8,
    pub(super) pauses: u8,
    pub(super) crashes: u8,
    pub(super) failovers: u8,
    /// Failovers that leave the old master running, cut off from its replica.
    pub(super) splits: u8,
    pub(super) restarts: u8,
    /// Restarts with nothing on the disk.
    pub(super) empties: u8,
    pub(super) flushes: u8,
    /// Marker and documents vanish one by one; what else there is stays.
    pub(super) evictions: u8,
    /// Instances whose clock jumps ahead.
    pub(super) skews: u8,
}

impl Budget {
    pub(super) const NONE: Self = Self {
        ticks: 0,
        operations: 0,
        retries: 0,
        impatience: 0,
        forced: 0,
        pauses: 0,
        crashes: 0,
        failovers: 0,
        splits: 0,
        restarts: 0,
        empties: 0,
        flushes: 0,
        evictions: 0,
        skews: 0,
    };
}

/// A world to try schedules in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) rules: Rules,
    pub(super) instances: u8,
    pub(super) clients: u8,
    pub(super) min_replicas: bool,
    pub(super) leases: bool,
    /// Empty documents are deleted after a while.
    pub(super) deletes: bool,
    pub(super) hints: bool,
    /// Larger steps: a reply arrives at once, and who notices a sealing writes back and finishes.
    pub(super) coarse: bool,
    pub(super) budget: Budget,
    /// How long a schedule by chance is.
    pub(super) steps_max: usize,
}
