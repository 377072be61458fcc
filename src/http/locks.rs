//! One lock: show, renew, release; and what ends many or somebody else's.

use super::acquire::ANONYMOUS;
use super::body::{self, Body, Field, Shape, Text};
use super::middleware::request_id;
use super::problem::{self, Complaints, Problem};
use super::query::Query;
use super::views::{LockView, Place, ResourceView, TicketView, ok};
use super::{Door, answers, fields, instant, repeats};
use actix_web::{HttpRequest, HttpResponse, web};
use lockkeeper_actors::{Answer, Failure};
use lockkeeper_core::resource::{NAME_MAX_BYTES, NAMESPACE_MAX_BYTES};
use lockkeeper_core::{EntryId, Refusal, Reply};
use serde::Deserialize;

/// Bytes a reason may have.
pub(super) const REASON_MAX_BYTES: usize = 1024;

/// The id in the path.
pub(super) fn entry_id(req: &HttpRequest) -> Result<EntryId, Problem> {
    let text = req.match_info().get("id").unwrap_or_default();
    text.parse().map_err(|error: lockkeeper_core::id::NotAnId| Problem::field("id", error.to_string()))
}

/// A request without query parameters.
pub(super) fn no_query(req: &HttpRequest) -> Result<(), Problem> {
    Query::read(req.query_string(), &[]).finish()
}

pub(super) fn failed(failure: Failure) -> Problem {
    answers::failure(&failure)
}

/// `GET /api/v1/locks/{id}`.
pub(super) async fn show(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    let id = entry_id(&req)?;
    no_query(&req)?;
    let sight = door.locks.sight(id).await.map_err(failed)?;
    answers::lock_seen(id.resource, &sight)
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RenewBody<'a> {
    fencing_token: Option<u64>,
    #[serde(borrow)]
    ttl: Option<Text<'a>>,
}

impl<'a> Body<'a> for RenewBody<'a> {
    const FIELDS: &'static [Field] = &[("fencing_token", Shape::Number), ("ttl", Shape::Text)];
}

/// `POST /api/v1/locks/{id}/renew`.
pub(super) async fn renew(
    req: HttpRequest,
    payload: web::Payload,
    door: web::Data<Door>,
) -> Result<HttpResponse, Problem> {
    let bytes = body::read(&req, payload).await?;
    let id = entry_id(&req)?;
    no_query(&req)?;
    let (mut spare, mut complaints) = (Vec::new(), Complaints::default());
    let body: RenewBody<'_> = body::decode(&bytes, &mut spare, &mut complaints)?;
    let token = match body.fencing_token {
        Some(token) => fields::number(&mut complaints, "fencing_token", token, 1..=fields::INTEGER_MAX),
        None => {
            complaints.add("fencing_token", "is required");
            None
        }
    };
    let longest = door.tunables().max_ttl;
    let ttl = body.ttl.as_deref().and_then(|text| fields::ttl(&mut complaints, text, longest));
    complaints.check()?;
    door.count_operation();
    let answer = door.locks.renew(id, token.unwrap_or_default(), ttl).await.map_err(failed)?;
    answers::lock(id.resource, &answer)
}

/// `DELETE /api/v1/locks/{id}`.
pub(super) async fn release(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    let id = entry_id(&req)?;
    let mut query = Query::read(req.query_string(), &["fencing_token"]);
    let token = query.required_number("fencing_token", 1..=fields::INTEGER_MAX);
    query.finish()?;
    let nonce = repeats::nonce(&req, "release", id)?;
    door.count_operation();
    let released = door.locks.release(id, token, nonce).await.map_err(failed)?;
    answers::release(id.resource, &released)
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ForceBody<'a> {
    #[serde(borrow)]
    reason: Option<Text<'a>>,
}

impl<'a> Body<'a> for ForceBody<'a> {
    const FIELDS: &'static [Field] = &[("reason", Shape::Text)];
}

