//! A cluster's slots and their masters, as a node says.

use crate::redis::options::Address;
use redis::Value;

/// Which slots a master serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) master: Address,
    pub(super) replicas: Vec<Address>,
}

/// Reads the answer to `CLUSTER SLOTS`. A node may not know its own name and leaves it out: it is
/// the one that was `asked`.
pub(super) fn ranges(answer: Value, asked: &Address) -> Option<Vec<Range>> {
    let Value::Array(rows) = answer else { return None };
    let mut ranges = rows.into_iter().map(|row| range(row, asked)).collect::<Option<Vec<_>>>()?;
    ranges.sort_by_key(|range| range.first);
    Some(ranges)
}

fn range(row: Value, asked: &Address) -> Option<Range> {
    let Value::Array(row) = row else { return None };
    let mut row = row.into_iter();
    let (first, last) = (number(&row.next()?)?, number(&row.next()?)?);
    let master = node(&row.next()?, asked)?;
    let replicas = row.filter_map(|replica| node(&replica, asked)).collect();
    Some(Range { first, last, master, replicas })
}

fn node(value: &Value, asked: &Address) -> Option<Address> {
    let Value::Array(fields) = value else { return None };
    let port = number(fields.get(1)?)?;
    let host = match fields.first()? {
        Value::BulkString(host) if !host.is_empty() => String::from_utf8(host.clone()).ok()?,
        Value::BulkString(_) | Value::Nil => asked.host.clone(),
        _ => return None,
    };
    // So a node is told whose name is not known (yet).
    (host != "?").then_some(Address { host, port })
}

fn number(value: &Value) -> Option<u16> {
    match value {
        Value::Int(number) => u16::try_from(*number).ok(),
        _ => None,
    }
}

/// Reads where a `MOVED` or `ASK` error points to: `<slot> <host>:<port>`. Without a host it is
/// the one that was `asked`.
pub(super) fn redirection(message: &str, asked: &str) -> Option<Address> {
    let target = message.split_ascii_whitespace().nth(1)?;
    let (host, port) = target.rsplit_once(':')?;
    let host = if host.is_empty() { asked.rsplit_once(':')?.0 } else { host };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some(Address { host, port: port.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, port: u16) -> Address {
        Address { host: host.into(), port }
    }

    #[test]
    fn redirections_with_and_without_a_host() {
        assert_eq!(redirection("12 10.0.0.1:7001", "h:1"), Some(at("10.0.0.1", 7001)));
        assert_eq!(redirection("12 :7001", "h:1"), Some(at("h", 7001)));
        assert_eq!(redirection("12 2001:db8::1:7001", "h:1"), Some(at("2001:db8::1", 7001)));
        assert_eq!(redirection("12", "h:1"), None);
    }

    #[test]
    fn slots_of_masters_without_a_name() {
        let row = |host: Value| {
            let node = Value::Array(vec![host, Value::Int(7001), Value::BulkString(b"id".to_vec())]);
            Value::Array(vec![Value::Array(vec![Value::Int(0), Value::Int(5), node])])
        };
        let master = |answer| ranges(answer, &at("asked", 1)).map(|found| found[0].master.clone());
        assert_eq!(master(row(Value::BulkString(b"h".to_vec()))), Some(at("h", 7001)));
        assert_eq!(master(row(Value::BulkString(Vec::new()))), Some(at("asked", 7001)));
        assert_eq!(master(row(Value::Nil)), Some(at("asked", 7001)));
        assert_eq!(master(row(Value::BulkString(b"?".to_vec()))), None);
        assert_eq!(master(Value::Nil), None);
    }
}
