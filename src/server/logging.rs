//! Log lines: text for people, JSON for machines, on stderr.

use crate::live::LogLevel;
use lockkeeper_config::{LogFormat, Settings};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::reload::Handle;

/// Libraries that announce at `info` what only their authors care for.
const QUIET: &str = "actix_server=warn,actix_http=warn";

/// Installs the process's subscriber; the answer changes what is logged.
///
/// # Errors
/// The filter cannot be understood, or there is a subscriber already.
pub(super) fn install<W>(settings: &Settings, writer: W) -> Result<LogLevel, String>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = filter(&settings.log_level).map_err(|error| format!("log-level: {error}"))?;
    let builder = tracing_subscriber::fmt().with_writer(writer);
    let (installed, log_level) = match settings.log_format {
        LogFormat::Text => {
            let builder = builder.with_ansi(false).with_target(false);
            let builder = builder.with_env_filter(filter).with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), reloading(handle))
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true);
            let builder = builder.with_env_filter(filter).with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), reloading(handle))
        }
    };
    installed.map_err(|error| error.to_string())?;
    log_panics();
    Ok(log_level)
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    // What is given comes last and wins.
    EnvFilter::try_new(format!("{QUIET},{level}")).map_err(|error| error.to_string())
}

fn reloading<S: 'static>(handle: Handle<EnvFilter, S>) -> LogLevel {
    Box::new(move |level, really| {
        let filter = filter(level)?;
        if really { handle.reload(filter).map_err(|error| error.to_string()) } else { Ok(()) }
    })
}

/// A panic is a log line like any other, with a backtrace if one was asked for.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let message =
            text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(location, %backtrace, "panic: {message}");
    }));
}
