//! A model of how a shared store loses data and gets them back, tried over many schedules.
//!
//! One partition with one exclusive resource; two Redis servers of which one follows the other,
//! fails over, restarts, is flushed or cut off; instances with copies, hints that are lost or
//! late, commits under way for as long as they like, pauses and crashes; clients that acquire,
//! renew, confirm and release. The steps follow the scripts and the protocol of the Redis store,
//! rule by rule ([`rules::Rule`]); every rule can be left out, and [`closes`] shows what it closes.
//!
//! What is promised ([`promises`]), and checked after every step:
//!
//! - A client is told that it holds only while nobody else was told so, as far as that is not over
//!   by release, lease or force.
//! - What a client was told of, a hold or a release, stands in the open store. After a loss this
//!   is promised as far as an instance knows of it that lives and was not cut off from the loss to
//!   the opening; with min-replicas, also if no instance knows, after one failover.
//! - Tokens grow with every grant that lands, whatever was lost; no version is ever used twice.
//! - No commit lands twice, and none lands (or had landed) of which was said that it never happened.
//! - Nobody is told of a hold that ended longer ago than an answer may wait.
//!
//! Not modelled: clocks that are set back, sets, several documents, documents that are taken out of
//! a partition while it is sealed.
//!
//! `LOCKKEEPER_MODEL_SEEDS=n` tries more schedules, and larger worlds exhaustively.

mod closes;
mod decisions;
mod exhaustive;
mod instance;
mod promises;
mod redis;
mod replies;
mod rules;
mod schedule;
mod script;
mod sealing;
mod setup;
mod steps;
mod world;
mod worlds;

use rules::Rules;
use setup::Setup;

const SEEDS: u64 = 10_000;

fn seeds_asked() -> Option<u64> {
    let value = std::env::var("LOCKKEEPER_MODEL_SEEDS").ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("LOCKKEEPER_MODEL_SEEDS is a number, not {value:?}")))
}

fn holds(world: fn(Rules) -> Setup) {
    let setup = world(Rules::ALL);
    for seed in 0..seeds_asked().unwrap_or(SEEDS) {
        let run = schedule::run(&setup, seed);
        if let Err(what) = &run.verdict {
            let shrunk = schedule::shrink(&setup, run.clone());
            panic!("seed {seed}: {what}\nshrunk: {:?}\n{}", shrunk.verdict, schedule::text(&shrunk.steps));
        }
    }
}

#[test]
fn promises_hold_in_a_wild_world() {
    holds(worlds::wild);
    holds(worlds::narrow);
}

#[test]
fn promises_hold_with_leases_and_wrong_clocks() {
    holds(worlds::wild_with_leases);
}

#[test]
fn promises_hold_while_empty_documents_are_deleted() {
    holds(worlds::wild_with_deletes);
    holds(worlds::slow);
    holds(worlds::slow_without_hints);
    holds(worlds::slow_and_lonely);
}

#[test]
fn promises_hold_with_replicas_that_are_waited_for() {
    holds(worlds::wild_with_replicas);
    holds(worlds::narrow_with_replicas);
}

const STATES_MAX: usize = 30_000_000;

#[test]
fn promises_hold_in_all_schedules_of_small_worlds() {
    let larger = worlds::LARGER.iter().filter(|_| seeds_asked().is_some());
    for budget in worlds::SMALL.iter().chain(larger) {
        let explored = exhaustive::explore(&worlds::small(Rules::ALL, *budget), STATES_MAX);
        println!("{} states, {} steps deep, of {budget:?}", explored.states, explored.depth);
        assert!(!explored.cut, "too many states of {budget:?}");
        if let Some((steps, what)) = explored.broken {
            panic!("{what}\n{}", schedule::text(&steps));
        }
    }
}
