//! The journal's file: appended to and made durable, cut back after a failure, written anew when
//! what is done takes too much room. Locked, so that one process has it.
//!
//! It is made with the first release that is accepted: an instance whose store never fails has none.

use super::record::{self, Accepted, HEADER_BYTES, Record, Unreadable};
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file with more bytes than this is written anew when half of it is done with.
const COMPACT_FROM_BYTES: u64 = 64 * 1024;
/// Attempts to take hold of a file that another process is just writing anew.
const LOCK_TRIES_MAX: u32 = 8;
/// Accepted releases that are written in one frame when the file is written anew.
const FRAME_RECORDS_MAX: usize = 256;

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process has it.
    #[error(
        "{} is in use by another process: stop that one first, or give this instance another name or data directory",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A later version wrote it.
    #[error("{} has format {found}, written by a newer Lockkeeper: use that version", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It is not, or no longer, what this program wrote.
    #[error(
        "{} (releases that were accepted while the store was away) is damaged: {cause}. It was left as it is: \
         restore it, or move it away and release the locks concerned by hand",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        cause: String,
    },
    /// The file system refused.
    #[error("cannot use {}: {cause}", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// The system's answer.
        cause: io::Error,
    },
}

/// How a write ended that did not succeed.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// Nothing of it will ever be read.
    Nothing(io::Error),
    /// It may be read after a restart.
    Unknown(io::Error),
}

/// An open journal.
pub(super) struct JournalFile {
    path: PathBuf,
    /// None until there is something to write.
    file: Option<File>,
    /// Bytes that are known to be whole and durable.
    good_bytes: u64,
    /// What is behind `good_bytes`, or in the kernel's cache, is not known: it must be written anew.
    doubtful: bool,
    /// A restart finds the file under its name.
    named: bool,
    #[cfg(test)]
    pub(super) faults: std::sync::Arc<super::faults::Faults>,
}

impl Drop for JournalFile {
    fn drop(&mut self) {
        // Closing it is not enough: a child that is being started has it open, too, until it runs.
        if let Some(Err(error)) = self.file.as_ref().map(File::unlock) {
            tracing::debug!(%error, "the lock of the journal goes with the process");
        }
    }
}

/// Calls that a test has fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Write,
    Sync,
    Cut,
    Rename,
}

