//! The HTTP door: requests in, commands to the actors, answers out. It decides nothing about locks.
//!
//! A request passes `middleware` (its id, a net for panics, metrics), finds its handler through
//! the one table in `routes`, is read by `body` and `query` (everything wrong with it is told
//! at once), and is answered through `answers` and `views`. Every refusal is a problem document
//! made of a row of `problem`'s table. One file per family of routes.

mod acquire;
mod actors;
mod answers;
mod body;
mod chaos;
mod client;
mod client_tickets;
mod config;
mod connection;
mod docs;
mod events;
mod fields;
mod health;
mod instances;
mod instant;
mod limits;
mod list;
mod locks;
mod middleware;
mod pages;
mod places;
mod problem;
mod query;
mod queues;
mod quiet;
mod rates;
mod readiness;
mod repeats;
mod routes;
mod status;
#[cfg(test)]
mod testing;
mod tickets;
mod tunables;
mod views;
mod why;

use crate::audit::Audit;
use crate::live::LiveSettings;
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::{App, Error, web};
use arc_swap::ArcSwap;
use bytes::Bytes;
use lockkeeper_actors::Locks;
use lockkeeper_config::Network;
use lockkeeper_core::Timestamp;
use lockkeeper_telemetry::Exporter;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

pub use connection::{Connection, Patience, Progress};
pub use tunables::{Rates, Tunables};

/// What the door can be told. `src/server` maps the configuration to it.
#[derive(Clone, Debug)]
pub struct HttpParams {
    /// The host of resources that name none.
    pub default_host: String,
    /// What may change while it is open, as it is at the start.
    pub tunables: Tunables,
    /// The settings in force, and the way to change them.
    pub live: Arc<LiveSettings>,
    /// How long a client may take to send a request's body.
    pub body_timeout: Duration,
    /// How long a client may take to read what waits to be sent to it.
    pub send_timeout: Duration,
    /// The proxies whose `X-Forwarded-For` is believed; from anyone else the client is the address that
    /// connected.
    pub trusted_proxies: Vec<Network>,
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
            default_host: String::new(),
            tunables: Tunables::default(),
            live: Arc::default(),
            body_timeout: Duration::from_secs(10),
            send_timeout: Duration::from_secs(30),
            trusted_proxies: Vec::new(),
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
    tunables: ArcSwap<Tunables>,
    limits: limits::Limits,
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
            description: docs::description(params.version, locks.is_chaos_allowed()),
            locks,
            tunables: ArcSwap::from_pointee(params.tunables.clone()),
            limits: limits::Limits::new(),
            params,
            audit,
            exporter,
            started: Instant::now(),
            operations: AtomicU64::new(0),
            leaving: OnceLock::new(),
        }
    }

    /// This instance's name.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.params.instance
    }

    /// The actors behind it.
    #[must_use]
    pub fn locks(&self) -> &Locks {
        &self.locks
    }

    /// What may change while the door is open, as it is now. Looked up once per request and kept for that
    /// request, never longer.
    #[must_use]
    pub fn tunables(&self) -> Arc<Tunables> {
        self.tunables.load_full()
    }

    /// From now on requests are read with these.
    pub fn tune(&self, tunables: Tunables) {
        self.tunables.store(Arc::new(tunables));
    }

    /// The settings in force.
    #[must_use]
    pub fn live(&self) -> &Arc<LiveSettings> {
        &self.params.live
    }

    /// Where forced actions are written down.
    #[must_use]
    pub fn audit(&self) -> &Arc<dyn Audit> {
        &self.audit
    }

    /// The store's clock, as it is shown.
    #[must_use]
    pub fn now_shown(&self) -> String {
        instant::Instant(self.locks.now()).to_string()
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

    /// Should load balancers send clients here? Not to one that leaves, nor to one that was switched off.
    fn takes_traffic(&self) -> bool {
        self.leaving_since().is_none() && self.locks.switched_off().is_none()
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
    let chaos = door.locks.is_chaos_allowed();
    App::new()
        .app_data(web::Data::from(door))
        .wrap(from_fn(middleware::edge))
        .configure(move |config| routes::register(config, chaos))
}
