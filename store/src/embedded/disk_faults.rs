//! A disk that fails or stalls when a test says so.

use parking_lot::{Condvar, Mutex};
use std::io;
use std::sync::Arc;

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
    stall: Mutex<Option<(DiskCall, Stall)>>,
}

#[derive(Debug)]
struct Rule {
    call: DiskCall,
    /// Calls that still succeed.
    after: u64,
    /// Failures still to come.
    times: u64,
    /// How they fail; `None` panics.
    kind: Option<io::ErrorKind>,
}

/// A disk that hangs until the test lets it go on. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Stall {
    state: Arc<(Mutex<StallState>, Condvar)>,
}

#[derive(Debug, Default)]
struct StallState {
    reached: bool,
    ended: bool,
}

impl Stall {
    /// Waits until a call hangs; blocks this thread.
    pub fn reached(&self) {
        let (state, changed) = &*self.state;
        let mut state = state.lock();
        changed.wait_while(&mut state, |state| !state.reached);
    }

    /// Whether a call hangs, or has.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.state.0.lock().reached
    }

    /// Lets the hanging call and all later ones go on.
    pub fn end(&self) {
        let (state, changed) = &*self.state;
        state.lock().ended = true;
        changed.notify_all();
    }

    fn hang(&self) {
        let (state, changed) = &*self.state;
        let mut state = state.lock();
        state.reached = true;
        changed.notify_all();
        changed.wait_while(&mut state, |state| !state.ended);
    }
}

impl DiskFaults {
    /// From now on, `after` more calls of this kind succeed, then `times` fail with `kind`.
    pub fn fail(&self, call: DiskCall, after: u64, times: u64, kind: io::ErrorKind) {
        self.rules.lock().push(Rule { call, after, times, kind: Some(kind) });
    }

    /// From now on, `after` more calls of this kind succeed, then one panics, as if redb had a bug.
    pub fn panic(&self, call: DiskCall, after: u64) {
        self.rules.lock().push(Rule { call, after, times: 1, kind: None });
    }

    /// From now on, calls of this kind hang until the stall is ended.
    pub fn stall(&self, call: DiskCall) -> Stall {
        let stall = Stall::default();
        *self.stall.lock() = Some((call, stall.clone()));
        stall
    }

    /// The disk fails no more.
    pub fn heal(&self) {
        self.rules.lock().clear();
    }

    pub(super) fn check(&self, call: DiskCall) -> io::Result<()> {
        let stall = self.stall.lock().clone();
        if let Some((_, stall)) = stall.filter(|(stalled, _)| *stalled == call) {
            stall.hang();
        }
        for rule in self.rules.lock().iter_mut().filter(|rule| rule.call == call && rule.times > 0) {
            if rule.after > 0 {
                rule.after -= 1;
            } else {
                rule.times -= 1;
                match rule.kind {
                    Some(kind) => return Err(kind.into()),
                    None => panic!("planned panic of {call:?}"),
                }
            }
        }
        Ok(())
    }
}