impl JournalFile {
    /// Opens the file if it is there, cuts off a torn end, and gives what it holds.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Record>), JournalError> {
        let io = |cause| JournalError::Io { path: path.to_path_buf(), cause };
        let mut journal = Self {
            path: path.to_path_buf(),
            file: None,
            good_bytes: 0,
            doubtful: false,
            named: false,
            #[cfg(test)]
            faults: std::sync::Arc::default(),
        };
        let Some(mut file) = take(path)? else { return Ok((journal, Vec::new())) };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        let damaged = |cause: String| JournalError::Damaged { path: path.to_path_buf(), cause };
        let read = record::read(&bytes).map_err(|unreadable| match unreadable {
            Unreadable::Foreign => damaged("it does not begin as it should".into()),
            Unreadable::Newer(found) => JournalError::NewerFormat { path: path.to_path_buf(), found },
            Unreadable::Damaged(cause) => damaged(cause),
        })?;
        journal.good_bytes = read.good_bytes as u64;
        if read.good_bytes < bytes.len() {
            let cut = bytes.len() - read.good_bytes;
            tracing::warn!(path = %path.display(), bytes = cut, "the end of the journal was not finished and is cut off");
            file.set_len(journal.good_bytes).and_then(|()| file.sync_all()).map_err(io)?;
        }
        (journal.file, journal.named) = (Some(file), true);
        Ok((journal, read.records))
    }

    /// Appends records and makes them durable.
    ///
    /// # Errors
    /// See [`Unwritten`].
    pub(super) fn append(&mut self, records: &[Record]) -> Result<(), Unwritten> {
        let frame = record::frame(records).map_err(|error| Unwritten::Nothing(io::Error::other(error)))?;
        if self.doubtful {
            let what = "what was written before is in doubt, and could not be written anew yet";
            return Err(Unwritten::Nothing(io::Error::other(what)));
        }
        let fresh = self.good_bytes < HEADER_BYTES as u64;
        let bytes = if fresh { [record::header(), frame].concat() } else { frame };
        self.make().map_err(Unwritten::Nothing)?;
        let at = if fresh { 0 } else { self.good_bytes };
        match self.write_at(at, &bytes).and_then(|()| self.sync()) {
            Ok(()) => {
                self.good_bytes = at + bytes.len() as u64;
                Ok(())
            }
            Err(cause) => {
                self.doubtful = true;
                Err(Unwritten::Unknown(cause))
            }
        }
    }

    /// Is it worth while to write it anew, with so many records pending of all that it holds?
    pub(super) fn wants_compaction(&self, pending: usize, held: usize) -> bool {
        self.doubtful
            || (pending == 0 && self.good_bytes > HEADER_BYTES as u64)
            || (self.good_bytes > COMPACT_FROM_BYTES && pending * 2 < held)
    }

    /// May what was appended last be there, or not?
    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Has the file hold these and nothing else.
    ///
    /// # Errors
    /// The file system's. What was there before is there still.
    pub(super) fn compact(&mut self, pending: &[Accepted]) -> io::Result<()> {
        if pending.is_empty() {
            // Needs no room on the disk, and a crash leaves either all or nothing.
            let Some(file) = &self.file else {
                self.doubtful = false;
                return Ok(());
            };
            let keep = self.good_bytes.min(HEADER_BYTES as u64);
            self.check(Call::Cut)?;
            file.set_len(keep)?;
            self.sync()?;
            (self.good_bytes, self.doubtful) = (keep, false);
            return Ok(());
        }
        let mut name: OsString = self.path.clone().into_os_string();
        name.push(".new");
        let fresh_path = PathBuf::from(name);
        let mut bytes = record::header();
        for chunk in pending.chunks(FRAME_RECORDS_MAX) {
            let records: Vec<Record> = chunk.iter().cloned().map(Record::Accepted).collect();
            bytes.extend(record::frame(&records).map_err(io::Error::other)?);
        }
        let mut fresh = options().truncate(true).open(&fresh_path)?;
        fresh.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other("another process writes it anew"),
            TryLockError::Error(cause) => cause,
        })?;
        self.check(Call::Write)?;
        fresh.write_all(&bytes)?;
        self.check(Call::Sync)?;
        fresh.sync_all()?;
        self.check(Call::Rename)?;
        std::fs::rename(&fresh_path, &self.path)?;
        self.file = Some(fresh);
        self.good_bytes = bytes.len() as u64;
        // Until the directory is durable a restart may find the old one.
        self.doubtful = true;
        sync_directory(&self.path)?;
        (self.doubtful, self.named) = (false, true);
        Ok(())
    }

    fn make(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            self.check(Call::Write)?;
            let file = options().create_new(true).open(&self.path)?;
            file.try_lock().map_err(|_| io::Error::other("another process has just made it"))?;
            self.file = Some(file);
        }
        if !self.named {
            sync_directory(&self.path)?;
            self.named = true;
        }
        Ok(())
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        let (bytes, fails) = self.faults.shortened(bytes);
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(at))?;
            file.write_all(bytes)?;
        }
        #[cfg(test)]
        fails?;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.check(Call::Sync)?;
        self.file.as_ref().map_or(Ok(()), File::sync_all)
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)]
    fn check(&self, _: Call) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn check(&self, call: Call) -> io::Result<()> {
        self.faults.check(call)
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    options
}

/// Opens and locks the file; `None`: there is none.
fn take(path: &Path) -> Result<Option<File>, JournalError> {
    let io = |cause| JournalError::Io { path: path.to_path_buf(), cause };
    for _ in 0..LOCK_TRIES_MAX {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::InUse { path: path.to_path_buf() }),
            Err(TryLockError::Error(cause)) => return Err(io(cause)),
        }
        // It may have been replaced between the opening and the locking.
        let (held, named) = (file.metadata().map_err(io)?, std::fs::metadata(path).map_err(io)?);
        if (held.dev(), held.ino()) == (named.dev(), named.ino()) {
            return Ok(Some(file));
        }
    }
    Err(JournalError::InUse { path: path.to_path_buf() })
}

fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}
