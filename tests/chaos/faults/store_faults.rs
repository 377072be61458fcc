//! What happens to the store.

use super::{Faults, InstanceFault, Until, strike as strike_instance};
use crate::chaos::dice::Dice;
use crate::chaos::ground::StoreFault;
use crate::chaos::history::{Loss, Struck};
use std::sync::Arc;
use std::time::Instant;

/// Of a hundred losses of data so many meet instances that are all awake.
const AWAKE_PERCENT: u32 = 60;

/// Strikes until it is time to stop.
pub(in crate::chaos) async fn strike_store(faults: Arc<Faults>, mut dice: Dice, until: Until) {
    let all = until.all_store_faults;
    if all.is_empty() {
        return;
    }
    let mut menu = until.store_faults;
    dice.shuffle(&mut menu);
    while !menu.is_empty() || Instant::now() < until.at {
        let longest = if menu.is_empty() { 4000 } else { 800 };
        tokio::time::sleep(dice.millis(200, longest)).await;
        let fault = menu.pop().unwrap_or_else(|| dice.pick(all));
        let all_awake = fault.loses_data() && dice.percent(AWAKE_PERCENT);
        let _awake = if all_awake { Some(faults.awake.write().await) } else { None };
        if fault.loses_data() && !all_awake && dice.percent(70) {
            // One that starts while the others write back knows nothing, and must grant nothing. One
            // that was away before and comes back then knows what was, and must undo nothing.
            let companions = [InstanceFault::Kill, InstanceFault::Pause, InstanceFault::Silence];
            let companion = dice.pick(&companions);
            let before = if companion == InstanceFault::Kill { 0 } else { 1500 };
            let instance = dice.below(faults.world.wire.instances());
            let other = strike_instance(&faults, companion, instance, dice.fork());
            let loss = async {
                tokio::time::sleep(dice.millis(before / 3, before)).await;
                strike(&faults, fault, dice).await
            };
            (dice, ()) = futures_util::future::join(loss, other).await;
        } else {
            dice = strike(&faults, fault, dice).await;
        }
    }
}

async fn strike(faults: &Arc<Faults>, fault: StoreFault, mut dice: Dice) -> Dice {
    let spell = faults.begin();
    let ground = Arc::clone(&faults.ground);
    let struck = tokio::task::spawn_blocking(move || {
        ground.strike(fault, &mut dice);
        dice
    });
    let mut dice = struck.await.unwrap();
    faults.cause_ended(&spell, Struck::Store, fault.name(), String::new());
    // What was lost is whole again only when everything can be granted.
    if fault.loses_data() || dice.percent(70) {
        faults.recover(&spell, fault.name()).await;
    }
    if fault.loses_data() {
        let to = faults.world.recorder.now();
        faults.world.recorder.loss(Loss { from: spell.from, to });
    }
    faults.end();
    dice
}
