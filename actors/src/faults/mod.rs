//! Faults on demand, at named points: for tests, and only with `--chaos`.
//!
//! One fault may be planned for each point; it happens at the next so many passes and is gone then.
//! Without `--chaos` nothing can be planned, and a pass costs one look at a flag.

mod store;

use lockkeeper_core::ResourceId;
use lockkeeper_store::StoreError;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) use store::ChaosStore;

/// How often one planned fault may happen.
pub const FAULT_TIMES_MAX: u32 = 1_000_000;
/// The longest planned delay.
pub const FAULT_DELAY_MAX: Duration = Duration::from_secs(10);

/// Where a fault can be planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultPoint {
    /// A commit to the store.
    StoreCommit,
    /// A document, or a page of them, read from the store.
    StoreLoad,
    /// A look whether the store can be used.
    StoreProbe,
    /// A release written to the journal.
    JournalAppend,
    /// A queue actor that decides what waits.
    QueueDecide,
}

impl FaultPoint {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::StoreCommit, Self::StoreLoad, Self::StoreProbe, Self::JournalAppend, Self::QueueDecide];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StoreCommit => "store.commit",
            Self::StoreLoad => "store.load",
            Self::StoreProbe => "store.probe",
            Self::JournalAppend => "journal.append",
            Self::QueueDecide => "queue.decide",
        }
    }

    /// The point of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|point| point.as_str() == name)
    }

    /// What can happen there.
    #[must_use]
    pub const fn kinds(self) -> &'static [FaultKind] {
        match self {
            Self::StoreCommit => {
                &[FaultKind::Unavailable, FaultKind::LostReply, FaultKind::Delay, FaultKind::Panic]
            }
            Self::StoreLoad | Self::StoreProbe | Self::JournalAppend => {
                &[FaultKind::Unavailable, FaultKind::Delay, FaultKind::Panic]
            }
            Self::QueueDecide => &[FaultKind::Panic],
        }
    }

    /// Does it know which resource it is passed for?
    #[must_use]
    pub const fn is_of_resource(self) -> bool {
        matches!(self, Self::StoreCommit | Self::StoreLoad | Self::QueueDecide)
    }
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It is not done, and fails.
    Unavailable,
    /// It is done, but its answer is lost.
    LostReply,
    /// It is done later.
    Delay,
    /// Whoever does it panics.
    Panic,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Unavailable, Self::LostReply, Self::Delay, Self::Panic];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::LostReply => "lost_reply",
            Self::Delay => "delay",
            Self::Panic => "panic",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A fault that is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedFault {
    /// Where.
    pub point: FaultPoint,
    /// What.
    pub kind: FaultKind,
    /// How often it still happens.
    pub times: u32,
    /// How long a delay takes; zero for other kinds.
    pub delay: Duration,
    /// Only for this resource; `None`: for all.
    pub resource: Option<ResourceId>,
}

/// The planned faults.
pub(crate) struct Faults {
    allowed: bool,
    /// Nothing is planned otherwise.
    armed: AtomicBool,
    planned: Mutex<BTreeMap<FaultPoint, PlannedFault>>,
}

impl Faults {
    /// `allowed`: may any be planned at all?
    pub(crate) fn new(allowed: bool) -> Self {
        Self { allowed, armed: AtomicBool::new(false), planned: Mutex::default() }
    }

    /// Plans a fault, in place of the one that was planned there. False when none may be planned.
    pub(crate) fn plan(&self, fault: PlannedFault) -> bool {
        if !self.allowed {
            return false;
        }
        let mut planned = self.planned.lock();
        planned.insert(fault.point, fault);
        self.armed.store(true, Ordering::Release);
        true
    }

    /// What is planned, in the order of the points.
    pub(crate) fn planned(&self) -> Vec<PlannedFault> {
        self.planned.lock().values().copied().collect()
    }

    /// Takes back what is planned at this point, or everywhere. False when nothing was.
    pub(crate) fn remove(&self, point: Option<FaultPoint>) -> bool {
        let mut planned = self.planned.lock();
        let before = planned.len();
        planned.retain(|at, _| point.is_some_and(|point| point != *at));
        self.armed.store(!planned.is_empty(), Ordering::Release);
        planned.len() < before
    }

