//! Build, run, drain: the only place that constructs stores, actors and doors.

use super::stores::Opened;
use super::{serving, settings};
use crate::audit::AuditFile;
use crate::http::{Door, HttpParams};
use crate::live::{InForce, LiveSettings};
use actix_web::dev::{Server, ServerHandle};
use lockkeeper_actors::{Options, System};
use lockkeeper_core::Timestamp;
use lockkeeper_store::embedded::OpenError;
use lockkeeper_telemetry::Exporter;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often metrics that are not recorded as they happen are brought up to date.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How often a drain looks whether anyone still waits.
const DRAIN_LOOK: Duration = Duration::from_millis(20);
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Redis must not keep locks as it is set up.
    #[error("Redis: {0}")]
    Redis(String),
    /// What is in the store could not be read.
    #[error(transparent)]
    Actors(#[from] lockkeeper_actors::StartError),
    /// The address could not be taken.
    #[error("cannot listen on {address}: {cause}; choose another address with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's answer.
        cause: std::io::Error,
    },
    /// The audit file could not be opened.
    #[error("cannot open the audit file {path}: {cause}")]
    Audit {
        /// The file.
        path: String,
        /// The system's answer.
        cause: std::io::Error,
    },
    /// Anything else of the system.
    #[error("cannot start: {0}")]
    System(String),
}

/// A server that is built and bound, not yet running.
pub struct Application {
    server: Server,
    door: Arc<Door>,
    actors: System,
    store: Opened,
    address: SocketAddr,
    drain_timeout: Duration,
    exporter: Exporter,
}

impl Application {
    /// Opens the store, reads it, starts the actors, binds the door. Must run in an actix system.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running.
    pub async fn build(live: Arc<LiveSettings>) -> Result<Self, StartError> {
        let InForce { loaded, off: switched_off, .. } = live.in_force();
        let settings = &loaded.settings;
        if let Some(by) = &switched_off {
            tracing::warn!("this instance grants nothing: it was {by}");
        }
        let exporter =
            lockkeeper_telemetry::install().map_err(|error| StartError::System(error.to_string()))?;
        lockkeeper_telemetry::metrics().build_info(env!("CARGO_PKG_VERSION"));
        raise_file_limit();
        let listener = bind(settings.listen)?;
        let address =
            listener.local_addr().map_err(|cause| StartError::Listen { address: settings.listen, cause })?;

        let host_name = host_name();
        let instance = settings::instance_id(settings, &host_name, address);
        let store = Opened::open(settings, &instance).await?;
        let audit_path = settings.data_dir.join(crate::audit::AUDIT_FILE);
        let audit = AuditFile::open(&audit_path)
            .map_err(|cause| StartError::Audit { path: audit_path.display().to_string(), cause })?;
        let incarnation = incarnation(&instance, store.store().now());
        let presence = settings::presence(settings, &instance, &incarnation, address, &host_name);
        let options =
            Options { presence, switched_off, ..settings::actors(settings, &instance, incarnation) };
        let actors = System::start(store.store(), options).await?;

        let params = HttpParams {
            instance,
            address: settings.advertised_at(address, &host_name),
            live,
            ..settings::http(settings)
        };
        let door = Arc::new(Door::new(actors.locks().clone(), params, Arc::new(audit), exporter.clone()));
        let workers = settings::or_cores(settings.http.workers);
        let server = serving::listen(listener, &door, settings, workers)
            .map_err(|cause| StartError::Listen { address, cause })?;
        Ok(Self { server, door, actors, store, address, drain_timeout: settings.drain_timeout, exporter })
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until it is told to stop, then drains.
    ///
    /// # Errors
    /// The server ended by itself.
    pub async fn run(self) -> std::io::Result<()> {
        let handle = self.server.handle();
        let upkeep = actix_rt::spawn(keep_up(self.exporter));
        // Before anyone is told that it listens: from then on a signal drains.
        let signals = Signals::listen()?;
        let reload = signal(SignalKind::hangup())?;
        let stopping =
            actix_rt::spawn(stop_on_signal(signals, handle, Arc::clone(&self.door), self.drain_timeout));
        let reloading = actix_rt::spawn(reload_on_signal(reload, Arc::clone(&self.door)));
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            store = self.door.locks().store_name(),
            instance = self.door.instance(),
            "listening on http://{}",
            self.address
        );
        let result = self.server.await;
        stopping.abort();
        reloading.abort();
        upkeep.abort();
        self.actors.stop();
        self.store.close().await;
        tracing::info!("stopped");
        result
    }
}

async fn keep_up(exporter: Exporter) {
    loop {
        exporter.upkeep();
        actix_rt::time::sleep(UPKEEP_INTERVAL).await;
    }
}

/// The signals that ask for a stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn stop_on_signal(mut signals: Signals, server: ServerHandle, door: Arc<Door>, timeout: Duration) {
    signals.asked().await;
    let delay = door.live().in_force().loaded.settings.drain_delay;
    tracing::info!(drain_delay = ?delay, "stopping: load balancers are told");
    door.begin_leaving();
    let drain = async {
        actix_rt::time::sleep(delay).await;
        tracing::info!("draining: no new grants, waiting clients are answered, their tickets stay");
        door.locks().begin_drain();
        let given_up = tokio::time::Instant::now() + timeout / 2;
        while door.locks().waiting_clients() > 0 && tokio::time::Instant::now() < given_up {
            actix_rt::time::sleep(DRAIN_LOOK).await;
        }
        server.stop(true).await;
    };
    tokio::select! {
        () = drain => {}
        () = signals.asked() => {
            tracing::warn!("asked a second time: stopping at once");
            server.stop(false).await;
        }
        () = actix_rt::time::sleep(delay + timeout) => {
            tracing::warn!("the drain took too long: stopping at once");
            server.stop(false).await;
        }
    }
}

/// SIGHUP: the settings are read again.
async fn reload_on_signal(mut reload: Signal, door: Arc<Door>) {
    while reload.recv().await.is_some() {
        let door = Arc::clone(&door);
        // It reads files and writes the audit log.
        let done = actix_web::web::block(move || door.live().reload(&*door, &**door.audit())).await;
        if let Err(error) = done {
            tracing::error!("the settings were not read again: {error}");
        }
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    let listen = || {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        // A restart must not wait for the last connections of the server before it.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(TcpListener::from(socket))
    };
    listen().map_err(|cause| StartError::Listen { address, cause })
}

/// As many open files as the system lets this process have: each connection is one.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!("the limit of open files stays as it is: {error}");
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// An instance's name for the time of one run: event numbers start anew with each.
fn incarnation(instance: &str, now: Timestamp) -> String {
    format!("{instance}-{:x}", now.as_millis())
}
