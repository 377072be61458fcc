//! `GET /api/v1/actors`: how the actors inside this server do.

use super::Door;
use super::instant::Instant;
use super::locks::no_query;
use super::problem::Problem;
use super::views::{Key, Shown, ok};
use actix_web::{HttpRequest, HttpResponse, web};
use lockkeeper_core::{ResourceId, Span};
use serde::Serialize;
use std::time::Duration;

#[derive(Serialize)]
struct ActorView {
    name: String,
    kind: &'static str,
    alive: bool,
    restarts: u64,
    last_death: Option<Instant>,
    unstable: bool,
}

#[derive(Serialize)]
struct QuarantinedView<'a> {
    resource: Shown<ResourceId>,
    key: Option<Key<'a>>,
    until: Instant,
    deaths: usize,
}

#[derive(Serialize)]
struct Budget {
    deaths_max: u32,
    deaths_per_resource_max: u32,
    window: Shown<Span>,
    calm: Shown<Span>,
}

#[derive(Serialize)]
struct Actors<'a> {
    actors: Vec<ActorView>,
    queue_actors: usize,
    quarantined: Vec<QuarantinedView<'a>>,
    budget: Budget,
}

fn span(duration: Duration) -> Shown<Span> {
    Shown(Span::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
}

/// `GET /api/v1/actors`.
pub(super) async fn list(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    no_query(&req)?;
    let quarantined: Vec<_> = door
        .locks
        .quarantined()
        .into_iter()
        .map(|quarantined| (door.locks.view().get(quarantined.resource), quarantined))
        .collect();
    let budget = door.locks.supervision();
    ok(&Actors {
        actors: door
            .locks
            .actors()
            .into_iter()
            .map(|actor| ActorView {
                name: actor.name,
                kind: actor.kind,
                alive: actor.alive,
                restarts: actor.restarts,
                last_death: actor.last_death.map(Instant),
                unstable: actor.unstable,
            })
            .collect(),
        queue_actors: door.locks.queue_actors(),
        quarantined: quarantined
            .iter()
            .map(|(document, quarantined)| QuarantinedView {
                resource: Shown(quarantined.resource),
                key: document.as_ref().map(|document| Key(document.resource())),
                until: Instant(quarantined.until),
                deaths: quarantined.deaths,
            })
            .collect(),
        budget: Budget {
            deaths_max: budget.deaths_max,
            deaths_per_resource_max: budget.deaths_per_resource_max,
            window: span(budget.window),
            calm: span(budget.calm),
        },
    })
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{TestDoor, fields_of};
    use serde_json::{Value, json};

    fn reaper(answer: &Value) -> &Value {
        let actors = answer["actors"].as_array().unwrap();
        actors.iter().find(|actor| actor["name"] == "reaper").unwrap()
    }

    #[actix_web::test]
    async fn the_actors_are_listed_with_their_deaths() {
        let door = TestDoor::start_with_chaos().await;
        let (status, before) = door.get("/api/v1/actors").await;
        assert_eq!((status, &before["queue_actors"], &before["quarantined"]), (200, &json!(0), &json!([])));
        let names: Vec<&str> =
            before["actors"].as_array().unwrap().iter().filter_map(|actor| actor["name"].as_str()).collect();
        for name in ["coordinator-0", "coordinator-1", "event_hub", "reaper", "health"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert_eq!(
            reaper(&before),
            &json!({"name": "reaper", "kind": "reaper", "alive": true, "restarts": 0, "last_death": null,
                "unstable": false})
        );
        assert_eq!(
            before["budget"],
            json!({"deaths_max": 100, "deaths_per_resource_max": 10, "window": "10s", "calm": "10s"})
        );
        door.lock("p", "me").await;
        door.post("/api/v1/admin/actors/reaper/kill", &json!({"how": "stop"})).await;
        let after = loop {
            let (_, after) = door.get("/api/v1/actors").await;
            if reaper(&after)["restarts"] == 1 && reaper(&after)["alive"] == true {
                break after;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(after["queue_actors"], 1);
        assert!(reaper(&after)["last_death"].as_str().is_some_and(|time| time.ends_with('Z')), "{after}");
        let (status, refused) = door.get("/api/v1/actors?kind=x").await;
        assert_eq!((status, fields_of(&refused)), (400, vec!["kind".to_owned()]));
    }
}
