//! Chaos: several instances on one store, dozens of clients, and faults of every kind; afterwards
//! the history of what clients asked and were told is judged.
//!
//! What chance decides follows from a seed; what the machine decides does not, so a seed repeats
//! the faults and the clients' intentions, not every interleaving. Long runs:
//! `scripts/chaos [MINUTES] [single|sentinel|cluster|embedded|all] [SEED]`. What may happen, what is
//! checked, and how to read a finding: docs/chaos.md.

mod catalog;
mod checker;
mod closing;
mod dice;
mod fattening;
mod faults;
mod ground;
mod history;
mod instances;
mod operator;
mod recovery;
mod report;
mod run;
mod tally;
mod thief;
mod wire;
mod worker;
mod world;

use faults::{Fragile, InstanceFault};
use ground::{StoreFault, Topology};
use run::{Begin, Plan, attempt, run};
use std::time::Duration;

/// The seed of the runs among the other tests.
const SEED: u64 = 20_260_714;
/// Of a long run, a round.
const ROUND: Duration = Duration::from_secs(45);

fn plan(topology: Topology, seconds: u64) -> Plan {
    let instances = if topology == Topology::Embedded { 1 } else { 3 };
    let time = Duration::from_secs(seconds);
    Plan {
        seed: SEED,
        topology,
        instances,
        clients: 40,
        early_locks: 0,
        faults_for: time,
        run_for: time,
        calm_bound: Duration::from_secs(20),
        begin: Begin::All,
        kill_percent: 10,
        actor_pace: Duration::from_millis(500),
        store_faults: Vec::new(),
    }
}

#[tokio::test]
async fn promises_are_kept_while_one_instance_on_its_own_store_is_killed() {
    let tally = run(&plan(Topology::Embedded, 6)).await;
    assert!(tally.grants > 100 && tally.handoffs > 20, "too little happened:\n{tally}");
}

#[tokio::test]
async fn promises_are_kept_while_instances_and_their_redis_fail() {
    let all = Topology::Single.faults();
    let plan = Plan { store_faults: all.to_vec(), ..plan(Topology::Single, 20) };
    let tally = run(&plan).await;
    assert!(tally.grants > 100 && tally.handoffs > 20, "too little happened:\n{tally}");
    let menu = InstanceFault::menu(Fragile { network: true, disk: false });
    assert!(tally.kinds() >= all.len() + menu.len(), "{tally}");
    assert!(tally.actor_kills > 10, "{tally}");
}

#[tokio::test]
async fn promises_are_kept_while_sentinels_choose_other_masters() {
    let plan = Plan { store_faults: vec![StoreFault::FailOver], ..plan(Topology::Sentinel, 12) };
    let tally = run(&plan).await;
    assert!(tally.grants > 50 && tally.handoffs > 10, "too little happened:\n{tally}");
}

#[tokio::test]
async fn promises_are_kept_while_a_cluster_fails_over_and_moves_slots() {
    let plan =
        Plan { store_faults: vec![StoreFault::FailOver, StoreFault::Migrate], ..plan(Topology::Cluster, 12) };
    let tally = run(&plan).await;
    assert!(tally.grants > 50 && tally.handoffs > 10, "too little happened:\n{tally}");
}

/// The whole of it must be able to fail, not only the checker by itself.
#[tokio::test]
async fn instances_that_share_nothing_are_found_out() {
    let calm_bound = Duration::from_secs(1);
    let plan = Plan { instances: 3, begin: Begin::Without, calm_bound, ..plan(Topology::Embedded, 3) };
    let (tally, _, violations) = attempt(&plan).await;
    let broken = |promise: &str| violations.iter().any(|violation| violation.promise == promise);
    assert!(broken("exclusion"), "{tally}");
    assert!(broken("nothing lost"), "{tally}");
}

/// Only when it is asked for: see `scripts/chaos`.
#[tokio::test]
async fn a_long_run() {
    let setting = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let Some(minutes) = setting("LOCKKEEPER_CHAOS_MINUTES") else { return };
    let seconds = minutes.parse::<f64>().expect("LOCKKEEPER_CHAOS_MINUTES must be a number") * 60.0;
    let topologies = match setting("LOCKKEEPER_CHAOS_TOPOLOGY").as_deref() {
        None | Some("single") => vec![Topology::Single],
        Some("sentinel") => vec![Topology::Sentinel],
        Some("cluster") => vec![Topology::Cluster],
        Some("embedded") => vec![Topology::Embedded],
        Some("all") => vec![Topology::Embedded, Topology::Single, Topology::Sentinel, Topology::Cluster],
        Some(other) => panic!("LOCKKEEPER_CHAOS_TOPOLOGY: {other}"),
    };
    let seed = setting("LOCKKEEPER_CHAOS_SEED")
        .map_or_else(rand::random, |seed| seed.parse().expect("LOCKKEEPER_CHAOS_SEED must be a number"));
    println!("seed {seed}, {topologies:?}, {minutes} minutes");
    let run_for = Duration::from_secs_f64(seconds / topologies.len() as f64);
    for topology in topologies {
        let usual = plan(topology, ROUND.as_secs());
        let plan = Plan { seed, run_for, early_locks: 600, kill_percent: 35, ..usual };
        let tally = run(&plan).await;
        println!("seed {seed}, {topology:?}: no promise was broken\n{tally}");
    }
}
