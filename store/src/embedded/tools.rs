//! What an operator does with the file: back it up, restore it, compact it.

use super::copy::{self, CopyError, Rows, copy_rows};
use super::disk::Faults;
use super::error::{OpenError, guarded};
use super::file::{self, Opened, Opening, new_file, publish, remove_if_there};
use super::fold::{Fold, FoldLimits};
use super::journal::RowBuilder;
use super::layout::{DATA_FILE, FLOORS, META, META_LAST_TIME, META_RESTORED_AT};
use super::lock::DirLock;
use super::options::DEFAULT_CACHE_BYTES;
use super::read::{PendingDocuments, ReadError, View, pending_all};
use crate::boot_clock::wall_micros;
use crate::contract::StoreError;
use lockkeeper_core::resource::PARTITIONS;
use redb::{Database, ReadableDatabase, ReadableTable};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Passes of a compaction at most; each moves what the one before made movable.
const COMPACT_MAX_PASSES: usize = 16;
/// What a restored file is called until it is complete.
const RESTORING_FILE: &str = "lockkeeper.redb.restoring";

/// What was backed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// Documents copied.
    pub documents: u64,
    /// Fields copied.
    pub fields: u64,
    /// Size of the copy.
    pub bytes: u64,
}

/// How to restore.
#[derive(Clone, Copy, Debug, Default)]
pub struct RestoreOptions {
    /// Whether a database that is there may be replaced; it is kept under another name.
    pub force: bool,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreReport {
    /// Documents restored.
    pub documents: u64,
    /// Fields restored.
    pub fields: u64,
    /// Every partition's token floor is at least this now, so no token given out after the backup
    /// comes back.
    pub floor: u64,
    /// Where the database that was there before is kept.
    pub kept: Option<PathBuf>,
}

/// What a compaction gained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactReport {
    /// Size of the file before.
    pub before_bytes: u64,
    /// Size of the file after.
    pub after_bytes: u64,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The directory or a file cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The running store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing is overwritten.
    #[error("{} exists already: choose another name or move it away", path.display())]
    DestinationExists {
        /// The file.
        path: PathBuf,
    },
    /// A database is there already.
    #[error(
        "{} exists already: restore into an empty directory, or replace it with --force (it is then kept \
         under another name)",
        path.display()
    )]
    DatabaseExists {
        /// The file.
        path: PathBuf,
    },
    /// There is nothing to work on.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
}

/// Copies the database of a directory that no server uses; see
/// [`EmbeddedStore::backup_to`](super::EmbeddedStore::backup_to) for one that is in use.
///
/// # Errors
/// See [`ToolError`]; `dest` then does not exist (or is what it was).
pub fn backup(data_dir: &Path, dest: &Path) -> Result<BackupReport, ToolError> {
    let (_lock, path, opened) = open_exclusively(data_dir, &for_reading())?;
    let view = view(&opened).map_err(|error| OpenError::redb(&path, error))?;
    copy::backup(&path, view, dest)
}

/// Makes the file as small as it can be. No server may use the directory.
///
/// # Errors
/// See [`ToolError`]; nothing is lost then.
pub fn compact(data_dir: &Path) -> Result<CompactReport, ToolError> {
    let (_lock, path, opened) = open_exclusively(data_dir, &for_writing())?;
    let size = || fs::metadata(&path).map(|metadata| metadata.len()).map_err(OpenError::io(&path));
    let before_bytes = size()?;
    // Otherwise the journal's rows would be moved, not removed.
    let mut db = guarded(|| fold_all(opened))
        .map_err(|panic| OpenError::damaged(&path, panic))?
        .map_err(|error| OpenError::redb(&path, error))?;
    for _ in 0..COMPACT_MAX_PASSES {
        let moved = guarded(|| db.compact()).map_err(|panic| OpenError::damaged(&path, panic))?;
        if !moved.map_err(|error| OpenError::redb(&path, error))? {
            break;
        }
    }
    drop(db);
    Ok(CompactReport { before_bytes, after_bytes: size()? })
}

/// Folds the whole journal.
fn fold_all(opened: Opened) -> Result<Database, redb::Error> {
    let Opened { db, last_time, mut overlay, mut journal } = opened;
    let mut fold = Fold::new(FoldLimits::default());
    let mut row = RowBuilder::default();
    let mut stamp = last_time;
    while !fold.is_done(&overlay, &journal) {
        stamp += 1;
        let txn = db.begin_write()?;
        let folded = fold.alone(&txn, &overlay, &mut journal, &mut row, stamp)?;
        txn.commit()?;
        fold.publish(&mut overlay, &mut journal, folded, std::iter::empty());
    }
    Ok(db)
}

/// Makes `file`, a backup, the database of `data_dir`. Checks it fully before anything changes,
/// and raises every partition's token floor above what may have been given out since the backup.
///
/// # Errors
/// See [`ToolError`]; the directory is then as it was.
pub fn restore(file: &Path, data_dir: &Path, options: RestoreOptions) -> Result<RestoreReport, ToolError> {
    if !file.try_exists().map_err(OpenError::io(file))? {
        return Err(ToolError::Missing { path: file.to_path_buf() });
    }
    let _lock = DirLock::acquire(data_dir)?;
    let path = data_dir.join(DATA_FILE);
    let there = path.symlink_metadata().is_ok();
    if there && !options.force {
        return Err(ToolError::DatabaseExists { path });
    }
    let restoring = data_dir.join(RESTORING_FILE);
    let restored = prepare(file, &restoring, there.then_some(path.as_path())).and_then(|(rows, floor)| {
        let kept = if there { Some(keep(&path)?) } else { None };
        publish(&restoring, &path).map_err(OpenError::io(&path))?;
        Ok(RestoreReport { documents: rows.documents, fields: rows.fields, floor, kept })
    });
    if restored.is_err() {
        // The error that matters is the first.
        let _ = fs::remove_file(&restoring);
    }
    restored
}

