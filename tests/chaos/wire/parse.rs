//! Answers read strictly: whatever the contract does not foresee is strange.

use crate::chaos::history::{Answer, At, Call, Lease, LockSeen, Name};
use serde_json::Value;
use std::time::UNIX_EPOCH;

pub(super) fn answer(call: &Call, status: u16, body: &[u8]) -> Answer {
    let json =
        if body.is_empty() { Value::Null } else { serde_json::from_slice(body).unwrap_or(Value::Null) };
    if status == 408 && body.is_empty() {
        // The server took too long to read the request (it was paused) and did nothing.
        return Answer::Lost("408");
    }
    read(call, status, &json)
        .unwrap_or_else(|| Answer::Strange(format!("{status} {}", String::from_utf8_lossy(body))))
}

fn read(call: &Call, status: u16, body: &Value) -> Option<Answer> {
    if status >= 400 {
        let mut locks = match &body["holders"] {
            Value::Null => Vec::new(),
            holders => locks(holders)?,
        };
        if body["lock"].is_object() {
            locks.push(lock(&body["lock"])?);
        }
        let lease = match body.get("expires_at") {
            None => None,
            Some(Value::Null) => Some(Lease::Hold),
            Some(at) => Some(Lease::Until(time(at.as_str()?)?)),
        };
        return Some(Answer::Refused { status, code: name(&body["code"])?, locks, lease });
    }
    Some(match (call, status) {
        (Call::Acquire { .. } | Call::Poll { .. }, 200) => {
            (body["status"] == "acquired").then_some(())?;
            Answer::Acquired { lock: lock(&body["lock"])?, reentrant: body["reentrant"].as_bool()? }
        }
        (Call::Acquire { .. } | Call::Poll { .. }, 202) => {
            (body["status"] == "queued").then_some(())?;
            let ticket = &body["ticket"];
            Answer::Queued {
                ticket: name(&ticket["id"])?,
                owner: name(&ticket["owner"]["id"])?,
                holders: locks(&body["holders"])?,
                confirmed: confirmed(body)?,
            }
        }
        (Call::Show { .. }, 200) if !confirmed(body)? => Answer::Unconfirmed(lock(&body["lock"])?),
        (Call::Show { .. } | Call::Renew { .. }, 200) => {
            confirmed(body)?.then_some(())?;
            Answer::Lock(lock(&body["lock"])?)
        }
        (Call::Release { .. } | Call::Force { .. }, 200) => {
            let next = &body["granted_to"];
            let granted_to = if next.is_null() { None } else { Some(lock(next)?) };
            Answer::Released { lock: lock(&body["released"])?, granted_to }
        }
        (Call::Release { .. }, 202) if body["status"] == "pending" => {
            // How old that is which the instance knows must be said.
            time(body["as_of"].as_str()?)?;
            Answer::Pending(lock(&body["lock"])?)
        }
        (Call::ReleasePull { .. }, 200) => {
            let cancelled = body["cancelled"].as_array()?.iter().map(|ticket| name(&ticket["id"]));
            Answer::PullReleased {
                released: locks(&body["released"])?,
                cancelled: cancelled.collect::<Option<_>>()?,
            }
        }
        (Call::Cancel { .. }, 204) => Answer::Cancelled,
        (Call::List | Call::ListStored, 200) => Answer::Listed(locks(&body["locks"])?),
        _ => return None,
    })
}

/// Does it rest on the store, or on what was known when it was last reached? Then it says of when.
fn confirmed(body: &Value) -> Option<bool> {
    match body.get("confirmed") {
        None => Some(true),
        Some(Value::Bool(false)) => time(body["as_of"].as_str()?).map(|_| false),
        Some(_) => None,
    }
}

/// A time, in microseconds since 1970.
fn time(text: &str) -> Option<At> {
    let at = humantime::parse_rfc3339(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(at.as_micros() as At)
}

fn name(value: &Value) -> Option<Name> {
    value.as_str().map(Into::into)
}

fn locks(value: &Value) -> Option<Vec<LockSeen>> {
    value.as_array()?.iter().map(lock).collect()
}

fn lock(value: &Value) -> Option<LockSeen> {
    let expires_in = match &value["expires_in"] {
        Value::Null if value["expires_at"].is_null() => None,
        left => Some(duration(left.as_str()?)?),
    };
    let expires_at = match &value["expires_at"] {
        Value::Null => None,
        at => Some(time(at.as_str()?)?),
    };
    Some(LockSeen {
        expires_at,
        id: name(&value["id"])?,
        resource: name(&value["key"])?,
        owner: name(&value["owner"]["id"])?,
        token: value["fencing_token"].as_u64()?,
        held: match value["state"].as_str()? {
            "held" => true,
            "reserved" => false,
            _ => return None,
        },
        expires_in,
    })
}

/// Go's way to write durations, in microseconds: `1m2.5s`.
fn duration(text: &str) -> Option<At> {
    let mut rest = text;
    let mut micros = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let scale = match &tail[..unit] {
            "us" => 1.0,
            "ms" => 1e3,
            "s" => 1e6,
            "m" => 60e6,
            "h" => 3600e6,
            _ => return None,
        };
        micros += number.parse::<f64>().ok()? * scale;
        rest = &tail[unit..];
    }
    Some(micros as At)
}

#[test]
fn durations_are_read() {
    assert_eq!(duration("1m2.5s"), Some(62_500_000));
    assert_eq!(duration("998ms"), Some(998_000));
    assert_eq!(duration("0s"), Some(0));
    assert_eq!(duration("1h0m0.001s"), Some(3_600_001_000));
    assert_eq!(duration("1d"), None);
}
