//! The scripts. Each file says what it does, takes and replies.

use super::link::ScriptText;

macro_rules! script {
    ($name:ident, $file:literal) => {
        pub(super) static $name: ScriptText = ScriptText::new(include_str!(concat!("scripts/", $file)));
    };
}

script!(ANNOUNCE, "announce.lua");
script!(CHANGES, "changes.lua");
script!(COMMIT, "commit.lua");
script!(LOOK, "look.lua");
script!(OPEN, "open.lua");
script!(PROBE, "probe.lua");
script!(READ, "read.lua");
script!(RIGHTS, "rights.lua");
script!(SEAL, "seal.lua");
script!(SIGN, "sign.lua");
script!(STAGE, "stage.lua");
script!(VERSIONS, "versions.lua");
script!(WRITE_BACK, "write_back.lua");

/// The format this program writes, and the newest it reads.
pub const FORMAT: u64 = 1;
/// The least format that a writer must speak beside this program.
pub(super) const FORMAT_LEAST: u64 = 1;

/// Versions and floors are numbers of Lua: beyond 2^53 they are not exact.
pub const NUMBER_MAX: u64 = 1 << 53;
