//! The server: settings in, a running process out.

mod control;
mod lifecycle;
mod logging;
mod serving;
mod settings;
mod stores;

pub use control::request_backup;
pub use lifecycle::{Application, StartError};
pub use settings::{data_dir, load};

use crate::cli::ServeArgs;
use crate::live::LiveSettings;
use std::process::ExitCode;
use std::sync::Arc;

/// `lockkeeper serve`.
#[must_use]
pub fn serve(args: &ServeArgs) -> ExitCode {
    let small_pages = small_pages();
    let loaded = match load(args) {
        Ok(loaded) => loaded,
        Err(problems) => {
            eprintln!("{}", problems.trim_end());
            return ExitCode::from(2);
        }
    };
    if args.config_dump {
        print!("{}", loaded.effective.dump());
    }
    if args.check {
        eprintln!("the configuration is valid");
    }
    if args.check || args.dry_run || args.config_dump {
        return ExitCode::SUCCESS;
    }
    // Log lines go through a thread of their own: a reader that stops reading must not stop us.
    let (writer, _flushed_at_the_end) = tracing_appender::non_blocking(std::io::stderr());
    let log_level = match logging::install(&loaded.settings, writer) {
        Ok(log_level) => log_level,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = small_pages {
        tracing::debug!(%error, "huge pages stay allowed: clients that wait cost more memory");
    }
    let again = args.clone();
    let reread = Box::new(move || settings::load_again(&again));
    let live = Arc::new(LiveSettings::new(loaded, Some(reread), Some(log_level)));
    let result = actix_rt::System::new().block_on(async move {
        let application = Application::build(live).await.map_err(|error| error.to_string())?;
        application.run().await.map_err(|error| error.to_string())
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The allocator asks for huge pages where the system gives them. In those, everything is resident that
/// lies between what is used, such as the buffers of connections on which nothing comes: twice the memory
/// of a client that waits. Pages that were touched before this is called stay as they are.
fn small_pages() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::thread::disable_transparent_huge_pages(true)?;
    Ok(())
}
