//! `GET /readyz`: can locks be granted, and if not, what is to be done about it.

use super::Door;
use super::instant::Instant;
use super::problem::Problem;
use super::query::Query;
use super::views::json;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, web};
use lockkeeper_actors::{Hindered, Hindrance, Phase};
use serde::Serialize;

/// What an operator can do, which depends on where the locks are kept.
struct Actions {
    leaving: &'static str,
    store: &'static str,
    breaker: &'static str,
}

const OF_OWN_STORE: Actions = Actions {
    leaving: "wait until this server is back; locks and tickets stay",
    store: "see to the store (disk space, permissions, the disk itself); locks are granted again as soon as it is well",
    breaker: "see why calls of the store fail (GET /api/locks/health, the log); once probes of it are good, locks are granted again",
};

const OF_SHARED_STORE: Actions = Actions {
    leaving: "ask another instance, or wait until this one is back; locks and tickets stay",
    store: "see to Redis (is it up and reached from here, does it take writes: memory, disk, enough replicas); locks are granted again as soon as it is well",
    breaker: "see why calls of Redis fail (GET /api/locks/health, the log); once probes of it are good, locks are granted again",
};

/// Only a shared store is sealed.
const SEALED: &str =
    "wait for the settle window; if it lasts, see the log of each instance (lockkeeper instances names them)";
const SWITCHED_OFF: &str = "switch it on again where it was switched off (a setting or an environment variable); what is held stays held";
const STORM: &str = "see the log for what its actors die of; it grants again after a while without deaths; if it lasts, restart this instance";
const JOURNAL: &str = "wait: releases that were accepted while the store was away are carried out first";

impl Actions {
    const fn of(&self, hindrance: Hindrance) -> &'static str {
        match hindrance {
            Hindrance::Leaving => self.leaving,
            Hindrance::SwitchedOff => SWITCHED_OFF,
            Hindrance::Storm => STORM,
            Hindrance::Store => self.store,
            Hindrance::Breaker => self.breaker,
            Hindrance::Sealed => SEALED,
            Hindrance::Journal => JOURNAL,
        }
    }
}

#[derive(Serialize)]
struct HinderedView {
    by: &'static str,
    since: Instant,
    reason: String,
}

#[derive(Serialize)]
struct Readiness {
    can_grant: bool,
    phase: &'static str,
    since: Instant,
    reason: Option<String>,
    action: Option<&'static str>,
    /// All that keeps it from granting, the most telling first.
    hindered: Vec<HinderedView>,
    sealed_partitions: usize,
}

impl Readiness {
    fn of(door: &Door) -> Self {
        let status = door.locks.service();
        let replica = door.locks.replica();
        let actions = if replica.is_some() { OF_SHARED_STORE } else { OF_OWN_STORE };
        let sealed = replica.map_or(0, |replica| replica.sealed);
        let (mut phase, mut since) = (status.phase, status.since);
        let mut reason = status.reason().map(str::to_owned);
        let mut action = status.hindered.first().map(|first| actions.of(first.by));
        if let Some(leaving) = door.leaving_since()
            && !status.is_hindered_by(Hindrance::Leaving)
        {
            // Load balancers are told before it stops to grant.
            (phase, since) = (Phase::Draining, leaving);
            (reason, action) = (Some("the server is about to stop".into()), Some(actions.leaving));
        } else if sealed > 0 && reason.is_none() {
            let partitions = replica.map_or(0, |replica| replica.partitions);
            reason = Some(format!(
                "{sealed} of {partitions} partitions are sealed: the store may have lost data of them, and the \
                 instances write back what they know"
            ));
            action = Some(SEALED);
        }
        let can_grant = status.hindered.is_empty() && !door.locks.is_draining();
        let view =
            |it: Hindered| HinderedView { by: it.by.as_str(), since: Instant(it.since), reason: it.reason };
        Self {
            can_grant,
            phase: phase.as_str(),
            since: Instant(since),
            reason,
            action,
            hindered: status.hindered.into_iter().map(view).collect(),
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
    let ready = if for_traffic { door.takes_traffic() } else { readiness.can_grant };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = json(status, &readiness)?;
    if !ready {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(response)
}
