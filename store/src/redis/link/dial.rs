//! Opening a connection: TCP, TLS, who we are.

use super::error::CallError;
use super::wire::{End, Ending, Pushes, Wire, pushes_of};
use crate::redis::options::{Address, Login, OptionsError, TlsFiles};
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_rustls::TlsConnector;

/// How the server sees its client in `CLIENT LIST`.
const LIBRARY: &str = "lockkeeper";
/// Requests that may wait for one connection's writer before callers wait with them.
const REQUESTS_WAITING_MAX: usize = 1024;

/// Opens connections.
pub(crate) struct Dialer {
    tls: Option<TlsConnector>,
    connect_timeout: Duration,
    runtime: Mutex<Option<Handle>>,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

impl Dialer {
    /// Reads the files of TLS. Connections made later live in the runtime this is called in, if it
    /// is called in one: so they do not end with a worker that happened to need them first.
    pub(super) fn new(tls: Option<&TlsFiles>, connect_timeout: Duration) -> Result<Self, OptionsError> {
        let tls = tls.map(connector).transpose()?;
        Ok(Self { tls, connect_timeout, runtime: Mutex::new(Handle::try_current().ok()) })
    }

    /// Where connections live.
    pub(super) fn runtime(&self) -> Handle {
        self.runtime.lock().clone().unwrap_or_else(Handle::current)
    }

    /// The runtime in which this was made is no more: connections live where they are needed.
    pub(super) fn forget_runtime(&self) {
        *self.runtime.lock() = None;
    }

    /// Opens a connection. Every error means that nothing but greetings was sent.
    pub(super) async fn open(
        &self,
        address: &Address,
        login: &Login,
        database: u32,
        listener: Option<Pushes>,
    ) -> Result<Wire, CallError> {
        match tokio::time::timeout(self.connect_timeout, self.greet(address, login, database, listener)).await
        {
            Ok(result) => result,
            Err(_) => Err(CallError::NotSent(format!(
                "cannot connect to {address} within {}",
                humantime::format_duration(self.connect_timeout)
            ))),
        }
    }

    async fn greet(
        &self,
        address: &Address,
        login: &Login,
        database: u32,
        listener: Option<Pushes>,
    ) -> Result<Wire, CallError> {
        let failed = |error| CallError::NotSent(format!("cannot connect to {address}: {error}"));
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let Some(tls) = &self.tls else {
            return self.speak(stream, address, login, database, listener).await;
        };
        let name = ServerName::try_from(address.host.clone()).map_err(|error| {
            CallError::NotSent(format!("{address} cannot be the name in a certificate: {error}"))
        })?;
        let stream = tls.connect(name, stream).await.map_err(failed)?;
        self.speak(stream, address, login, database, listener).await
    }

    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        address: &Address,
        login: &Login,
        database: u32,
        listener: Option<Pushes>,
    ) -> Result<Wire, CallError> {
        // In RESP3 a connection says when it ends, and can be told things while it is asked others.
        let mut info = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name(LIBRARY, env!("CARGO_PKG_VERSION"))
            .set_db(database.into());
        if let Some(username) = &login.username {
            info = info.set_username(username);
        }
        if let Some(password) = &login.password {
            info = info.set_password(password.expose());
        }
        let end = Arc::new(End::default());
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            // Deadlines are the callers'.
            .set_response_timeout(None)
            .set_pipeline_buffer_size(REQUESTS_WAITING_MAX)
            .set_push_sender(pushes_of(&end, listener));
        let (connection, driver) = MultiplexedConnection::new_with_config(&info, stream, config)
            .await
            .map_err(|error| CallError::connecting(address, &error))?;
        let ending = Ending(Arc::clone(&end));
        let driver = self.runtime().spawn(async move {
            driver.await;
            drop(ending);
        });
        Ok(Wire::new(connection, address.clone(), end, driver.abort_handle()))
    }
}

fn connector(files: &TlsFiles) -> Result<TlsConnector, OptionsError> {
    let wrong = |error: rustls::Error| OptionsError::new("tls", error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(wrong)?.with_root_certificates(authorities(files.ca_file.as_deref())?);
    let config = match (&files.cert_file, &files.key_file) {
        (Some(cert), Some(key)) => {
            let chain = certificates("tls.cert-file", cert)?;
            let key =
                PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable("tls.key-file", key, &error))?;
            config.with_client_auth_cert(chain, key).map_err(wrong)?
        }
        _ => config.with_no_client_auth(),
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn authorities(ca_file: Option<&Path>) -> Result<RootCertStore, OptionsError> {
    let mut roots = RootCertStore::empty();
    let Some(file) = ca_file else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(OptionsError::new(
                "tls",
                "the system has no certificate authorities: name a ca-file",
            ));
        }
        return Ok(roots);
    };
    for certificate in certificates("tls.ca-file", file)? {
        roots.add(certificate).map_err(|error| unreadable("tls.ca-file", file, &error))?;
    }
    Ok(roots)
}

fn certificates(setting: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, OptionsError> {
    let found: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(setting, file, &error))?;
    if found.is_empty() {
        return Err(OptionsError::new(setting, format!("{} holds no certificate", file.display())));
    }
    Ok(found)
}

fn unreadable(setting: &'static str, file: &Path, error: &dyn std::fmt::Display) -> OptionsError {
    OptionsError::new(setting, format!("{}: {error}", file.display()))
}
