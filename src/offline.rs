//! Commands that work on a data directory: `backup`, `restore`, `compact`.

use crate::cli::{BackupArgs, CompactArgs, RestoreArgs};
use crate::server;
use lockkeeper_store::embedded::{self, RestoreOptions};
use std::path::PathBuf;
use std::process::ExitCode;

/// Writes a backup: through the running server if there is one, else from the files.
#[must_use]
pub fn backup(args: BackupArgs) -> ExitCode {
    finish(directory(args.data_dir).and_then(|data_dir| {
        let (documents, bytes) = match server::request_backup(&data_dir, &args.file) {
            Some(answer) => answer?,
            None => {
                let report = embedded::backup(&data_dir, &args.file).map_err(|error| error.to_string())?;
                (report.documents, report.bytes)
            }
        };
        Ok(format!("{documents} resources written to {} ({bytes} bytes)", args.file.display()))
    }))
}

/// Makes a backup the database of a data directory.
#[must_use]
pub fn restore(args: RestoreArgs) -> ExitCode {
    finish(directory(args.data_dir).and_then(|data_dir| {
        let options = RestoreOptions { force: args.force };
        let report = embedded::restore(&args.file, &data_dir, options).map_err(|error| error.to_string())?;
        let kept = report
            .kept
            .map_or(String::new(), |kept| format!("; what was there is kept as {}", kept.display()));
        let (documents, place) = (report.documents, data_dir.display());
        Ok(format!(
            "{documents} resources restored to {place}; new fencing tokens start at {}{kept}",
            report.floor
        ))
    }))
}

/// Makes the database file as small as it can be.
#[must_use]
pub fn compact(args: CompactArgs) -> ExitCode {
    finish(directory(args.data_dir).and_then(|data_dir| {
        let report = embedded::compact(&data_dir).map_err(|error| error.to_string())?;
        Ok(format!("{} bytes became {}", report.before_bytes, report.after_bytes))
    }))
}

fn directory(given: Option<PathBuf>) -> Result<PathBuf, String> {
    server::data_dir(given)
}

fn finish(result: Result<String, String>) -> ExitCode {
    match result {
        Ok(done) => {
            eprintln!("{done}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
