//! Resources whose own actor panicked lately: which of them are quarantined, and which commands were
//! in work when it happened. Pure; time is given from outside.

use super::budget::Budget;
use crate::engine::InWork;
use crate::options::Supervision as Settings;
use lockkeeper_core::{ResourceId, Timestamp};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

/// Resources whose deaths are remembered. Of more, the one that has been quiet for longest is
/// forgotten, unless it is quarantined.
const RESOURCES_MAX: usize = 1024;
/// Commands of one resource whose deaths are remembered; of more, the first are forgotten.
const COMMANDS_MAX: usize = 1024;

/// A resource whose requests are refused for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Which.
    pub resource: ResourceId,
    /// Until when, by the store's clock.
    pub until: Timestamp,
    /// How long that is.
    pub remaining: Duration,
    /// How often its actor died shortly before; of very many, one more than may be.
    pub deaths: usize,
}

/// How often an actor died while this command was in work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CommandDeaths {
    pub(crate) all: u32,
    /// Of them, those in which nothing of it had been given to the store.
    pub(crate) undecided: u32,
}

/// All of them.
pub(crate) struct Resources {
    settings: Settings,
    records: HashMap<ResourceId, Record>,
}

struct Record {
    budget: Budget,
    last: Duration,
    /// By both clocks.
    until: Option<(Duration, Timestamp)>,
    /// How many deaths led to it.
    deaths: usize,
    commands: BTreeMap<u64, CommandDeaths>,
    order: VecDeque<u64>,
}

impl Resources {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, records: HashMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// The actor of this resource panicked. Gives the quarantine if this death began it.
    pub(crate) fn died(
        &mut self,
        id: ResourceId,
        in_work: &InWork,
        clock: Duration,
        now: Timestamp,
    ) -> Option<Quarantined> {
        if !self.records.contains_key(&id) && self.records.len() >= RESOURCES_MAX {
            self.make_room();
        }
        let Settings { deaths_per_resource_max, window, calm, .. } = self.settings;
        let record = self.records.entry(id).or_insert_with(|| Record {
            budget: Budget::new(deaths_per_resource_max, window),
            last: clock,
            until: None,
            deaths: 0,
            commands: BTreeMap::new(),
            order: VecDeque::new(),
        });
        record.last = clock;
        record.note(in_work);
        if !record.budget.died(clock) || record.is_quarantined(clock) {
            return None;
        }
        let until = now + lockkeeper_core::Span::from_micros(calm.as_micros() as u64);
        record.until = Some((clock + calm, until));
        record.deaths = record.budget.deaths(clock);
        record.quarantine(id, clock)
    }

    fn make_room(&mut self) {
        let quiet = self.records.iter().min_by_key(|(_, record)| (record.until.is_some(), record.last));
        if let Some((&id, _)) = quiet {
            self.records.remove(&id);
        }
    }

    /// Is it quarantined?
    pub(crate) fn quarantine(&self, id: ResourceId, clock: Duration) -> Option<Quarantined> {
        self.records.get(&id)?.quarantine(id, clock)
    }

    /// All that are quarantined, in order.
    pub(crate) fn quarantined(&self, clock: Duration) -> Vec<Quarantined> {
        let mut all: Vec<_> =
            self.records.iter().filter_map(|(id, record)| record.quarantine(*id, clock)).collect();
        all.sort_by_key(|quarantined| quarantined.resource);
        all
    }

    /// The deaths while this command was in work.
    pub(crate) fn command(&self, id: ResourceId, nonce: u64) -> CommandDeaths {
        let record = self.records.get(&id);
        record.and_then(|record| record.commands.get(&nonce)).copied().unwrap_or_default()
    }

    /// Did its actor die lately?
    pub(crate) fn is_troubled(&self, id: ResourceId) -> bool {
        self.records.contains_key(&id)
    }

    /// Forgets what is over. Gives the resources whose quarantine ended.
    pub(crate) fn look(&mut self, clock: Duration) -> Vec<ResourceId> {
        let mut ended = Vec::new();
        self.records.retain(|id, record| {
            if record.until.is_some() && !record.is_quarantined(clock) {
                record.until = None;
                ended.push(*id);
            }
            record.until.is_some() || record.budget.deaths(clock) > 0
        });
        ended
    }
}

impl Record {
    fn note(&mut self, in_work: &InWork) {
        // 0 is nobody's: what time wants to have looked at.
        for nonce in in_work.nonces.iter().filter(|nonce| **nonce != 0) {
            let deaths = self.commands.entry(*nonce).or_insert_with(|| {
                self.order.push_back(*nonce);
                CommandDeaths::default()
            });
            deaths.all += 1;
            deaths.undecided += u32::from(in_work.undecided);
        }
        while self.order.len() > COMMANDS_MAX {
            if let Some(first) = self.order.pop_front() {
                self.commands.remove(&first);
            }
        }
    }

