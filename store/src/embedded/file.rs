//! Making, opening and checking the database file.
//!
//! A new file is made under another name and renamed when it is complete and durable. So a file
//! with the right name is always a whole database, and one that is not is damaged.

use super::disk::{Disk, Faults};
use super::error::{OpenError, guarded};
use super::journal::Journal;
use super::layout::{
    BadRow, DATA_FILE, FLOORS, FORMAT, JOURNAL, META, META_CREATED_AT, META_FORMAT, META_LAST_TIME, RECORDS,
};
use super::overlay::Overlay;
use crate::boot_clock::wall_micros;
use redb::{Database, ReadableDatabase};
use rustix::fs::{Advice, fadvise};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a new database is called until it is complete.
const UNFINISHED_FILE: &str = "lockkeeper.redb.new";

/// A database that was opened and found sound.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) db: Database,
    /// The store's time of its last transaction, microseconds.
    pub(super) last_time: u64,
    /// What its journal holds.
    pub(super) overlay: Overlay,
    /// Where its journal stands.
    pub(super) journal: Journal,
}

/// How to open a file.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    pub(super) cache_bytes: usize,
    pub(super) faults: Faults,
    /// Whether to read from the disk what the kernel may have cached. After a failed write or
    /// fsync the cache can show what the disk never got.
    pub(super) distrust_cache: bool,
    /// Whether the file may be changed; otherwise even a repair stays in memory.
    pub(super) writable: bool,
}

/// Opens the database of this directory, making it if there is none. The caller holds the lock.
pub(super) fn open_or_create(data_dir: &Path, opening: &Opening) -> Result<Opened, OpenError> {
    let path = data_dir.join(DATA_FILE);
    // What a crash left of an earlier creation was never used.
    let unfinished = data_dir.join(UNFINISHED_FILE);
    remove_if_there(&unfinished).map_err(OpenError::io(&unfinished))?;
    match fs::symlink_metadata(&path) {
        Ok(_) => {}
        Err(cause) if cause.kind() == ErrorKind::NotFound => create(&path, &unfinished)?,
        Err(cause) => return Err(OpenError::Io { path, cause }),
    }
    open(&path, opening)
}

fn create(path: &Path, unfinished: &Path) -> Result<(), OpenError> {
    let file = new_file(unfinished).map_err(OpenError::io(unfinished))?;
    let made = initialise(file).map_err(|error| OpenError::redb(unfinished, error));
    let made = made.and_then(|()| publish(unfinished, path).map_err(OpenError::io(path)));
    if made.is_err() {
        // The error that matters is the first; what stays is removed at the next start.
        let _ = fs::remove_file(unfinished);
    }
    made
}

fn initialise(file: File) -> Result<(), redb::Error> {
    let db = Database::builder().create_file(file)?;
    let txn = db.begin_write()?;
    txn.open_table(RECORDS)?;
    txn.open_table(JOURNAL)?;
    txn.open_table(FLOORS)?;
    {
        let now = wall_micros();
        let mut meta = txn.open_table(META)?;
        meta.insert(META_FORMAT, FORMAT)?;
        meta.insert(META_CREATED_AT, now)?;
        meta.insert(META_LAST_TIME, now)?;
    }
    txn.commit()?;
    Ok(())
}

/// A new file for this user only; refuses to touch one that exists.
pub(super) fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Makes `from` durable and gives it the name `to`, durably.
pub(super) fn publish(from: &Path, to: &Path) -> io::Result<()> {
    File::open(from)?.sync_all()?;
    fs::rename(from, to)?;
    sync_dir_of(to)
}

