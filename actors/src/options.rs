//! What the actors can be told. `src` maps the configuration to it.

use lockkeeper_core::Rules;
use lockkeeper_store::shared::InstanceRecord;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of the actors.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads that queue actors are spread over.
    pub shards: usize,
    /// Messages that may wait for one actor.
    pub mailbox: usize,
    /// How long an idle queue actor stays.
    pub rest_after: Duration,
    /// How often everything known is looked through for what is overdue.
    pub sweep_interval: Duration,
    /// An answer that waited longer than this is confirmed again before it is given.
    pub answer_max_age: Duration,
    /// How long an answer may take beyond the time its client wants to wait.
    pub answer_timeout: Duration,
    /// How many clients may wait for a grant at the same time.
    pub max_waiting: usize,
    /// The most tickets of all resources, as far as this instance knows.
    pub tickets_max: usize,
    /// The most tickets of one namespace; `None`: no limit of its own.
    pub tickets_per_namespace_max: Option<NonZeroUsize>,
    /// Over how long waiting clients are let go when the server is about to stop, so that they do
    /// not all come to its neighbours at once.
    pub drain_spread: Duration,
    /// How many events are kept for clients that resume.
    pub event_ring: usize,
    /// How many clients may follow events at the same time.
    pub event_subscribers: usize,
    /// How often the store is probed.
    pub health_interval: Duration,
    /// This instance's name in event ids; without a dot.
    pub instance: String,
    /// After a shared store may have lost data: how long all instances have to write back what they
    /// know, before anything is granted again.
    pub settle_window: Duration,
    /// How long at most those are waited for who have begun to write back and not finished.
    pub settle_max: Duration,
    /// What the other instances of a shared store are told of this one.
    pub presence: Option<Presence>,
    /// Where the greatest token ever seen is kept, on a shared store.
    pub token_file: Option<PathBuf>,
    /// When the circuit breaker of the store opens and closes; `None`: there is none.
    pub breaker: Option<BreakerOptions>,
    /// A probe of the store that takes longer than this makes it degraded.
    pub slow_probe: Duration,
    /// How often actors may die.
    pub supervision: Supervision,
    /// Where releases are kept that were accepted while the store was away; `None`: they are refused.
    pub journal_file: Option<PathBuf>,
    /// How many such releases are kept; one more is refused.
    pub journal_max: usize,
    /// How many commands may be in work at the same time.
    pub commands_max: usize,
    /// Fault points and the killing of actors may be used.
    pub chaos: bool,
    /// Why it grants nothing from the start; `None`: it grants.
    pub switched_off: Option<String>,
    /// What the core decides by.
    pub rules: Rules,
}

/// When the circuit breaker opens and closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerOptions {
    /// So many faults of the store in a row open it.
    pub failures: u32,
    /// So many good probes in a row close it again.
    pub successes: u32,
    /// How long it stays open before the store is probed again.
    pub open_for: Duration,
    /// Over how long the rate of faults is looked at.
    pub window: Duration,
    /// So many per cent of faults within the window open it, too; 0: the rate is not looked at.
    pub failure_percent: u32,
    /// With fewer calls than this in the window the rate says nothing.
    pub calls_min: u32,
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self {
            failures: 5,
            successes: 2,
            open_for: Duration::from_secs(5),
            window: Duration::from_secs(10),
            failure_percent: 50,
            calls_min: 20,
        }
    }
}

/// How often actors may die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supervision {
    /// More deaths of one kind of actor than this within the window are a storm: nothing is granted.
    pub deaths_max: u32,
    /// More deaths of one resource's actor than this within the window, and its requests are refused.
    pub deaths_per_resource_max: u32,
    /// Over how long deaths are counted.
    pub window: Duration,
    /// How long there must be calm before it counts as over; and how long a resource's requests are refused.
    pub calm: Duration,
}

impl Default for Supervision {
    fn default() -> Self {
        Self {
            deaths_max: 100,
            deaths_per_resource_max: 10,
            window: Duration::from_secs(10),
            calm: Duration::from_secs(10),
        }
    }
}

/// What the other instances are told.
#[derive(Clone, Debug)]
pub struct Presence {
    /// Name, address, version; the times are filled in.
    pub record: InstanceRecord,
    /// How long the others believe it.
    pub lease: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shards: 2,
            mailbox: 1024,
            rest_after: Duration::from_secs(10),
            sweep_interval: Duration::from_secs(5),
            answer_max_age: Duration::from_secs(1),
            answer_timeout: Duration::from_secs(5),
            max_waiting: 20_000,
            tickets_max: 1_000_000,
            tickets_per_namespace_max: None,
            drain_spread: Duration::from_secs(3),
            event_ring: 10_000,
            event_subscribers: 1_000,
            health_interval: Duration::from_secs(2),
            instance: "local".into(),
            settle_window: Duration::from_secs(5),
            settle_max: Duration::from_secs(30),
            presence: None,
            token_file: None,
            breaker: Some(BreakerOptions::default()),
            slow_probe: Duration::from_millis(250),
            supervision: Supervision::default(),
            journal_file: None,
            journal_max: 10_000,
            commands_max: 16_384,
            chaos: false,
            switched_off: None,
            rules: Rules::default(),
        }
    }
}