    fn is_quarantined(&self, clock: Duration) -> bool {
        self.until.is_some_and(|(until, _)| clock < until)
    }

    fn quarantine(&self, resource: ResourceId, clock: Duration) -> Option<Quarantined> {
        let (end, until) = self.until.filter(|(end, _)| clock < *end)?;
        Some(Quarantined { resource, until, remaining: end - clock, deaths: self.deaths })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings {
        deaths_max: 100,
        deaths_per_resource_max: 2,
        window: Duration::from_secs(10),
        calm: Duration::from_secs(4),
    };

    fn at(millis: u64) -> (Duration, Timestamp) {
        (Duration::from_millis(millis), Timestamp::from_millis(1_000_000 + millis))
    }

    fn died(resources: &mut Resources, id: u64, millis: u64, nonces: &[u64]) -> Option<Quarantined> {
        let (clock, now) = at(millis);
        let in_work = InWork { nonces: nonces.to_vec(), undecided: true };
        resources.died(ResourceId(id), &in_work, clock, now)
    }

    #[test]
    fn one_death_too_many_and_it_is_quarantined_for_a_while() {
        let mut resources = Resources::new(SETTINGS);
        assert_eq!(died(&mut resources, 1, 0, &[]), None);
        assert_eq!(died(&mut resources, 1, 100, &[]), None);
        assert_eq!(died(&mut resources, 2, 100, &[]), None);
        let quarantined = died(&mut resources, 1, 200, &[]).unwrap();
        let remaining = SETTINGS.calm;
        assert_eq!(
            quarantined,
            Quarantined { resource: ResourceId(1), until: at(4200).1, remaining, deaths: 3 }
        );
        // Another death does not prolong it.
        assert_eq!(died(&mut resources, 1, 1000, &[]), None);
        assert_eq!(resources.quarantined(at(4199).0).len(), 1);
        assert_eq!(resources.quarantine(ResourceId(2), at(300).0), None);
        assert!(resources.look(at(4199).0).is_empty());
        assert_eq!(resources.look(at(4200).0), [ResourceId(1)]);
        assert_eq!(resources.quarantine(ResourceId(1), at(4200).0), None);
        // What it died of is there still: once more, and it is quarantined again.
        assert!(died(&mut resources, 1, 4300, &[]).is_some());
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let mut resources = Resources::new(SETTINGS);
        died(&mut resources, 1, 0, &[7]);
        assert_eq!((resources.look(at(9_999).0).len(), resources.len()), (0, 1));
        assert!(resources.is_troubled(ResourceId(1)));
        resources.look(at(10_000).0);
        assert_eq!(resources.len(), 0);
        assert_eq!(resources.command(ResourceId(1), 7), CommandDeaths::default());
    }

    #[test]
    fn only_so_many_are_remembered_and_the_quarantined_longest() {
        let mut resources = Resources::new(SETTINGS);
        for millis in 0..3 {
            died(&mut resources, 0, millis, &[]);
        }
        for id in 1..=RESOURCES_MAX as u64 {
            died(&mut resources, id, 10 + id, &[]);
        }
        assert_eq!(resources.len(), RESOURCES_MAX);
        assert!(resources.quarantine(ResourceId(0), at(100).0).is_some());
        assert!(!resources.is_troubled(ResourceId(1)) && resources.is_troubled(ResourceId(2)));
    }

    #[test]
    fn deaths_are_counted_by_command() {
        let mut resources = Resources::new(SETTINGS);
        died(&mut resources, 1, 0, &[5, 6]);
        died(&mut resources, 1, 1, &[5]);
        let unsure = InWork { nonces: vec![5], undecided: false };
        resources.died(ResourceId(1), &unsure, at(2).0, at(2).1);
        assert_eq!(resources.command(ResourceId(1), 5), CommandDeaths { all: 3, undecided: 2 });
        assert_eq!(resources.command(ResourceId(1), 6), CommandDeaths { all: 1, undecided: 1 });
        assert_eq!(resources.command(ResourceId(2), 5), CommandDeaths::default());
        let many: Vec<u64> = (100..100 + COMMANDS_MAX as u64).collect();
        died(&mut resources, 1, 3, &many);
        assert_eq!(resources.command(ResourceId(1), 5).all, 0);
        assert_eq!(resources.command(ResourceId(1), 100).all, 1);
    }
}