/// `POST /api/v1/locks/{id}/force-release`.
pub(super) async fn force_release(
    req: HttpRequest,
    payload: web::Payload,
    door: web::Data<Door>,
) -> Result<HttpResponse, Problem> {
    let bytes = body::read(&req, payload).await?;
    let id = entry_id(&req)?;
    no_query(&req)?;
    let (mut spare, mut complaints) = (Vec::new(), Complaints::default());
    let body: ForceBody<'_> = body::decode(&bytes, &mut spare, &mut complaints)?;
    let reason = body.reason.as_deref().unwrap_or_default();
    fields::text(&mut complaints, "reason", reason, REASON_MAX_BYTES, true);
    complaints.check()?;
    let nonce = repeats::nonce(&req, "force_release", id)?;
    let repeatable = req.headers().contains_key("idempotency-key");
    let force = Force {
        door: web::Data::clone(&door),
        id,
        nonce,
        repeatable,
        reason: reason.to_owned(),
        request_id: request_id(&req),
    };
    door.count_operation();
    // A task of its own: what was begun is written down to its end, even if the client goes away.
    let answer = actix_web::rt::spawn(force.carry_out())
        .await
        .map_err(|error| Problem::internal(format!("a forced release ended early: {error}")))??;
    answers::released(id.resource, &answer)
}

/// An operator's action, written down before it is carried out and again when it is over.
struct Force {
    door: web::Data<Door>,
    id: EntryId,
    nonce: u64,
    /// The client may have sent it before.
    repeatable: bool,
    reason: String,
    request_id: String,
}

impl Force {
    async fn carry_out(self) -> Result<Answer, Problem> {
        let locks = &self.door.locks;
        let shown = locks.show(self.id).await.map_err(failed)?;
        let nothing_to_do = match &shown.outcome {
            Ok(_) => false,
            // What was ended by this very command before is answered like the first time.
            Err(Refusal::Gone(_)) => !self.repeatable,
            Err(_) => true,
        };
        if nothing_to_do {
            return Ok(shown);
        }
        self.write(&shown, "begun", None).await.map_err(|error| {
            let detail = format!("the audit log cannot be written, so nothing was done: {error}");
            Problem::new(&problem::BACKEND_UNAVAILABLE, detail)
        })?;
        let note = format!("forced by {ANONYMOUS}: {}", self.reason);
        let result = locks.force_release(self.id, &note, self.nonce).await;
        let (stage, result_word) = match &result {
            Ok(Answer { outcome: Ok(_), .. }) => ("done", None),
            Ok(Answer { outcome: Err(refusal), .. }) => ("refused", Some(refusal.to_string())),
            Err(failure) => ("failed", Some(failure.to_string())),
        };
        if let Err(error) = self.write(&shown, stage, result_word).await {
            // It has happened all the same, and its beginning is on disk.
            tracing::error!(lock = %self.id, stage, "the audit log does not have the end of a forced release: {error}");
        }
        result.map_err(failed)
    }

    async fn write(&self, shown: &Answer, stage: &str, result: Option<String>) -> Result<(), String> {
        let owner = match &shown.outcome {
            Ok(Reply::Lock(lock)) => Some(&*lock.intent.owner.id),
            Err(Refusal::Gone(ended)) => Some(&*ended.former.intent().owner.id),
            _ => None,
        };
        let entry = serde_json::json!({
            "at": instant::Instant(self.door.locks.now()),
            "action": "lock.force_release",
            "stage": stage,
            "actor": ANONYMOUS,
            "reason": self.reason,
            "lock": self.id.to_string(),
            "resource": self.id.resource.to_string(),
            "key": shown.resource.as_ref().map(|resource| resource.key()),
            "namespace": shown.resource.as_ref().map(|resource| &*resource.namespace),
            "owner": owner,
            "result": result,
            "request_id": self.request_id,
        })
        .to_string();
        let audit = std::sync::Arc::clone(&self.door.audit);
        web::block(move || audit.record(&entry))
            .await
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct PullBody<'a> {
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow)]
    host: Option<Text<'a>>,
    pull: Option<u64>,
    #[serde(borrow)]
    acquired_before: Option<Text<'a>>,
}

