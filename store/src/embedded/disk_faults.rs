//! A disk that fails when a test says so.

use parking_lot::Mutex;
use std::io;

/// A call to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskCall {
    /// Reading bytes.
    Read,
    /// Writing bytes.
    Write,
    /// Growing or shrinking the file.
    SetLen,
    /// Making what was written durable.
    Sync,
    /// Opening the file again.
    Open,
}

/// What a disk answers; shared by a test and the store it gives it to.
#[derive(Debug, Default)]
pub struct DiskFaults {
    rules: Mutex<Vec<Rule>>,
}

#[derive(Debug)]
struct Rule {
    call: DiskCall,
    /// Calls that still succeed.
    after: u64,
    /// Failures still to come.
    times: u64,
    kind: io::ErrorKind,
}

impl DiskFaults {
    /// From now on, `after` more calls of this kind succeed, then `times` fail with `kind`.
    pub fn fail(&self, call: DiskCall, after: u64, times: u64, kind: io::ErrorKind) {
        self.rules.lock().push(Rule { call, after, times, kind });
    }

    /// The disk is well again.
    pub fn heal(&self) {
        self.rules.lock().clear();
    }

    pub(super) fn check(&self, call: DiskCall) -> io::Result<()> {
        for rule in self.rules.lock().iter_mut().filter(|rule| rule.call == call && rule.times > 0) {
            if rule.after > 0 {
                rule.after -= 1;
            } else {
                rule.times -= 1;
                return Err(rule.kind.into());
            }
        }
        Ok(())
    }
}
