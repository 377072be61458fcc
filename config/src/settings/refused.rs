//! Names that are refused with a reason, since users of the designed system look for them.

use crate::schema::Refused;

const fn refused(name: &'static str, reason: &'static str) -> Refused {
    Refused { name, reason }
}

const ALIASES: &str = "the names of this tree come as aliases with a later version; use the settings of docs/configuration.md, such as \"max-timeout\" or \"queue.max-size\"";
const REDIS: &str = "this build has only the store \"embedded\"; the redis store comes with a later version";
const BREAKER: &str = "the circuit breaker comes with a later version";
const DEADLOCKS: &str = "deadlock detection comes with a later version";
const RATES: &str = "rate limits come with a later version";
const FALLBACK: &str = "a second store beside the first comes with a later version";

/// The first that fits tells the reason.
pub(crate) const REFUSED: &[Refused] = &[
    refused("enhanced-locking", ALIASES),
    refused("locking-db-type", "that is Atlantis's setting; use \"store\""),
    refused("locking", ALIASES),
    refused("redis*", REDIS),
    refused("key-prefix", REDIS),
    refused("settle-window", REDIS),
    refused("lease-grace", REDIS),
    refused(
        "tokens-file",
        "tokens come with a later version; until then serve a loopback address, or accept the risk with \"insecure\"",
    ),
    refused("chaos", "fault endpoints come with a later version"),
    refused("breaker", BREAKER),
    refused("circuit-breaker", BREAKER),
    refused("deadlock*", DEADLOCKS),
    refused("rate-limit*", RATES),
    refused("boltdb", FALLBACK),
    refused("legacy*", FALLBACK),
];

/// Variables with our prefix that the command line's clients read, and `LOCKKEEPER_CONFIG`, which names
/// the settings file itself.
pub(crate) const OTHER_VARIABLES: &[&str] = &[
    "LOCKKEEPER_SERVER",
    "LOCKKEEPER_TOKEN",
    "LOCKKEEPER_TOKEN_FILE",
    "LOCKKEEPER_CA_FILE",
    "LOCKKEEPER_FENCING_TOKEN",
    "LOCKKEEPER_OWNER",
    "LOCKKEEPER_CONFIG",
    "LOCKKEEPER_LOCK_ID",
    "LOCKKEEPER_OUTPUT",
];