/// To change the file.
fn for_writing() -> Opening {
    Opening {
        cache_bytes: DEFAULT_CACHE_BYTES,
        faults: Faults::default(),
        distrust_cache: false,
        writable: true,
    }
}

/// To look at the file and leave it as it is.
fn for_reading() -> Opening {
    Opening { writable: false, ..for_writing() }
}

fn open_exclusively(data_dir: &Path, opening: &Opening) -> Result<(DirLock, PathBuf, Opened), ToolError> {
    let path = data_dir.join(DATA_FILE);
    // Looked at first, so that a mistyped directory is not made.
    if !path.try_exists().map_err(OpenError::io(&path))? {
        return Err(ToolError::Missing { path });
    }
    let lock = DirLock::acquire(data_dir)?;
    let opened = file::open(&path, opening)?;
    Ok((lock, path, opened))
}

/// Makes the file that will be the database: a checked copy with raised floors.
fn prepare(source: &Path, restoring: &Path, replaced: Option<&Path>) -> Result<(Rows, u64), ToolError> {
    remove_if_there(restoring).map_err(OpenError::io(restoring))?;
    copy_file(source, restoring).map_err(OpenError::io(restoring))?;
    // Errors are about the backup, which is what the operator knows.
    let named = |error: OpenError| match error {
        OpenError::Damaged { cause, .. } => OpenError::damaged(source, cause),
        OpenError::NewerFormat { found, supported, .. } => {
            OpenError::NewerFormat { path: source.to_path_buf(), found, supported }
        }
        other => other,
    };
    let opened = file::open(restoring, &for_writing()).map_err(named)?;
    let rows = check_rows(&opened).map_err(|error| match error {
        ReadError::Redb(error) => named(OpenError::redb(source, error)),
        ReadError::Row(row) => OpenError::damaged(source, row.0),
    })?;
    let now = wall_micros();
    let seen = replaced.and_then(latest_in).unwrap_or_default();
    let floor = now.max(seen).max(opened.last_time);
    raise_floors(&opened.db, floor, now).map_err(|error| OpenError::redb(restoring, error))?;
    drop(opened);
    Ok((rows, floor))
}

fn copy_file(source: &Path, restoring: &Path) -> io::Result<()> {
    io::copy(&mut File::open(source)?, &mut new_file(restoring)?)?;
    Ok(())
}

/// All that an opened database holds.
fn view(opened: &Opened) -> Result<View<PendingDocuments>, redb::Error> {
    Ok(View { txn: opened.db.begin_read()?, pending: pending_all(&opened.overlay) })
}

fn check_rows(opened: &Opened) -> Result<Rows, ReadError> {
    let view = view(opened)?;
    match guarded(|| copy_rows(view, None)) {
        Ok(Ok(rows)) => Ok(rows),
        Ok(Err(CopyError::Read(error))) => Err(error),
        Ok(Err(CopyError::Write(error))) => Err(ReadError::Redb(error)),
        Err(panic) => Err(ReadError::Row(super::layout::BadRow(panic))),
    }
}

fn raise_floors(db: &Database, floor: u64, now: u64) -> Result<(), redb::Error> {
    let txn = db.begin_write()?;
    {
        let mut floors = txn.open_table(FLOORS)?;
        for partition in (0..PARTITIONS).filter_map(|partition| u8::try_from(partition).ok()) {
            let old = floors.get(partition)?.map_or(0, |guard| guard.value());
            floors.insert(partition, old.max(floor))?;
        }
        let mut meta = txn.open_table(META)?;
        meta.insert(META_RESTORED_AT, now)?;
        // The clock goes on from here, also where the wall clock was set back.
        meta.insert(META_LAST_TIME, floor)?;
    }
    txn.commit()?;
    Ok(())
}

/// The latest time or floor in the database that is to be replaced, if it can still be read: its
/// clock may have been ahead of the wall clock.
fn latest_in(path: &Path) -> Option<u64> {
    let opened = file::open(path, &for_reading()).ok()?;
    let read = || -> Result<u64, redb::Error> {
        let mut latest = opened.last_time;
        for row in opened.db.begin_read()?.open_table(FLOORS)?.iter()? {
            latest = latest.max(row?.1.value());
        }
        Ok(latest)
    };
    guarded(read).ok()?.ok()
}

/// Gives the present database a second name. It keeps the first until the new file takes it over,
/// so a crash in between leaves a whole database.
fn keep(path: &Path) -> Result<PathBuf, OpenError> {
    let kept = path.with_file_name(format!("{DATA_FILE}.before-restore-{}", wall_micros() / 1000));
    if fs::hard_link(path, &kept).is_err() {
        // A file system without hard links.
        fs::copy(path, &kept).map_err(OpenError::io(&kept))?;
        File::open(&kept).and_then(|file| file.sync_all()).map_err(OpenError::io(&kept))?;
    }
    Ok(kept)
}
