//! Exclusive use of a data directory: an advisory lock on the file `lock` in it, held as long as
//! the database may be open. The kernel frees it when the process dies, so it never goes stale.

use super::error::OpenError;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Its name in the data directory.
pub const LOCK_FILE: &str = "lock";
/// Bytes of it that are read: more was not written by us.
const TEXT_MAX_BYTES: u64 = 64;

/// Holds the data directory until it is dropped.
#[derive(Debug)]
pub(super) struct DirLock {
    file: File,
}

impl DirLock {
    /// Takes the directory, making it if need be.
    ///
    /// # Errors
    /// `InUse` if another process (or another store of this one) has it; `Io`.
    pub(super) fn acquire(data_dir: &Path) -> Result<Self, OpenError> {
        DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(OpenError::io(data_dir))?;
        let path = data_dir.join(LOCK_FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(OpenError::io(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(data_dir.to_path_buf(), &mut file)),
            Err(TryLockError::Error(cause)) => return Err(OpenError::Io { path, cause }),
        }
        // Only for the message a second opener prints: on a full disk the server starts without.
        if let Err(error) = sign(&mut file) {
            tracing::debug!(path = %path.display(), %error, "cannot note the process id in the lock file");
        }
        Ok(Self { file })
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // Closing it is not enough: a child that is being started has it open, too, until it runs.
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "the lock of the data directory goes with the process");
        }
    }
}

fn sign(file: &mut File) -> std::io::Result<()> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{} {since}", std::process::id())
}

fn in_use(data_dir: PathBuf, file: &mut File) -> OpenError {
    let mut text = String::new();
    let parsed = file.take(TEXT_MAX_BYTES).read_to_string(&mut text).ok().and_then(|_| {
        let (pid, since) = text.trim().split_once(' ')?;
        Some((pid.parse::<u32>().ok()?, since.parse::<u32>().ok()?))
    });
    let holder = match parsed {
        Some((pid, since)) => {
            let since = UNIX_EPOCH + Duration::from_secs(u64::from(since));
            format!("process {pid} (since {})", humantime::format_rfc3339_seconds(since))
        }
        None => "another process".into(),
    };
    OpenError::InUse { data_dir, holder }
}
