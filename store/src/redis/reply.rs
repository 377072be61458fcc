//! What the scripts reply, taken apart piece by piece. Nothing in a reply is trusted to be there.

use crate::contract::StoreError;
use lockkeeper_core::{Timestamp, Version};
use redis::Value;
use std::vec::IntoIter;

/// A reply that is not what its script promises.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Garbled(String);

impl From<Garbled> for StoreError {
    fn from(garbled: Garbled) -> Self {
        Self::Damaged(format!("Redis answered what this version does not understand: {}", garbled.0))
    }
}

pub(super) fn garbled(what: impl Into<String>) -> Garbled {
    Garbled(what.into())
}

/// The head of a reply, and what follows.
#[derive(Debug)]
pub(super) struct Reply {
    /// What happened, in a word.
    pub(super) word: String,
    /// The server's clock.
    pub(super) time: Timestamp,
    pub(super) rest: Rest,
}

/// The numbers of a marker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) generation: u64,
    pub(super) floor: u64,
    pub(super) sequence: u64,
}

impl Reply {
    pub(super) fn parse(value: Value) -> Result<Self, Garbled> {
        let mut rest = Rest::new(value)?;
        let word = rest.text()?;
        let (seconds, micros) = (rest.number()?, rest.number()?);
        let time = seconds.checked_mul(1_000_000).and_then(|whole| whole.checked_add(micros));
        let time = time.ok_or_else(|| garbled("a time that is too large"))?;
        Ok(Self { word, time: Timestamp::from_micros(time), rest })
    }

    pub(super) fn numbers(&mut self) -> Result<Numbers, Garbled> {
        let rest = &mut self.rest;
        Ok(Numbers { generation: rest.number()?, floor: rest.number()?, sequence: rest.number()? })
    }

    pub(super) fn unexpected(&self) -> Garbled {
        garbled(format!("the word {:?}", self.word))
    }
}

/// The pieces of an array, from front to back.
#[derive(Debug)]
pub(super) struct Rest(IntoIter<Value>);

impl Rest {
    pub(super) fn new(value: Value) -> Result<Self, Garbled> {
        match value {
            Value::Array(values) => Ok(Self(values.into_iter())),
            // An empty table of Lua.
            Value::Nil => Ok(Self(Vec::new().into_iter())),
            other => Err(garbled(format!("no array, but {}", kind(&other)))),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn next(&mut self) -> Result<Value, Garbled> {
        self.0.next().ok_or_else(|| garbled("an array that is too short"))
    }

    pub(super) fn array(&mut self) -> Result<Self, Garbled> {
        Self::new(self.next()?)
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, Garbled> {
        match self.next()? {
            Value::BulkString(bytes) => Ok(bytes),
            Value::SimpleString(text) => Ok(text.into_bytes()),
            Value::Int(number) => Ok(number.to_string().into_bytes()),
            other => Err(garbled(format!("no bytes, but {}", kind(&other)))),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, Garbled> {
        String::from_utf8(self.bytes()?).map_err(|_| garbled("a text that is none"))
    }

    pub(super) fn integer(&mut self) -> Result<i64, Garbled> {
        match self.next()? {
            Value::Int(number) => Ok(number),
            Value::BulkString(bytes) => parse_number(&bytes),
            other => Err(garbled(format!("no number, but {}", kind(&other)))),
        }
    }

    pub(super) fn number(&mut self) -> Result<u64, Garbled> {
        u64::try_from(self.integer()?).map_err(|_| garbled("a number below zero"))
    }

    /// A number; an empty text is none.
    pub(super) fn optional_number(&mut self) -> Result<Option<u64>, Garbled> {
        let bytes = self.bytes()?;
        if bytes.is_empty() { Ok(None) } else { parse_number(&bytes).map(Some) }
    }

    /// A version; an empty text is absence.
    pub(super) fn version(&mut self) -> Result<Option<Version>, Garbled> {
        let bytes = self.bytes()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| garbled("a version that is no text"))?;
        let (generation, counter) = text.split_once('.').ok_or_else(|| garbled("a version without a dot"))?;
        let version = Version {
            generation: parse_number(generation.as_bytes())?,
            counter: parse_number(counter.as_bytes())?,
        };
        Ok(Some(version))
    }
}

fn parse_number<T: std::str::FromStr>(bytes: &[u8]) -> Result<T, Garbled> {
    let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| garbled(format!("no number, but {:?}", String::from_utf8_lossy(bytes))))
}

/// As it stands in Redis; the empty text for absence.
pub(super) fn version_text(version: Option<Version>) -> Vec<u8> {
    version
        .map_or_else(Vec::new, |version| format!("{}.{}", version.generation, version.counter).into_bytes())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nothing",
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) | Value::Okay => "a text",
        Value::Array(_) => "an array",
        Value::ServerError(_) => "an error",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn a_reply_is_taken_apart() {
        let pieces = ["MOVED", "1700000000", "7", "5", "100", "9", "", "5.8", "-1"].map(text).to_vec();
        let mut reply = Reply::parse(Value::Array(pieces)).unwrap();
        assert_eq!((reply.word.as_str(), reply.time.as_micros()), ("MOVED", 1_700_000_000_000_007));
        assert_eq!(reply.numbers().unwrap(), Numbers { generation: 5, floor: 100, sequence: 9 });
        assert_eq!(reply.rest.version().unwrap(), None);
        assert_eq!(reply.rest.version().unwrap(), Some(Version { generation: 5, counter: 8 }));
        assert_eq!(reply.rest.integer().unwrap(), -1);
        assert!(reply.rest.is_empty() && reply.rest.number().is_err());
    }

    #[test]
    fn garbage_is_an_error_and_no_more() {
        let heads = [
            Value::Okay,
            Value::Int(1),
            Value::Nil,
            Value::Array(vec![]),
            Value::Array(vec![text("DONE"), text("x"), text("1")]),
            Value::Array(vec![text("DONE"), text("-1"), text("1")]),
            Value::Array(vec![text("DONE"), Value::Int(i64::MAX), text("1")]),
            Value::Array(vec![Value::BulkString(vec![255]), Value::Int(1), Value::Int(1)]),
        ];
        for head in heads {
            assert!(Reply::parse(head.clone()).is_err(), "{head:?}");
        }
        for version in ["5", "5.", ".5", "5.5.5", "a.b", "-1.2", "99999999999999999999.1"] {
            let mut rest = Rest::new(Value::Array(vec![text(version)])).unwrap();
            assert!(rest.version().is_err(), "{version}");
        }
    }

    #[test]
    fn versions_are_written_as_they_are_read() {
        let version = Version { generation: u64::MAX, counter: 0 };
        let mut rest = Rest::new(Value::Array(vec![Value::BulkString(version_text(Some(version)))])).unwrap();
        assert_eq!(rest.version().unwrap(), Some(version));
        assert!(version_text(None).is_empty());
    }
}
