//! Copying what a view shows, document by checked document, into a new file. The journal is not
//! copied: what it holds is in the documents of the copy.

use super::documents::Documents;
use super::error::{OpenError, guarded, store_error};
use super::file::{new_file, remove_if_there, sync_dir_of};
use super::layout::{
    DocumentRow, FLOORS, JOURNAL, META, RECORDS, RecordKey, document_key, encode_document, encode_field,
    field_key,
};
use super::read::{PendingDocuments, ReadError, View};
use super::tools::{BackupReport, ToolError};
use crate::contract::StoredDocument;
use lockkeeper_core::ResourceId;
use redb::{Database, Key, ReadTransaction, ReadableTable, Table, TableDefinition, Value, WriteTransaction};
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

/// Copies what `view` (of the file `source`) shows to the new file `dest`.
pub(super) fn backup(
    source: &Path,
    view: View<PendingDocuments>,
    dest: &Path,
) -> Result<BackupReport, ToolError> {
    // A late check repeats this atomically; here it saves the work.
    if dest.symlink_metadata().is_ok() {
        return Err(ToolError::DestinationExists { path: dest.to_path_buf() });
    }
    let partial = partial_name(dest);
    let made = make(source, view, &partial)
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

fn make(source: &Path, view: View<PendingDocuments>, partial: &Path) -> Result<Rows, ToolError> {
    remove_if_there(partial).map_err(OpenError::io(partial))?;
    let file = new_file(partial).map_err(OpenError::io(partial))?;
    let there = |error: redb::Error| ToolError::from(OpenError::redb(partial, error));
    let db = Database::builder()
        .set_cache_size(COPY_CACHE_BYTES)
        .create_file(file)
        .map_err(|error| there(error.into()))?;
    let txn = db.begin_write().map_err(|error| there(error.into()))?;
    let rows = match guarded(|| copy_rows(view, Some(&txn))) {
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
pub(super) fn copy_rows(
    from: View<PendingDocuments>,
    to: Option<&WriteTransaction>,
) -> Result<Rows, CopyError> {
    let View { txn, pending } = from;
    let mut target = to.map(|to| to.open_table(RECORDS)).transpose().map_err(writing)?;
    let (mut rows, mut row) = (Rows::default(), Vec::new());
    let mut documents = Documents::new(&txn, ResourceId(0), ResourceId(u64::MAX), pending.into_iter())
        .map_err(CopyError::Read)?;
    while let Some(document) = documents.next().map_err(CopyError::Read)? {
        rows.documents += 1;
        rows.fields += document.fields.len() as u64;
        if let Some(target) = &mut target {
            write(target, &document, &mut row).map_err(writing)?;
        }
    }
    drop(target);
    copy_table(&txn, to, FLOORS)?;
    copy_table(&txn, to, META)?;
    if let Some(to) = to {
        // An empty one, as in every file.
        to.open_table(JOURNAL).map_err(writing)?;
    }
    Ok(rows)
}

fn write(
    target: &mut Table<'_, &'static RecordKey, &'static [u8]>,
    document: &StoredDocument,
    row: &mut Vec<u8>,
) -> Result<(), redb::Error> {
    let key = document_key(document.id);
    let field_count = document.fields.len() as u32;
    encode_document(
        row,
        &key,
        &DocumentRow { version: document.version, field_count, header: &document.header },
    );
    target.insert(&key, row.as_slice())?;
    for (field, record) in &document.fields {
        let key = field_key(document.id, *field);
        encode_field(row, &key, record);
        target.insert(&key, row.as_slice())?;
    }
    Ok(())
}

fn copy_table<K: Key + 'static, V: Value + 'static>(
    from: &ReadTransaction,
    to: Option<&WriteTransaction>,
    table: TableDefinition<'static, K, V>,
) -> Result<(), CopyError> {
    let source = from.open_table(table).map_err(reading)?;
    let mut target = to.map(|txn| txn.open_table(table)).transpose().map_err(writing)?;
    for row in source.iter().map_err(reading)? {
        let (key, value) = row.map_err(reading)?;
        if let Some(target) = &mut target {
            target.insert(key.value(), value.value()).map_err(writing)?;
        }
    }
    Ok(())
}
