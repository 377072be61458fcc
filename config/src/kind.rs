//! What a setting's value may be: one place that reads it, and one that says so in words.

use std::net::SocketAddr;

use lockkeeper_core::Span;

use crate::network;
use crate::redis_url;
use crate::size;
use crate::value::{Value, short};

/// What a setting's value may be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Integer {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
        /// What zero means, if it means something special.
        zero: Option<&'static str>,
    },
    /// A length of time.
    Duration {
        /// The shortest.
        min: Span,
        /// The longest.
        max: Span,
    },
    /// A number of bytes.
    Size {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// An IP address and port.
    Address,
    /// One of these words.
    Word {
        /// The words.
        words: &'static [&'static str],
        /// Words that a user may expect, and what to tell about each.
        absent: &'static [(&'static str, &'static str)],
    },
    /// Addresses of Redis servers: a list in the file, separated by commas elsewhere, or given several
    /// times as a flag. They may hold credentials.
    RedisUrls,
    /// IP addresses and networks, as a list like that of [`Kind::RedisUrls`].
    Networks,
    /// A text.
    Text {
        /// What is allowed, in words.
        allowed: &'static str,
        /// Says what is wrong with a text, as the rest of a sentence about it.
        check: fn(&str) -> Result<(), String>,
    },
}

impl Kind {
    /// What is allowed, in words.
    #[must_use]
    pub fn allowed(&self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Integer { min, max, zero: None } => format!("{min} to {max}"),
            Self::Integer { min, max, zero: Some(meaning) } => format!("{min} to {max}, 0 for {meaning}"),
            Self::Duration { min, max } => format!("{} to {}", short(*min), short(*max)),
            Self::Size { min, max } => format!("{} to {}", size::display(*min), size::display(*max)),
            Self::Address => "an IP address and port, like 127.0.0.1:4142 or [::1]:4142".to_owned(),
            Self::Word { words, .. } => words.join(" or "),
            Self::RedisUrls => redis_url::ALLOWED.to_owned(),
            Self::Networks => network::ALLOWED.to_owned(),
            Self::Text { allowed, .. } => (*allowed).to_owned(),
        }
    }

    /// Whether it takes several values.
    pub(crate) const fn is_list(&self) -> bool {
        matches!(self, Self::RedisUrls | Self::Networks)
    }

    /// Reads a value.
    ///
    /// # Errors
    /// Says what is wrong and what is allowed, as the rest of a sentence about the text.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        self.read(text).map_err(|wrong| format!("{wrong}; allowed: {}", self.allowed()))
    }

    fn read(&self, text: &str) -> Result<Value, String> {
        match self {
            Self::Bool => match text {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                _ => Err("is not true or false".to_owned()),
            },
            Self::Integer { min, max, .. } => {
                let number = integer(text)?;
                in_range(&number, min, max, u64::to_string)?;
                Ok(Value::Integer(number))
            }
            Self::Duration { min, max } => {
                let span = Span::parse(text).map_err(|error| error.to_string())?;
                in_range(&span, min, max, |span| short(*span))?;
                Ok(Value::Duration(span))
            }
            Self::Size { min, max } => {
                let bytes = size::parse(text)?;
                in_range(&bytes, min, max, |bytes| size::display(*bytes))?;
                Ok(Value::Size(bytes))
            }
            Self::Address => text
                .parse::<SocketAddr>()
                .map(Value::Address)
                .map_err(|_| "is not an address with a port".to_owned()),
            Self::Word { words, absent } => {
                if let Some(word) = words.iter().find(|word| **word == text) {
                    return Ok(Value::Word(word));
                }
                match absent.iter().find(|(word, _)| *word == text) {
                    Some((_, reason)) => Err(format!("is not available: {reason}")),
                    None => Err("is not known".to_owned()),
                }
            }
            Self::RedisUrls => redis_url::parse_list(text).map(Value::RedisUrls),
            Self::Networks => network::parse_list(text).map(Value::Networks),
            Self::Text { check, .. } => check(text).map(|()| Value::Text(text.to_owned())),
        }
    }
}

fn integer(text: &str) -> Result<u64, String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("is not a whole number".to_owned());
    }
    text.parse().map_err(|_| "is too large".to_owned())
}

fn in_range<T: Ord>(value: &T, min: &T, max: &T, show: impl Fn(&T) -> String) -> Result<(), String> {
    if value < min {
        Err(format!("is less than {}", show(min)))
    } else if value > max {
        Err(format!("is more than {}", show(max)))
    } else {
        Ok(())
    }
}
