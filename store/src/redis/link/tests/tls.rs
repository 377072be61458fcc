//! TLS with an authority of one's own and a client's certificate.

use super::*;
use crate::redis::options::TlsFiles;
use crate::testing::{Certificates, RedisServer};
use std::sync::Arc;

#[tokio::test]
async fn the_servers_certificate_is_checked_and_the_clients_is_shown() {
    let certificates = Arc::new(Certificates::new());
    let server = RedisServer::builder().tls(Arc::clone(&certificates)).start();
    let ca_file = Some(certificates.ca_file());
    let own = TlsFiles {
        ca_file: ca_file.clone(),
        cert_file: Some(certificates.client_cert_file()),
        key_file: Some(certificates.client_key_file()),
    };
    let with = |tls: TlsFiles| RedisOptions { tls, ..options(server.url()) };
    assert_eq!(count(&link(&with(own.clone())), 1).await, Ok(1));

    let stranger = TlsFiles { cert_file: None, key_file: None, ..own.clone() };
    assert!(matches!(count(&link(&with(stranger)), 1).await, Err(CallError::NotSent(_))));

    let other = Certificates::new();
    let distrusting = TlsFiles { ca_file: Some(other.ca_file()), ..own.clone() };
    let error = count(&link(&with(distrusting)), 1).await.unwrap_err();
    assert!(matches!(&error, CallError::NotSent(reason) if reason.contains("certificate")), "{error:?}");

    let plain = RedisOptions { ..options(server.url().replace("rediss", "redis")) };
    assert!(matches!(count(&link(&plain), 1).await, Err(CallError::NotSent(_))));

    let missing = TlsFiles { ca_file: Some("/nowhere/ca.crt".into()), ..own };
    let error = Link::new(&with(missing)).unwrap_err();
    assert_eq!(error.setting, "tls.ca-file");
}
