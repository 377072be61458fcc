//! Where settings come from, and how each room gets its share of them.

use crate::cli::ServeArgs;
use lockkeeper_actors::Options;
use lockkeeper_config::{ConfigFile, Environment, Flag, Inputs, Loaded, Settings};
use lockkeeper_core::Rules;
use lockkeeper_store::embedded::EmbeddedOptions;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// A settings file larger than this is a mistake.
const FILE_MAX_BYTES: u64 = 1024 * 1024;
/// Waiting clients are let go within this share of the drain timeout.
const DRAIN_SPREAD_SHARE: u32 = 3;

/// Reads the process's settings: file, environment, flags.
///
/// # Errors
/// Everything that is wrong, as text for people.
pub fn load(args: &ServeArgs) -> Result<Loaded, String> {
    let bytes = args.config.as_deref().map(read_file).transpose()?;
    let name = args.config.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
    let file = bytes.as_deref().map(|bytes| ConfigFile { name: &name, bytes });
    let given = args.settings();
    let flags: Vec<Flag<'_>> = given
        .iter()
        .map(|flag| Flag { setting: &flag.name, value: &flag.value, spelling: &flag.flag })
        .collect();
    let environment = Environment::from_pairs(std::env::vars_os());
    let read_secret = |path: &Path| std::fs::read_to_string(path);
    lockkeeper_config::load(&Inputs { file, environment, flags: &flags, read_secret: &read_secret }).map_err(
        |problems| {
            let mut text = format!("invalid configuration, {} thing(s) to mend:\n", problems.len());
            for problem in problems.iter() {
                let _ = writeln!(text, "  {problem}");
            }
            text
        },
    )
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let explain =
        |error: std::io::Error| format!("cannot read the settings file {}: {error}", path.display());
    let size = std::fs::metadata(path).map_err(explain)?.len();
    if size > FILE_MAX_BYTES {
        let path = path.display();
        return Err(format!("the settings file {path} has {size} bytes; at most {FILE_MAX_BYTES} are read"));
    }
    std::fs::read(path).map_err(explain)
}

/// The data directory that the offline commands work on.
///
/// # Errors
/// As [`load`].
pub fn data_dir(given: Option<PathBuf>) -> Result<PathBuf, String> {
    match given {
        Some(path) => Ok(path),
        None => {
            let args = ServeArgs {
                config: std::env::var_os("LOCKKEEPER_CONFIG").map(Into::into),
                ..Default::default()
            };
            Ok(load(&args)?.settings.data_dir)
        }
    }
}

/// What the embedded store is told.
pub(super) fn store(settings: &Settings) -> EmbeddedOptions {
    EmbeddedOptions {
        queue_limit: settings.embedded.queue_size,
        batch_limit: settings.embedded.batch_size,
        cache_bytes: settings.embedded.cache_size,
        call_timeout: settings.store_call_timeout,
        ..EmbeddedOptions::new(&settings.data_dir)
    }
}

/// What the actors are told.
pub(super) fn actors(settings: &Settings, incarnation: String) -> Options {
    Options {
        shards: or_cores(settings.actors.shards),
        mailbox: settings.actors.mailbox,
        rest_after: settings.actors.rest_after,
        sweep_interval: settings.sweep_interval,
        answer_max_age: settings.answer_max_age,
        // Load, commit, and a conflict or two, each at most one call of the store.
        answer_timeout: settings.store_call_timeout * 4,
        max_waiting: settings.http.max_waiting,
        drain_spread: settings.drain_timeout / DRAIN_SPREAD_SHARE,
        event_ring: settings.events.ring_size,
        event_subscribers: settings.events.max_subscribers,
        health_interval: settings.health.interval,
        instance: incarnation,
        rules: Rules {
            abandon_after: settings.queue.abandon_after,
            claim_within: settings.queue.claim_within,
            lock_delay: settings.lock_delay,
            queue_max: settings.queue.max_size,
            ..Rules::default()
        },
    }
}

/// A number of threads; none given: one per core.
pub(super) fn or_cores(given: Option<NonZeroUsize>) -> usize {
    given.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
}
