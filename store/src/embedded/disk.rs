//! The file below redb: holds back writes until the file is known to be sound, and lets tests
//! make a disk fail.
//!
//! Opening a database repairs it, and a repair of a *damaged* file may quietly fall back to an
//! older state. So while a file is opened and checked, everything redb writes is staged in memory;
//! only a file that passed is written to. A damaged file stays exactly as it was found.

#[cfg(any(test, feature = "testing"))]
use super::disk_faults::{DiskCall, DiskFaults};
use parking_lot::RwLock;
use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::sync::Arc;

/// Disks that tests make fail; nothing in a build without tests.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    #[cfg(any(test, feature = "testing"))]
    pub(super) plan: Option<Arc<DiskFaults>>,
}

impl Faults {
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn check(&self, call: DiskCall) -> io::Result<()> {
        self.plan.as_ref().map_or(Ok(()), |plan| plan.check(call))
    }
}

#[cfg(any(test, feature = "testing"))]
macro_rules! may_fail {
    ($disk:expr, $call:ident) => {
        $disk.faults.check(DiskCall::$call)?
    };
}
#[cfg(not(any(test, feature = "testing")))]
macro_rules! may_fail {
    ($disk:expr, $call:ident) => {};
}

#[derive(Debug)]
enum Staged {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

/// One opened database file; clones are the same file.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: FileBackend,
    /// What waits for [`Disk::release`], in order; `None` once released.
    staged: RwLock<Option<Vec<Staged>>>,
    #[cfg_attr(not(any(test, feature = "testing")), allow(dead_code))]
    faults: Faults,
}

impl Disk {
    pub(super) fn new(file: File, faults: Faults) -> Result<Self, DatabaseError> {
        let file = FileBackend::new(file)?;
        Ok(Self { inner: Arc::new(Inner { file, staged: RwLock::new(Some(Vec::new())), faults }) })
    }

    /// Carries out everything that was staged; from here on calls go straight to the file.
    pub(super) fn release(&self) -> io::Result<()> {
        let mut staged = self.inner.staged.write();
        for call in staged.take().unwrap_or_default() {
            match call {
                Staged::Write(offset, data) => self.inner.write(offset, &data)?,
                Staged::SetLen(len) => self.inner.set_len(len)?,
                Staged::Sync => self.inner.sync()?,
            }
        }
        Ok(())
    }

    /// Stages a call if calls are still staged; otherwise gives it back.
    fn stage(&self, call: impl FnOnce() -> Staged) -> bool {
        // The common case takes no exclusive lock.
        if self.inner.staged.read().is_none() {
            return false;
        }
        match self.inner.staged.write().as_mut() {
            Some(staged) => {
                staged.push(call());
                true
            }
            None => false,
        }
    }
}

impl Inner {
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        may_fail!(self, Write);
        self.file.write(offset, data)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        may_fail!(self, SetLen);
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        may_fail!(self, Sync);
        self.file.sync_data()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        may_fail!(self, Read);
        self.file.read(offset, out)
    }

    /// Reads the file as it will be when everything staged has been carried out.
    fn read_staged(&self, staged: &[Staged], offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset + out.len() as u64;
        let mut len = self.file.len()?;
        if end > staged_len(staged, len) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "read beyond the end of the file"));
        }
        let in_file = len.min(end).saturating_sub(offset) as usize;
        self.read(offset, &mut out[..in_file])?;
        out[in_file..].fill(0);
        for call in staged {
            match call {
                Staged::SetLen(new) => {
                    // What lies beyond a shrunk file's end reads as zeros when it grows again.
                    if *new < len && *new < end {
                        out[new.saturating_sub(offset) as usize..].fill(0);
                    }
                    len = *new;
                }
                Staged::Write(at, data) => {
                    let (from, to) = (offset.max(*at), end.min(at + data.len() as u64));
                    if from < to {
                        out[(from - offset) as usize..(to - offset) as usize]
                            .copy_from_slice(&data[(from - at) as usize..(to - at) as usize]);
                    }
                    len = len.max(at + data.len() as u64);
                }
                Staged::Sync => {}
            }
        }
        Ok(())
    }
}

fn staged_len(staged: &[Staged], file_len: u64) -> u64 {
    staged.iter().fold(file_len, |len, call| match call {
        Staged::SetLen(new) => *new,
        Staged::Write(at, data) => len.max(at + data.len() as u64),
        Staged::Sync => len,
    })
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        let len = self.inner.file.len()?;
        Ok(self.inner.staged.read().as_ref().map_or(len, |staged| staged_len(staged, len)))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match &*self.inner.staged.read() {
            Some(staged) if !staged.is_empty() => self.inner.read_staged(staged, offset, out),
            _ => self.inner.read(offset, out),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.stage(|| Staged::SetLen(len)) { Ok(()) } else { self.inner.set_len(len) }
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.stage(|| Staged::Sync) { Ok(()) } else { self.inner.sync() }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.stage(|| Staged::Write(offset, data.to_vec())) {
            Ok(())
        } else {
            self.inner.write(offset, data)
        }
    }

    fn close(&self) -> io::Result<()> {
        self.inner.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.file.query_lock_range(start, end)
    }
}
