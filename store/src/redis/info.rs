//! What `INFO` tells of a server.

use super::reply::{Garbled, Rest};
use redis::Value;
use std::collections::HashMap;
use std::str::FromStr;

/// The fields of `INFO`.
#[derive(Debug, Default)]
pub(super) struct Info(HashMap<String, String>);

impl Info {
    pub(super) fn read(value: Value) -> Result<Self, Garbled> {
        let text = match value {
            Value::VerbatimString { text, .. } => text,
            other => Rest::new(Value::Array(vec![other]))?.text()?,
        };
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let fields = text.lines().filter_map(|line| line.trim().split_once(':'));
        Self(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }

    pub(super) fn number<T: FromStr>(&self, field: &str) -> Option<T> {
        self.text(field)?.parse().ok()
    }

    pub(super) fn is(&self, field: &str, value: &str) -> bool {
        self.text(field) == Some(value)
    }

    /// Major and minor version of Redis, or of the Redis that it says to be compatible with.
    pub(super) fn version(&self) -> Option<(u32, u32)> {
        let mut parts = self.text("redis_version")?.split('.').map(str::parse);
        match (parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        let text = "# Server\r\nredis_version:7.0.15\r\n\r\n# Memory\r\nmaxmemory:100\r\nodd\r\nurl:a:b\r\n";
        let info = Info::read(Value::BulkString(text.into())).unwrap();
        assert_eq!(info.version(), Some((7, 0)));
        assert_eq!(info.number("maxmemory"), Some(100_u64));
        assert_eq!(info.text("url"), Some("a:b"));
        assert!(info.text("odd").is_none() && info.number::<u64>("url").is_none());
        assert!(Info::read(Value::Int(5)).unwrap().version().is_none());
        assert!(Info::read(Value::Nil).is_err());
    }
}
