//! The address of a Redis server as it is given: a URL, or host and port alone.
//!
//! Credentials may be part of it, so that no text of an address is ever shown as it came; what is
//! shown is made from the parts that are safe.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::secret::Secret;

/// What a list of addresses may be.
pub(crate) const ALLOWED: &str = "a list of redis://HOST:PORT or rediss://HOST:PORT (with TLS), with credentials as USER:PASSWORD@ before the host and a database as /NUMBER behind the port; HOST:PORT alone means redis://";

/// More servers are a mistake.
const URLS_MAX: usize = 64;
const HOST_BYTES_MAX: usize = 253;
/// The longest scheme that a message repeats.
const SCHEME_BYTES_MAX: usize = 16;

/// One server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisUrl {
    /// Whether the connection is encrypted: `rediss://`.
    pub tls: bool,
    /// Who connects, if the URL says it.
    pub username: Option<String>,
    /// Its password, if the URL has it.
    pub password: Option<Secret>,
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    /// The port, if the URL has one.
    pub port: Option<u16>,
    /// The database, if the URL has one.
    pub database: Option<u32>,
}

impl fmt::Display for RedisUrl {
    /// Without the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "rediss" } else { "redis" }, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if let Some(database) = self.database {
            write!(f, "/{database}")?;
        }
        Ok(())
    }
}

/// Reads a comma-separated list; an empty text is an empty list.
pub(crate) fn parse_list(text: &str) -> Result<Vec<RedisUrl>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let items: Vec<&str> = text.split(',').map(str::trim).collect();
    let count = items.len();
    if count > URLS_MAX {
        return Err(format!("has {count} URLs; {URLS_MAX} are enough to find a Cluster by"));
    }
    let mut urls = Vec::with_capacity(count);
    for (index, item) in items.into_iter().enumerate() {
        let url = parse(item).map_err(|wrong| {
            if count == 1 {
                wrong
            } else {
                format!("has a mistake in URL {} of {count}: it {wrong}", index + 1)
            }
        })?;
        urls.push(url);
    }
    alike(&urls)?;
    Ok(urls)
}

/// All servers of a deployment are reached in the same way.
fn alike(urls: &[RedisUrl]) -> Result<(), String> {
    let Some((first, rest)) = urls.split_first() else { return Ok(()) };
    if rest.iter().any(|url| url.tls != first.tls) {
        return Err("mixes redis:// and rediss://: all servers are reached with TLS, or none".to_owned());
    }
    if rest.iter().any(|url| url.database != first.database) {
        return Err("names several databases: all locks are in one".to_owned());
    }
    if rest.iter().any(|url| url.username != first.username || url.password != first.password) {
        return Err(
            "has URLs with different credentials; give those of all servers once, in redis.username and redis.password"
                .to_owned(),
        );
    }
    for (index, url) in urls.iter().enumerate() {
        if urls.iter().take(index).any(|other| other.host == url.host && other.port == url.port) {
            return Err(format!("has {url} twice"));
        }
    }
    Ok(())
}

/// Reads one address. What is wrong is said without repeating any part that could be a secret.
fn parse(text: &str) -> Result<RedisUrl, String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("contains a space or a control character".to_owned());
    }
    let (tls, rest) = match text.split_once("://") {
        Some(("redis", rest)) => (false, rest),
        Some(("rediss", rest)) => (true, rest),
        Some((scheme, _)) => return Err(unknown_scheme(scheme)),
        None => return bare(text),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    if behind.contains('@') {
        return Err("has an \"@\" behind its host; write \"/\", \"?\", \"#\" and \"@\" of a password as %2F, %3F, %23 and %40, or give it as redis.password".to_owned());
    }
    let (credentials, address) = match authority.rsplit_once('@') {
        Some((credentials, address)) => (Some(credentials), address),
        None => (None, authority),
    };
    let (username, password) = credentials.map_or(Ok((None, None)), read_credentials)?;
    let (host, port) = host_and_port(address)?;
    Ok(RedisUrl {
        tls,
        username,
        password: password.map(Secret::new),
        host,
        port,
        database: database(behind)?,
    })
}

