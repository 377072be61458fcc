//! A whole run: rounds of faults, each followed by calm and judged on its own.

use super::checker::{Violation, check, counts, greatest_tokens};
use super::closing::close;
use super::dice::Dice;
use super::fattening::fatten;
use super::faults::{Faults, Fragile, InstanceFault, Until, strike_actors, strike_instances, strike_store};
use super::ground::{Ground, StoreFault, Topology};
use super::history::{At, Bounds, History, Name, Recorder, micros};
use super::instances::Instances;
use super::operator::operate;
use super::recovery::recovered;
use super::report::{RunDir, fail};
use super::tally::Tally;
use super::thief::steal;
use super::wire::Wire;
use super::worker::Worker;
use super::world::World;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an attended client may be silent.
const ABANDON_AFTER: Duration = Duration::from_secs(2);
/// The store's own default.
const LEASE_GRACE: Duration = Duration::from_secs(1);
/// Shorter times than a real service has, so that minutes do for what else takes hours.
const SETTINGS: [&str; 10] = [
    "sweep-interval=1s",
    "health.interval=500ms",
    "queue.abandon-after=2s",
    "queue.claim-within=3s",
    "drain-timeout=3s",
    "actors.rest-after=2s",
    "chaos=true",
    "circuit-breaker.timeout=1s",
    // Storms are not the subject here.
    "supervision.max-deaths=100000",
    "supervision.max-deaths-per-resource=100000",
];
/// The same, for what only a shared store has. The window is longer than health interval and call timeout
/// together.
const SHARED_SETTINGS: [&str; 3] = ["settle-window=1800ms", "settle-max=10s", "store-call-timeout=1s"];

/// How many instances may suffer at the same time, at most one fault each.
const STRIKERS: u64 = 2;

/// Whose faults a run begins with, before others are chosen by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// Nothing happens to instances and their actors at all.
    Without,
    /// Each fault once, in an order of chance.
    All,
}

/// What is run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) topology: Topology,
    pub(super) instances: usize,
    pub(super) clients: u32,
    /// How often hot resources are used before all else, so that their documents are large.
    pub(super) early_locks: usize,
    /// How long faults go on in each round.
    pub(super) faults_for: Duration,
    /// After how long no new round begins.
    pub(super) run_for: Duration,
    /// How long after the last fault everything must be in order.
    pub(super) calm_bound: Duration,
    pub(super) begin: Begin,
    /// Of a hundred faults of instances that chance chooses, at least so many are kill -9.
    pub(super) kill_percent: u32,
    /// The longest pause between two deaths of actors.
    pub(super) actor_pace: Duration,
    pub(super) store_faults: Vec<StoreFault>,
}

/// The servers of a run.
struct Setting {
    dir: RunDir,
    ground: Arc<Ground>,
    instances: Arc<Instances>,
    recorder: Arc<Recorder>,
}

impl Setting {
    async fn up(plan: &Plan) -> Self {
        let (topology, count) = (plan.topology, plan.instances);
        let ground = tokio::task::spawn_blocking(move || Ground::start(topology, count)).await.unwrap();
        let shared = if topology == Topology::Embedded { &[][..] } else { &SHARED_SETTINGS };
        let flags = (0..count).map(|instance| {
            let settings = SETTINGS.iter().chain(shared);
            let settings = settings.flat_map(|setting| ["--set".to_owned(), (*setting).to_owned()]);
            ground.flags(instance).into_iter().chain(settings).collect()
        });
        let dir = RunDir::new();
        let instances = Instances::start(dir.path(), flags.collect()).await;
        let recorder = Arc::new(Recorder::new());
        Self { dir, ground: Arc::new(ground), instances: Arc::new(instances), recorder }
    }

    fn fragile(&self) -> Fragile {
        Fragile { network: self.ground.link(0).is_some(), disk: self.instances.have_disks() }
    }
}

/// Runs it; panics with seed, tally and excerpts if a promise was broken.
pub(super) async fn run(plan: &Plan) -> Tally {
    match attempt(plan).await {
        (tally, _, violations) if violations.is_empty() => tally,
        (tally, failure, violations) => fail(plan, &tally, &failure, &violations),
    }
}

/// What is told of a run that broke a promise.
pub(super) struct Failure {
    dir: RunDir,
    ground: Arc<Ground>,
    history: History,
}

impl Failure {
    pub(super) const fn history(&self) -> &History {
        &self.history
    }

    /// Writes down all there is and says where.
    pub(super) fn keep(&self) -> std::path::PathBuf {
        self.dir.keep(&self.history, &self.ground.logs())
    }
}

