//! How many commands may be in work at once, and that one namespace does not take all the places.
//!
//! A command is in work from when it is taken in until it is answered, or until all that it waits
//! for is its turn. While more than half of the places are taken, one part of the resources may have
//! at most its fair share: as if one more part than are active wanted some. So there is always a
//! place for who comes new, however much the others send.
//!
//! The parts are the partitions: all of one namespace lies in one of them, and a resource's id tells
//! which. Two namespaces that share a partition by chance share its places too.

use crate::answer::Failure;
use crate::bound::Bound;
use lockkeeper_core::resource::PARTITIONS;
use lockkeeper_core::{Command, Partition};
use lockkeeper_telemetry::{Occupied, metrics};
use parking_lot::Mutex;
use std::sync::Arc;

/// Whom a command helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// It asks for something: it must keep to its fair share.
    Asks,
    /// It ends load or keeps a lock safe: it is refused only when there is no place at all.
    Relieves,
    /// It was taken in before, and goes on: its actor died, or its answer is confirmed. Never refused.
    GoesOn,
}

impl Class {
    /// The class of a command that comes new.
    pub(crate) fn of(command: &Command) -> Self {
        match command {
            Command::Acquire(_) | Command::Poll(_) | Command::Show(_) => Self::Asks,
            Command::Renew(_)
            | Command::Release(_)
            | Command::ForceRelease(_)
            | Command::Cancel(_)
            | Command::ReleasePull(_)
            | Command::ClientGone(_)
            | Command::Settle => Self::Relieves,
        }
    }
}

/// Why a command is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// All places are taken.
    Full,
    /// Its part has as many places as it may.
    Unfair {
        /// So many.
        share: usize,
    },
}

/// The places, by partition. Pure accounting.
struct Ledger {
    max: usize,
    taken: usize,
    /// Partitions that have a place.
    active: usize,
    by: Vec<usize>,
}

impl Ledger {
    fn new(max: usize) -> Self {
        Self { max, taken: 0, active: 0, by: vec![0; PARTITIONS] }
    }

    /// What one partition may have when places are short: as if the others that are active, itself
    /// and one more shared them.
    fn share(&self, partition: usize) -> usize {
        let others = self.active - usize::from(self.by[partition] > 0);
        (self.max / (others + 2)).max(1)
    }

    fn enter(&mut self, partition: usize, class: Class) -> Result<(), Refused> {
        if class != Class::GoesOn && self.taken >= self.max {
            return Err(Refused::Full);
        }
        if class == Class::Asks && self.taken >= self.max / 2 {
            let share = self.share(partition);
            if self.by[partition] >= share {
                return Err(Refused::Unfair { share });
            }
        }
        self.active += usize::from(self.by[partition] == 0);
        self.by[partition] += 1;
        self.taken += 1;
        Ok(())
    }

    fn leave(&mut self, partition: usize) {
        self.by[partition] -= 1;
        self.active -= usize::from(self.by[partition] == 0);
        self.taken -= 1;
    }
}

/// Takes commands in, or refuses them.
#[derive(Clone)]
pub(crate) struct Admission {
    ledger: Arc<Mutex<Ledger>>,
}

impl Admission {
    /// For at most so many commands in work at once.
    pub(crate) fn new(max: usize) -> Self {
        Self { ledger: Arc::new(Mutex::new(Ledger::new(max.max(1)))) }
    }

    /// A place for a command.
    ///
    /// # Errors
    /// [`Failure::Overloaded`]: there is none for it now.
    pub(crate) fn enter(&self, partition: Partition, class: Class) -> Result<Work, Failure> {
        let mut ledger = self.ledger.lock();
        let entered = ledger.enter(usize::from(partition.0), class);
        let max = ledger.max;
        drop(ledger);
        let (what, limit) = match entered {
            Ok(()) => return Ok(self.work(partition)),
            Err(Refused::Full) => (Bound::Commands, max),
            Err(Refused::Unfair { share }) => (Bound::CommandsOfNamespace, share),
        };
        Err(Failure::Overloaded { what, limit })
    }

    fn work(&self, partition: Partition) -> Work {
        Work { ledger: Arc::clone(&self.ledger), partition, _counted: metrics().in_work() }
    }
}

/// A command's place; free again when this is dropped.
pub(crate) struct Work {
    ledger: Arc<Mutex<Ledger>>,
    partition: Partition,
    _counted: Occupied,
}