/// `HOST:PORT`, as other tools write it. The port is needed: a word alone is more likely a mistake.
fn bare(text: &str) -> Result<RedisUrl, String> {
    if text.contains(['@', '/', '?', '#']) {
        return Err("has no redis:// or rediss:// at its beginning".to_owned());
    }
    let (host, port) = host_and_port(text)?;
    if port.is_none() {
        return Err("has no port and no redis:// or rediss:// at its beginning".to_owned());
    }
    Ok(RedisUrl { tls: false, username: None, password: None, host, port, database: None })
}

fn unknown_scheme(scheme: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    match scheme {
        "unix" | "redis+unix" | "valkey+unix" => {
            "is of a Unix socket; locks are shared over the network".to_owned()
        }
        _ if scheme.len() <= SCHEME_BYTES_MAX && scheme.chars().all(harmless) => {
            format!("begins with \"{scheme}://\" and not with redis:// or rediss://")
        }
        _ => "does not begin with redis:// or rediss://".to_owned(),
    }
}

fn read_credentials(text: &str) -> Result<(Option<String>, Option<String>), String> {
    let (username, password) = match text.split_once(':') {
        Some((username, password)) => (username, Some(password)),
        None => (text, None),
    };
    let read = |text: &str| {
        unescape(text).ok_or_else(|| {
            "has credentials with a \"%\" that is not followed by two digits of hexadecimal UTF-8; write \"%\" itself as %25"
                .to_owned()
        })
    };
    let username = if username.is_empty() { None } else { Some(read(username)?) };
    let password = password.filter(|password| !password.is_empty()).map(read).transpose()?;
    for part in [&username, &password].into_iter().flatten() {
        if part.chars().any(char::is_control) {
            return Err("has credentials with a control character".to_owned());
        }
    }
    Ok((username, password))
}

fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// Splits `HOST`, `HOST:PORT` or `[IPV6]:PORT`; the host in lower case.
pub(crate) fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (inside, port) =
            rest.split_once(']').ok_or_else(|| "has a \"[\" without its \"]\"".to_owned())?;
        let address: Ipv6Addr =
            inside.parse().map_err(|_| "has no IPv6 address between \"[\" and \"]\"".to_owned())?;
        let port = match port.strip_prefix(':') {
            Some(port) => Some(port),
            None if port.is_empty() => None,
            None => return Err("has something other than \":PORT\" behind \"]\"".to_owned()),
        };
        (format!("[{address}]"), port)
    } else {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        if port.is_some_and(|port| port.contains(':')) {
            return Err("has several \":\"; an IPv6 address stands in brackets, like [::1]:6379".to_owned());
        }
        (name_or_ipv4(host)?, port)
    };
    let port = port.map(|port| {
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        port.parse().ok().filter(|port| digits && *port > 0)
    });
    match port {
        Some(None) => Err("has a port that is not 1 to 65535".to_owned()),
        Some(port) => Ok((host, port)),
        None => Ok((host, None)),
    }
}

fn name_or_ipv4(host: &str) -> Result<String, String> {
    if host.is_empty() {
        return Err("has no host".to_owned());
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if host.len() > HOST_BYTES_MAX || !host.chars().all(fits) {
        return Err("has a host that is neither a name nor an IP address".to_owned());
    }
    // What looks like an IPv4 address must be one, else it is looked up as a name for a long time.
    if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') && host.parse::<Ipv4Addr>().is_err() {
        return Err("has a host that looks like an IP address and is none".to_owned());
    }
    Ok(host.to_ascii_lowercase())
}