/// Runs it until a promise is broken or the time is over.
pub(super) async fn attempt(plan: &Plan) -> (Tally, Failure, Vec<Violation>) {
    let setting = Setting::up(plan).await;
    let begun = Instant::now();
    let mut tally = Tally::default();
    let mut tokens = BTreeMap::new();
    let mut round = 0;
    loop {
        let (history, complaints) = one_round(plan, &setting, round, &mut tally, &tokens).await;
        let (grants, handoffs) = counts(&history);
        let findings = check(&history);
        tally.round(&history, grants, handoffs, &findings);
        let mut violations = findings.violations;
        violations.extend(complaints.into_iter().map(Violation::of_service));
        round += 1;
        if !violations.is_empty() || begun.elapsed() >= plan.run_for {
            let Setting { dir, ground, .. } = setting;
            return (tally, Failure { dir, ground, history }, violations);
        }
        if plan.run_for > plan.faults_for {
            println!(
                "round {round} in order, {:.0} min: {}",
                begun.elapsed().as_secs_f64() / 60.0,
                tally.brief()
            );
        }
        tokens = greatest_tokens(&history);
    }
}

async fn one_round(
    plan: &Plan,
    setting: &Setting,
    round: u64,
    tally: &mut Tally,
    tokens: &BTreeMap<Name, u64>,
) -> (History, Vec<String>) {
    let wire = Wire::new(setting.instances.urls(), Arc::clone(&setting.recorder));
    let world = Arc::new(World::new(round, wire, Arc::clone(&setting.recorder)));
    // Each round has chances of its own, which follow from the run's seed.
    let seed = plan.seed.wrapping_mul(7919).wrapping_add(round);
    let mut complaints = Vec::new();
    complaints.extend(recovered(&world).await.err());
    if round == 0 {
        fatten(&world, plan.early_locks).await;
    }

    let workers: Vec<_> = (0..plan.clients)
        .map(|number| tokio::spawn(Worker::new(number, seed, Arc::clone(&world)).work()))
        .collect();
    let mut others = vec![tokio::spawn(operate(Arc::clone(&world), seed))];
    others
        .extend((0..plan.instances).map(|instance| tokio::spawn(steal(Arc::clone(&world), seed, instance))));
    let until = Until {
        at: Instant::now() + plan.faults_for,
        fragile: setting.fragile(),
        kill_percent: plan.kill_percent,
        actor_pace_ms: plan.actor_pace.as_millis() as u64,
        store_faults: plan.store_faults.clone(),
        all_store_faults: plan.topology.faults(),
    };
    let mut menu = InstanceFault::menu(until.fragile);
    Dice::new(seed, 1000).shuffle(&mut menu);
    let faults = Arc::new(Faults::new(
        Arc::clone(&world),
        Arc::clone(&setting.instances),
        Arc::clone(&setting.ground),
        if plan.begin == Begin::All && round == 0 { menu } else { Vec::new() },
    ));
    let on_instances = async {
        if plan.begin == Begin::Without {
            tokio::time::sleep_until(until.at.into()).await;
            return;
        }
        let strikers = (0..STRIKERS).map(|number| {
            strike_instances(Arc::clone(&faults), Dice::new(seed, 1010 + number), until.clone())
        });
        let on_actors = strike_actors(Arc::clone(&faults), Dice::new(seed, 1003), until.clone());
        futures_util::future::join(futures_util::future::join_all(strikers), on_actors).await;
    };
    let on_store = strike_store(Arc::clone(&faults), Dice::new(seed, 1002), until.clone());
    futures_util::future::join(on_instances, on_store).await;

    let calm_since = setting.recorder.now();
    world.calm_down();
    complaints.extend(recovered(&world).await.err());
    let finished = async {
        for task in workers.into_iter().chain(others) {
            task.await.unwrap();
        }
    };
    let closed = close(&world, micros(plan.calm_bound));
    let ((), left) = futures_util::future::join(finished, closed).await;
    complaints.extend(left);
    complaints.extend(setting.instances.fallen());

    let outcome = faults.outcome();
    tally.recovery(&outcome);
    complaints.extend(outcome.complaints);
    (history(plan, setting, calm_since, tokens), complaints)
}

fn history(plan: &Plan, setting: &Setting, calm_since: At, tokens: &BTreeMap<Name, u64>) -> History {
    let taken = setting.recorder.take();
    History {
        ops: taken.ops,
        absences: taken.absences,
        losses: taken.losses,
        limited: taken.limited,
        faults: taken.faults,
        bounds: Bounds {
            lease_grace: micros(LEASE_GRACE),
            abandon_after: micros(ABANDON_AFTER),
            calm_bound: micros(plan.calm_bound),
        },
        calm_since: Some(calm_since),
        tokens: tokens.clone(),
        wall_at_zero: setting.recorder.wall_at_zero(),
    }
}
