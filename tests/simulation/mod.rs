//! Simulation: the engines and the rules as the server runs them, in a world that fails.
//!
//! Clients acquire, wait, renew, release and vanish; commits are delayed, lost, overtaken and done
//! without a reply; engines are killed and instances crash, one on its own store or two on a shared
//! one; the store's clock is set forward and back. A checker judges the history by what became durable and by what clients were told. It all
//! follows from a seed: `LOCKKEEPER_SIM_SEED=n` runs one, `LOCKKEEPER_SIM_SEEDS=n` runs more.

mod accidents;
mod calls;
mod checker;
mod clients;
mod dice;
mod engines;
mod line;
mod shelf;
mod wire;
mod world;

use world::World;

const SEEDS: u64 = 1000;

fn from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {value:?}")))
}

fn simulate(seed: u64) -> World {
    let mut world = World::new(seed);
    // An assertion in an engine is a finding too: then the seed is on the screen already.
    let verdict = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run()));
    match verdict {
        Ok(Ok(())) => world,
        Ok(Err(what)) => panic!("{}LOCKKEEPER_SIM_SEED={seed}: {what}", world.tail()),
        Err(_) => panic!("{}LOCKKEEPER_SIM_SEED={seed}: it panicked", world.tail()),
    }
}

#[test]
fn the_properties_hold_over_many_seeds() {
    if let Some(seed) = from_environment("LOCKKEEPER_SIM_SEED") {
        let world = simulate(seed);
        println!("{}", world.tail());
        return;
    }
    let seeds = from_environment("LOCKKEEPER_SIM_SEEDS").unwrap_or(SEEDS);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let (mut grants, mut handoffs, mut tellings) = (0, 0, 0);
    let mut ends = std::collections::BTreeSet::new();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|first| {
                scope.spawn(move || {
                    let seeds = (first..seeds).step_by(threads as usize);
                    seeds.map(|seed| simulate(seed).checker).collect::<Vec<_>>()
                })
            })
            .collect();
        for worker in workers {
            for checker in worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                grants += checker.grants;
                handoffs += checker.handoffs;
                tellings += checker.tellings;
                ends.extend(checker.ends);
            }
        }
    });
    println!(
        "{seeds} seeds: {grants} grants, {handoffs} of them from the queue, {tellings} tellings, ends {ends:?}"
    );
    // A world in which nothing happens proves nothing.
    assert!(grants > 20 * seeds && handoffs > 5 * seeds && tellings > 10 * seeds);
    assert_eq!(ends.len(), 7, "{ends:?}");
}

#[test]
fn a_seed_repeats_itself() {
    for seed in 0..5 {
        assert_eq!(simulate(seed).trace, simulate(seed).trace, "seed {seed}");
    }
}
