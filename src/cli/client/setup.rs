//! Building the HTTP client: servers, TLS, the token.

use super::super::options::ClientOptions;
use super::Client;
use reqwest::header::HeaderValue;
use reqwest::{Certificate, Url};
use std::cell::Cell;

/// Servers that may be named.
const SERVERS_MAX: usize = 64;

impl Client {
    /// Builds a client; nothing is sent yet.
    ///
    /// # Errors
    /// Names what is wrong with the options.
    pub(crate) fn new(options: &ClientOptions) -> Result<Self, String> {
        let servers = servers(&options.server)?;
        let token = match &options.token_file {
            None => None,
            Some(file) => {
                let shown = file.display();
                let text = std::fs::read_to_string(file)
                    .map_err(|error| format!("--token-file {shown}: {error}"))?;
                let text = text.trim();
                if text.is_empty() {
                    return Err(format!("--token-file {shown} is empty"));
                }
                let mut header = HeaderValue::from_str(&format!("Bearer {text}"))
                    .map_err(|_| format!("--token-file {shown} must hold one token on one line"))?;
                header.set_sensitive(true);
                Some(header)
            }
        };

        // Two libraries may bring their own; whoever comes first is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("lockkeeper/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.timeout.to_std())
            // The API never redirects, and a followed POST would become a GET.
            .redirect(reqwest::redirect::Policy::none());
        if let Some(file) = &options.ca_file {
            let shown = file.display();
            let pem = std::fs::read(file).map_err(|error| format!("--ca-file {shown}: {error}"))?;
            let certificates = Certificate::from_pem_bundle(&pem)
                .ok()
                .filter(|certificates| !certificates.is_empty())
                .ok_or_else(|| format!("--ca-file {shown} holds no PEM certificate"))?;
            builder = builder.tls_certs_only(certificates);
        } else if servers.iter().all(|server| server.scheme() == "http") {
            // Containers often carry no authorities at all; plain http must not need them.
            builder = builder.tls_certs_only([]);
        }
        if servers.iter().all(is_loopback) {
            builder = builder.no_proxy();
        }
        let http =
            builder.build().map_err(|error| format!("cannot set up HTTP: {}", super::reason(&error)))?;
        Ok(Self { http, servers, current: Cell::new(0), token })
    }
}

fn servers(texts: &[String]) -> Result<Vec<Url>, String> {
    let mut servers = Vec::new();
    for text in texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        let url = Url::parse(text).map_err(|error| format!("--server {text:?}: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
            return Err(format!("--server {text:?} must begin with http:// or https://"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("--server {text:?} must have neither a query nor a fragment"));
        }
        if !servers.contains(&url) {
            servers.push(url);
        }
    }
    match servers.len() {
        0 => Err("--server is empty: name at least one server".into()),
        1..=SERVERS_MAX => Ok(servers),
        many => Err(format!("--server names {many} servers; at most {SERVERS_MAX} are allowed")),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_checked_before_anything_is_sent() {
        let list = |texts: &[&str]| servers(&texts.iter().map(|&t| t.to_owned()).collect::<Vec<_>>());
        assert_eq!(list(&["http://a", " http://b:1/x ", "http://a/", ""]).unwrap().len(), 2);
        for bad in [&["127.0.0.1:4142"][..], &["ftp://a"], &["mailto:a"], &["http://a?x=1"], &[""], &[]] {
            assert!(list(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn proxies_are_not_asked_for_the_own_machine() {
        for (url, loopback) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("http://a", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), loopback, "{url}");
        }
    }
}
