//! The one table of routes: what is registered, what `Allow` says, what the description must have.

use super::body::{deadline, drain};
use super::problem::{self, Problem};
use super::{
    acquire, actors, chaos, config, docs, events, health, instances, list, locks, queues, readiness, status,
    tickets, why,
};
use actix_web::http::header::HeaderValue;
use actix_web::{HttpRequest, HttpResponse, guard, web};

/// The path of locks.
pub(super) const LOCKS: &str = "/api/v1/locks";

/// A method that a route can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// `GET`, and with it `HEAD`.
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    /// The method's name.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    fn route(self) -> actix_web::Route {
        match self {
            Self::Get => web::route().guard(guard::Any(guard::Get()).or(guard::Head())),
            Self::Post => web::post(),
            Self::Put => web::put(),
            Self::Patch => web::patch(),
            Self::Delete => web::delete(),
        }
    }
}

/// Puts a handler on a route.
type Attach = fn(actix_web::Route) -> actix_web::Route;

/// A path with its methods.
pub(super) struct Entry {
    pub(super) pattern: &'static str,
    pub(super) methods: &'static [(Verb, Attach)],
}

/// The pattern of the route that a request took.
#[derive(Clone, Copy)]
pub(super) struct Pattern(pub(super) &'static str);

macro_rules! routes {
    ($(#[$doc:meta])* $name:ident: $($pattern:expr => $($verb:ident $handler:path),+;)+) => {
        $(#[$doc])*
        pub(super) static $name: &[Entry] = &[
            $(Entry { pattern: $pattern, methods: &[$((Verb::$verb, |route| route.to($handler))),+] },)+
        ];
    };
}

routes! {
    /// Every route of every server. Those that are asked for most come first: they are tried in this
    /// order.
    ROUTES:
    LOCKS => Get list::list, Post acquire::acquire;
    "/api/v1/locks/release-by-pull" => Post locks::release_by_pull;
    "/api/v1/locks/{id}" => Get locks::show, Delete locks::release;
    "/api/v1/locks/{id}/renew" => Post locks::renew;
    "/api/v1/locks/{id}/force-release" => Post locks::force_release;
    "/api/v1/tickets" => Get tickets::list;
    "/api/v1/tickets/{id}" => Get tickets::poll, Delete tickets::cancel;
    "/api/v1/tickets/{id}/why" => Get why::ticket;
    "/api/v1/why" => Get why::pull;
    "/api/v1/queues" => Get queues::list;
    "/api/v1/queues/{resource_id}" => Get queues::show;
    "/api/v1/events" => Get events::follow;
    "/api/v1/stats" => Get status::stats;
    "/api/v1/instances" => Get instances::list;
    "/api/v1/actors" => Get actors::list;
    "/api/v1/config" => Get config::show, Patch config::change;
    "/healthz" => Get status::healthz;
    "/readyz" => Get readiness::readyz;
    "/version" => Get status::version;
    "/metrics" => Get status::metrics;
    "/api/locks/health" => Get health::health;
    "/api/locks/queue-status" => Get status::queue_status;
    "/api/locks/compatibility/status" => Get status::compatibility;
    "/api/openapi.json" => Get docs::openapi;
    "/api/docs" => Get docs::page;
    "/api/docs/docs.js" => Get docs::script;
    "/api/docs/docs.css" => Get docs::style;
}

routes! {
    /// Routes that exist only with `--chaos`.
    CHAOS_ROUTES:
    "/api/v1/admin/actors/{name}/kill" => Post chaos::kill;
    "/api/v1/admin/faults" => Get chaos::list, Delete chaos::remove_all;
    "/api/v1/admin/faults/{point}" => Put chaos::plan, Delete chaos::remove;
}

/// Paths of the contract that this version does not have yet; each with what lies below it.
const LATER: &[&str] = &[
    "/api/v1/lock-sets",
    "/api/v1/deadlocks",
    "/api/v1/wait-graph",
    "/api/v1/audit",
    "/api/v1/admin",
    "/api/locks",
    "/lock",
    "/locks",
    "/apply",
];

impl Entry {
    fn allow(&self) -> HeaderValue {
        let mut words = Vec::new();
        for (verb, _) in self.methods {
            words.push(verb.word());
            if *verb == Verb::Get {
                words.push("HEAD");
            }
        }
        HeaderValue::from_str(&words.join(", ")).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// Registers everything; what is for tests of faults only if that is wanted.
pub(super) fn register(config: &mut web::ServiceConfig, chaos: bool) {
    for entry in ROUTES.iter().chain(if chaos { CHAOS_ROUTES } else { &[] }) {
        let mut resource = web::resource(entry.pattern).app_data(Pattern(entry.pattern));
        for (verb, attach) in entry.methods {
            resource = resource.route(attach(verb.route()));
        }
        let allow = entry.allow();
        let refuse =
            move |req: HttpRequest, payload: web::Payload| method_not_allowed(req, payload, allow.clone());
        config.service(resource.default_service(web::to(refuse)));
    }
    config.default_service(web::to(not_found));
}

async fn method_not_allowed(
    req: HttpRequest,
    mut payload: web::Payload,
    allow: HeaderValue,
) -> Result<HttpResponse, Problem> {
    let drained = drain(&mut payload, 0, deadline(&req)).await;
    let detail = format!("{} does not take {}", shown(&req), req.method());
    let problem = Problem::new(&problem::METHOD_NOT_ALLOWED, detail).allowing(allow);
    Err(if drained { problem } else { problem.closing() })
}

async fn not_found(req: HttpRequest, mut payload: web::Payload) -> Result<HttpResponse, Problem> {
    let drained = drain(&mut payload, 0, deadline(&req)).await;
    let path = req.path();
    let later = LATER
        .iter()
        .any(|later| path.strip_prefix(later).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    let detail = if later {
        format!("{} is not part of this version; GET /version lists the features it has", shown(&req))
    } else {
        format!("there is nothing at {}; /api/docs lists all paths", shown(&req))
    };
    let problem = Problem::new(&problem::NOT_FOUND, detail);
    Err(if drained { problem } else { problem.closing() })
}

/// The path, as much of it as is worth repeating.
fn shown(req: &HttpRequest) -> String {
    const SHOWN_MAX_CHARS: usize = 200;
    req.path().chars().take(SHOWN_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{TestDoor, code};
    use actix_web::test::TestRequest;
    use serde_json::Value;

    #[actix_web::test]
    async fn unknown_paths_and_methods_are_refused_as_problems() {
        let door = TestDoor::start().await;
        for path in [
            "/",
            "/nothing",
            "/api/v1/locks/",
            "/api/v1/lock-sets",
            "/api/locks",
            "/apply/lock",
            "/api/v1/audit?x=1",
        ] {
            let (status, answer) = door.get(path).await;
            assert_eq!((status, code(&answer)), (404, "not_found"), "{path}");
        }
        assert!(
            door.get("/lock?id=x").await.1["detail"].as_str().unwrap().contains("not part of this version")
        );
        for (method, path, allow) in [
            ("PUT", "/api/v1/locks", "GET, HEAD, POST"),
            ("DELETE", "/api/v1/locks", "GET, HEAD, POST"),
            ("GET", "/api/v1/locks/release-by-pull", "POST"),
            ("POST", "/api/v1/locks/01ARZ3NDEKTSV4RRFFQ69G5FAV", "GET, HEAD, DELETE"),
            ("OPTIONS", "/healthz", "GET, HEAD"),
            ("GET", "/api/v1/locks/x/renew", "POST"),
        ] {
            let request = TestRequest::default().method(method.parse().unwrap()).uri(path).set_payload("{}");
            let response = door.send(request).await;
            assert_eq!(
                (response.status().as_u16(), response.headers().get("allow").unwrap()),
                (405, &allow.parse().unwrap())
            );
            assert_eq!(response.headers().get("content-type").unwrap(), "application/problem+json");
            let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
            assert_eq!(code(&serde_json::from_slice::<Value>(&body).unwrap()), "method_not_allowed");
        }
        for path in ["/healthz", "/api/v1/locks", "/api/docs", "/metrics"] {
            assert_eq!(door.head(path).await, 200, "{path}");
        }
    }

    #[actix_web::test]
    async fn bodies_are_bounded_and_typed() {
        let door = TestDoor::start().await;
        for path in [
            "/api/v1/locks",
            "/api/v1/locks/01ARZ3NDEKTSV4RRFFQ69G5FAV/renew",
            "/api/v1/locks/release-by-pull",
        ] {
            for (content_type, body, status, word) in [
                (Some("application/json"), "x".repeat(65_537), 413, "payload_too_large"),
                (Some("text/plain"), "{}".into(), 415, "unsupported_media_type"),
                (
                    Some("application/x-www-form-urlencoded"),
                    "x".repeat(70_000),
                    415,
                    "unsupported_media_type",
                ),
                (None, "{}".into(), 415, "unsupported_media_type"),
                (None, String::new(), 400, "invalid_request"),
                (Some("application/json"), String::new(), 400, "invalid_request"),
                (Some("application/json"), "{\"a\":".into(), 400, "invalid_request"),
                (Some("application/json"), "[]".into(), 400, "invalid_request"),
            ] {
                let mut request = TestRequest::post().uri(path).set_payload(body);
                if let Some(content_type) = content_type {
                    request = request.insert_header(("content-type", content_type));
                }
                let response = door.send(request).await;
                assert_eq!(response.status().as_u16(), status, "{path} {content_type:?}");
                let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
                assert_eq!(code(&serde_json::from_slice::<Value>(&body).unwrap()), word, "{path}");
            }
        }
        for (encoding, status) in [("gzip", 415), ("identity, br", 415), ("identity", 200)] {
            let request = TestRequest::post()
                .uri("/api/v1/locks")
                .set_json(door.ask(encoding, "me"))
                .insert_header(("content-encoding", encoding));
            let response = door.send(request).await;
            assert_eq!(response.status().as_u16(), status, "{encoding}");
            let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
            let answer: Value = serde_json::from_slice(&body).unwrap();
            if status == 415 {
                assert_eq!(code(&answer), "unsupported_media_type");
                assert!(answer["detail"].as_str().unwrap().contains(encoding), "{answer}");
            }
        }
        let (_, one) = door.get("/api/v1/locks").await;
        assert_eq!(one["locks"].as_array().unwrap().len(), 1);
    }
}
