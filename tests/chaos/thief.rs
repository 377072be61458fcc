//! A client that wants what others have: one for each instance, and quick when there is no service,
//! so that it is there at the very moment at which locks are granted again.

use super::dice::Dice;
use super::history::{Answer, Ask, Call};
use super::world::World;
use std::sync::Arc;
use std::time::Duration;

/// The numbers under which they appear in the history.
const FIRST_CLIENT: u32 = 910;
/// While there is service: it is to tempt, not to burden.
const SLOW: (u64, u64) = (50, 250);
const QUICK: (u64, u64) = (2, 15);
/// Longer than any answer that comes without faults.
const PATIENCE: Duration = Duration::from_millis(1500);

pub(super) async fn steal(world: Arc<World>, seed: u64, instance: usize) {
    let client = FIRST_CLIENT + instance as u32;
    let mut dice = Dice::new(seed, u64::from(client));
    let mut pace = SLOW;
    while !world.is_calm() {
        tokio::time::sleep(dice.millis(pace.0, pace.1)).await;
        let held = world.held();
        if held.is_empty() {
            continue;
        }
        let wanted = same_as(&world, &held[dice.below(held.len())]);
        let call = Call::Acquire { ask: Arc::new(wanted), wait_ms: 0 };
        let manner = super::wire::Manner { patience: Some(PATIENCE), ..Default::default() };
        let answer = world.wire.send(client, instance, call, manner).await;
        pace = if answer.is_unavailable() { QUICK } else { SLOW };
        if let Answer::Acquired { lock, .. } = answer {
            let release = Call::Release { id: lock.id, token: lock.token, key: None };
            world.wire.send(client, instance, release, manner).await;
        }
    }
}

/// An ask of its own for what another has. It waits for nothing: what it gets is taken.
fn same_as(world: &World, other: &Ask) -> Ask {
    let number = world.next_ask();
    Ask {
        owner: format!("thief-{number}").into(),
        pull: number,
        priority: 3,
        ttl_ms: 1000,
        queue: false,
        reentrant: false,
        request_id: Some(format!("r{number}").into()),
        ..other.clone()
    }
}
