//! After the faults everything comes to rest: every journal is empty, what was accepted is carried
//! out, every actor is there. Then what nobody cares for any more is cleared away, as operators do,
//! and everything must be free, on every instance.

use super::catalog::{NAMESPACES, Wanted, key};
use super::history::{Answer, Ask, At, Call, Name};
use super::world::World;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The number under which the end of a round appears in the history.
pub(super) const CLIENT: u32 = 902;
/// The metric that counts the releases that were accepted and not carried out yet.
const JOURNAL_PENDING: &str = "atlantis_enhanced_locking_journal_pending";
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Clears away, until nothing is left or the bound is over; what was not in order then.
pub(super) async fn close(world: &World, bound: At) -> Vec<String> {
    let begun = Instant::now();
    let over = || begun.elapsed() > Duration::from_micros(bound);
    let mut complaints = Vec::new();
    for instance in 0..world.wire.instances() {
        while let Some(unrest) = unrest(world, instance).await {
            if over() {
                complaints.push(format!("instance {instance} does not come to rest: {unrest}"));
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    // Judged by what they show: nothing may be left of a release that was put off.
    for id in world.recorder.put_off() {
        world.wire.ask(CLIENT, 0, Call::Show { id }).await;
    }
    while let Some(left) = clear_away(world).await {
        if over() {
            complaints.push(format!("not free within the bound: {left}"));
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    for instance in 0..world.wire.instances() {
        while let Some(left) = still_seen(world, instance).await {
            if over() {
                complaints.push(format!("instance {instance} still shows {left}"));
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        complaints.extend(every_resource_is_free(world, instance, &over).await);
    }
    complaints
}

/// What an instance still has to do before it is as if nothing had happened.
async fn unrest(world: &World, instance: usize) -> Option<String> {
    match world.wire.metric(instance, JOURNAL_PENDING).await {
        Some(0.0) => {}
        other => return Some(format!("{JOURNAL_PENDING} is {other:?}")),
    }
    match world.wire.look(instance, "/readyz").await {
        Some((200, ready)) if ready["can_grant"] == true && ready["sealed_partitions"] == 0 => {}
        other => return Some(format!("not ready: {other:?}")),
    }
    let Some((200, list)) = world.wire.look(instance, "/api/v1/actors").await else {
        return Some("no list of actors".into());
    };
    let ill = |actor: &&Value| actor["alive"] != true || actor["unstable"] != false;
    if let Some(actor) = list["actors"].as_array().into_iter().flatten().find(ill) {
        return Some(format!("an actor: {actor}"));
    }
    list["quarantined"].as_array().is_none_or(|all| !all.is_empty()).then(|| format!("quarantined: {list}"))
}

/// Ends what is left of clients that are gone. `None` if the store has nothing any more.
async fn clear_away(world: &World) -> Option<String> {
    let locks = match world.wire.ask(CLIENT, 0, Call::ListStored).await {
        Answer::Listed(locks) => locks,
        other => return Some(format!("no answer: {other}")),
    };
    for lock in locks.iter().filter(|lock| !world.is_cared_for(&lock.owner)) {
        world.wire.ask(CLIENT, 0, Call::Force { id: Arc::clone(&lock.id) }).await;
    }
    let tickets = match world.wire.look(0, "/api/v1/tickets?limit=1000").await {
        Some((200, list)) => list["tickets"].as_array().cloned().unwrap_or_default(),
        other => return Some(format!("no tickets: {other:?}")),
    };
    for ticket in &tickets {
        let owner = ticket["owner"]["id"].as_str().unwrap_or_default();
        let id: Name = ticket["id"].as_str().unwrap_or_default().into();
        if !world.is_cared_for(owner) {
            world.wire.ask(CLIENT, 0, Call::Cancel { id }).await;
        }
    }
    let left = locks.first().map(|lock| format!("{} locks, like {lock}", locks.len()));
    left.or_else(|| tickets.first().map(|ticket| format!("{} tickets, like {ticket}", tickets.len())))
}

/// What an instance's own view still has.
async fn still_seen(world: &World, instance: usize) -> Option<String> {
    for (path, member) in
        [("/api/v1/locks", "locks"), ("/api/v1/tickets", "tickets"), ("/api/v1/queues", "queues")]
    {
        match world.wire.look(instance, path).await {
            Some((200, list)) if list[member].as_array().is_some_and(Vec::is_empty) => {}
            Some((200, list)) => {
                let first: &Value = &list[member][0];
                return Some(format!("{member}: {first}"));
            }
            other => return Some(format!("no {member}: {other:?}")),
        }
    }
    None
}

/// Takes and gives back everything that was fought over.
async fn every_resource_is_free(world: &World, instance: usize, over: &impl Fn() -> bool) -> Vec<String> {
    let quiet = NAMESPACES.into_iter().map(|namespace| Wanted {
        namespace: namespace.into(),
        path: "quiet/0".into(),
        mode: super::history::Mode::Exclusive,
        hot: false,
    });
    let mut complaints = Vec::new();
    for wanted in Wanted::hot().into_iter().chain(quiet) {
        let number = world.next_ask();
        let ask = Ask {
            resource: key(&wanted.namespace, &wanted.path),
            namespace: wanted.namespace,
            path: wanted.path,
            owner: format!("last-{number}").into(),
            pull: number,
            mode: wanted.mode,
            priority: 0,
            ttl_ms: 5000,
            queue: false,
            queue_timeout_ms: 0,
            attended: true,
            reentrant: true,
            request_id: Some(format!("r{number}").into()),
        };
        let resource = Arc::clone(&ask.resource);
        let acquire = Call::Acquire { ask: Arc::new(ask), wait_ms: 0 };
        let mut answer = world.wire.ask(CLIENT, instance, acquire.clone()).await;
        // What ran out a moment ago stays taken for as long as clocks may be apart.
        while answer.code() == "held" && !over() {
            tokio::time::sleep(LOOK_EVERY).await;
            answer = world.wire.ask(CLIENT, instance, acquire.clone()).await;
        }
        let Answer::Acquired { lock, .. } = answer else {
            complaints.push(format!("{resource} cannot be had at instance {instance}: {answer}"));
            continue;
        };
        let release = Call::Release { id: lock.id, token: lock.token, key: None };
        let answer = world.wire.ask(CLIENT, instance, release).await;
        if !matches!(answer, Answer::Released { granted_to: None, .. }) {
            complaints.push(format!("{resource} cannot be released at instance {instance}: {answer}"));
        }
    }
    complaints
}
