//! All schedules of a small world, shortest first.

use super::setup::Setup;
use super::world::{Action, World};
use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// What was seen.
#[derive(Debug)]
pub(super) struct Explored {
    pub(super) states: usize,
    /// The longest schedule that led to something new.
    pub(super) depth: usize,
    /// True if the bound on states ended it.
    pub(super) cut: bool,
    /// The shortest schedule that breaks a promise, and which.
    pub(super) broken: Option<(Vec<Action>, String)>,
}

/// Tries everything, up to a number of states.
pub(super) fn explore(setup: &Setup, states_max: usize) -> Explored {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let start = World::new(setup);
    let mut seen = HashSet::from([hasher.hash_one(&start)]);
    // How each state was first reached: from which, by what.
    let mut origins: Vec<(u32, Action)> = vec![(0, Action::Tick)];
    let mut frontier = vec![(0, start)];
    let mut explored = Explored { states: 1, depth: 0, cut: false, broken: None };
    while !frontier.is_empty() && !explored.cut {
        let mut next = Vec::new();
        for (origin, world) in frontier {
            for action in world.actions(setup) {
                let mut after = world.clone();
                if let Err(what) = after.step(action, setup) {
                    explored.broken = Some((path(&origins, origin, action), what));
                    explored.states = seen.len();
                    return explored;
                }
                if seen.insert(hasher.hash_one(&after)) {
                    origins.push((origin, action));
                    next.push((origins.len() as u32 - 1, after));
                }
            }
            if seen.len() >= states_max {
                explored.cut = true;
                break;
            }
        }
        explored.depth += 1;
        frontier = next;
    }
    explored.states = seen.len();
    explored
}

fn path(origins: &[(u32, Action)], mut origin: u32, last: Action) -> Vec<Action> {
    let mut steps = vec![last];
    while origin != 0 {
        let (before, action) = origins[origin as usize];
        steps.push(action);
        origin = before;
    }
    steps.reverse();
    steps
}
