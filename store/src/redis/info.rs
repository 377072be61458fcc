//! What `INFO` tells of a server.

use super::reply::{Garbled, Rest};
use crate::shared::ServerCondition;
use redis::Value;
use std::collections::HashMap;
use std::str::FromStr;

/// A replica that was not heard of for more seconds than this does not count as in sync; Redis' own
/// default for `min-replicas-max-lag`.
const LAG_MAX_SECS: u64 = 10;

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

    /// Replicas that are connected, have the data, and say so.
    pub(super) fn replicas_in_sync(&self) -> u32 {
        let replicas = self.number::<u32>("connected_slaves").unwrap_or(0);
        let in_sync = |number: &u32| {
            let fields = self.text(&format!("slave{number}")).unwrap_or_default();
            let field = |name: &str| {
                let mut parts = fields.split(',').filter_map(|part| part.split_once('='));
                parts.find_map(|(key, value)| (key == name).then_some(value))
            };
            let lag = field("lag").and_then(|lag| lag.parse::<u64>().ok());
            field("state") == Some("online") && lag.is_some_and(|lag| lag <= LAG_MAX_SECS)
        };
        (0..replicas).filter(in_sync).count() as u32
    }

    /// What the server with this address says of itself.
    pub(super) fn condition(&self, server: &str) -> ServerCondition {
        ServerCondition {
            server: server.to_owned(),
            role: self.text("role").unwrap_or_default().to_owned(),
            memory_used: self.number("used_memory").unwrap_or(0),
            memory_max: self.number("maxmemory").unwrap_or(0),
            replicas: self.replicas_in_sync(),
        }
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
    fn what_a_server_says_of_itself_is_read() {
        let text = "role:master\r\nused_memory:95\r\nmaxmemory:100\r\nconnected_slaves:4\r\n\
            slave0:ip=1,port=2,state=online,offset=5,lag=1\r\n\
            slave1:ip=1,port=3,state=wait_bgsave,offset=0,lag=0\r\n\
            slave2:ip=1,port=4,state=online,offset=5,lag=11\r\n";
        let condition = Info::parse(text).condition("here:1");
        let ServerCondition { server, role, memory_used, memory_max, replicas } = &condition;
        assert_eq!((server.as_str(), role.as_str()), ("here:1", "master"));
        assert_eq!((*memory_used, *memory_max, *replicas, condition.memory_percent()), (95, 100, 1, 95));
        let bare = Info::parse("connected_slaves:odd").condition("x");
        assert_eq!((bare.memory_percent(), bare.replicas), (0, 0));
        let full = ServerCondition { memory_used: u64::MAX, memory_max: 1, ..bare };
        assert_eq!(full.memory_percent(), u64::MAX);
    }

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
