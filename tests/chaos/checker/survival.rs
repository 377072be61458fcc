//! What may be forgotten when the store loses data: only what no living instance knew.
//!
//! An instance knows what it answered, and everything that was there when it started. If it was
//! awake from the loss until everything was open again, it has written that back, and nobody may
//! be told otherwise.

use crate::chaos::history::{Absence, At, History, Loss, Op};

/// The instance that answered still knew it when everything was open again after that loss.
fn outlived(history: &History, op: &Op, loss: &Loss) -> bool {
    let away = |absence: &&Absence| {
        absence.instance == op.instance
            && absence.to >= op.invoked
            && absence.from <= loss.to
            && absence.to >= loss.from
    };
    !history.absences.iter().any(|absence| away(&absence))
}

/// What this answer said must still be known at `until`, as far as losses of data go.
pub(super) fn survives(history: &History, op: &Op, until: At) -> bool {
    let between = |loss: &&Loss| loss.to >= op.invoked && loss.from <= until;
    history.losses.iter().filter(between).all(|loss| outlived(history, op, loss))
}

/// The first moment at which what this answer said may have been forgotten.
pub(super) fn forgotten_from(history: &History, op: &Op) -> At {
    let lost = history.losses.iter().filter(|loss| loss.to >= op.invoked && !outlived(history, op, loss));
    lost.map(|loss| loss.from).min().unwrap_or(At::MAX)
}
