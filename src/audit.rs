//! The audit file: what was done by force, by whom and why. One JSON object a line, append only,
//! on disk before the action is carried out.

use parking_lot::Mutex;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The file's name in the data directory.
pub const AUDIT_FILE: &str = "audit.jsonl";

/// Where forced actions are written down.
pub trait Audit: Send + Sync + 'static {
    /// Writes one line, durably. `entry` is a JSON object without line breaks.
    ///
    /// # Errors
    /// It is not on disk: the action must not be carried out.
    fn record(&self, entry: &str) -> io::Result<()>;
}

/// The audit file of a data directory.
#[derive(Debug)]
pub struct AuditFile {
    file: Mutex<File>,
}

impl AuditFile {
    /// Opens the file, making it if it is missing (mode 0600).
    ///
    /// # Errors
    /// The file system refused.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        Ok(Self { file: Mutex::new(file) })
    }
}

impl Audit for AuditFile {
    fn record(&self, entry: &str) -> io::Result<()> {
        let mut file = self.file.lock();
        // One write call: a line is there whole, or torn only at the very end of the file.
        file.write_all(format!("{entry}\n").as_bytes())?;
        file.sync_data()
    }
}