impl Drop for Work {
    fn drop(&mut self) {
        self.ledger.lock().leave(usize::from(self.partition.0));
    }
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Work({})", self.partition.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flood(ledger: &mut Ledger, partition: usize) -> usize {
        let mut entered = 0;
        while ledger.enter(partition, Class::Asks).is_ok() {
            entered += 1;
        }
        entered
    }

    #[test]
    fn one_alone_gets_half_and_leaves_room_for_another() {
        let mut ledger = Ledger::new(100);
        assert_eq!(flood(&mut ledger, 7), 50);
        assert_eq!(ledger.enter(7, Class::Asks), Err(Refused::Unfair { share: 50 }));
        // Somebody else comes in while the first keeps sending.
        assert_eq!(flood(&mut ledger, 8), 33);
        assert_eq!(ledger.enter(9, Class::Asks), Ok(()));
        // As the flood's commands are done, it comes down to its fair share.
        for _ in 0..30 {
            ledger.leave(7);
        }
        assert_eq!(flood(&mut ledger, 7), 5);
        assert_eq!(ledger.by[7], 25);
    }

    #[test]
    fn what_relieves_is_refused_only_when_all_is_taken() {
        let mut ledger = Ledger::new(10);
        assert_eq!(flood(&mut ledger, 1), 5);
        for _ in 0..5 {
            assert_eq!(ledger.enter(1, Class::Relieves), Ok(()));
        }
        assert_eq!(ledger.enter(1, Class::Relieves), Err(Refused::Full));
        assert_eq!(ledger.enter(2, Class::Asks), Err(Refused::Full));
        ledger.leave(1);
        assert_eq!(ledger.enter(2, Class::Asks), Ok(()));
    }

    #[test]
    fn the_smallest_limit_serves_one_after_the_other() {
        let admission = Admission::new(1);
        let work = admission.enter(Partition(3), Class::Asks).unwrap();
        let refused = admission.enter(Partition(4), Class::Asks).unwrap_err();
        assert_eq!(refused, Failure::Overloaded { what: Bound::Commands, limit: 1 });
        let again = admission.enter(Partition(3), Class::GoesOn).unwrap();
        drop(work);
        assert!(admission.enter(Partition(4), Class::Asks).is_err());
        drop(again);
        assert!(admission.enter(Partition(4), Class::Asks).is_ok());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Enter(usize, Class),
        Leave(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let class = prop_oneof![4 => Just(Class::Asks), 1 => Just(Class::Relieves)];
        let step = prop_oneof![
            3 => (0..6_usize, class).prop_map(|(partition, class)| Step::Enter(partition, class)),
            2 => (0..6_usize).prop_map(Step::Leave),
        ];
        prop::collection::vec(step, 0..400)
    }

    proptest! {
        #[test]
        fn the_books_balance_and_nobody_takes_more_than_allowed(max in 1..60_usize, steps in steps()) {
            let mut ledger = Ledger::new(max);
            let mut model = [0_usize; 6];
            for step in steps {
                match step {
                    Step::Enter(partition, class) => {
                        let (before, taken) = (model[partition], model.iter().sum::<usize>());
                        let others = (0..6).filter(|other| *other != partition && model[*other] > 0).count();
                        let fair = taken < max / 2 || before < (max / (others + 2)).max(1);
                        let expected = taken < max && (class == Class::Relieves || fair);
                        prop_assert_eq!(ledger.enter(partition, class).is_ok(), expected);
                        model[partition] += usize::from(expected);
                    }
                    Step::Leave(partition) if model[partition] > 0 => {
                        ledger.leave(partition);
                        model[partition] -= 1;
                    }
                    Step::Leave(_) => {}
                }
                prop_assert_eq!(ledger.taken, model.iter().sum::<usize>());
                prop_assert!(ledger.taken <= max);
                prop_assert_eq!(ledger.active, model.iter().filter(|taken| **taken > 0).count());
                prop_assert_eq!(&ledger.by[..6], &model[..]);
            }
        }

        /// However many flood, and in whatever order their commands end: once each has turned over what it
        /// had, somebody new finds a place.
        #[test]
        fn a_newcomer_is_never_starved(floods in 1..6_usize, max in 16..200_usize) {
            let mut ledger = Ledger::new(max);
            for flood_of in 0..floods {
                flood(&mut ledger, flood_of);
            }
            for _ in 0..max {
                for partition in 0..floods {
                    if ledger.by[partition] > 0 {
                        ledger.leave(partition);
                        let _ = ledger.enter(partition, Class::Asks);
                    }
                }
            }
            prop_assert_eq!(ledger.enter(6, Class::Asks), Ok(()));
        }
    }
}
