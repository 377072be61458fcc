//! Whose request it is, for what is counted by client: the address that connected or, behind proxies
//! that are trusted, the one that the last of them saw.

use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::{HttpMessage, HttpRequest};
use lockkeeper_config::Network;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// One IPv6 client is given at least so many bits of addresses: it must not count as many clients.
const IPV6_PREFIX_BITS: u32 = 64;

/// A client: an IPv4 address, or an IPv6 network of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Client(IpAddr);

impl Client {
    /// Whose request this is. `peer` is the address that connected.
    pub(super) fn read(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[Network]) -> Self {
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        Self::of(forwarded_for(peer, headers, trusted).unwrap_or(peer))
    }

    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() >> (128 - IPV6_PREFIX_BITS) << (128 - IPV6_PREFIX_BITS);
                Self(IpAddr::V6(Ipv6Addr::from_bits(network)))
            }
            address => Self(address),
        }
    }

    /// The client of a request that came in through `middleware`.
    pub(super) fn asking(req: &HttpRequest) -> Self {
        let noted = req.extensions().get::<Self>().copied();
        noted.unwrap_or_else(|| Self::of(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
    }
}

/// The address that the first proxy from the right saw which is not trusted itself. Each proxy adds
/// on the right whom it was asked by: what stands left of an untrusted address is a claim of that
/// one. `None`: the peer speaks for itself, or what it says cannot be read.
fn forwarded_for(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> Option<IpAddr> {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(peer) {
        return None;
    }
    let mut seen = None;
    let lines: Vec<_> = headers.get_all(X_FORWARDED_FOR).collect();
    for line in lines.into_iter().rev() {
        for part in line.to_str().ok()?.rsplit(',') {
            let address = address(part.trim())?;
            seen = Some(address);
            if !is_trusted(address) {
                return seen;
            }
        }
    }
    seen
}

/// An address, as proxies write it: some add a port, some put IPv6 in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text
            .parse::<IpAddr>()
            .ok()
            .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn networks(list: &str) -> Vec<Network> {
        use lockkeeper_config::{ConfigFile, Environment, Inputs};
        let file = format!("http: {{trusted-proxies: [{list}]}}\n");
        let inputs = Inputs {
            file: Some(ConfigFile { name: "test", bytes: file.as_bytes() }),
            environment: Environment::default(),
            flags: &[],
            read_secret: &|_| unreachable!(),
        };
        lockkeeper_config::load(&inputs)
            .unwrap_or_else(|error| panic!("{error}"))
            .settings
            .http
            .trusted_proxies
    }

    fn client(peer: &str, headers: &[&str], trusted: &str) -> String {
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(X_FORWARDED_FOR, HeaderValue::from_bytes(header.as_bytes()).unwrap());
        }
        let trusted = if trusted.is_empty() { Vec::new() } else { networks(trusted) };
        Client::read(Some(peer.parse().unwrap()), &map, &trusted).0.to_string()
    }

    #[test]
    fn nobody_is_believed_who_is_not_trusted() {
        assert_eq!(client("198.51.100.7", &["1.1.1.1"], ""), "198.51.100.7");
        assert_eq!(client("198.51.100.7", &["1.1.1.1"], "\"10.0.0.0/8\""), "198.51.100.7");
        assert_eq!(client("198.51.100.7", &["10.0.0.1"], "\"10.0.0.0/8\""), "198.51.100.7");
    }

    #[test]
    fn the_right_most_untrusted_address_counts() {
        let trusted = "\"10.0.0.0/8\", \"2001:db8::/32\"";
        for (headers, expected) in [
            (&["203.0.113.9"][..], "203.0.113.9"),
            // What the client put there itself stands on the left.
            (&["1.1.1.1, 2.2.2.2,203.0.113.9"], "203.0.113.9"),
            (&["1.1.1.1", "203.0.113.9"], "203.0.113.9"),
            // Through several proxies of ours.
            (&["1.1.1.1, 203.0.113.9 , 10.1.2.3"], "203.0.113.9"),
            (&["203.0.113.9", "10.1.2.3, 2001:db8::5"], "203.0.113.9"),
            (&["203.0.113.9:4711"], "203.0.113.9"),
            (&["[2a00:1:2:3:4:5:6:7]:443"], "2a00:1:2:3::"),
            (&["[2a00:1:2:3:4:5:6:7]"], "2a00:1:2:3::"),
            (&["2a00:1:2:3:4:5:6:7"], "2a00:1:2:3::"),
            // Asked by one of ours: it is the client.
            (&["10.9.9.9"], "10.9.9.9"),
            (&["10.9.9.8, 10.9.9.9"], "10.9.9.8"),
            // Nonsense on the left is somebody's claim, and not looked at.
            (&["nonsense, 203.0.113.9"], "203.0.113.9"),
        ] {
            assert_eq!(client("10.0.0.1", headers, trusted), expected, "{headers:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_leaves_the_peer() {
        for headers in [
            &[][..],
            &[""],
            &["nonsense"],
            &["203.0.113.9,"],
            &["203.0.113.9, unknown"],
            &["203.0.113.9, 10.0.0.256"],
            &["_hidden, 10.1.1.1 10.1.1.2"],
            &["203.0.113.9", ""],
            &["[203.0.113.9]"],
            &["203.0.113.9\u{e9}"],
        ] {
            assert_eq!(client("10.0.0.1", headers, "\"10.0.0.0/8\""), "10.0.0.1", "{headers:?}");
        }
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        assert_eq!(client("2a00:1:2:3:4:5:6:7", &[], ""), "2a00:1:2:3::");
        assert_eq!(client("2a00:1:2:3::1", &[], ""), client("2a00:1:2:3:ffff::", &[], ""));
        assert_ne!(client("2a00:1:2:3::1", &[], ""), client("2a00:1:2:4::1", &[], ""));
        assert_eq!(client("::ffff:203.0.113.9", &[], ""), "203.0.113.9");
        assert_eq!(client("::ffff:10.0.0.1", &["203.0.113.9"], "\"10.0.0.0/8\""), "203.0.113.9");
        assert_eq!(Client::read(None, &HeaderMap::new(), &[]).0.to_string(), "0.0.0.0");
    }
}
