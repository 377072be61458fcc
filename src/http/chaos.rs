//! What exists only with `--chaos`: killing actors.

use super::Door;
use super::body::{self, Body, Field, Shape, Text};
use super::locks::no_query;
use super::problem::{self, Complaints, Problem};
use super::views::json;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use lockkeeper_actors::Kill;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct KillBody<'a> {
    #[serde(borrow)]
    how: Option<Text<'a>>,
}

impl<'a> Body<'a> for KillBody<'a> {
    const FIELDS: &'static [Field] = &[("how", Shape::Text)];
}

#[derive(Serialize)]
struct Killed<'a> {
    killed: &'a str,
}

/// `POST /api/v1/admin/actors/{name}/kill`.
pub(super) async fn kill(
    req: HttpRequest,
    payload: web::Payload,
    door: web::Data<Door>,
) -> Result<HttpResponse, Problem> {
    let bytes = body::read(&req, payload).await?;
    no_query(&req)?;
    let (mut spare, mut complaints) = (Vec::new(), Complaints::default());
    let body: KillBody<'_> = body::decode(&bytes, &mut spare, &mut complaints)?;
    let how = match body.how.as_deref() {
        Some("panic") => Kill::Panic,
        Some("stop") => Kill::Stop,
        Some(_) => {
            complaints.add("how", "must be panic or stop");
            Kill::Stop
        }
        None => {
            complaints.add("how", "is required: panic or stop");
            Kill::Stop
        }
    };
    complaints.check()?;
    let name = req.match_info().get("name").unwrap_or_default();
    if door.locks.kill_actor(name, how) {
        tracing::warn!(actor = name, ?how, "an actor is killed on demand");
        return json(StatusCode::ACCEPTED, &Killed { killed: name });
    }
    Err(if door.locks.has_actor(name) {
        Problem::new(&problem::OVERLOADED, "the actor's mailbox is full, or it is dead already")
    } else {
        let detail = "no actor has this name; GET /api/v1/actors lists those that are always there, and \
                      queue:{resource id} names that of a resource in use";
        Problem::new(&problem::NOT_FOUND, detail)
    })
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{TestDoor, code, fields_of};
    use serde_json::json;

    #[actix_web::test]
    async fn without_the_flag_there_is_nothing() {
        let door = TestDoor::start().await;
        let (status, answer) = door.post("/api/v1/admin/actors/reaper/kill", &json!({"how": "panic"})).await;
        assert_eq!((status, code(&answer)), (404, "not_found"), "{answer}");
        let (_, described) = door.get("/api/openapi.json").await;
        let paths = described["paths"].as_object().unwrap();
        assert!(paths.keys().all(|path| !path.starts_with("/api/v1/admin/")), "{:?}", paths.keys());
    }

    #[actix_web::test]
    async fn every_actor_is_killed_by_its_name() {
        let door = TestDoor::start_with_chaos().await;
        let lock = door.lock("p", "me").await;
        let queue = format!("queue:{}", lock["resource"]["id"].as_str().unwrap());
        let names = ["coordinator-0", "coordinator-1", "event_hub", "reaper", "health", &queue];
        for (name, how) in names.iter().flat_map(|name| [(name, "panic"), (name, "stop")]) {
            let path = format!("/api/v1/admin/actors/{name}/kill");
            let (status, answer) = door.post(&path, &json!({"how": how})).await;
            assert_eq!((status, &answer), (202, &json!({"killed": name})), "{name}");
            // It answers as before.
            let (status, answer) = door.post("/api/v1/locks", &door.ask("p", "me")).await;
            assert_eq!((status, &answer["lock"]["fencing_token"]), (200, &lock["fencing_token"]));
        }
        for name in ["nobody", "coordinator-2", "queue:0000000000000000", "queue:x", "queue"] {
            let path = format!("/api/v1/admin/actors/{name}/kill");
            let (status, answer) = door.post(&path, &json!({"how": "stop"})).await;
            assert_eq!((status, code(&answer)), (404, "not_found"), "{name}");
        }
        for body in [json!({}), json!({"how": "gently"}), json!({"how": 1}), json!({"how": null})] {
            let (status, answer) = door.post("/api/v1/admin/actors/reaper/kill", &body).await;
            assert_eq!((status, fields_of(&answer)), (400, vec!["how".to_owned()]), "{body}");
        }
        let (_, described) = door.get("/api/openapi.json").await;
        assert!(described["paths"]["/api/v1/admin/actors/{name}/kill"]["post"].is_object());
    }
}
