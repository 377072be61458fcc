//! Exit codes of `run`. Where the command ran to its end, they are the command's.

/// The command line is wrong.
pub const USAGE: u8 = 120;
/// The lock was not acquired: the command was not started.
pub const NOT_ACQUIRED: u8 = 121;
/// The lock was lost while the command ran: the command was stopped.
pub const LOST: u8 = 122;
/// No server could decide: the command was not started.
pub const UNREACHABLE: u8 = 123;
/// The command cannot be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// There is no such command.
pub const NOT_FOUND: u8 = 127;

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// The command's own code, or 128 + the signal that ended it.
pub(super) fn of_status(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => code as u8,
        (None, Some(signal)) => (128 + signal) as u8,
        (None, None) => super::super::context::code::ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_told_as_shells_do() {
        assert_eq!(of_status(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(of_status(ExitStatus::from_raw(0)), 0);
        assert_eq!(of_status(ExitStatus::from_raw(9)), 137);
        assert_eq!(of_status(ExitStatus::from_raw(15)), 143);
    }
}
