//! What an embedded store can be told.

use std::path::PathBuf;
use std::time::Duration;

/// Commits that may wait for the writer before more are refused.
pub const DEFAULT_QUEUE_LIMIT: usize = 4096;
/// Commits that share one transaction and one fsync.
pub const DEFAULT_BATCH_LIMIT: usize = 256;
/// Memory for cached pages. Small, since the actors hold the working set anyway.
pub const DEFAULT_CACHE_BYTES: usize = 16 * 1024 * 1024;
/// How long a caller waits for its commit.
pub const DEFAULT_CALL_TIMEOUT: Duration = Duration::from_secs(1);

/// The parameters of an [`EmbeddedStore`](super::EmbeddedStore).
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// Where its files lie; made (mode 0700) if it is missing.
    pub data_dir: PathBuf,
    /// How many commits may wait; the next one is answered `Overloaded`. At least 1.
    pub queue_limit: usize,
    /// How many commits share one fsync at most. At least 1.
    pub batch_limit: usize,
    /// Bytes of memory for cached pages.
    pub cache_bytes: usize,
    /// How long a caller waits before its outcome counts as unknown.
    pub call_timeout: Duration,
}

impl EmbeddedOptions {
    /// The defaults, in this directory.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            queue_limit: DEFAULT_QUEUE_LIMIT,
            batch_limit: DEFAULT_BATCH_LIMIT,
            cache_bytes: DEFAULT_CACHE_BYTES,
            call_timeout: DEFAULT_CALL_TIMEOUT,
        }
    }
}
