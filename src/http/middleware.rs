//! What every request passes: its id, a net for panics, limits, metrics, the log of failures, headers.

use super::connection::Progress;
use super::problem::Problem;
use super::quiet::Quiet;
use super::{Door, routes::Pattern};
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, ResponseError, web};
use futures_util::FutureExt;
use lockkeeper_telemetry::metrics;
use std::any::Any;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Instant;
use tracing::Instrument;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// The library makes room for 16 headers, 6.6 KiB, and a request keeps it as long as it waits. Room for
/// more than so many that are not there is given back.
const SPARE_HEADERS_MAX: usize = 8;
/// Where no route matched: paths that clients make up must not become series.
const OTHER: &str = "other";

#[derive(Clone)]
struct RequestId(HeaderValue);

impl RequestId {
    /// The caller's id if it can be one, else a fresh one.
    fn of(headers: &HeaderMap) -> Self {
        match headers.get(&X_REQUEST_ID) {
            Some(given) if super::fields::is_request_id(given.as_bytes()) => Self(given.clone()),
            _ => Self::fresh(),
        }
    }

    fn fresh() -> Self {
        let text = format!("{:016x}", rand::random::<u64>());
        Self(HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("none")))
    }

    fn text(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// The id of a request that passed here.
pub(super) fn request_id(req: &HttpRequest) -> String {
    req.extensions().get::<RequestId>().map(|id| id.text().to_owned()).unwrap_or_default()
}

/// Wraps everything.
pub(super) async fn edge(
    door: web::Data<Door>,
    mut req: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let begun = Instant::now();
    tighten(req.headers_mut());
    let id = RequestId::of(req.headers());
    let method = req.method().clone();
    let span = tracing::debug_span!("request", request_id = id.text(), %method, path = req.path());
    req.extensions_mut().insert(id.clone());
    let connection = req.conn_data::<Rc<Progress>>().map(Progress::begin);
    let answering = async {
        let mut req = req;
        match door.admit(&mut req).await {
            Ok(()) => next.call(req).await,
            Err(problem) => Ok(req.into_response(HttpResponse::from_error(problem))),
        }
    };
    let called = AssertUnwindSafe(answering.instrument(span)).catch_unwind().await;
    match called {
        Ok(Ok(mut response)) => {
            let route = response.request().app_data::<Pattern>().map_or(OTHER, |pattern| pattern.0);
            let status = response.status();
            if let Some(error) = response.response().error() {
                note(error, status, &id, method.as_str(), route);
            }
            metrics().http_request(route, method.as_str(), status.as_u16(), begun.elapsed());
            adorn(response.headers_mut(), &id);
            // Whoever comes again had better come to another instance.
            if door.locks.is_draining() || door.locks.switched_off().is_some() {
                response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
            }
            Ok(match connection {
                Some(answering) => response.map_body(|_, body| answering.until_sent(body)),
                None => response,
            })
        }
        Ok(Err(error)) => {
            let lost = Lost { id, problem: Problem::internal(error.to_string()) };
            tracing::error!(request_id = lost.id.text(), %method, "a request was lost: {error}");
            metrics().http_request(OTHER, method.as_str(), lost.status_code().as_u16(), begun.elapsed());
            Err(lost.into())
        }
        Err(panic) => {
            let lost =
                Lost { id, problem: Problem::internal("this server made a mistake while it answered") };
            let what = said(&*panic);
            tracing::error!(request_id = lost.id.text(), %method, "a request handler panicked: {what}");
            metrics().error(lost.problem.code().word);
            metrics().http_request(OTHER, method.as_str(), lost.status_code().as_u16(), begun.elapsed());
            Err(lost.into())
        }
    }
}

/// Gives back room that the headers do not need. Heads come back to a pool with the room they have, so
/// that most requests find nothing to do here.
fn tighten(headers: &mut HeaderMap) {
    if headers.capacity() <= headers.len_keys() + SPARE_HEADERS_MAX {
        return;
    }
    let mut tight = HeaderMap::with_capacity(headers.len_keys());
    for (name, value) in std::mem::take(headers) {
        tight.append(name, value);
    }
    *headers = tight;
}

/// Counts a refusal, and logs a failure of the server.
fn note(error: &Error, status: StatusCode, id: &RequestId, method: &str, route: &str) {
    let (code, detail) = match error.as_error::<Problem>() {
        Some(problem) => (problem.code().word, problem.detail()),
        None => (super::problem::INTERNAL.word, "an error without a problem document"),
    };
    metrics().error(code);
    if !status.is_server_error() {
        return;
    }
    let request_id = id.text();
    let status = status.as_u16();
    let message = if (method, route) == ("POST", super::routes::LOCKS) {
        "lock acquisition failed"
    } else {
        "a request failed"
    };
    if code == super::problem::INTERNAL.word {
        tracing::error!(request_id, method, route, status, code, detail, "{message}");
    } else if let Some(left_out) = QUIET.speaks(code, message, Instant::now()) {
        tracing::warn!(request_id, method, route, status, code, detail, left_out, "{message}");
    } else {
        tracing::debug!(request_id, method, route, status, code, detail, "{message}");
    }
}

/// While the store is away every request fails, of every client.
static QUIET: LazyLock<Quiet> = LazyLock::new(Quiet::default);

fn said(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}

fn adorn(headers: &mut HeaderMap, id: &RequestId) {
    headers.insert(X_REQUEST_ID, id.0.clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, NO_STORE);
    }
}

