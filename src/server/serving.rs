//! Accepting connections and speaking HTTP on them.

use crate::http::{self, Connection, Door, Patience};
use actix_http::HttpService;
use actix_rt::net::TcpStream;
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use lockkeeper_config::Settings;
use std::future::ready;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How long a client may take to read the end of its last answer.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A server that is listening, not yet running.
///
/// More connections than are allowed are not refused: they wait to be accepted, as many as the
/// system's backlog has room for, until others close.
pub(super) fn listen(
    listener: TcpListener,
    door: &Arc<Door>,
    settings: &Settings,
    workers: usize,
) -> io::Result<Server> {
    let (door, http) = (Arc::clone(door), settings.http.clone());
    let patience = Patience { head: http.header_timeout, send: http.send_timeout };
    let builder = Server::build();
    let shutdown = builder.graceful_shutdown_signal();
    let builder = builder
        .workers(workers)
        .max_concurrent_connections(http.max_connections.div_ceil(workers))
        .shutdown_timeout(settings.drain_timeout.as_secs().max(1))
        .disable_signals()
        .listen("http", listener, move || {
            let app = http::app(Arc::clone(&door)).into_factory();
            let app = app.map_err(|error: actix_web::Error| error.as_response_error().error_response());
            let shutdown = shutdown.clone();
            let service = HttpService::build()
                .graceful_shutdown_signal(move || {
                    let shutdown = shutdown.clone();
                    async move { shutdown.notified().await }
                })
                .keep_alive(http.keep_alive)
                .client_request_timeout(http.header_timeout)
                .client_disconnect_timeout(DISCONNECT_TIMEOUT)
                // A client that goes away must be noticed while its request waits.
                .h1_allow_half_closed(false)
                .on_connect_ext(|connection: &Connection, data| {
                    data.insert(Rc::clone(connection.progress()));
                })
                .h1(map_config(app, |()| AppConfig::default()));
            fn_service(move |io: TcpStream| {
                let peer = io.peer_addr().ok();
                ready(Ok((Connection::new(io, patience), peer)))
            })
            .and_then(service)
        })?;
    Ok(builder.run())
}
