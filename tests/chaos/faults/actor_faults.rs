//! What happens to actors: any of any instance is killed at any moment, while all else goes on.

use super::{Faults, Until};
use crate::chaos::dice::Dice;
use crate::chaos::history::Struck;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

/// Of a hundred kills so many meet the actor of a resource that somebody has or wants.
const QUEUE_PERCENT: u32 = 50;

/// Kinds of actors, by what their names begin with, and what a death is called in the tally.
const KINDS: [(&str, &str, &str); 9] = [
    ("queue:", "queue actor stopped", "queue actor panicked"),
    ("coordinator-", "coordinator stopped", "coordinator panicked"),
    ("event_hub", "event hub stopped", "event hub panicked"),
    ("reaper", "reaper stopped", "reaper panicked"),
    ("health", "health supervisor stopped", "health supervisor panicked"),
    ("breaker", "circuit breaker stopped", "circuit breaker panicked"),
    ("journal", "journal stopped", "journal panicked"),
    ("follower", "follower stopped", "follower panicked"),
    ("custodian", "custodian stopped", "custodian panicked"),
];

/// Kills until it is time to stop.
pub(in crate::chaos) async fn strike_actors(faults: Arc<Faults>, mut dice: Dice, until: Until) {
    while Instant::now() < until.at {
        tokio::time::sleep(dice.millis(100, until.actor_pace_ms)).await;
        let instance = dice.below(faults.world.wire.instances());
        let Some(name) = choose(&faults, instance, &mut dice).await else { continue };
        let how = dice.pick(&["panic", "stop"]);
        kill(&faults, instance, &name, how).await;
    }
}

/// An actor that is there now; none if the instance does not answer.
async fn choose(faults: &Faults, instance: usize, dice: &mut Dice) -> Option<String> {
    let wire = &faults.world.wire;
    if dice.percent(QUEUE_PERCENT) {
        let (_, list) = wire.look(instance, "/api/v1/locks?limit=50").await?;
        let locks = list["locks"].as_array().filter(|locks| !locks.is_empty())?;
        let lock: &Value = &locks[dice.below(locks.len())];
        return Some(format!("queue:{}", lock["resource"]["id"].as_str()?));
    }
    let (_, list) = wire.look(instance, "/api/v1/actors").await?;
    let actors = list["actors"].as_array().filter(|actors| !actors.is_empty())?;
    Some(actors[dice.below(actors.len())]["name"].as_str()?.to_owned())
}

async fn kill(faults: &Faults, instance: usize, name: &str, how: &str) {
    let Some((_, stopped, panicked)) = KINDS.into_iter().find(|(prefix, _, _)| name.starts_with(prefix))
    else {
        faults.complain(format!("an actor that nobody knows: {name}"));
        return;
    };
    let from = faults.world.recorder.now();
    let path = format!("/api/v1/admin/actors/{name}/kill");
    let body = json!({"how": how});
    match faults.world.wire.tell(instance, reqwest::Method::POST, &path, Some(body)).await {
        Some((202, _)) => {
            let what = if how == "panic" { panicked } else { stopped };
            faults.struck(from, Struck::Actor, what, format!("{name} of instance {instance}"));
        }
        // It went to rest, it is dead already, or its instance is.
        Some((404, _)) if name.starts_with("queue:") => {}
        Some((503, _)) | None => {}
        Some(other) => faults.complain(format!("{name} of instance {instance} cannot be killed: {other:?}")),
    }
}
