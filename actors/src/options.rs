//! What the actors can be told. `src` maps the configuration to it.

use lockkeeper_core::Rules;
use lockkeeper_store::shared::InstanceRecord;
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
    /// What the core decides by.
    pub rules: Rules,
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
            drain_spread: Duration::from_secs(3),
            event_ring: 10_000,
            event_subscribers: 1_000,
            health_interval: Duration::from_secs(2),
            instance: "local".into(),
            settle_window: Duration::from_secs(5),
            settle_max: Duration::from_secs(30),
            presence: None,
            token_file: None,
            rules: Rules::default(),
        }
    }
}
