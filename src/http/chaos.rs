//! What exists only with `--chaos`: killing actors, and faults at named points.

use super::Door;
use super::body::{self, Body, Field, Shape, Text};
use super::fields;
use super::locks::no_query;
use super::problem::{self, Complaints, Problem};
use super::views::{Shown, json, ok};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use lockkeeper_actors::{FAULT_DELAY_MAX, FAULT_TIMES_MAX, FaultKind, FaultPoint, Kill, PlannedFault};
use lockkeeper_core::{ResourceId, Span};
use serde::{Deserialize, Serialize};
use std::time::Duration;

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

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct FaultBody<'a> {
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    times: Option<u64>,
    #[serde(borrow)]
    delay: Option<Text<'a>>,
    #[serde(borrow)]
    resource: Option<Text<'a>>,
}

impl<'a> Body<'a> for FaultBody<'a> {
    const FIELDS: &'static [Field] =
        &[("kind", Shape::Text), ("times", Shape::Number), ("delay", Shape::Text), ("resource", Shape::Text)];
}

#[derive(Serialize)]
struct FaultView {
    point: &'static str,
    kind: &'static str,
    times: u32,
    delay: Shown<Span>,
    resource: Option<Shown<ResourceId>>,
}

#[derive(Serialize)]
struct FaultList {
    faults: Vec<FaultView>,
}

impl From<PlannedFault> for FaultView {
    fn from(fault: PlannedFault) -> Self {
        Self {
            point: fault.point.as_str(),
            kind: fault.kind.as_str(),
            times: fault.times,
            delay: Shown(Span::from_micros(u64::try_from(fault.delay.as_micros()).unwrap_or(u64::MAX))),
            resource: fault.resource.map(Shown),
        }
    }
}

/// The point in the path.
fn point(req: &HttpRequest) -> Result<FaultPoint, Problem> {
    FaultPoint::parse(req.match_info().get("point").unwrap_or_default()).ok_or_else(|| {
        let known = FaultPoint::ALL.map(FaultPoint::as_str).join(", ");
        Problem::new(&problem::NOT_FOUND, format!("no fault can be planned there; known points: {known}"))
    })
}

fn kind(complaints: &mut Complaints, point: FaultPoint, given: Option<&str>) -> Option<FaultKind> {
    let allowed = || point.kinds().iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
    let Some(given) = given else {
        complaints.add("kind", format!("is required: {}", allowed()));
        return None;
    };
    let kind = FaultKind::parse(given).filter(|kind| point.kinds().contains(kind));
    if kind.is_none() {
        complaints.add("kind", format!("cannot happen at {}; allowed: {}", point.as_str(), allowed()));
    }
    kind
}

fn delay(complaints: &mut Complaints, kind: Option<FaultKind>, given: Option<&str>) -> Duration {
    match (kind, given) {
        (Some(FaultKind::Delay), None) => complaints.add("delay", "is required: up to 10s"),
        (Some(FaultKind::Delay) | None, Some(given)) => match Span::parse(given) {
            Ok(span) if span > Span::ZERO && span.to_std() <= FAULT_DELAY_MAX => return span.to_std(),
            Ok(span) => complaints.add("delay", format!("is {span}; allowed is more than 0s, up to 10s")),
            Err(error) => complaints.add("delay", error.to_string()),
        },
        (Some(_), Some(_)) => complaints.add("delay", "is only for the kind delay"),
        (_, None) => {}
    }
    Duration::ZERO
}

fn resource(complaints: &mut Complaints, point: FaultPoint, given: Option<&str>) -> Option<ResourceId> {
    let given = given?;
    if !point.is_of_resource() {
        complaints.add("resource", format!("{} is not passed for one resource", point.as_str()));
        return None;
    }
    match given.parse() {
        Ok(id) => Some(id),
        Err(error) => {
            complaints.add("resource", error.to_string());
            None
        }
    }
}

/// `PUT /api/v1/admin/faults/{point}`.
pub(super) async fn plan(
    req: HttpRequest,
    payload: web::Payload,
    door: web::Data<Door>,
) -> Result<HttpResponse, Problem> {
    let bytes = body::read(&req, payload).await?;
    no_query(&req)?;
    let point = point(&req)?;
    let (mut spare, mut complaints) = (Vec::new(), Complaints::default());
    let body: FaultBody<'_> = body::decode(&bytes, &mut spare, &mut complaints)?;
    let kind = kind(&mut complaints, point, body.kind.as_deref());
    let times = body.times.unwrap_or(1);
    let times = fields::number(&mut complaints, "times", times, 1..=u64::from(FAULT_TIMES_MAX));
    let delay = delay(&mut complaints, kind, body.delay.as_deref());
    let resource = resource(&mut complaints, point, body.resource.as_deref());
    complaints.check()?;
    let (Some(kind), Some(times)) = (kind, times.and_then(|times| u32::try_from(times).ok())) else {
        return Err(Problem::internal("a fault that was checked is not whole"));
    };
    let fault = PlannedFault { point, kind, times, delay, resource };
    if !door.locks.plan_fault(fault) {
        return Err(Problem::internal("faults cannot be planned in this server"));
    }
    tracing::warn!(point = point.as_str(), kind = kind.as_str(), times, "a fault is planned on demand");
    ok(&FaultView::from(fault))
}

