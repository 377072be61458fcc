//! Addresses and networks in CIDR form: whom something applies to.

use std::fmt;
use std::net::IpAddr;

/// The most networks of one list.
const NETWORKS_MAX: usize = 64;

/// What a list of them may be, in words.
pub(crate) const ALLOWED: &str =
    "a list of IP addresses like 10.0.0.7 and networks like 10.0.0.0/8 or fd00::/8, at most 64";

/// All addresses that begin with the same bits; an address alone is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether an address is one of them. An IPv4 address in IPv6's clothes is judged as what it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.prefix);
                shift == 32 || own.to_bits() >> shift == other.to_bits() >> shift
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.prefix);
                shift == 128 || own.to_bits() >> shift == other.to_bits() >> shift
            }
            _ => false,
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr =
            address.parse().map_err(|_| "is not an IP address, nor a network like 10.0.0.0/8".to_owned())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(prefix) => prefix
                .parse()
                .ok()
                .filter(|number| *number <= bits && prefix.bytes().all(|byte| byte.is_ascii_digit()))
                .ok_or_else(|| {
                    format!("has {prefix:?} behind the slash, where a number up to {bits} must be")
                })?,
        };
        let network = Self { address, prefix };
        let first = network.first();
        if first != address {
            return Err(format!("has bits beyond its first {prefix}; the network is {first}/{prefix}"));
        }
        Ok(network)
    }

    /// The lowest address.
    fn first(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                IpAddr::V4((address.to_bits() & mask).into())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                IpAddr::V6((address.to_bits() & mask).into())
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = if self.address.is_ipv4() { 32 } else { 128 };
        if self.prefix == bits {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.prefix)
        }
    }
}

/// Reads a list with commas; nothing is an empty list.
pub(crate) fn parse_list(text: &str) -> Result<Vec<Network>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let items: Vec<&str> = text.split(',').map(str::trim).collect();
    let count = items.len();
    if count > NETWORKS_MAX {
        return Err(format!("has {count} entries"));
    }
    let wrong = |index: usize, wrong: String| {
        if count == 1 {
            wrong
        } else {
            format!("has a mistake in entry {} of {count}: it {wrong}", index + 1)
        }
    };
    items
        .into_iter()
        .enumerate()
        .map(|(index, item)| Network::parse(item).map_err(|said| wrong(index, said)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_what_begins_alike() {
        for (network, inside, outside) in [
            (
                "10.0.0.0/8",
                &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"][..],
                &["11.0.0.0", "::a00:1"][..],
            ),
            ("10.0.0.7", &["10.0.0.7"], &["10.0.0.6", "10.0.0.8"]),
            ("0.0.0.0/0", &["1.2.3.4", "255.255.255.255"], &["::1"]),
            ("fd00::/8", &["fd00::1", "fdff::"], &["fe00::", "10.0.0.1"]),
            ("::/0", &["::1", "ffff::"], &["1.2.3.4", "::ffff:1.2.3.4"]),
            ("::1", &["::1"], &["::2"]),
        ] {
            let [network] = parse_list(network).unwrap()[..] else { panic!("{network}") };
            for address in inside {
                assert!(network.contains(address.parse().unwrap()), "{network} {address}");
            }
            for address in outside {
                assert!(!network.contains(address.parse().unwrap()), "{network} {address}");
            }
        }
    }

    #[test]
    fn they_are_written_as_they_were_read() {
        for text in ["10.0.0.0/8", "10.0.0.7", "::/0", "0.0.0.0/0", "fd00::/8", "::1"] {
            assert_eq!(parse_list(text).unwrap()[0].to_string(), text);
        }
        assert_eq!(parse_list("10.0.0.7/32, ::1/128").unwrap().len(), 2);
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, said) in [
            ("localhost", "is not an IP address"),
            ("10.0.0.0/33", "a number up to 32"),
            ("10.0.0.0/+8", "a number up to 32"),
            ("::/129", "a number up to 128"),
            ("10.0.0.1/8", "the network is 10.0.0.0/8"),
            ("10.0.0.1,", "entry 2 of 2"),
            ("10.0.0.1,x", "entry 2 of 2: it is not an IP address"),
        ] {
            let wrong = parse_list(text).unwrap_err();
            assert!(wrong.contains(said), "{text}: {wrong}");
        }
        assert!(parse_list(&["::1"; 65].join(",")).is_err());
    }
}
