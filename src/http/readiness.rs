//! `GET /readyz`: can locks be granted, and if not, what is to be done about it.

use super::Door;
use super::instant::Instant;
use super::problem::Problem;
use super::query::Query;
use super::views::json;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

/// What an operator can do, which depends on where the locks are kept.
struct Actions {
    draining: &'static str,
    hold_only: &'static str,
}

const OF_OWN_STORE: Actions = Actions {
    draining: "wait until this server is back; locks and tickets stay",
    hold_only: "see to the store (disk space, permissions, the disk itself); locks are granted again as soon as it answers",
};

const OF_SHARED_STORE: Actions = Actions {
    draining: "ask another instance, or wait until this one is back; locks and tickets stay",
    hold_only: "see to Redis (is it up and reached from here, does it take writes: memory, disk, enough replicas); locks are granted again as soon as it answers",
};

/// Only a shared store is sealed.
const SEALED: &str =
    "wait for the settle window; if it lasts, see the log of each instance (lockkeeper instances names them)";

#[derive(Serialize)]
struct Readiness {
    can_grant: bool,
    phase: &'static str,
    since: Instant,
    reason: Option<String>,
    action: Option<&'static str>,
    sealed_partitions: usize,
}

impl Readiness {
    fn of(door: &Door) -> Self {
        let health = door.locks.health();
        let replica = door.locks.replica();
        let actions = if replica.is_some() { OF_SHARED_STORE } else { OF_OWN_STORE };
        let sealed = replica.map_or(0, |replica| replica.sealed);
        let partitions = replica.map_or(0, |replica| replica.partitions);
        let all_sealed = sealed > 0 && sealed == partitions;
        let sealed_since = replica.and_then(|replica| replica.sealed_since).unwrap_or(health.since);
        let (phase, since, reason, action) = if let Some(since) = door.leaving_since() {
            ("draining", since, Some("the server is about to stop".into()), Some(actions.draining))
        } else if !health.healthy {
            ("hold_only", health.since, health.reason, Some(actions.hold_only))
        } else if all_sealed {
            let reason = "the store may have lost data; the instances write back what they know";
            ("sealed", sealed_since, Some(reason.into()), Some(SEALED))
        } else if sealed > 0 {
            let reason = format!(
                "{sealed} of {partitions} partitions are sealed: the store may have lost data of them, and the \
                 instances write back what they know"
            );
            ("granting", health.since, Some(reason), Some(SEALED))
        } else {
            ("granting", health.since, None, None)
        };
        Self {
            can_grant: health.healthy && !all_sealed && !door.locks.is_draining(),
            phase,
            since: Instant(since),
            reason,
            action,
            sealed_partitions: sealed,
        }
    }
}

/// `GET /readyz`.
pub(super) async fn readyz(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    let mut query = Query::read(req.query_string(), &["for"]);
    let for_traffic = query.word("for", "traffic", |word| (word == "traffic").then_some(())).is_some();
    query.finish()?;
    let readiness = Readiness::of(&door);
    let ready = if for_traffic { door.leaving_since().is_none() } else { readiness.can_grant };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = json(status, &readiness)?;
    if !ready {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(response)
}
