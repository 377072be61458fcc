//! The environment, as a value: reading the process's own is the caller's business.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// Every variable of ours begins so.
pub(crate) const PREFIX: &str = "LOCKKEEPER_";

/// The variables, sorted by name so that errors come in the same order each time.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

/// A variable's value is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotUtf8;

impl Environment {
    /// From names and values, such as `std::env::vars_os()`.
    #[must_use]
    pub fn from_pairs<K: Into<OsString>, V: Into<OsString>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<Result<&str, NotUtf8>> {
        self.0.get(OsStr::new(name)).map(|value| value.to_str().ok_or(NotUtf8))
    }

    /// The variables that begin with [`PREFIX`] and were set by a person: not those by which Docker and
    /// Kubernetes announce a service. A service called `lockkeeper` is the most natural thing, and then
    /// every container of its namespace has `LOCKKEEPER_PORT=tcp://…` and its like.
    pub(crate) fn ours(&self) -> impl Iterator<Item = (&str, Result<&str, NotUtf8>)> {
        self.0.iter().filter_map(|(name, value)| {
            let name = name.to_str().filter(|name| name.starts_with(PREFIX))?;
            let value = value.to_str().ok_or(NotUtf8);
            (!is_service_link(name, value.unwrap_or_default())).then_some((name, value))
        })
    }
}

fn is_service_link(name: &str, value: &str) -> bool {
    // LOCKKEEPER_SERVICE_HOST, LOCKKEEPER_SERVICE_PORT, LOCKKEEPER_SERVICE_PORT_HTTP,
    // LOCKKEEPER_HTTP_SERVICE_HOST for a service lockkeeper-http
    let name = name.strip_prefix("LOCKKEEPER").unwrap_or(name);
    if name.ends_with("_SERVICE_HOST") || name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
        return true;
    }
    // LOCKKEEPER_PORT=tcp://10.0.0.1:4142
    if name.ends_with("_PORT")
        && ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme))
    {
        return true;
    }
    // LOCKKEEPER_PORT_4142_TCP and LOCKKEEPER_PORT_4142_TCP_ADDR, _PORT, _PROTO
    let Some((_, port)) = name.split_once("_PORT_") else { return false };
    let mut parts = port.split('_');
    let number =
        parts.next().is_some_and(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let protocol = parts.next().is_some_and(|part| matches!(part, "TCP" | "UDP" | "SCTP"));
    let last = parts.next().is_none_or(|part| matches!(part, "ADDR" | "PORT" | "PROTO"));
    number && protocol && last && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_links_are_not_settings() {
        let environment = Environment::from_pairs([
            ("LOCKKEEPER_SERVICE_HOST", "10.0.0.1"),
            ("LOCKKEEPER_SERVICE_PORT", "4142"),
            ("LOCKKEEPER_SERVICE_PORT_HTTP", "4142"),
            ("LOCKKEEPER_PORT", "tcp://10.0.0.1:4142"),
            ("LOCKKEEPER_PORT_4142_TCP", "tcp://10.0.0.1:4142"),
            ("LOCKKEEPER_PORT_4142_TCP_PROTO", "tcp"),
            ("LOCKKEEPER_PORT_4142_TCP_PORT", "4142"),
            ("LOCKKEEPER_PORT_4142_TCP_ADDR", "10.0.0.1"),
            ("LOCKKEEPER_HTTP_SERVICE_HOST", "10.0.0.1"),
            ("LOCKKEEPER_HTTP_PORT_80_TCP", "tcp://10.0.0.1:80"),
            ("PATH", "/bin"),
        ]);
        assert_eq!(environment.ours().collect::<Vec<_>>(), []);
    }

    #[test]
    fn what_a_person_wrote_is_a_setting() {
        let pairs = [
            ("LOCKKEEPER_LISTEN", "x"),
            ("LOCKKEEPER_PORT", "4142"),
            ("LOCKKEEPER_PORT_HTTP", "4142"),
            ("LOCKKEEPER_PORT_4142", "4142"),
        ];
        let environment = Environment::from_pairs(pairs);
        assert_eq!(environment.ours().count(), pairs.len());
    }
}