/// Makes the names in the directory of `path` durable.
pub(super) fn sync_dir_of(path: &Path) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Opens and checks an existing file: every page, before anything is written to it.
pub(super) fn open(path: &Path, opening: &Opening) -> Result<Opened, OpenError> {
    #[cfg(any(test, feature = "testing"))]
    opening.faults.check(super::disk_faults::DiskCall::Open).map_err(OpenError::io(path))?;
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(OpenError::io(path))?;
    let bytes = file.metadata().map_err(OpenError::io(path))?.len();
    // redb would make a new database of an empty file.
    if bytes == 0 {
        return Err(OpenError::damaged(path, "the file is empty"));
    }
    if opening.distrust_cache {
        file.sync_data().map_err(OpenError::io(path))?;
        fadvise(&file, 0, None, Advice::DontNeed).map_err(|errno| OpenError::io(path)(errno.into()))?;
    }
    guarded(|| open_checked(path, file, opening)).unwrap_or_else(|panic| Err(OpenError::damaged(path, panic)))
}

fn open_checked(path: &Path, file: File, opening: &Opening) -> Result<Opened, OpenError> {
    let disk = Disk::new(file, opening.faults.clone()).map_err(|error| OpenError::redb(path, error))?;
    let repaired = Arc::new(AtomicBool::new(false));
    let saw_repair = Arc::clone(&repaired);
    let mut db = Database::builder()
        .set_cache_size(opening.cache_bytes)
        .set_repair_callback(move |_| saw_repair.store(true, Ordering::Relaxed))
        .create_with_backend(disk.clone())
        .map_err(|error| OpenError::redb(path, error))?;
    // A repair has checked every page already.
    if !repaired.load(Ordering::Relaxed)
        && !db.check_integrity().map_err(|error| OpenError::redb(path, error))?
    {
        return Err(OpenError::damaged(path, "its pages do not match their checksums"));
    }
    let last_time = check_meta(path, &db)?;
    let (journal, overlay) = replay(&db)
        .map_err(|error| OpenError::redb(path, error))?
        .map_err(|row| OpenError::damaged(path, row.0))?;
    if opening.writable {
        if repaired.load(Ordering::Relaxed) {
            let path = path.display();
            if opening.distrust_cache {
                // It was this process that gave it up after a failure.
                tracing::debug!(%path, "the database was recovered after a failure");
            } else {
                tracing::info!(%path, "the database was not closed in order; it was recovered");
            }
        }
        disk.release().map_err(OpenError::io(path))?;
    }
    Ok(Opened { db, last_time, overlay, journal })
}

fn check_meta(path: &Path, db: &Database) -> Result<u64, OpenError> {
    let read = || -> Result<(Option<u64>, Option<u64>), redb::Error> {
        let txn = db.begin_read()?;
        let meta = txn.open_table(META)?;
        let number = |name| Ok::<_, redb::Error>(meta.get(name)?.map(|guard| guard.value()));
        Ok((number(META_FORMAT)?, number(META_LAST_TIME)?))
    };
    match read() {
        Ok((Some(found), _)) if found > FORMAT => {
            Err(OpenError::NewerFormat { path: path.to_path_buf(), found, supported: FORMAT })
        }
        Ok((Some(FORMAT), Some(last_time))) => {
            check_tables(db).map_err(|error| OpenError::redb(path, error))?;
            Ok(last_time)
        }
        Ok((Some(found), _)) => Err(OpenError::damaged(path, format!("it claims the format {found}"))),
        Ok((None, _)) => Err(OpenError::damaged(path, "it has no format version")),
        Err(redb::Error::TableDoesNotExist(_)) => {
            Err(OpenError::damaged(path, "it is a redb file, but not one of Lockkeeper"))
        }
        Err(error) => Err(OpenError::redb(path, error)),
    }
}

fn check_tables(db: &Database) -> Result<(), redb::Error> {
    let txn = db.begin_read()?;
    txn.open_table(RECORDS)?;
    txn.open_table(FLOORS)?;
    Ok(())
}

fn replay(db: &Database) -> Result<Result<(Journal, Overlay), BadRow>, redb::Error> {
    Journal::replay(&db.begin_read()?.open_table(JOURNAL)?)
}