fn database(behind: &str) -> Result<Option<u32>, String> {
    if behind.contains('#') {
        return Err("has a \"#\": the servers' certificates are always verified; give your own authority as redis.tls.ca-file".to_owned());
    }
    if behind.contains('?') {
        return Err("has a \"?\": options are settings of their own".to_owned());
    }
    let number = behind.strip_prefix('/').unwrap_or(behind);
    if number.is_empty() {
        return Ok(None);
    }
    let digits = number.bytes().all(|b| b.is_ascii_digit());
    match number.parse().ok().filter(|number| digits && *number <= super::settings::REDIS_DB_MAX) {
        Some(number) => Ok(Some(number)),
        None => Err(format!("has a database that is not 0 to {}", super::settings::REDIS_DB_MAX)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> RedisUrl {
        let mut urls = parse_list(text).unwrap_or_else(|wrong| panic!("{text}: {wrong}"));
        assert_eq!(urls.len(), 1);
        urls.remove(0)
    }

    #[test]
    fn the_parts_of_a_url() {
        for (text, tls, username, password, host, port, database) in [
            ("redis://h", false, None, None, "h", None, None),
            ("redis://h/", false, None, None, "h", None, None),
            ("rediss://H.example:6380/3", true, None, None, "h.example", Some(6380), Some(3)),
            ("redis://:pw@10.0.0.1", false, None, Some("pw"), "10.0.0.1", None, None),
            ("redis://anna@h:1", false, Some("anna"), None, "h", Some(1), None),
            ("redis://anna:@h:1", false, Some("anna"), None, "h", Some(1), None),
            (
                "redis://anna:p%40s%2f%2C%25:@[::1]:2",
                false,
                Some("anna"),
                Some("p@s/,%:"),
                "[::1]",
                Some(2),
                None,
            ),
            ("redis://:a@b@h", false, None, Some("a@b"), "h", None, None),
            ("redis://[0:0::1]", false, None, None, "[::1]", None, None),
            ("localhost:6379", false, None, None, "localhost", Some(6379), None),
            ("[::1]:6379", false, None, None, "[::1]", Some(6379), None),
        ] {
            let url = one(text);
            assert_eq!((url.tls, url.username.as_deref()), (tls, username), "{text}");
            assert_eq!(url.password.as_ref().map(Secret::expose), password, "{text}");
            assert_eq!((url.host.as_str(), url.port, url.database), (host, port, database), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        for (text, said) in [
            (" ", "is empty"),
            ("hunter2", "no port"),
            ("redis://", "has no host"),
            ("redis://:6379", "has no host"),
            ("redis://anna:hunter2", "has a port"),
            ("redis://h:0", "has a port"),
            ("redis://h:65536", "has a port"),
            ("redis://h:+1", "has a port"),
            ("redis://h:", "has a port"),
            ("redis://::1:6379", "in brackets"),
            ("redis://[::1", "without its"),
            ("redis://[h]:1", "no IPv6"),
            ("redis://[::1]6379", "behind \"]\""),
            ("redis://10.0.0:1", "looks like an IP"),
            ("redis://h!:1", "neither a name"),
            ("redis://h/x", "a database"),
            ("redis://h/65536", "a database"),
            ("redis://h/-1", "a database"),
            ("redis://h/1/2", "a database"),
            ("rediss://h/#insecure", "always verified"),
            ("redis://h?timeout=1s", "settings of their own"),
            ("redis://:hunter2#@h", "%23"),
            ("redis://:hunter2/@h", "%2F"),
            ("redis://:hunter2%4@h", "%25"),
            ("redis://:hunter2%ff@h", "%25"),
            ("redis://:hunter2%00@h", "control character"),
            ("redis://:hunter2 @h", "a space"),
            ("http://h", "begins with \"http://\""),
            ("anna:hunter2@h://x", "does not begin"),
            ("anna:hunter2@h:6379", "no redis://"),
            ("unix:///run/redis.sock", "Unix socket"),
            ("redis://a:1,redis://anna:hunter2", "URL 2 of 2: it has a port"),
            ("redis://a,,redis://b", "URL 2 of 3: it is empty"),
            ("redis://a,rediss://b", "mixes"),
            ("redis://a/1,redis://b/2", "several databases"),
            ("redis://a/0,redis://b", "several databases"),
            ("redis://:hunter2@a,redis://b", "different credentials"),
            ("redis://a:1,redis://A:1", "has redis://a:1 twice"),
        ] {
            let wrong = parse_list(text).unwrap_err();
            assert!(wrong.contains(said) && !wrong.contains("hunter2"), "{text}: {wrong}");
        }
        let many: Vec<_> = (1..=65).map(|port| format!("redis://h:{port}")).collect();
        assert!(parse_list(&many[1..].join(", ")).is_ok());
        assert!(parse_list(&many.join(",")).unwrap_err().contains("65 URLs"));
    }

    #[test]
    fn neither_display_nor_debug_shows_credentials() {
        let url = one("redis://anna:hunter2@h:1/3");
        assert_eq!(url.to_string(), "redis://h:1/3");
        assert!(!format!("{url:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(redis://|rediss://|a|:|@|%4|%|\\[|\\]|1|/|,|é| ){0,12}") {
            if let Ok(urls) = parse_list(&text) {
                for url in urls {
                    let shown = url.to_string();
                    let again = one(&shown);
                    prop_assert_eq!(again.to_string(), shown);
                }
            }
        }
    }
}
