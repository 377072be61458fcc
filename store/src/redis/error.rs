//! What a failed call means for whoever asked the store, in words that say what to do.

use super::link::CallError;
use crate::contract::StoreError;

/// A call that writes nothing, or nothing that matters: it can be made again.
pub(super) fn unavailable(error: CallError) -> StoreError {
    match error {
        CallError::NotSent(cause) | CallError::Unknown(cause) => StoreError::Unavailable(cause),
        CallError::Refused { code, message } => refused(&code, &message),
    }
}

/// A call that may have written something.
pub(super) fn unknown(error: CallError) -> StoreError {
    match error {
        CallError::Unknown(cause) => StoreError::OutcomeUnknown(cause),
        CallError::Refused { code, message } if is_half_done(&message) => half_done(&code, &message),
        other => unavailable(other),
    }
}

/// Did a script end in the middle? Every other error is told before it began.
pub(super) fn is_half_done(message: &str) -> bool {
    message.contains("user_script")
}

/// What is said then: what it had written stays.
pub(super) fn half_done(code: &str, message: &str) -> StoreError {
    StoreError::OutcomeUnknown(words(code, message))
}

fn refused(code: &str, message: &str) -> StoreError {
    match code {
        "WRONGTYPE" => StoreError::Damaged(words(code, message)),
        _ => StoreError::Unavailable(words(code, message)),
    }
}

/// The server's error with its fix.
pub(super) fn words(code: &str, message: &str) -> String {
    let fix = match code {
        // How 7.0 says it from inside of a script.
        "ERR" if message.contains("executing the script can't") => {
            "the user lacks a right: give it those of docs/redis-acl.md"
        }
        "NOAUTH" => "it demands a password: set redis.password",
        "WRONGPASS" => "it does not take this user and password: see redis.username and redis.password",
        "NOPERM" => "the user lacks a right: give it those of docs/redis-acl.md",
        "OOM" => "it is out of memory: raise its maxmemory or free some",
        "READONLY" => "it is a read-only replica, and a master is needed",
        "LOADING" => "it is loading its data: it will be ready soon",
        "MISCONF" => "it cannot save to its disk: see its log, free space",
        "NOREPLICAS" => "it has fewer replicas than its min-replicas-to-write: bring them back",
        "MASTERDOWN" => "it is a replica that lost its master",
        "CLUSTERDOWN" => "a part of the cluster is down: see `redis-cli --cluster check`",
        "MOVED" | "ASK" | "TRYAGAIN" => "its slots are being moved to other servers; it is asked again",
        "BUSY" => "a script of somebody else keeps it busy: see `SCRIPT KILL`",
        "NOPROTO" => "it is too old: Redis 7.0 or later is needed",
        "WRONGTYPE" => "a key with our prefix is not ours: does another program use redis.key-prefix?",
        _ => return format!("Redis refused: {code} {message}"),
    };
    format!("Redis refused: {fix} ({code} {message})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str, message: &str) -> CallError {
        CallError::Refused { code: code.into(), message: message.into() }
    }

    #[test]
    fn only_what_may_have_been_done_is_unknown() {
        assert_eq!(unknown(CallError::NotSent("x".into())), StoreError::Unavailable("x".into()));
        assert_eq!(unknown(CallError::Unknown("x".into())), StoreError::OutcomeUnknown("x".into()));
        assert_eq!(unavailable(CallError::Unknown("x".into())), StoreError::Unavailable("x".into()));
        assert!(matches!(unknown(error("OOM", "no memory")), StoreError::Unavailable(_)));
        let middle = error("ERR", "no such thing script: 12ab, on @user_script:7.");
        assert!(matches!(unknown(middle), StoreError::OutcomeUnknown(_)));
    }

    #[test]
    fn the_fix_is_named() {
        let StoreError::Unavailable(text) = unavailable(error("NOAUTH", "Authentication required.")) else {
            panic!("unavailable");
        };
        assert!(text.contains("redis.password") && text.contains("Authentication required"), "{text}");
    }
}
