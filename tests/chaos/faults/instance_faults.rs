//! What happens to instances, and to the network between them and their store.

use super::{Faults, Until};
use crate::chaos::dice::Dice;
use crate::chaos::history::{Absence, At, Limit, Limited, Struck, micros};
use lockkeeper_store::testing::{Direction, Proxy};
use rustix::process::Signal;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an instance may take to find its store again once it could.
const RECONNECTS_WITHIN: Duration = Duration::from_millis(1500);
/// After this long nothing that was on its way when a network was cut arrives any more.
const CUT_FOR_SURE: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chaos) enum InstanceFault {
    /// kill -9 and a start.
    Kill,
    /// SIGTERM and a start.
    Stop,
    /// SIGSTOP for longer than most leases, and SIGCONT.
    Pause,
    /// SIGHUP: it reads its settings again, which are the same.
    Reload,
    /// It is told to grant nothing, and to grant again.
    SwitchOff,
    /// The disk of its data directory is full.
    DiskFull,
    /// A fault point inside of it is armed.
    FaultPoint,
    /// No connection to the store.
    CutOff,
    /// Nothing gets through to the store nor back, and then all of it at once.
    Silence,
    /// The store does not hear the instance; what it says itself arrives.
    Muteness,
    /// The store hears the instance; its answers come late.
    Deafness,
    /// The connections are gone for the store, and the instance does not hear of it.
    HalfOpen,
    /// Single replies are lost with their connections.
    LostReplies,
    /// Every byte takes its time.
    Delay,
}

/// What there is that can fail.
#[derive(Clone, Copy, Debug)]
pub(in crate::chaos) struct Fragile {
    /// A network of its own between each instance and the store.
    pub(in crate::chaos) network: bool,
    /// A disk of its own for each instance.
    pub(in crate::chaos) disk: bool,
}

impl InstanceFault {
    /// What can happen.
    pub(in crate::chaos) fn menu(fragile: Fragile) -> Vec<Self> {
        let mut menu =
            vec![Self::Kill, Self::Stop, Self::Pause, Self::Reload, Self::SwitchOff, Self::FaultPoint];
        if fragile.disk {
            menu.push(Self::DiskFull);
        }
        if fragile.network {
            menu.extend([Self::CutOff, Self::Silence, Self::Muteness, Self::Deafness]);
            menu.extend([Self::HalfOpen, Self::LostReplies, Self::Delay]);
        }
        menu
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Kill => "instance killed and restarted",
            Self::Stop => "instance stopped and restarted",
            Self::Pause => "instance paused",
            Self::Reload => "settings read again",
            Self::SwitchOff => "instance switched off and on",
            Self::DiskFull => "disk full",
            Self::FaultPoint => "fault point armed",
            Self::CutOff => "instance cut off from its store",
            Self::Silence => "network to the store silent both ways",
            Self::Muteness => "instance not heard by its store",
            Self::Deafness => "instance not hearing its store",
            Self::HalfOpen => "connections half-open",
            Self::LostReplies => "replies of the store lost",
            Self::Delay => "slow network to the store",
        }
    }

    const fn struck(self) -> Struck {
        match self {
            Self::Kill => Struck::InstanceKilled,
            Self::Stop | Self::Pause | Self::Reload | Self::SwitchOff | Self::DiskFull | Self::FaultPoint => {
                Struck::Instance
            }
            _ => Struck::Network,
        }
    }

    /// The instance cannot have asked its store while it goes on.
    const fn cuts_off(self) -> bool {
        matches!(self, Self::CutOff | Self::Silence | Self::Muteness | Self::Deafness)
    }
}

/// Strikes until it is time to stop.
pub(in crate::chaos) async fn strike_instances(faults: Arc<Faults>, mut dice: Dice, until: Until) {
    let all = InstanceFault::menu(until.fragile);
    while faults.has_more() || Instant::now() < until.at {
        let longest = if faults.has_more() { 800 } else { 2000 };
        tokio::time::sleep(dice.millis(200, longest)).await;
        let fault = match faults.next() {
            Some(fault) => fault,
            None if dice.percent(until.kill_percent) => InstanceFault::Kill,
            None => dice.pick(&all),
        };
        let _awake = faults.awake.read().await;
        let count = faults.world.wire.instances();
        let first = dice.below(count);
        // Now and then several at once, up to all of them.
        let struck = if dice.percent(75) { 1 } else { 1 + dice.below(count) };
        let strikes = (0..struck).map(|further| {
            let instance = (first + further) % count;
            strike(&faults, fault, instance, dice.fork())
        });
        futures_util::future::join_all(strikes.collect::<Vec<_>>()).await;
    }
}

