//! What can go wrong with the file, in words that say what to do.

use crate::contract::StoreError;
use std::any::Any;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Why a data directory could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the data directory {} is in use by {holder}: stop that server first, or choose another directory",
        data_dir.display()
    )]
    InUse {
        /// The directory.
        data_dir: PathBuf,
        /// Who has it: process id and since when, as far as known.
        holder: String,
    },
    /// A later version of Lockkeeper wrote it.
    #[error(
        "{} has format {found}, written by a newer Lockkeeper (this one knows formats up to {supported}): \
         use that version, or restore a backup made by this one",
        path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format this program reads.
        supported: u64,
    },
    /// It is not, or no longer, what this program wrote.
    #[error(
        "{} is damaged: {cause}. It was left as it is; restore a backup with `lockkeeper restore`",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        cause: String,
    },
    /// The file system refused.
    #[error("cannot use {}: {cause}{}", path.display(), advice(cause))]
    Io {
        /// What was touched.
        path: PathBuf,
        /// The system's answer.
        cause: io::Error,
    },
}

impl OpenError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |cause| Self::Io { path, cause }
    }

    pub(super) fn damaged(path: &Path, cause: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_path_buf(), cause: cause.into() }
    }

    /// What redb said while opening or checking the file at `path`.
    pub(super) fn redb(path: &Path, error: impl Into<redb::Error>) -> Self {
        match error.into() {
            redb::Error::Io(cause) if !is_damage(&cause) => Self::Io { path: path.to_path_buf(), cause },
            redb::Error::DatabaseAlreadyOpen => Self::InUse {
                data_dir: path.parent().unwrap_or(path).to_path_buf(),
                holder: "another program that opened the database file itself".into(),
            },
            other => Self::damaged(path, other.to_string()),
        }
    }

    /// What a running store answers while its file cannot be opened again.
    pub(super) fn as_store_error(&self) -> StoreError {
        match self {
            Self::Damaged { .. } | Self::NewerFormat { .. } => StoreError::Damaged(self.to_string()),
            Self::Io { path, cause } => StoreError::Unavailable(io_text(path, cause)),
            Self::InUse { .. } => StoreError::Unavailable(self.to_string()),
        }
    }
}

/// What redb said about the running file at `path`.
pub(super) fn store_error(path: &Path, error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(cause) if is_damage(&cause) => damaged(path, &cause.to_string()),
        redb::Error::Io(cause) => StoreError::Unavailable(io_text(path, &cause)),
        redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
            StoreError::Unavailable(format!("{} is being opened again after an I/O error", path.display()))
        }
        other => damaged(path, &other.to_string()),
    }
}

/// An error that names the damaged file.
pub(super) fn damaged(path: &Path, cause: &str) -> StoreError {
    StoreError::Damaged(format!("{}: {cause}", path.display()))
}

/// Runs what may panic on damaged input; the text of the panic is the error.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| panic_text(&*panic))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("unknown");
    format!("reading it panicked: {text}")
}

/// A file that ends too early or holds nonsense is damaged; the disk itself is well.
fn is_damage(cause: &io::Error) -> bool {
    matches!(cause.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData)
}

fn io_text(path: &Path, cause: &io::Error) -> String {
    if cause.kind() == ErrorKind::StorageFull {
        return format!("no space left on the data directory's disk ({})", path.display());
    }
    format!("cannot use {}: {cause}{}", path.display(), advice(cause))
}

/// What to do about it, where that is known; begins with a separator.
fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        ErrorKind::PermissionDenied => "; give the server's user read and write access to it",
        ErrorKind::ReadOnlyFilesystem => {
            "; its disk is mounted read-only: mount it writable or choose another data directory"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "; no space left on the data directory's disk: free some"
        }
        ErrorKind::NotADirectory => "; a part of the path is a file",
        _ => "",
    }
}
