//! The operator: ends somebody's lock now and then, whether it is needed or not.

use super::dice::Dice;
use super::history::{Answer, Call};
use super::world::World;
use std::sync::Arc;

const CLIENT: u32 = 901;
/// Distinguishes its chances from those of clients.
const STREAM: u64 = 901;

pub(super) async fn operate(world: Arc<World>, seed: u64) {
    let mut dice = Dice::new(seed, STREAM);
    while !world.is_calm() {
        tokio::time::sleep(dice.millis(300, 1200)).await;
        let instance = dice.below(world.wire.instances());
        let list = if dice.percent(30) { Call::ListStored } else { Call::List };
        let Answer::Listed(locks) = world.wire.ask(CLIENT, instance, list).await else { continue };
        if locks.is_empty() || dice.percent(40) {
            continue;
        }
        let instance = dice.below(world.wire.instances());
        world.wire.ask(CLIENT, instance, Call::Force { id: dice.pick(&locks).id }).await;
    }
}