pub(super) async fn strike(faults: &Faults, fault: InstanceFault, instance: usize, mut dice: Dice) {
    let _alone = faults.suffering[instance].lock().await;
    let world = &faults.world;
    if let Some(status) = faults.instances.has_ended(instance) {
        faults.complain(format!("instance {instance} ended by itself: {status}"));
        faults.instances.kill(instance);
        faults.instances.start_again(instance).await;
    }
    let spell = faults.begin();
    world.set_fit(instance, false);
    let born_again = carry_out(faults, fault, instance, &mut dice).await;
    world.set_fit(instance, true);
    faults.cause_ended(&spell, fault.struck(), fault.name(), format!("instance {instance}"));
    if born_again && fault.struck() == Struck::Network {
        let name = "instance killed while it is cut off";
        faults.cause_ended(&spell, Struck::InstanceKilled, name, format!("instance {instance}"));
    }
    // One that was started anew has read everything only when it is back. For others the next
    // fault may come while they are still confused.
    let mut to = world.recorder.now();
    if born_again || dice.percent(60) {
        faults.recover(&spell, fault.name()).await;
        to = world.recorder.now();
    } else if faults.ground.link(instance).is_some() && fault != InstanceFault::Pause {
        to += micros(RECONNECTS_WITHIN);
    }
    world.recorder.absence(Absence { instance, from: spell.from, to });
    faults.end();
}

/// True if the instance was started anew by it.
async fn carry_out(faults: &Faults, fault: InstanceFault, instance: usize, dice: &mut Dice) -> bool {
    let instances = &faults.instances;
    match fault {
        InstanceFault::Kill => {
            instances.kill(instance);
            tokio::time::sleep(dice.millis(0, 1000)).await;
            instances.start_again(instance).await;
            true
        }
        InstanceFault::Stop => {
            if let Err(complaint) = instances.terminate(instance).await {
                faults.complain(complaint);
                instances.kill(instance);
            }
            tokio::time::sleep(dice.millis(0, 500)).await;
            instances.start_again(instance).await;
            true
        }
        InstanceFault::Pause => {
            instances.signal(instance, Signal::STOP);
            tokio::time::sleep(dice.millis(700, 3500)).await;
            instances.signal(instance, Signal::CONT);
            false
        }
        InstanceFault::Reload => {
            instances.signal(instance, Signal::HUP);
            false
        }
        InstanceFault::SwitchOff => {
            switch_off(faults, instance, dice).await;
            false
        }
        InstanceFault::DiskFull => {
            instances.fill_disk(instance);
            tokio::time::sleep(dice.millis(500, 3000)).await;
            // A start on a full disk must find what was there, and be able to go on.
            let dies = dice.percent(20);
            if dies {
                instances.kill(instance);
            }
            instances.clear_disk(instance);
            if dies {
                instances.start_again(instance).await;
            }
            dies
        }
        InstanceFault::FaultPoint => {
            arm_a_fault_point(faults, instance, dice).await;
            false
        }
        _ => {
            let Some(link) = faults.ground.link(instance) else { return false };
            let perhaps_from = faults.world.recorder.now();
            disturb(link, fault, dice).await;
            // Some never learn what became of what they asked.
            let dies = dice.percent(20);
            if dies {
                instances.kill(instance);
            }
            let to = faults.world.recorder.now();
            link.heal();
            if fault.cuts_off() {
                limited(faults, instance, Limit::CutOff, perhaps_from + micros(CUT_FOR_SURE), to);
            }
            if dies {
                instances.start_again(instance).await;
            }
            dies
        }
    }
}

/// Takes down what an instance could not do.
fn limited(faults: &Faults, instance: usize, limit: Limit, from: At, to: At) {
    if from < to {
        let now = faults.world.recorder.now();
        let limited = Limited { instance, limit, from, to, perhaps_from: from, perhaps_to: now };
        faults.world.recorder.limited(limited);
    }
}

