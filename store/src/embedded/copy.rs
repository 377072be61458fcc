//! Copying a snapshot, table by table and row by checked row, into a new file.

use super::error::{OpenError, guarded, store_error};
use super::file::{new_file, remove_if_there, sync_dir_of};
use super::layout::{
    BadRow, DOCUMENTS, FIELDS, FLOORS, META, decode_document, decode_field, split_field_key,
};
use super::read::ReadError;
use super::tools::{BackupReport, ToolError};
use redb::{Database, Key, ReadTransaction, ReadableTable, TableDefinition, Value, WriteTransaction};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Memory of the copy's page cache.
const COPY_CACHE_BYTES: usize = 8 * 1024 * 1024;

/// Rows of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) documents: u64,
    pub(super) fields: u64,
}

/// Copies what `snapshot` (of the file `source`) shows to the new file `dest`.
pub(super) fn backup(
    source: &Path,
    snapshot: &ReadTransaction,
    dest: &Path,
) -> Result<BackupReport, ToolError> {
    // A late check repeats this atomically; here it saves the work.
    if dest.symlink_metadata().is_ok() {
        return Err(ToolError::DestinationExists { path: dest.to_path_buf() });
    }
    let partial = partial_name(dest);
    let made = make(source, snapshot, &partial)
        .and_then(|rows| publish_new(&partial, dest).map(|()| rows))
        .and_then(|rows| {
            let bytes = fs::metadata(dest).map_err(OpenError::io(dest))?.len();
            Ok(BackupReport { documents: rows.documents, fields: rows.fields, bytes })
        });
    if made.is_err() {
        // The error that matters is the first.
        let _ = fs::remove_file(&partial);
    }
    made
}

/// A hidden neighbour of `dest`: on the same file system, so that it can be renamed.
fn partial_name(dest: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(dest.file_name().unwrap_or_default());
    name.push(".partial");
    dest.with_file_name(name)
}

fn make(source: &Path, snapshot: &ReadTransaction, partial: &Path) -> Result<Rows, ToolError> {
    remove_if_there(partial).map_err(OpenError::io(partial))?;
    let file = new_file(partial).map_err(OpenError::io(partial))?;
    let there = |error: redb::Error| ToolError::from(OpenError::redb(partial, error));
    let db = Database::builder()
        .set_cache_size(COPY_CACHE_BYTES)
        .create_file(file)
        .map_err(|error| there(error.into()))?;
    let txn = db.begin_write().map_err(|error| there(error.into()))?;
    let rows = match guarded(|| copy_rows(snapshot, Some(&txn))) {
        Ok(Ok(rows)) => rows,
        Ok(Err(CopyError::Write(error))) => return Err(there(error)),
        Ok(Err(CopyError::Read(ReadError::Redb(error)))) => return Err(store_error(source, error).into()),
        Ok(Err(CopyError::Read(ReadError::Row(row)))) => return Err(OpenError::damaged(source, row.0).into()),
        Err(panic) => return Err(OpenError::damaged(source, panic).into()),
    };
    txn.commit().map_err(|error| there(error.into()))?;
    Ok(rows)
}

/// Gives a finished file its name, unless that is taken.
fn publish_new(partial: &Path, dest: &Path) -> Result<(), ToolError> {
    let publish = || -> io::Result<()> {
        File::open(partial)?.sync_all()?;
        match renameat_with(CWD, partial, CWD, dest, RenameFlags::NOREPLACE) {
            // File systems without it: a check and a rename must do.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if dest.symlink_metadata().is_err() => {
                fs::rename(partial, dest)?;
            }
            other => other?,
        }
        sync_dir_of(dest)
    };
    publish().map_err(|cause| match cause.kind() {
        io::ErrorKind::AlreadyExists => ToolError::DestinationExists { path: dest.to_path_buf() },
        _ => OpenError::Io { path: dest.to_path_buf(), cause }.into(),
    })
}

pub(super) enum CopyError {
    Read(ReadError),
    Write(redb::Error),
}

fn reading(error: impl Into<redb::Error>) -> CopyError {
    CopyError::Read(ReadError::Redb(error.into()))
}

fn writing(error: impl Into<redb::Error>) -> CopyError {
    CopyError::Write(error.into())
}

/// Reads and checks every row, and writes it to `to` if there is one.
pub(super) fn copy_rows(from: &ReadTransaction, to: Option<&WriteTransaction>) -> Result<Rows, CopyError> {
    let mut claimed: u64 = 0;
    let documents = copy_table(from, to, DOCUMENTS, |key, row| {
        claimed += u64::from(decode_document(key, row)?.field_count);
        Ok(())
    })?;
    let fields = copy_table(from, to, FIELDS, |key, row| {
        split_field_key(key)?;
        decode_field(key, row).map(|_| ())
    })?;
    if claimed != fields {
        let text = format!("its documents name {claimed} fields, but there are {fields}");
        return Err(CopyError::Read(ReadError::Row(BadRow(text))));
    }
    copy_table(from, to, FLOORS, |_, _| Ok(()))?;
    copy_table(from, to, META, |_, _| Ok(()))?;
    Ok(Rows { documents, fields })
}

fn copy_table<K: Key + 'static, V: Value + 'static>(
    from: &ReadTransaction,
    to: Option<&WriteTransaction>,
    table: TableDefinition<'static, K, V>,
    mut check: impl FnMut(K::SelfType<'_>, V::SelfType<'_>) -> Result<(), BadRow>,
) -> Result<u64, CopyError> {
    let source = from.open_table(table).map_err(reading)?;
    let mut target = to.map(|txn| txn.open_table(table)).transpose().map_err(writing)?;
    let mut count = 0;
    for row in source.iter().map_err(reading)? {
        let (key, value) = row.map_err(reading)?;
        check(key.value(), value.value()).map_err(|row| CopyError::Read(ReadError::Row(row)))?;
        if let Some(target) = &mut target {
            target.insert(key.value(), value.value()).map_err(writing)?;
        }
        count += 1;
    }
    Ok(count)
}