impl<'a> Body<'a> for PullBody<'a> {
    const FIELDS: &'static [Field] = &[
        ("namespace", Shape::Text),
        ("host", Shape::Text),
        ("pull", Shape::Number),
        ("acquired_before", Shape::Text),
    ];
}

#[derive(serde::Serialize, Default)]
struct PullAnswer<'a> {
    released: Vec<LockView<'a>>,
    cancelled: Vec<TicketView<'a>>,
}

/// `POST /api/v1/locks/release-by-pull`.
pub(super) async fn release_by_pull(
    req: HttpRequest,
    payload: web::Payload,
    door: web::Data<Door>,
) -> Result<HttpResponse, Problem> {
    let bytes = body::read(&req, payload).await?;
    no_query(&req)?;
    let (mut spare, mut c) = (Vec::new(), Complaints::default());
    let body: PullBody<'_> = body::decode(&bytes, &mut spare, &mut c)?;
    let namespace = body.namespace.as_deref().unwrap_or_default();
    fields::text(&mut c, "namespace", namespace, NAMESPACE_MAX_BYTES, true);
    let host = body.host.as_deref().unwrap_or(&door.params.default_host);
    fields::text(&mut c, "host", host, NAME_MAX_BYTES, false);
    let pull = match body.pull {
        Some(num) => fields::number(&mut c, "pull", num, 1..=fields::INTEGER_MAX),
        None => {
            c.add("pull", "is required");
            None
        }
    };
    let before = match body.acquired_before.as_deref().map(instant::parse) {
        Some(Err(message)) => {
            c.add("acquired_before", message);
            None
        }
        Some(Ok(at)) => Some(at),
        None => None,
    };
    c.check()?;
    door.count_operation();
    let answers =
        door.locks.release_pull(host, namespace, pull.unwrap_or_default(), before).await.map_err(failed)?;
    let mut told = PullAnswer::default();
    for answer in &answers {
        let Some(resource) = answer.resource.as_deref() else { continue };
        let of = ResourceView { id: resource.id(), resource };
        match &answer.outcome {
            Ok(Reply::Pull { released, cancelled }) => {
                told.released.extend(released.iter().map(|lock| of.lock(lock, answer.decided_at)));
                told.cancelled.extend(cancelled.iter().map(|ticket| of.ticket(ticket, Place::Cancelled)));
            }
            Ok(_) => return Err(Problem::internal("an answer of another kind than was asked for")),
            Err(refusal) => return Err(answers::refusal(refusal, Some(of), answer.decided_at)),
        }
    }
    ok(&told)
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{TestDoor, code, fields_of};
    use serde_json::json;

    #[actix_web::test]
    async fn a_lock_is_acquired_renewed_shown_and_released() {
        let door = TestDoor::start().await;
        let (status, answer) = door.post("/api/v1/locks", &door.ask("net", "one")).await;
        assert_eq!(
            (status, &answer["status"], &answer["reentrant"]),
            (200, &json!("acquired"), &json!(false))
        );
        let (id, token) =
            (answer["lock"]["id"].as_str().unwrap(), answer["lock"]["fencing_token"].as_u64().unwrap());

        let (status, again) = door.post("/api/v1/locks", &door.ask("./net/", "one")).await;
        assert_eq!((status, &again["reentrant"], &again["lock"]["id"]), (200, &json!(true), &json!(id)));
        let body = json!({"fencing_token": token, "ttl": "1h"});
        let (status, renewed) = door.post(&format!("/api/v1/locks/{id}/renew"), &body).await;
        assert_eq!((status, &renewed["lock"]["expires_in"]), (200, &json!("1h0m0s")));
        let (status, stale) =
            door.post(&format!("/api/v1/locks/{id}/renew"), &json!({"fencing_token": 1})).await;
        assert_eq!((status, code(&stale)), (409, "stale_token"));
        let (status, shown) = door.get(&format!("/api/v1/locks/{id}")).await;
        assert_eq!((status, &shown["lock"]["state"]), (200, &json!("held")));

        let (status, held) = door.post("/api/v1/locks", &door.ask("net", "two")).await;
        assert_eq!((status, code(&held), &held["holders"][0]["id"]), (409, "held", &json!(id)));
        assert_eq!(
            (&held["retryable"], &held["detail"]),
            (&json!(true), &json!("held by one; 0 wait for it"))
        );

        let path = format!("/api/v1/locks/{id}?fencing_token={token}");
        let (status, released) = door.delete_keyed(&path, Some("k")).await;
        assert_eq!(
            (status, &released["released"]["id"], &released["granted_to"]),
            (200, &json!(id), &json!(null))
        );
        assert_eq!(door.delete_keyed(&path, Some("k")).await.0, 200);
        let (status, gone) = door.delete_keyed(&path, None).await;
        assert_eq!((status, code(&gone), gone["ended_at"].is_string()), (410, "released", true));
        assert_eq!(door.get(&format!("/api/v1/locks/{id}")).await.0, 410);
    }

    #[actix_web::test]
    async fn a_pull_request_is_released_in_its_repository_only() {
        let door = TestDoor::start().await;
        for (namespace, path) in [("acme/infra", "a"), ("acme/infra", "b"), ("acme/infra-2", "a")] {
            let mut ask = door.ask(path, &format!("{namespace}#42"));
            ask["resource"]["namespace"] = json!(namespace);
            ask["owner"]["pull"] = json!({"num": 42});
            assert_eq!(door.post("/api/v1/locks", &ask).await.0, 200);
        }
        let body = json!({"namespace": "acme/infra", "pull": 42, "acquired_before": "2020-01-01T00:00:00Z"});
        let (status, none) = door.post("/api/v1/locks/release-by-pull", &body).await;
        assert_eq!((status, none), (200, json!({"released": [], "cancelled": []})));
        let body = json!({"namespace": "acme/infra", "pull": 42, "acquired_before": null});
        let (status, told) = door.post("/api/v1/locks/release-by-pull", &body).await;
        assert_eq!((status, told["released"].as_array().unwrap().len()), (200, 2));
        let (_, left) = door.get("/api/v1/locks").await;
        assert_eq!(left["locks"][0]["resource"]["namespace"], "acme/infra-2");
        assert_eq!(left["locks"].as_array().unwrap().len(), 1);
    }

    #[actix_web::test]
    async fn a_forced_release_is_written_down_first() {
        let door = TestDoor::start().await;
        let lock = door.lock("net", "one").await;
        let path = format!("/api/v1/locks/{}/force-release", lock["id"].as_str().unwrap());
        let body = json!({"reason": "the runner is gone"});

        door.audit.refuse(true);
        let (status, refused) = door.post(&path, &body).await;
        assert_eq!((status, code(&refused)), (503, "backend_unavailable"));
        assert!(refused["detail"].as_str().unwrap().starts_with("the audit log cannot be written"));
        assert_eq!(door.get(&format!("/api/v1/locks/{}", lock["id"].as_str().unwrap())).await.0, 200);

        door.audit.refuse(false);
        let (status, forced) = door.post(&path, &body).await;
        assert_eq!((status, &forced["released"]["id"]), (200, &lock["id"]));
        let lines = door.audit.lines();
        let stages: Vec<_> = lines.iter().map(|line| line["stage"].as_str().unwrap()).collect();
        assert_eq!(stages, ["begun", "done"]);
        assert_eq!((&lines[0]["reason"], &lines[0]["owner"]), (&json!("the runner is gone"), &json!("one")));
        assert!(!lines[0]["request_id"].as_str().unwrap().is_empty());
        let (status, gone) = door.post(&path, &body).await;
        assert_eq!((status, code(&gone)), (410, "forced"));
        assert!(gone["detail"].as_str().unwrap().ends_with("forced by anonymous: the runner is gone"));
        assert_eq!(door.audit.lines().len(), 2);
    }

    #[actix_web::test]
    async fn bad_input_is_named_and_changes_nothing() {
        let door = TestDoor::start().await;
        let lock = door.lock("net", "one").await;
        let id = lock["id"].as_str().unwrap();
        let token = lock["fencing_token"].as_u64().unwrap();
        let before = door.get(&format!("/api/v1/locks/{id}")).await.1["lock"]["expires_at"].clone();
        let (renew, force) =
            (format!("/api/v1/locks/{id}/renew"), format!("/api/v1/locks/{id}/force-release"));
        let pull = "/api/v1/locks/release-by-pull";
        let long = "x".repeat(1025);
        for (path, body, field) in [
            ("/api/v1/locks/nonsense/renew", json!({"fencing_token": 1}), "id"),
            (&renew, json!({}), "fencing_token"),
            (&renew, json!({"fencing_token": "7"}), "fencing_token"),
            (&renew, json!({"fencing_token": 0}), "fencing_token"),
            (&renew, json!({"fencing_token": 1_u64 << 53}), "fencing_token"),
            (&renew, json!({"fencing_token": token, "ttl": "1ms"}), "ttl"),
            (&renew, json!({"fencing_token": token, "ttl": "721h"}), "ttl"),
            (&renew, json!({"fencing_token": token, "lease": "1h"}), "lease"),
            (&format!("{renew}?ttl=1h"), json!({"fencing_token": token}), "ttl"),
            (&force, json!({}), "reason"),
            (&force, json!({"reason": ""}), "reason"),
            (&force, json!({"reason": long}), "reason"),
            (&force, json!({"reason": "x", "force": true}), "force"),
            (pull, json!({"pull": 1}), "namespace"),
            (pull, json!({"namespace": "", "pull": 1}), "namespace"),
            (pull, json!({"namespace": "a"}), "pull"),
            (pull, json!({"namespace": "a", "pull": 0}), "pull"),
            (pull, json!({"namespace": "a", "pull": "1"}), "pull"),
            (pull, json!({"namespace": "a", "pull": 1, "acquired_before": "yesterday"}), "acquired_before"),
            (pull, json!({"namespace": "a", "pull": 1, "host": "\n"}), "host"),
        ] {
            let (status, answer) = door.post(path, &body).await;
            assert_eq!((status, fields_of(&answer)), (400, vec![field.to_owned()]), "{path} {body}");
        }
        for (path, field) in [
            (format!("/api/v1/locks/{id}"), "fencing_token"),
            (format!("/api/v1/locks/{id}?fencing_token="), "fencing_token"),
            (format!("/api/v1/locks/{id}?fencing_token=0"), "fencing_token"),
            (format!("/api/v1/locks/{id}?fencing_token=-1"), "fencing_token"),
            (format!("/api/v1/locks/{id}?fencing_token=99999999999999999999"), "fencing_token"),
            (format!("/api/v1/locks/{id}?fencing_token={token}&force=true"), "force"),
            ("/api/v1/locks/short?fencing_token=1".into(), "id"),
        ] {
            let (status, answer) = door.delete_keyed(&path, None).await;
            assert_eq!((status, fields_of(&answer)), (400, vec![field.to_owned()]), "{path}");
        }
        let (status, shown) = door.get(&format!("/api/v1/locks/{id}")).await;
        assert_eq!((status, &shown["lock"]["expires_at"]), (200, &before));
        assert!(door.audit.lines().is_empty());
    }
}
