//! Takes down what happens, from many tasks.

use super::{Absence, Answer, At, FaultSpell, Limited, Loss, Name, Op, micros};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What was taken down since the last round ended.
#[derive(Default)]
pub(in crate::chaos) struct Taken {
    pub(in crate::chaos) ops: Vec<Op>,
    pub(in crate::chaos) absences: Vec<Absence>,
    pub(in crate::chaos) losses: Vec<Loss>,
    pub(in crate::chaos) limited: Vec<Limited>,
    pub(in crate::chaos) faults: Vec<FaultSpell>,
}

/// The clock and the notebook of a run.
pub(in crate::chaos) struct Recorder {
    began: Instant,
    wall_at_zero: At,
    taken: Mutex<Taken>,
}

impl Recorder {
    pub(in crate::chaos) fn new() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::now(), wall_at_zero: micros(wall), taken: Mutex::default() }
    }

    pub(in crate::chaos) const fn wall_at_zero(&self) -> At {
        self.wall_at_zero
    }

    pub(in crate::chaos) fn now(&self) -> At {
        micros(self.began.elapsed())
    }

    pub(in crate::chaos) fn op(&self, op: Op) {
        self.taken.lock().ops.push(op);
    }

    pub(in crate::chaos) fn absence(&self, absence: Absence) {
        self.taken.lock().absences.push(absence);
    }

    pub(in crate::chaos) fn loss(&self, loss: Loss) {
        self.taken.lock().losses.push(loss);
    }

    pub(in crate::chaos) fn limited(&self, limited: Limited) {
        self.taken.lock().limited.push(limited);
    }

    /// The locks whose release was accepted and put off, each once.
    pub(in crate::chaos) fn put_off(&self) -> BTreeSet<Name> {
        let taken = self.taken.lock();
        let put_off = taken.ops.iter().filter_map(|op| match &op.answer {
            Answer::Pending(lock) => Some(Name::clone(&lock.id)),
            _ => None,
        });
        put_off.collect()
    }

    pub(in crate::chaos) fn fault(&self, fault: FaultSpell) {
        self.taken.lock().faults.push(fault);
    }

    /// Everything so far, the oldest request first.
    pub(in crate::chaos) fn take(&self) -> Taken {
        let mut taken = std::mem::take(&mut *self.taken.lock());
        taken.ops.sort_by_key(|op| op.invoked);
        taken
    }
}
