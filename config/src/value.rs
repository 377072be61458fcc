//! A setting's value, read and found in range.

use std::fmt;
use std::net::SocketAddr;

use lockkeeper_core::Span;

use crate::network::Network;
use crate::redis_url::RedisUrl;
use crate::size;

/// A setting's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Integer(u64),
    /// A length of time.
    Duration(Span),
    /// A number of bytes.
    Size(u64),
    /// An address and port.
    Address(SocketAddr),
    /// One of a few words.
    Word(&'static str),
    /// Addresses of Redis servers.
    RedisUrls(Vec<RedisUrl>),
    /// IP addresses and networks.
    Networks(Vec<Network>),
    /// Any other text.
    Text(String),
}

impl fmt::Display for Value {
    /// As it could stand in the settings file, but for quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(on) => write!(f, "{on}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Duration(span) => f.write_str(&short(*span)),
            Self::Size(bytes) => f.write_str(&size::display(*bytes)),
            Self::Address(address) => write!(f, "{address}"),
            Self::Word(word) => f.write_str(word),
            Self::RedisUrls(urls) => {
                let urls: Vec<_> = urls.iter().map(ToString::to_string).collect();
                f.write_str(&urls.join(","))
            }
            Self::Networks(networks) => {
                let networks: Vec<_> = networks.iter().map(ToString::to_string).collect();
                f.write_str(&networks.join(","))
            }
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A duration without the zeros that Go appends: `720h`, not `720h0m0s`.
pub(crate) fn short(span: Span) -> String {
    let mut text = span.to_string();
    for (zeros, keep) in [("m0s", 1), ("h0m", 1)] {
        if text.ends_with(zeros) {
            text.truncate(text.len() - zeros.len() + keep);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_durations_say_the_same() {
        for text in ["0s", "10s", "1m", "10m", "720h", "1h30m", "1h0m5s", "250ms", "1m30s"] {
            assert_eq!(short(Span::parse(text).unwrap()), text);
        }
    }
}
