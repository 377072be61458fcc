//! Supervision: who died, how often, and what follows from it.
//!
//! It is kept outside of all actors. A resident that dies is made again at once. If a kind of actor
//! dies more often than its budget allows, that is a *storm*: nothing is granted, and the dead are
//! made again at most once every [`PAUSE_IN_STORM`], so that nothing runs hot; it is over when
//! nobody of the kind died for `calm`. A resource whose own actor panics too often is *quarantined*
//! for `calm`: its requests are refused, and nothing else is affected. A command that was in work
//! each time its actor panicked is answered after [`DEATHS_PER_COMMAND_MAX`] of them.
//!
//! Whoever kills an actor from outside (a test, an operator with `--chaos`) does not spend the
//! budget of a resource or of a command: only panics in the handling of messages tell of those.

mod budget;
mod resources;

use crate::engine::InWork;
use crate::options::Supervision as Settings;
use crate::resident::Kill;
use crate::service::{Hindrance, Service};
use budget::Budget;
use lockkeeper_core::{ResourceId, Timestamp};
use lockkeeper_telemetry::metrics;
use parking_lot::{Mutex, RwLock};
use resources::Resources;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

pub(crate) use resources::CommandDeaths;
pub use resources::Quarantined;

/// In a storm a dead resident is made again after this.
pub(crate) const PAUSE_IN_STORM: Duration = Duration::from_secs(1);

/// A command is answered when its actor panicked so often while it was in work.
pub(crate) const DEATHS_PER_COMMAND_MAX: u32 = 3;

/// The kind of the actors that own one resource each.
pub(crate) const QUEUE: &str = "queue";

/// An actor that must always be there, as its supervision sees it.
pub(crate) trait Supervised: Send + Sync {
    /// By which it is known, and killed.
    fn name(&self) -> &str;
    /// With whom it shares a budget.
    fn kind(&self) -> &'static str;
    /// Does it take messages?
    fn is_alive(&self) -> bool;
    /// How often it was made again, and when it died last.
    fn deaths(&self) -> (u64, Option<Timestamp>);
    /// Makes it again if it is dead and may be.
    fn revive(&self);
    /// False when it could not be told.
    fn kill(&self, how: Kill) -> bool;
}

/// What is known of one actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorStatus {
    /// Its name.
    pub name: String,
    /// With whom it shares a budget of deaths.
    pub kind: &'static str,
    /// Does it take messages?
    pub alive: bool,
    /// How often it was made again.
    pub restarts: u64,
    /// When it died last, by the store's clock.
    pub last_death: Option<Timestamp>,
    /// Its kind dies too often: nothing is granted.
    pub unstable: bool,
}

/// The deaths of all actors.
pub(crate) struct Supervision {
    settings: Settings,
    begun: Instant,
    residents: RwLock<Vec<Weak<dyn Supervised>>>,
    kinds: Mutex<BTreeMap<&'static str, Kind>>,
    /// Some resource's actor panicked lately: otherwise there is nothing to look up.
    troubled: AtomicBool,
    resources: Mutex<Resources>,
}

struct Kind {
    budget: Budget,
    last: Duration,
    unstable: bool,
}

