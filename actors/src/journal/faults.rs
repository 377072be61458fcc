//! A disk that fails when a test says so.

use super::file::Call;
use parking_lot::Mutex;
use std::io::{self, ErrorKind};

/// What fails next.
#[derive(Debug, Default)]
pub(super) struct Faults {
    plan: Mutex<Vec<(Call, u32)>>,
    /// The next write stops after so many bytes.
    short: Mutex<Option<usize>>,
}

impl Faults {
    /// The next so many of these calls fail.
    pub(super) fn fail(&self, call: Call, times: u32) {
        self.plan.lock().push((call, times));
    }

    /// All is well again.
    pub(super) fn end(&self) {
        self.plan.lock().clear();
    }

    /// The next append writes only so many bytes, and fails.
    pub(super) fn tear_after(&self, bytes: usize) {
        *self.short.lock() = Some(bytes);
    }

    pub(super) fn check(&self, call: Call) -> io::Result<()> {
        let mut plan = self.plan.lock();
        let Some((_, times)) = plan.iter_mut().find(|(planned, times)| *planned == call && *times > 0) else {
            return Ok(());
        };
        *times -= 1;
        Err(ErrorKind::StorageFull.into())
    }

    pub(super) fn shortened<'a>(&self, bytes: &'a [u8]) -> (&'a [u8], io::Result<()>) {
        match self.short.lock().take() {
            Some(short) => (&bytes[..short.min(bytes.len())], Err(ErrorKind::StorageFull.into())),
            None => match self.check(Call::Write) {
                Ok(()) => (bytes, Ok(())),
                Err(error) => (&[], Err(error)),
            },
        }
    }
}
