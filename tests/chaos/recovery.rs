//! Is everything back? Each instance that is up must grant in every namespace.

use super::catalog::{NAMESPACES, key};
use super::history::{Answer, Ask, Call, Mode};
use super::world::World;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The number under which the looks after service appear in the history.
const CLIENT: u32 = 900;
/// Longer than anything may take to come back, the longest wait for a write-back included.
const AT_MOST: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until everything can be granted again; how long that took.
pub(super) async fn recovered(world: &World) -> Result<Duration, String> {
    let begun = Instant::now();
    for instance in 0..world.wire.instances() {
        while world.is_fit(instance) && !is_back(world, instance).await {
            if begun.elapsed() > AT_MOST {
                let state = world.wire.look(instance, "/readyz").await;
                return Err(format!("instance {instance} is not back after {AT_MOST:?}: {state:?}"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(begun.elapsed())
}

async fn is_back(world: &World, instance: usize) -> bool {
    let Some((200, ready)) = world.wire.look(instance, "/readyz").await else { return false };
    if ready["sealed_partitions"] != 0 {
        return false;
    }
    for namespace in NAMESPACES {
        if !grants(world, instance, namespace).await {
            return false;
        }
    }
    true
}

async fn grants(world: &World, instance: usize, namespace: &str) -> bool {
    let number = world.next_ask();
    let path = format!("probe/{instance}");
    let ask = Ask {
        resource: key(namespace, &path),
        namespace: namespace.into(),
        path: path.into(),
        owner: format!("probe-{number}").into(),
        pull: number,
        mode: Mode::Exclusive,
        priority: 1,
        ttl_ms: 500,
        queue: false,
        queue_timeout_ms: 0,
        attended: true,
        reentrant: true,
        request_id: Some(format!("r{number}").into()),
    };
    let _care = world.care_for(&ask.owner);
    match world.wire.ask(CLIENT, instance, Call::Acquire { ask: Arc::new(ask), wait_ms: 0 }).await {
        Answer::Acquired { lock, .. } => {
            let call = Call::Release { id: lock.id, token: lock.token, key: None };
            matches!(world.wire.ask(CLIENT, instance, call).await, Answer::Released { .. })
        }
        _ => false,
    }
}