impl Supervision {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            begun: Instant::now(),
            residents: RwLock::default(),
            kinds: Mutex::default(),
            troubled: AtomicBool::new(false),
            resources: Mutex::new(Resources::new(settings)),
        }
    }

    /// The clock of all budgets.
    pub(crate) fn clock(&self) -> Duration {
        self.begun.elapsed()
    }

    /// How often may die.
    pub(crate) fn settings(&self) -> Settings {
        self.settings
    }

    /// From now on it is known by its name, and watched.
    pub(crate) fn add(&self, resident: Weak<dyn Supervised>, kind: &'static str) {
        self.residents.write().push(resident);
        metrics().actors_unstable(kind, false);
    }

    /// All residents that there are.
    pub(crate) fn residents(&self) -> Vec<Arc<dyn Supervised>> {
        self.residents.read().iter().filter_map(Weak::upgrade).collect()
    }

    /// A resident by its name.
    pub(crate) fn resident(&self, name: &str) -> Option<Arc<dyn Supervised>> {
        self.residents.read().iter().filter_map(Weak::upgrade).find(|resident| resident.name() == name)
    }

    /// How all residents stand.
    pub(crate) fn actors(&self) -> Vec<ActorStatus> {
        let status = |resident: Arc<dyn Supervised>| {
            let (restarts, last_death) = resident.deaths();
            ActorStatus {
                name: resident.name().to_owned(),
                kind: resident.kind(),
                alive: resident.is_alive(),
                restarts,
                last_death,
                unstable: self.is_unstable(resident.kind()),
            }
        };
        self.residents().into_iter().map(status).collect()
    }

    /// Does this kind die too often?
    pub(crate) fn is_unstable(&self, kind: &str) -> bool {
        self.kinds.lock().get(kind).is_some_and(|kind| kind.unstable)
    }

    /// An actor of this kind died.
    pub(crate) fn died(&self, kind: &'static str, service: &Service, now: Timestamp) {
        self.died_at(kind, service, now, self.clock());
    }

    fn died_at(&self, kind: &'static str, service: &Service, now: Timestamp, clock: Duration) {
        let settings = self.settings;
        let mut kinds = self.kinds.lock();
        let state = kinds.entry(kind).or_insert_with(|| Kind {
            budget: Budget::new(settings.deaths_max, settings.window),
            last: clock,
            unstable: false,
        });
        state.last = clock;
        if state.budget.died(clock) && !std::mem::replace(&mut state.unstable, true) {
            metrics().actors_unstable(kind, true);
            tracing::error!(
                kind,
                deaths = state.budget.deaths(clock),
                within = ?settings.window,
                "actors of this kind die too often: nothing is granted until it is calm"
            );
            self.tell(&kinds, service, now);
        }
    }

    /// The actor of a resource was killed from outside.
    pub(crate) fn killed(&self, service: &Service, now: Timestamp) {
        metrics().actor_restarted(QUEUE);
        self.died(QUEUE, service, now);
    }

    /// The actor of a resource panicked while this was in work.
    pub(crate) fn panicked(&self, id: ResourceId, in_work: &InWork, service: &Service, now: Timestamp) {
        metrics().actor_restarted(QUEUE);
        let clock = self.clock();
        {
            let mut resources = self.resources.lock();
            self.troubled.store(true, Ordering::Release);
            if let Some(quarantined) = resources.died(id, in_work, clock, now) {
                metrics().quarantined(resources.quarantined(clock).len());
                tracing::error!(
                    resource = %id,
                    deaths = quarantined.deaths,
                    within = ?self.settings.window,
                    refused_for = ?quarantined.remaining,
                    "the actor of a resource dies too often: requests for it are refused for a while"
                );
            }
        }
        self.died_at(QUEUE, service, now, clock);
    }

    /// Is this resource quarantined?
    pub(crate) fn quarantine(&self, id: ResourceId) -> Option<Quarantined> {
        if !self.is_any_troubled() {
            return None;
        }
        self.resources.lock().quarantine(id, self.clock())
    }

    /// All resources that are quarantined.
    pub(crate) fn quarantined(&self) -> Vec<Quarantined> {
        self.resources.lock().quarantined(self.clock())
    }

    /// Has the actor of this resource panicked lately?
    pub(crate) fn is_troubled(&self, id: ResourceId) -> bool {
        self.is_any_troubled() && self.resources.lock().is_troubled(id)
    }

    /// How often its actor panicked lately while this command was in work.
    pub(crate) fn deaths_of_command(&self, id: ResourceId, nonce: u64) -> CommandDeaths {
        if !self.is_any_troubled() {
            return CommandDeaths::default();
        }
        self.resources.lock().command(id, nonce)
    }

    fn is_any_troubled(&self) -> bool {
        self.troubled.load(Ordering::Acquire)
    }

    /// Ends the storms of kinds that are calm, and the quarantines that are over. Called by the
    /// watchdog.
    pub(crate) fn look(&self, service: &Service, now: Timestamp) {
        let clock = self.clock();
        self.look_at(service, now, clock);
        if self.is_any_troubled() {
            let mut resources = self.resources.lock();
            let ended = resources.look(clock);
            self.troubled.store(resources.len() > 0, Ordering::Release);
            for id in &ended {
                tracing::info!(resource = %id, "requests for this resource are taken again");
            }
            if !ended.is_empty() {
                metrics().quarantined(resources.quarantined(clock).len());
            }
        }
    }

    fn look_at(&self, service: &Service, now: Timestamp, clock: Duration) {
        let mut kinds = self.kinds.lock();
        let mut changed = false;
        for (kind, state) in kinds.iter_mut() {
            if state.unstable && clock.saturating_sub(state.last) >= self.settings.calm {
                state.unstable = false;
                changed = true;
                metrics().actors_unstable(kind, false);
                tracing::info!(kind, calm = ?self.settings.calm, "actors of this kind do not die any more");
            }
        }
        if changed {
            self.tell(&kinds, service, now);
        }
    }

    fn tell(&self, kinds: &BTreeMap<&'static str, Kind>, service: &Service, now: Timestamp) {
        let unstable: Vec<&str> =
            kinds.iter().filter(|(_, state)| state.unstable).map(|(kind, _)| *kind).collect();
        if unstable.is_empty() {
            return service.clear(Hindrance::Storm, now);
        }
        let Settings { deaths_max, window, calm, .. } = self.settings;
        let reason = format!(
            "actors of the kind {} died more than {deaths_max} times within {window:?}; \
             granted again after {calm:?} without a death of them",
            unstable.join(", ")
        );
        service.hinder(Hindrance::Storm, reason, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::EventLog;
    use crate::service::Phase;

    const SETTINGS: Settings = Settings {
        deaths_max: 2,
        deaths_per_resource_max: 1,
        window: Duration::from_secs(10),
        calm: Duration::from_secs(4),
    };

    struct Desk {
        supervision: Supervision,
        service: Service,
    }

    impl Desk {
        fn new() -> Self {
            let log = Arc::new(EventLog::new("me", 16));
            Self {
                supervision: Supervision::new(SETTINGS),
                service: Service::new(log, Timestamp::from_millis(0)),
            }
        }

        fn died(&self, kind: &'static str, millis: u64) {
            let clock = Duration::from_millis(millis);
            self.supervision.died_at(kind, &self.service, Timestamp::from_millis(millis), clock);
        }

        fn look(&self, millis: u64) {
            let clock = Duration::from_millis(millis);
            self.supervision.look_at(&self.service, Timestamp::from_millis(millis), clock);
        }
    }

    #[test]
    fn a_storm_ends_granting_until_it_is_calm() {
        let desk = Desk::new();
        desk.died("reaper", 0);
        desk.died("health", 100);
        desk.died("reaper", 200);
        assert!(desk.service.may_grant(), "each kind has its own budget");
        desk.died("reaper", 300);
        assert!(!desk.service.may_grant());
        assert!(desk.supervision.is_unstable("reaper") && !desk.supervision.is_unstable("health"));
        let status = desk.service.status();
        assert_eq!((status.phase, status.since), (Phase::HoldOnly, Timestamp::from_millis(300)));
        assert!(status.reason().is_some_and(|reason| reason.contains("reaper")), "{status:?}");
        assert!(status.is_hindered_by(Hindrance::Storm) && desk.service.is_store_trusted());

        // It goes on, with a second kind.
        desk.died("reaper", 4000);
        desk.look(4300);
        assert!(desk.supervision.is_unstable("reaper"), "not yet calm");
        desk.died("health", 5000);
        desk.died("health", 5001);
        let status = desk.service.status();
        assert!(status.reason().is_some_and(|reason| reason.contains("health, reaper")), "{status:?}");
        desk.look(8000);
        assert!(!desk.supervision.is_unstable("reaper") && !desk.service.may_grant());
        assert!(!desk.service.status().reason().is_some_and(|reason| reason.contains("reaper")));
        desk.look(9000);
        assert!(!desk.service.may_grant());
        desk.look(9001);
        assert!(desk.service.may_grant() && !desk.supervision.is_unstable("health"));
        // Those within the window still count.
        desk.died("health", 9002);
        assert!(!desk.service.may_grant());
    }

    #[test]
    fn a_resource_is_quarantined_alone() {
        let desk = Desk::new();
        let (one, other) = (ResourceId(1), ResourceId(2));
        let in_work = InWork { nonces: vec![5], undecided: true };
        let now = Timestamp::from_millis(1);
        assert!(!desk.supervision.is_troubled(one));
        desk.supervision.panicked(one, &in_work, &desk.service, now);
        desk.supervision.panicked(other, &in_work, &desk.service, now);
        assert!(desk.supervision.is_troubled(one) && desk.supervision.quarantined().is_empty());
        desk.supervision.killed(&Desk::new().service, now);
        assert_eq!(desk.supervision.deaths_of_command(one, 5).all, 1);
        desk.supervision.panicked(one, &in_work, &desk.service, now);
        assert_eq!(desk.supervision.quarantined().len(), 1);
        assert!(desk.supervision.quarantine(one).is_some() && desk.supervision.quarantine(other).is_none());
        assert_eq!(desk.supervision.deaths_of_command(one, 5).all, 2);
        desk.supervision.look(&desk.service, now);
        assert!(desk.supervision.quarantine(one).is_some(), "it lasts");
    }
}
