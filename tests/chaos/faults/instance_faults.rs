//! What happens to instances, and to the network between them and their store.

use super::{Faults, Until};
use crate::chaos::dice::Dice;
use crate::chaos::history::{Absence, micros};
use lockkeeper_store::testing::{Direction, Proxy};
use rustix::process::Signal;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an instance may take to find its store again once it could.
const RECONNECTS_WITHIN: Duration = Duration::from_millis(1500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chaos) enum InstanceFault {
    /// kill -9 and a start.
    Kill,
    /// SIGTERM and a start.
    Stop,
    /// SIGSTOP for longer than most leases, and SIGCONT.
    Pause,
    /// No connection to the store.
    CutOff,
    /// Nothing gets through to the store, and then all of it at once.
    Silence,
    /// The store hears the instance; its answers come late.
    Deafness,
    /// Single replies are lost with their connections.
    LostReplies,
    /// Every byte takes its time.
    Delay,
}

impl InstanceFault {
    /// What can happen: with a network to the store that can fail, or without.
    pub(in crate::chaos) fn menu(has_network: bool) -> Vec<Self> {
        let mut menu = vec![Self::Kill, Self::Stop, Self::Pause];
        if has_network {
            menu.extend([Self::CutOff, Self::Silence, Self::Deafness, Self::LostReplies, Self::Delay]);
        }
        menu
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Kill => "instance killed and restarted",
            Self::Stop => "instance stopped and restarted",
            Self::Pause => "instance paused",
            Self::CutOff => "instance cut off from its store",
            Self::Silence => "instance not heard by its store",
            Self::Deafness => "instance not hearing its store",
            Self::LostReplies => "replies of the store lost",
            Self::Delay => "slow network to the store",
        }
    }
}

/// Strikes until it is time to stop.
pub(in crate::chaos) async fn strike_instances(faults: Arc<Faults>, mut dice: Dice, until: Until) {
    let all = until.instance_faults;
    let mut menu = all.clone();
    dice.shuffle(&mut menu);
    while !menu.is_empty() || Instant::now() < until.at {
        let longest = if menu.is_empty() { 2000 } else { 800 };
        tokio::time::sleep(dice.millis(200, longest)).await;
        let fault = menu.pop().unwrap_or_else(|| dice.pick(&all));
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
    let spell = faults.begin();
    world.set_fit(instance, false);
    let born_again = carry_out(faults, fault, instance, &mut dice).await;
    world.set_fit(instance, true);
    faults.cause_ended(&spell, fault.name(), format!("instance {instance}"));
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
        }
        InstanceFault::Stop => {
            if let Err(complaint) = instances.terminate(instance).await {
                faults.complain(complaint);
                instances.kill(instance);
            }
            tokio::time::sleep(dice.millis(0, 500)).await;
            instances.start_again(instance).await;
        }
        InstanceFault::Pause => {
            instances.signal(instance, Signal::STOP);
            tokio::time::sleep(dice.millis(700, 3500)).await;
            instances.signal(instance, Signal::CONT);
            return false;
        }
        _ => {
            let Some(link) = faults.ground.link(instance) else { return false };
            disturb(link, fault, dice).await;
            // Some never learn what became of what they asked.
            let dies = dice.percent(20);
            if dies {
                instances.kill(instance);
            }
            link.heal();
            if dies {
                instances.start_again(instance).await;
            }
            return dies;
        }
    }
    true
}

async fn disturb(link: &Proxy, fault: InstanceFault, dice: &mut Dice) {
    match fault {
        InstanceFault::CutOff => link.cut(),
        InstanceFault::Silence => {
            link.silence(Direction::ToServer);
            link.silence(Direction::ToClient);
        }
        InstanceFault::Deafness => link.silence(Direction::ToClient),
        InstanceFault::Delay => link.delay(dice.millis(20, 200)),
        InstanceFault::LostReplies => {
            for _ in 0..5 {
                link.drop_next_reply();
                tokio::time::sleep(dice.millis(50, 300)).await;
            }
        }
        InstanceFault::Kill | InstanceFault::Stop | InstanceFault::Pause => {}
    }
    let time = if dice.percent(40) { dice.millis(100, 800) } else { dice.millis(1000, 3500) };
    tokio::time::sleep(if fault == InstanceFault::LostReplies { Duration::ZERO } else { time }).await;
}
