//! The actors by their names: how they stand, and killing them on purpose.

use super::Locks;
use crate::faults::{FaultPoint, PlannedFault};
use crate::options::Supervision;
use crate::resident::Kill;
use crate::supervision::{ActorStatus, QUEUE, Quarantined};
use lockkeeper_core::ResourceId;

impl Locks {
    /// The actors that must always be there: who lives, and how often each died.
    #[must_use]
    pub fn actors(&self) -> Vec<ActorStatus> {
        self.shared().supervision.actors()
    }

    /// The resources whose requests are refused, since their own actor panicked too often.
    #[must_use]
    pub fn quarantined(&self) -> Vec<Quarantined> {
        self.shared().supervision.quarantined()
    }

    /// How often actors may die.
    #[must_use]
    pub fn supervision(&self) -> Supervision {
        self.shared().supervision.settings()
    }

    /// How many queue actors there are.
    #[must_use]
    pub fn queue_actors(&self) -> usize {
        self.shared().registries.iter().map(|registry| registry.actors.lock().len()).sum()
    }

    /// Is there an actor of this name: a resident's, or `queue:` with the id of a resource that has
    /// an actor now?
    #[must_use]
    pub fn has_actor(&self, name: &str) -> bool {
        match resource_of(name) {
            Some(id) => self.shared().registry(id).actors.lock().contains_key(&id),
            None => self.shared().supervision.resident(name).is_some(),
        }
    }

    /// Kills an actor on purpose. False when there is none of this name, or it could not be told
    /// since its mailbox is full.
    #[allow(clippy::must_use_candidate, reason = "whoever kills at random does not care")]
    pub fn kill_actor(&self, name: &str, how: Kill) -> bool {
        match resource_of(name) {
            Some(id) => {
                let address = self.shared().registry(id).actors.lock().get(&id).cloned();
                address.is_some_and(|address| address.try_send(how).is_ok())
            }
            None => self.shared().supervision.resident(name).is_some_and(|resident| resident.kill(how)),
        }
    }

    /// Plans a fault, in place of the one that was planned at its point. False without `--chaos`.
    #[must_use]
    pub fn plan_fault(&self, fault: PlannedFault) -> bool {
        self.shared().faults.plan(fault)
    }

    /// The faults that are planned.
    #[must_use]
    pub fn planned_faults(&self) -> Vec<PlannedFault> {
        self.shared().faults.planned()
    }

    /// Takes back what is planned at this point, or everywhere. False when nothing was.
    #[allow(clippy::must_use_candidate, reason = "whoever clears all does not care")]
    pub fn remove_faults(&self, point: Option<FaultPoint>) -> bool {
        self.shared().faults.remove(point)
    }

    /// May actors be killed and faults be planned from outside?
    #[must_use]
    pub fn is_chaos_allowed(&self) -> bool {
        self.shared().options.chaos
    }
}

/// The resource of a queue actor's name.
fn resource_of(name: &str) -> Option<ResourceId> {
    name.strip_prefix(QUEUE)?.strip_prefix(':')?.parse().ok()
}
