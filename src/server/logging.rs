//! Log lines: text for people, JSON for machines, on stderr.

use lockkeeper_config::{LogFormat, Settings};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Libraries that announce at `info` what only their authors care for.
const QUIET: &str = "actix_server=warn,actix_http=warn";

/// Installs the process's subscriber.
///
/// # Errors
/// The filter cannot be understood, or there is a subscriber already.
pub(super) fn install<W>(settings: &Settings, writer: W) -> Result<(), String>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // What is given comes last and wins.
    let directives = format!("{QUIET},{}", settings.log_level);
    let filter = EnvFilter::try_new(directives).map_err(|error| format!("log-level: {error}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let installed = match settings.log_format {
        LogFormat::Text => builder.with_ansi(false).with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    installed.map_err(|error| error.to_string())?;
    log_panics();
    Ok(())
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