    /// This point is passed now: what is to happen?
    pub(crate) fn hit(&self, point: FaultPoint, resource: Option<ResourceId>) -> Option<PlannedFault> {
        if !self.armed.load(Ordering::Acquire) {
            return None;
        }
        let mut planned = self.planned.lock();
        let fault = planned.get_mut(&point)?;
        if fault.resource.is_some() && fault.resource != resource {
            return None;
        }
        fault.times = fault.times.saturating_sub(1);
        let happens = *fault;
        if happens.times == 0 {
            planned.remove(&point);
            self.armed.store(!planned.is_empty(), Ordering::Release);
        }
        tracing::warn!(point = point.as_str(), kind = happens.kind.as_str(), "a planned fault happens");
        Some(happens)
    }

    /// As [`Faults::hit`], and lets it happen, all but a lost reply: true then.
    ///
    /// # Errors
    /// A planned failure.
    ///
    /// # Panics
    /// If that is planned.
    pub(crate) async fn pass(
        &self,
        point: FaultPoint,
        resource: Option<ResourceId>,
    ) -> Result<bool, StoreError> {
        let Some(fault) = self.hit(point, resource) else { return Ok(false) };
        match fault.kind {
            FaultKind::Unavailable => Err(StoreError::Unavailable(format!("planned at {}", point.as_str()))),
            FaultKind::LostReply => Ok(true),
            FaultKind::Delay => {
                tokio::time::sleep(fault.delay).await;
                Ok(false)
            }
            FaultKind::Panic => panic!("planned at {}", point.as_str()),
        }
    }

    /// As [`Faults::hit`], and panics if that is planned.
    pub(crate) fn decide(&self, resource: ResourceId) {
        let fault = self.hit(FaultPoint::QueueDecide, Some(resource));
        assert!(fault.is_none(), "planned at {}", FaultPoint::QueueDecide.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(point: FaultPoint, times: u32) -> PlannedFault {
        PlannedFault { point, kind: FaultKind::Unavailable, times, delay: Duration::ZERO, resource: None }
    }

    #[test]
    fn a_fault_happens_as_often_as_planned() {
        let faults = Faults::new(true);
        assert!(faults.plan(fault(FaultPoint::StoreLoad, 2)));
        assert_eq!(faults.hit(FaultPoint::StoreCommit, None), None);
        assert_eq!(faults.hit(FaultPoint::StoreLoad, None).unwrap().times, 1);
        assert_eq!(faults.planned(), [fault(FaultPoint::StoreLoad, 1)]);
        assert!(faults.hit(FaultPoint::StoreLoad, Some(ResourceId(1))).is_some());
        assert_eq!(faults.hit(FaultPoint::StoreLoad, None), None);
        assert!(faults.planned().is_empty() && !faults.remove(None));
    }

    #[test]
    fn a_fault_of_one_resource_spares_the_others() {
        let faults = Faults::new(true);
        faults.plan(PlannedFault { resource: Some(ResourceId(7)), ..fault(FaultPoint::StoreLoad, 1) });
        assert_eq!(faults.hit(FaultPoint::StoreLoad, Some(ResourceId(8))), None);
        assert_eq!(faults.hit(FaultPoint::StoreLoad, None), None);
        assert!(faults.hit(FaultPoint::StoreLoad, Some(ResourceId(7))).is_some());
    }

    #[test]
    fn what_is_planned_can_be_taken_back() {
        let faults = Faults::new(true);
        for point in FaultPoint::ALL {
            faults.plan(fault(point, 1));
        }
        assert!(faults.remove(Some(FaultPoint::StoreLoad)) && !faults.remove(Some(FaultPoint::StoreLoad)));
        assert_eq!(faults.planned().len(), 4);
        assert!(faults.remove(None));
        assert_eq!(faults.hit(FaultPoint::StoreCommit, None), None);
    }

    #[test]
    fn without_chaos_there_are_no_faults() {
        let faults = Faults::new(false);
        assert!(!faults.plan(fault(FaultPoint::StoreLoad, 1)));
        assert_eq!(faults.hit(FaultPoint::StoreLoad, None), None);
    }

    #[test]
    fn names_lead_back() {
        for point in FaultPoint::ALL {
            assert_eq!(FaultPoint::parse(point.as_str()), Some(point));
            assert!(!point.kinds().is_empty());
        }
        for kind in FaultKind::ALL {
            assert_eq!(FaultKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(FaultPoint::parse("store"), None);
    }
}