async fn disturb(link: &Proxy, fault: InstanceFault, dice: &mut Dice) {
    match fault {
        InstanceFault::CutOff => link.cut(),
        InstanceFault::Silence => {
            link.silence(Direction::ToServer);
            link.silence(Direction::ToClient);
        }
        InstanceFault::Muteness => link.silence(Direction::ToServer),
        InstanceFault::Deafness => link.silence(Direction::ToClient),
        InstanceFault::HalfOpen => link.forget_connections(),
        InstanceFault::Delay => link.delay(dice.millis(20, 200)),
        InstanceFault::LostReplies => {
            for _ in 0..5 {
                link.drop_next_reply();
                tokio::time::sleep(dice.millis(50, 300)).await;
            }
            return;
        }
        _ => return,
    }
    let time = if dice.percent(40) { dice.millis(100, 800) } else { dice.millis(1000, 3500) };
    tokio::time::sleep(time).await;
}

/// By an operator's command, or by its file of settings and SIGHUP.
async fn switch_off(faults: &Faults, instance: usize, dice: &mut Dice) {
    let by_file = dice.percent(50);
    let perhaps_from = faults.world.recorder.now();
    if let Err(complaint) = switch(faults, instance, by_file, false).await {
        faults.complain(complaint);
        return;
    }
    let from = faults.world.recorder.now();
    tokio::time::sleep(dice.millis(300, 2500)).await;
    let to = faults.world.recorder.now();
    let back = switch(faults, instance, by_file, true).await;
    let perhaps_to = faults.world.recorder.now();
    let limit = Limit::SwitchedOff;
    faults.world.recorder.limited(Limited { instance, limit, from, to, perhaps_from, perhaps_to });
    if let Err(complaint) = back {
        faults.complain(complaint);
    }
}

/// Waits until the instance says that it is so.
async fn switch(faults: &Faults, instance: usize, by_file: bool, enabled: bool) -> Result<(), String> {
    let (wire, instances) = (&faults.world.wire, &faults.instances);
    let mut said = None;
    if by_file {
        instances.set_enabled(instance, enabled);
        instances.signal(instance, Signal::HUP);
    } else {
        let changes = json!({"changes": {"enabled": enabled}, "reason": "chaos"});
        said = wire.tell(instance, reqwest::Method::PATCH, "/api/v1/config", Some(changes)).await;
    }
    let mut state = None;
    let done = faults.world.eventually(async || {
        state = wire.look(instance, "/readyz").await;
        let (_, ready) = state.as_ref()?;
        let off = ready["hindered"].as_array()?.iter().any(|by| by["by"] == "switched_off");
        (off != enabled).then_some(())
    });
    let done = done.await;
    done.ok_or_else(|| {
        format!("instance {instance}, by file {by_file}, enabled {enabled}: {said:?}, {state:?}")
    })
}

/// Points inside of an instance and what can happen at them.
const POINTS: [(&str, &[&str]); 5] = [
    ("store.commit", &["unavailable", "lost_reply", "delay", "panic"]),
    // A list that panics has nobody who asks again: that is a 500.
    ("store.load", &["unavailable", "delay"]),
    ("store.probe", &["unavailable", "delay", "panic"]),
    ("journal.append", &["unavailable", "delay"]),
    ("queue.decide", &["panic"]),
];

async fn arm_a_fault_point(faults: &Faults, instance: usize, dice: &mut Dice) {
    let (point, kinds) = dice.pick(&POINTS);
    let kind = dice.pick(kinds);
    // A request whose actor dies of it again and again is given up, and rightly so.
    let times = if kind == "panic" { 1 } else { 1 + dice.below(10) };
    let delay = format!("{}ms", dice.millis(50, 700).as_millis());
    let fault = if kind == "delay" {
        json!({"kind": kind, "times": times, "delay": delay})
    } else {
        json!({"kind": kind, "times": times})
    };
    let path = format!("/api/v1/admin/faults/{point}");
    let wire = &faults.world.wire;
    match wire.tell(instance, reqwest::Method::PUT, &path, Some(fault.clone())).await {
        Some((200..=299, _)) => {}
        other => faults.complain(format!("fault point {point} {fault}: {other:?}")),
    }
    tokio::time::sleep(dice.millis(200, 1500)).await;
    match wire.tell(instance, reqwest::Method::DELETE, "/api/v1/admin/faults", None).await {
        Some((200..=299, _)) => {}
        other => faults.complain(format!("fault points are not disarmed: {other:?}")),
    }
}
