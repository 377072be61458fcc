//! How often something may die: deaths within a window. Pure; time is given from outside.

use std::collections::VecDeque;
use std::time::Duration;

/// The deaths of one kind of actor, or of one resource's actor, that still count.
///
/// Times are of a clock that never runs backwards, counted from any moment. Keeps no more than the
/// deaths that tell whether there were too many.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    /// So many may die within the window.
    max: usize,
    window: Duration,
    /// The latest, in order; one more than `max` at most.
    deaths: VecDeque<Duration>,
}

impl Budget {
    /// More than `max` deaths within `window` are too many.
    pub(crate) fn new(max: u32, window: Duration) -> Self {
        Self { max: max as usize, window, deaths: VecDeque::new() }
    }

    /// Counts a death. True when there were too many.
    pub(crate) fn died(&mut self, now: Duration) -> bool {
        self.forget_old(now);
        if self.deaths.len() > self.max {
            self.deaths.pop_front();
        }
        self.deaths.push_back(now);
        self.deaths.len() > self.max
    }

    /// Deaths that still count; of very many, one more than may be.
    pub(crate) fn deaths(&mut self, now: Duration) -> usize {
        self.forget_old(now);
        self.deaths.len()
    }

    fn forget_old(&mut self, now: Duration) {
        while self.deaths.front().is_some_and(|at| now.saturating_sub(*at) >= self.window) {
            self.deaths.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn one_more_than_may_be_is_too_many() {
        let mut budget = Budget::new(3, at(1000));
        let told: Vec<bool> = [0, 10, 20, 30, 40].into_iter().map(|millis| budget.died(at(millis))).collect();
        assert_eq!(told, [false, false, false, true, true]);
        // It remembers what it needs to tell, and no more.
        assert_eq!(budget.deaths(at(40)), 4);
    }

    #[test]
    fn a_death_counts_until_the_window_is_over() {
        let mut budget = Budget::new(1, at(1000));
        assert!(!budget.died(at(0)));
        assert_eq!(budget.deaths(at(999)), 1);
        assert!(!budget.died(at(1000)), "the first does not count any more");
        assert!(budget.died(at(1999)));
        assert_eq!(budget.deaths(at(3000)), 0);
        assert!(!budget.died(at(3000)));
    }

    #[test]
    fn nobody_may_die_of_a_budget_of_none() {
        assert!(Budget::new(0, at(1000)).died(at(5)));
    }

    #[test]
    fn it_tells_what_counting_all_deaths_tells() {
        for seed in 0..200 {
            let mut dice = StdRng::seed_from_u64(seed);
            let (max, window) = (dice.random_range(0..6), at(dice.random_range(1..50)));
            let mut budget = Budget::new(max, window);
            let mut all: Vec<Duration> = Vec::new();
            let mut now = Duration::ZERO;
            for _ in 0..200 {
                now += at(dice.random_range(0..20));
                let told = budget.died(now);
                all.push(now);
                let counted = all.iter().filter(|at| now - **at < window).count();
                assert_eq!(told, counted > max as usize, "seed {seed}");
                assert_eq!(budget.deaths(now), counted.min(max as usize + 1), "seed {seed}");
                assert!(budget.deaths.len() <= max as usize + 1);
            }
        }
    }
}
