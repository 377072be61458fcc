//! Makes documents large before anything else happens: what ended is remembered for minutes, and so
//! large documents are stored and read in another way than small ones.

use super::catalog::{Wanted, key};
use super::history::{Answer, Ask, Call, Mode};
use super::world::World;
use std::sync::Arc;

const CLIENT: u32 = 903;

/// Takes and gives back every other of what everyone wants, so many times.
pub(super) async fn fatten(world: &World, times: usize) {
    let hot = Wanted::hot().into_iter().step_by(2).filter(|wanted| wanted.mode == Mode::Exclusive);
    let all: Vec<_> = hot.map(|wanted| take_and_give(world, wanted, times)).collect();
    futures_util::future::join_all(all).await;
}

async fn take_and_give(world: &World, wanted: Wanted, times: usize) {
    for time in 0..times {
        let number = world.next_ask();
        let ask = Ask {
            resource: key(&wanted.namespace, &wanted.path),
            namespace: Arc::clone(&wanted.namespace),
            path: Arc::clone(&wanted.path),
            owner: format!("early-{number}").into(),
            pull: number,
            mode: wanted.mode,
            priority: 1,
            ttl_ms: 5000,
            queue: false,
            queue_timeout_ms: 0,
            attended: true,
            reentrant: true,
            request_id: Some(format!("r{number}").into()),
        };
        let instance = time % world.wire.instances();
        let acquire = Call::Acquire { ask: Arc::new(ask), wait_ms: 0 };
        if let Answer::Acquired { lock, .. } = world.wire.ask(CLIENT, instance, acquire).await {
            let release = Call::Release { id: lock.id, token: lock.token, key: None };
            world.wire.ask(CLIENT, instance, release).await;
        }
    }
}
