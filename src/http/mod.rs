//! The HTTP door: requests in, commands to the actors, answers out. It decides nothing about locks.
//!
//! A request passes `middleware` (its id, a net for panics, metrics), finds its handler through
//! the one table in `routes`, is read by `body` and `query` (everything wrong with it is told
//! at once), and is answered through `answers` and `views`. Every refusal is a problem document
//! made of a row of `problem`'s table. One file per family of routes.

mod acquire;
mod answers;
mod body;
mod docs;
mod events;
mod fields;
mod instances;
mod instant;
mod list;
mod locks;
mod middleware;
mod pages;
mod problem;
mod query;
mod queues;
mod readiness;
mod repeats;
mod routes;
mod status;
#[cfg(test)]
mod testing;
mod tickets;
mod views;
mod why;

use crate::audit::Audit;
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::{App, Error, web};
use bytes::Bytes;
use lockkeeper_actors::Locks;
use lockkeeper_core::{Span, Timestamp};
use lockkeeper_telemetry::Exporter;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What the door can be told. `src/server` maps the configuration to it.
#[derive(Clone, Debug)]
pub struct HttpParams {
    /// The longest a request may wait; longer wishes are shortened.
    pub max_wait: Duration,
    /// The host of resources that name none.
    pub default_host: String,
    /// The lease of requests that name none.
    pub default_ttl: Span,
    /// The longest lease.
    pub max_ttl: Span,
    /// How long tickets wait that do not say it.
    pub queue_default_timeout: Span,
    /// This instance's name.
    pub instance: String,
    /// Where clients reach it.
    pub address: String,
    /// This build's version.
    pub version: &'static str,
}

impl Default for HttpParams {
    fn default() -> Self {
        Self {
            max_wait: Duration::from_secs(50),
            default_host: String::new(),
            default_ttl: Span::from_secs(30 * 60),
            max_ttl: Span::from_secs(720 * 3600),
            queue_default_timeout: Span::from_secs(10 * 60),
            instance: "local".into(),
            address: "127.0.0.1:4142".into(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// Everything that handlers share; one for all workers.
pub struct Door {
    locks: Locks,
    params: HttpParams,
    audit: Arc<dyn Audit>,
    exporter: Exporter,
    description: Bytes,
    started: Instant,
    /// By the store's clock.
    started_at: Timestamp,
    operations: AtomicU64,
    leaving: OnceLock<Timestamp>,
}

impl Door {
    /// A door to these actors.
    #[must_use]
    pub fn new(locks: Locks, params: HttpParams, audit: Arc<dyn Audit>, exporter: Exporter) -> Self {
        Self {
            started_at: locks.now(),
            locks,
            description: docs::description(params.version),
            params,
            audit,
            exporter,
            started: Instant::now(),
            operations: AtomicU64::new(0),
            leaving: OnceLock::new(),
        }
    }

    /// The actors behind it.
    #[must_use]
    pub fn locks(&self) -> &Locks {
        &self.locks
    }

    /// Tells load balancers to send nothing more (`/readyz?for=traffic` turns 503); serving goes on.
    /// What ends granting is [`Locks::begin_drain`].
    pub fn begin_leaving(&self) {
        self.leaving.get_or_init(|| self.locks.now());
    }

    /// Since when it is leaving, if it is.
    fn leaving_since(&self) -> Option<Timestamp> {
        if self.locks.is_draining() {
            self.begin_leaving();
        }
        self.leaving.get().copied()
    }

    fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    fn count_operation(&self) {
        self.operations.fetch_add(1, Ordering::Relaxed);
    }

    fn operations(&self) -> u64 {
        self.operations.load(Ordering::Relaxed)
    }
}

/// The whole application, for `HttpServer::new(move || http::app(Arc::clone(&door)))`.
#[must_use]
pub fn app(
    door: Arc<Door>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = Error,
        InitError = (),
    >,
> {
    App::new().app_data(web::Data::from(door)).wrap(from_fn(middleware::edge)).configure(routes::register)
}
