//! How the server does: for load balancers, for people, for monitoring.

use super::Door;
use super::instant::Instant;
use super::locks::no_query;
use super::pages::beside;
use super::problem::Problem;
use super::views::{self, Depth, JSON, Key, Shown, ok};
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use lockkeeper_actors::statistics::{self, Percentiles, Statistics};
use lockkeeper_core::{Document, ResourceId, Span, Timestamp};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// What a newer client may count on.
pub(super) const FEATURES: &[&str] = &[
    "locks",
    "modes",
    "metadata",
    "request-ids",
    "release-by-pull",
    "force-release",
    "queues",
    "tickets",
    "wait",
    "why",
    "config",
    "events",
    "events-resume",
    "stats",
    "metrics",
    "instances",
    "store-warnings",
    "limits",
    "actors",
];

const PROMETHEUS_TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
/// Resources that the queue status tells of one by one.
const RESOURCES_MAX: usize = 1000;

fn span(duration: Duration) -> Span {
    Span::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

#[derive(Serialize)]
struct Alive {
    status: &'static str,
    enhanced_locking: EnhancedLocking,
}

#[derive(Serialize)]
struct EnhancedLocking {
    enabled: bool,
    store: &'static str,
    healthy: bool,
    version: &'static str,
}

/// `GET /healthz`.
pub(super) async fn healthz(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    no_query(&req)?;
    let enhanced_locking = EnhancedLocking {
        enabled: door.locks.switched_off().is_none(),
        store: door.locks.store_name(),
        healthy: door.locks.health().healthy,
        version: door.params.version,
    };
    ok(&Alive { status: "ok", enhanced_locking })
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
    api: &'static str,
    features: &'static [&'static str],
}

/// `GET /version`.
pub(super) async fn version(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    no_query(&req)?;
    ok(&Version { version: door.params.version, api: "v1", features: FEATURES })
}

/// `GET /metrics`. Scrapers may be configured with parameters of their own; they mean nothing here.
pub(super) async fn metrics(door: web::Data<Door>) -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, PROMETHEUS_TEXT)).body(door.exporter.render())
}

#[derive(Serialize)]
struct Compatibility {
    mode: &'static str,
    enhanced_enabled: bool,
    fallback_active: bool,
    legacy_ops: u64,
    enhanced_ops: u64,
    fallback_ops: u64,
}

/// `GET /api/locks/compatibility/status`.
pub(super) async fn compatibility(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    no_query(&req)?;
    ok(&Compatibility {
        mode: "native",
        enhanced_enabled: door.locks.switched_off().is_none(),
        fallback_active: false,
        legacy_ops: 0,
        enhanced_ops: door.operations(),
        fallback_ops: 0,
    })
}

/// What there is now.
#[derive(Default)]
struct Counts {
    resources: usize,
    held: usize,
    reserved: usize,
    depth: Depth,
    oldest_wait: Option<Span>,
}

impl Counts {
    fn add(&mut self, document: &Document, now: Timestamp) {
        let before = self.held + self.reserved;
        for lock in document.locks().filter(|lock| !lock.is_over(now)) {
            if lock.is_reserved() { self.reserved += 1 } else { self.held += 1 }
        }
        self.depth.add(Depth(document.depths()));
        self.oldest_wait = self.oldest_wait.max(views::oldest_wait(document, now));
        self.resources += usize::from(document.waiting() > 0 || self.held + self.reserved > before);
    }
}

#[derive(Serialize)]
struct Totals {
    resources: usize,
    locks: usize,
    waiting: usize,
    depth: Depth,
    oldest_wait: Option<Shown<Span>>,
}

#[derive(Serialize)]
struct ResourceStatus<'a> {
    id: Shown<ResourceId>,
    key: Key<'a>,
    locks: usize,
    waiting: usize,
    depth: Depth,
    oldest_wait: Option<Shown<Span>>,
}

#[derive(Serialize)]
struct QueueStatus<'a> {
    totals: Totals,
    resources: Vec<ResourceStatus<'a>>,
    truncated: bool,
    as_of: Instant,
}

/// `GET /api/locks/queue-status`.
pub(super) async fn queue_status(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    no_query(&req)?;
    let locks = door.locks.clone();
    let body = beside(locks.view().len(), move || {
        let documents = locks.view().documents(None);
        serde_json::to_vec(&{
            let now = locks.now();
            queue_status_of(&documents, now, locks.as_of(now))
        })
    })
    .await?
    .map_err(|error| Problem::internal(format!("a status cannot be written: {error}")))?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, JSON)).body(body))
}