/// `GET /api/v1/admin/faults`.
pub(super) async fn list(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    no_query(&req)?;
    ok(&FaultList { faults: door.locks.planned_faults().into_iter().map(FaultView::from).collect() })
}

/// `DELETE /api/v1/admin/faults`.
pub(super) async fn remove_all(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    no_query(&req)?;
    door.locks.remove_faults(None);
    Ok(HttpResponse::NoContent().finish())
}

/// `DELETE /api/v1/admin/faults/{point}`. Nothing planned there is as good as taken back.
pub(super) async fn remove(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    no_query(&req)?;
    door.locks.remove_faults(Some(point(&req)?));
    Ok(HttpResponse::NoContent().finish())
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
        for path in ["/api/v1/admin/faults", "/api/v1/admin/faults/store.commit"] {
            assert_eq!(door.get(path).await.0, 404, "{path}");
            let (status, answer) = door.put(path, &json!({"kind": "unavailable"})).await;
            assert_eq!((status, code(&answer)), (404, "not_found"), "{path}");
        }
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

    #[actix_web::test]
    async fn faults_are_planned_listed_and_taken_back() {
        let door = TestDoor::start_with_chaos().await;
        let faults = "/api/v1/admin/faults";
        assert_eq!(door.get(faults).await, (200, json!({"faults": []})));
        let at = |point: &str| format!("{faults}/{point}");
        let commit = json!({"point": "store.commit", "kind": "lost_reply", "times": 2, "delay": "0s",
            "resource": null});
        let planned = door.put(&at("store.commit"), &json!({"kind": "lost_reply", "times": 2})).await;
        assert_eq!(planned, (200, commit.clone()));
        let (status, probe) = door
            .put(&at("journal.append"), &json!({"kind": "delay", "times": 1000000, "delay": "10s"}))
            .await;
        assert_eq!((status, &probe["delay"]), (200, &json!("10s")));
        assert_eq!(door.get(faults).await.1, json!({"faults": [commit, probe]}));

        // It happens, as often as planned.
        for left in [1, 0] {
            let (status, answer) = door.post("/api/v1/locks", &door.ask(&format!("p{left}"), "me")).await;
            assert_eq!((status, code(&answer)), (503, "outcome_unknown"), "{answer}");
            let (_, listed) = door.get(faults).await;
            let commit =
                listed["faults"].as_array().unwrap().iter().find(|fault| fault["point"] == "store.commit");
            assert_eq!(commit.map_or(&json!(0), |fault| &fault["times"]), &json!(left));
        }
        door.lock("p2", "me").await;
        for path in [at("journal.append"), at("journal.append"), faults.to_owned(), faults.to_owned()] {
            assert_eq!(door.delete_keyed(&path, None).await.0, 204, "{path}");
        }
        assert_eq!(door.get(faults).await, (200, json!({"faults": []})));
    }

    #[actix_web::test]
    async fn faults_that_cannot_be_are_refused_with_what_can() {
        let door = TestDoor::start_with_chaos().await;
        let at = |point: &str| format!("/api/v1/admin/faults/{point}");
        let (status, answer) = door.put(&at("store.delete"), &json!({"kind": "panic"})).await;
        assert_eq!((status, code(&answer)), (404, "not_found"));
        assert!(answer["detail"].as_str().unwrap().contains("queue.decide"), "{answer}");
        assert_eq!(door.delete_keyed(&at("store"), None).await.0, 404);
        for (point, body, fields) in [
            ("store.commit", json!({}), vec!["kind"]),
            ("store.commit", json!({"kind": "explode"}), vec!["kind"]),
            ("store.load", json!({"kind": "lost_reply"}), vec!["kind"]),
            ("queue.decide", json!({"kind": "delay", "delay": "1s"}), vec!["kind"]),
            ("store.load", json!({"kind": "panic", "times": 0}), vec!["times"]),
            ("store.load", json!({"kind": "panic", "times": 1000001}), vec!["times"]),
            ("store.load", json!({"kind": "delay"}), vec!["delay"]),
            ("store.load", json!({"kind": "delay", "delay": "0s"}), vec!["delay"]),
            ("store.load", json!({"kind": "delay", "delay": "10s1ms"}), vec!["delay"]),
            ("store.load", json!({"kind": "delay", "delay": "soon"}), vec!["delay"]),
            ("store.load", json!({"kind": "panic", "delay": "1s"}), vec!["delay"]),
            ("store.load", json!({"kind": "panic", "resource": "x"}), vec!["resource"]),
            ("store.probe", json!({"kind": "panic", "resource": "0000000000000001"}), vec!["resource"]),
            ("store.load", json!({"kind": "panic", "often": 1, "times": "1"}), vec!["often", "times"]),
        ] {
            let (status, answer) = door.put(&at(point), &body).await;
            let mut named = fields_of(&answer);
            named.sort();
            assert_eq!((status, named), (400, fields.into_iter().map(str::to_owned).collect()), "{body}");
        }
        assert_eq!(door.get("/api/v1/admin/faults").await, (200, json!({"faults": []})));
    }
}
