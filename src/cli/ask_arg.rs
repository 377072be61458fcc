//! What `acquire` and `run` ask for, beside resource and owner.

use super::atlantis_env::AtlantisEnv;
use super::context::CommandError;
use super::environment::Environment;
use super::owner_arg::OwnerArgs;
use super::resource_arg::{ResourceArgs, ResourceFields};
use super::values::{GoDuration, go_text, key_value};
use clap::Args;
use serde_json::{Map, Value};
use std::time::Duration;

/// Bounds of the server for a ticket's time in the queue.
const QUEUE_TIMEOUT_MIN: Duration = Duration::from_millis(100);
/// See [`QUEUE_TIMEOUT_MIN`].
const QUEUE_TIMEOUT_MAX: Duration = Duration::from_secs(168 * 3600);

/// Mode, priority and what else describes a lock.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Lock")]
pub struct AskArgs {
    /// exclusive, shared, or counted with --limit [default: exclusive].
    #[arg(long, value_parser = ["exclusive", "shared", "counted"])]
    pub mode: Option<String>,

    /// How many may hold it at once, with --mode counted.
    #[arg(long, value_name = "N")]
    pub limit: Option<u32>,

    /// critical, high, normal or low [default: normal].
    #[arg(long, value_parser = ["critical", "high", "normal", "low"])]
    pub priority: Option<String>,

    /// Wait at most this long for the lock, in the queue.
    #[arg(long, value_name = "DURATION")]
    pub wait: Option<GoDuration>,

    /// How long the ticket may stay in the queue [default: as long as --wait alone, else the server's].
    #[arg(long, value_name = "DURATION")]
    pub queue_timeout: Option<GoDuration>,

    /// Something to remember with the lock; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub metadata: Vec<(String, String)>,
}

/// Resource and owner, read from flags and environment.
pub(crate) struct Subject {
    pub(crate) resource: ResourceFields,
    pub(crate) atlantis: Option<AtlantisEnv>,
}

impl Subject {
    /// Reads them.
    ///
    /// # Errors
    /// What is wrong with the command line or Atlantis's environment.
    pub(crate) fn read(resource: &ResourceArgs, env: &Environment) -> Result<Self, CommandError> {
        let atlantis = if resource.from_atlantis_env {
            Some(AtlantisEnv::read(env).map_err(CommandError::Usage)?)
        } else {
            None
        };
        let resource = resource.fields(atlantis.as_ref()).map_err(CommandError::Usage)?;
        Ok(Self { resource, atlantis })
    }
}

impl AskArgs {
    /// How long to wait; zero is not at all.
    pub(crate) fn wait(&self) -> Duration {
        self.wait.as_ref().map(GoDuration::to_std).unwrap_or_default()
    }

    /// How long to wait, as it was written.
    pub(crate) fn wait_text(&self) -> Option<&str> {
        self.wait.as_ref().map(GoDuration::text)
    }

    /// The body of an acquire. A ticket that is waited for lives as long as the wait.
    pub(crate) fn body(
        &self,
        subject: &Subject,
        owner: &OwnerArgs,
        owner_id: &str,
        queue: bool,
        request_id: &str,
    ) -> Map<String, Value> {
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| {
            body.insert(name.into(), value);
        };
        put("resource", subject.resource.to_json());
        put("owner", owner.to_json(owner_id, subject.atlantis.as_ref()));
        if let Some(mode) = &self.mode {
            put("mode", mode.clone().into());
        }
        if let Some(limit) = self.limit {
            put("limit", limit.into());
        }
        if let Some(priority) = &self.priority {
            put("priority", priority.clone().into());
        }
        if queue {
            put("queue", true.into());
        }
        let wait = self.wait();
        if let Some(timeout) = &self.queue_timeout {
            put("queue_timeout", timeout.text().into());
        } else if !wait.is_zero() {
            put("queue_timeout", go_text(wait.clamp(QUEUE_TIMEOUT_MIN, QUEUE_TIMEOUT_MAX)).into());
        }
        if !self.metadata.is_empty() {
            let entries = self.metadata.iter().map(|(key, value)| (key.clone(), value.clone().into()));
            put("metadata", Value::Object(entries.collect()));
        }
        put("request_id", request_id.into());
        body
    }
}