fn queue_status_of(documents: &[Arc<Document>], now: Timestamp, as_of: Timestamp) -> QueueStatus<'_> {
    let mut counts = Counts::default();
    let mut by_waiting: Vec<&Arc<Document>> = Vec::new();
    for document in documents {
        let before = counts.resources;
        counts.add(document, now);
        if counts.resources > before {
            by_waiting.push(document);
        }
    }
    // The most wanted first; ids make the order the same each time.
    let rank = |document: &&Arc<Document>| (std::cmp::Reverse(document.waiting()), document.id());
    let truncated = by_waiting.len() > RESOURCES_MAX;
    if truncated {
        by_waiting.select_nth_unstable_by_key(RESOURCES_MAX, rank);
        by_waiting.truncate(RESOURCES_MAX);
    }
    by_waiting.sort_unstable_by_key(rank);
    let resources = by_waiting
        .into_iter()
        .map(|document| ResourceStatus {
            id: Shown(document.id()),
            key: Key(document.resource()),
            locks: document.locks().filter(|lock| !lock.is_over(now)).count(),
            waiting: document.waiting(),
            depth: Depth(document.depths()),
            oldest_wait: views::oldest_wait(document, now).map(Shown),
        })
        .collect();
    let totals = Totals {
        resources: counts.resources,
        locks: counts.held + counts.reserved,
        waiting: counts.depth.total(),
        depth: counts.depth,
        oldest_wait: counts.oldest_wait.map(Shown),
    };
    QueueStatus { totals, resources, truncated, as_of: Instant(as_of) }
}

#[derive(Serialize)]
struct Stats<'a> {
    instance: &'a str,
    version: &'static str,
    uptime: Shown<Span>,
    locks: LockCounts,
    tickets: TicketCounts,
    resources: usize,
    queue_actors: usize,
    operations: u64,
    rates: RatesView,
    percentiles: PercentilesView,
    totals: EventTotals,
    last_event: String,
    as_of: Instant,
}

#[derive(Serialize)]
struct LockCounts {
    total: usize,
    held: usize,
    reserved: usize,
}

#[derive(Serialize)]
struct TicketCounts {
    total: usize,
    #[serde(flatten)]
    by_priority: Depth,
    oldest_wait: Option<Shown<Span>>,
}

/// Events per second.
#[derive(Serialize)]
struct RatesView {
    window: Shown<Span>,
    granted_per_second: f64,
    released_per_second: f64,
    expired_per_second: f64,
    queued_per_second: f64,
}

impl RatesView {
    fn of(statistics: &Statistics) -> Self {
        // More digits would tell of nothing that was measured.
        let rounded = |rate: f64| (rate * 1000.0).round() / 1000.0;
        let rates = statistics.rates;
        Self {
            window: Shown(statistics.window),
            granted_per_second: rounded(rates.granted),
            released_per_second: rounded(rates.released),
            expired_per_second: rounded(rates.expired),
            queued_per_second: rounded(rates.queued),
        }
    }
}

#[derive(Serialize)]
struct PercentilesView {
    queue_wait: Shares,
    hold: Shares,
    samples: SampleCounts,
}

#[derive(Serialize)]
struct Shares {
    p50: Option<Shown<Span>>,
    p95: Option<Shown<Span>>,
    p99: Option<Shown<Span>>,
}

impl From<Percentiles> for Shares {
    fn from(of: Percentiles) -> Self {
        Self { p50: of.p50.map(Shown), p95: of.p95.map(Shown), p99: of.p99.map(Shown) }
    }
}

#[derive(Serialize)]
struct SampleCounts {
    queue_wait: usize,
    hold: usize,
}

/// Events since the start.
#[derive(Serialize)]
struct EventTotals {
    granted: u64,
    released: u64,
    expired: u64,
    forced: u64,
    unclaimed: u64,
    queued: u64,
    cancelled: u64,
    timed_out: u64,
}

impl From<statistics::Totals> for EventTotals {
    fn from(totals: statistics::Totals) -> Self {
        let statistics::Totals {
            granted,
            released,
            expired,
            forced,
            unclaimed,
            queued,
            cancelled,
            timed_out,
        } = totals;
        Self { granted, released, expired, forced, unclaimed, queued, cancelled, timed_out }
    }
}