/// An answer to a request that did not come back: the whole of it must be made here.
struct Lost {
    id: RequestId,
    problem: Problem,
}

impl fmt::Debug for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.problem)
    }
}

impl ResponseError for Lost {
    fn status_code(&self) -> StatusCode {
        self.problem.status_code()
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = self.problem.error_response();
        adorn(response.headers_mut(), &self.id);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{TestDoor, code};
    use actix_web::test::TestRequest;
    use actix_web::{App, middleware::from_fn, test};

    #[actix_web::test]
    async fn every_answer_has_an_id_and_is_not_stored() {
        let door = TestDoor::start().await;
        for path in ["/healthz", "/nothing", "/api/v1/locks?x=1"] {
            let request = TestRequest::get().uri(path).insert_header(("x-request-id", "mine 1"));
            let response = door.send(request).await;
            assert_eq!(response.headers().get("x-request-id").unwrap(), "mine 1", "{path}");
            assert_eq!(response.headers().get("x-content-type-options").unwrap(), "nosniff");
            assert_eq!(response.headers().get("cache-control").unwrap(), "no-store");
        }
        let long = "x".repeat(129);
        for bad in [long.as_str(), "tab\there", ""] {
            let request = TestRequest::get().uri("/healthz").insert_header(("x-request-id", bad));
            let response = door.send(request).await;
            assert_eq!(response.headers().get("x-request-id").unwrap().len(), 16, "{bad:?}");
        }
    }

    #[actix_web::test]
    async fn headers_keep_what_they_say_in_less_room() {
        let mut headers = HeaderMap::with_capacity(16);
        for (name, value) in
            [("host", "a"), ("accept", "x"), ("x-forwarded-for", "1"), ("x-forwarded-for", "2")]
        {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let all = |headers: &HeaderMap| {
            let mut all: Vec<_> = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            // Only values of one name have an order.
            all.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
            all
        };
        let before = all(&headers);
        tighten(&mut headers);
        assert_eq!((all(&headers), before.len()), (before, 4));
        let tight = headers.capacity();
        assert!(tight <= headers.len_keys() + SPARE_HEADERS_MAX, "{tight}");
        tighten(&mut headers);
        assert_eq!(headers.capacity(), tight);
    }

    #[actix_web::test]
    async fn a_panic_is_answered() {
        async fn mistake() -> HttpResponse {
            panic!("on purpose")
        }
        let door = TestDoor::start().await;
        let app = App::new()
            .app_data(web::Data::from(std::sync::Arc::clone(&door.door)))
            .wrap(from_fn(edge))
            .route("/mistake", web::get().to(mistake));
        let service = test::init_service(app).await;
        let request = TestRequest::get().uri("/mistake").insert_header(("x-request-id", "p")).to_request();
        let error = test::try_call_service(&service, request).await.unwrap_err();
        let response = error.error_response();
        assert_eq!(
            (response.status().as_u16(), response.headers().get("x-request-id").unwrap()),
            (500, &"p".parse().unwrap())
        );
        let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
        assert_eq!(code(&serde_json::from_slice(&body).unwrap()), "internal");
    }

    #[actix_web::test]
    async fn connections_close_while_draining() {
        let door = TestDoor::start().await;
        door.locks().begin_drain();
        let response = door.send(TestRequest::get().uri("/healthz")).await;
        assert!(response.response().head().connection_type() == ConnectionType::Close);
        let (status, refused) = door.post("/api/v1/locks", &door.ask("net", "one")).await;
        assert_eq!((status, code(&refused)), (503, "shutting_down"));
    }
}