/// `GET /api/v1/stats`.
pub(super) async fn stats(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    no_query(&req)?;
    let locks = door.locks.clone();
    let (counts, as_of) = beside(locks.view().len(), move || {
        let mut counts = Counts::default();
        let now = locks.now();
        for document in locks.view().documents(None) {
            counts.add(&document, now);
        }
        (counts, locks.as_of(now))
    })
    .await?;
    let log = door.locks.events();
    let statistics = door.locks.statistics();
    ok(&Stats {
        instance: &door.params.instance,
        version: door.params.version,
        uptime: Shown(views::whole_millis(span(door.uptime()))),
        locks: LockCounts {
            total: counts.held + counts.reserved,
            held: counts.held,
            reserved: counts.reserved,
        },
        tickets: TicketCounts {
            total: counts.depth.total(),
            by_priority: counts.depth,
            oldest_wait: counts.oldest_wait.map(Shown),
        },
        resources: counts.resources,
        queue_actors: door.locks.queue_actors(),
        operations: door.operations(),
        rates: RatesView::of(&statistics),
        percentiles: PercentilesView {
            samples: SampleCounts {
                queue_wait: statistics.queue_wait.samples,
                hold: statistics.hold.samples,
            },
            queue_wait: statistics.queue_wait.into(),
            hold: statistics.hold.into(),
        },
        totals: statistics.totals.into(),
        last_event: log.id(log.last()).to_string(),
        as_of: Instant(as_of),
    })
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{TestDoor, code, fields_of};
    use actix_web::test::TestRequest;
    use lockkeeper_store::StoreError;
    use serde_json::json;

    #[actix_web::test]
    async fn a_healthy_server_says_so() {
        let door = TestDoor::start().await;
        let (status, alive) = door.get("/healthz").await;
        let expected = json!({"enabled": true, "store": "embedded", "healthy": true, "version": "1.2.3"});
        assert_eq!((status, alive), (200, json!({"status": "ok", "enhanced_locking": expected})));
        let (status, ready) = door.get("/readyz").await;
        assert_eq!((status, &ready["can_grant"], &ready["phase"]), (200, &json!(true), &json!("granting")));
        assert_eq!((&ready["reason"], &ready["sealed_partitions"]), (&json!(null), &json!(0)));
        assert_eq!(door.get("/readyz?for=traffic").await.0, 200);
        let (_, version) = door.get("/version").await;
        assert_eq!((&version["version"], &version["api"]), (&json!("1.2.3"), &json!("v1")));
        let (status, health) = door.get("/api/locks/health").await;
        assert_eq!(
            (status, &health["overall"], &health["enhanced"]["healthy"]),
            (200, &json!(true), &json!(true))
        );
        let names: Vec<_> = health.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            names.join(" "),
            "breaker circuit_state enhanced history legacy overall reasons state warnings"
        );
        assert_eq!(
            (&health["legacy"], &health["circuit_state"]),
            (&json!({"healthy": false, "response_time": null}), &json!("closed"))
        );
    }

    #[actix_web::test]
    async fn a_server_that_leaves_tells_load_balancers_first() {
        let door = TestDoor::start().await;
        door.door.begin_leaving();
        let (status, ready) = door.get("/readyz?for=traffic").await;
        assert_eq!((status, &ready["phase"], &ready["can_grant"]), (503, &json!("draining"), &json!(true)));
        assert_eq!(door.get("/readyz").await.0, 200);
        door.locks().begin_drain();
        let (status, ready) = door.get("/readyz").await;
        assert_eq!((status, &ready["can_grant"]), (503, &json!(false)));
        assert_eq!(door.get("/healthz").await.0, 200);
    }

    #[actix_web::test]
    async fn a_store_that_fails_grants_nothing_and_says_so() {
        let door = TestDoor::start().await;
        let lock = door.lock("a", "one").await;
        door.lock("c", "one").await;
        let id = lock["id"].as_str().unwrap();
        let renew = (format!("/api/v1/locks/{id}/renew"), json!({"fencing_token": lock["fencing_token"]}));
        for (error, status, word) in [
            (StoreError::Overloaded { limit: 3 }, 503, "overloaded"),
            (StoreError::OutcomeUnknown("the answer was lost".into()), 503, "outcome_unknown"),
            (StoreError::Damaged("a record".into()), 500, "internal"),
            (StoreError::Refused("a mistake".into()), 500, "internal"),
            (StoreError::Unavailable("disk full".into()), 503, "backend_unavailable"),
        ] {
            door.store.fail_calls(error);
            for (path, body) in [("/api/v1/locks", &door.ask("b", "two")), (&*renew.0, &renew.1)] {
                let request = TestRequest::post().uri(path).set_json(body);
                let response = door.send(request).await;
                assert_eq!(response.status().as_u16(), status, "{word} {path}");
                assert_eq!(response.headers().contains_key("retry-after"), status == 503, "{word}");
                let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
                assert_eq!(code(&serde_json::from_slice(&body).unwrap()), word, "{path}");
            }
        }
        door.store.fail(Some(StoreError::Unavailable("disk full".into())));
        let ready = loop {
            let (status, ready) = door.get("/readyz").await;
            if ready["reason"] == "disk full" {
                assert_eq!(status, 503);
                break ready;
            }
            actix_web::rt::task::yield_now().await;
        };
        assert_eq!((&ready["phase"], &ready["can_grant"]), (&json!("hold_only"), &json!(false)));
        assert!(ready["action"].as_str().is_some_and(|action| action.contains("disk space")), "{ready}");
        assert_eq!(door.get("/readyz?for=traffic").await.0, 200);
        assert_eq!(door.get("/api/locks/health").await.1["overall"], json!(false));
        let (status, listed) = door.get("/api/v1/locks").await;
        // Also those that were asked for meanwhile and could not be read.
        let listed: Vec<&serde_json::Value> =
            listed["locks"].as_array().unwrap().iter().map(|lock| &lock["resource"]["path"]).collect();
        assert_eq!((status, listed), (200, vec![&json!("a"), &json!("c")]));
        assert_eq!(door.get("/api/v1/locks?consistent=true").await.0, 503);

        door.store.fail(None);
        while door.get("/readyz").await.0 == 503 {
            actix_web::rt::task::yield_now().await;
        }
        assert_eq!(door.post(&renew.0, &renew.1).await.0, 200);
        door.lock("b", "two").await;
    }

    #[actix_web::test]
    async fn counts_are_of_what_there_is() {
        let door = TestDoor::start().await;
        door.lock("a", "one").await;
        door.lock("b", "one").await;
        door.ticket("a", "two").await;
        let (_, queues) = door.get("/api/locks/queue-status").await;
        let totals = &queues["totals"];
        assert_eq!(
            (&totals["resources"], &totals["locks"], &totals["waiting"]),
            (&json!(2), &json!(2), &json!(1))
        );
        assert_eq!(queues["resources"][0]["key"], "acme/infra/a/default/");
        let (_, stats) = door.get("/api/v1/stats").await;
        assert_eq!((&stats["locks"]["held"], &stats["tickets"]["normal"]), (&json!(2), &json!(1)));
        assert_eq!((&stats["resources"], stats["uptime"].is_string()), (&json!(2), true));
        let (_, status) = door.get("/api/locks/compatibility/status").await;
        assert_eq!((&status["mode"], &status["enhanced_ops"]), (&json!("native"), &json!(3)));
    }

    #[actix_web::test]
    async fn what_happened_lately_is_told_in_rates_percentiles_and_totals() {
        let door = TestDoor::start().await;
        let (_, stats) = door.get("/api/v1/stats").await;
        let none = json!({"p50": null, "p95": null, "p99": null});
        let percentiles = json!({"queue_wait": none, "hold": none, "samples": {"queue_wait": 0, "hold": 0}});
        assert_eq!(stats["percentiles"], percentiles);
        let rates = json!({"window": "1m0s", "granted_per_second": 0.0, "released_per_second": 0.0,
            "expired_per_second": 0.0, "queued_per_second": 0.0});
        assert_eq!(stats["rates"], rates);

        let lock = door.lock("a", "one").await;
        door.ticket("a", "two").await;
        door.release(&lock).await;
        let (_, stats) = door.get("/api/v1/stats").await;
        let totals = json!({"granted": 2, "released": 1, "expired": 0, "forced": 0, "unclaimed": 0, "queued": 1,
            "cancelled": 0, "timed_out": 0});
        assert_eq!(stats["totals"], totals);
        assert_eq!(stats["percentiles"]["samples"], json!({"queue_wait": 1, "hold": 1}));
        assert!(stats["percentiles"]["hold"]["p99"].is_string(), "{stats}");
        let rates = &stats["rates"];
        let (granted, released) = (&rates["granted_per_second"], &rates["released_per_second"]);
        assert!(granted.as_f64() > released.as_f64() && released.as_f64() > Some(0.0), "{rates}");
    }

    #[actix_web::test]
    async fn unknown_parameters_are_named() {
        let door = TestDoor::start().await;
        for (path, field) in [
            ("/readyz?for=grants", "for"),
            ("/readyz?for=", "for"),
            ("/readyz?verbose=1", "verbose"),
            ("/healthz?x=1", "x"),
            ("/version?x=1", "x"),
            ("/api/v1/stats?x=1", "x"),
            ("/api/locks/health?x=1", "x"),
            ("/api/locks/queue-status?limit=1", "limit"),
            ("/api/locks/compatibility/status?x", "x"),
        ] {
            let (status, answer) = door.get(path).await;
            assert_eq!((status, fields_of(&answer)), (400, vec![field.to_owned()]), "{path}");
        }
    }
}
