//! Operations as a report prints them: one line each.

use super::{Answer, Call, Lease, LockSeen, Op};
use std::fmt;

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, took) = (self.invoked as f64 / 1e6, (self.answered - self.invoked) as f64 / 1e3);
        write!(f, "{at:11.6}s {took:+9.1}ms  client {:<3} -> instance {}: ", self.client, self.instance)?;
        write!(f, "{} => {}", self.call, self.answer)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acquire { ask, wait_ms } => {
                write!(f, "acquire {} for {} ttl {}ms", ask.resource, ask.owner, ask.ttl_ms)?;
                if ask.queue {
                    write!(f, " queue (timeout {}ms) wait {wait_ms}ms", ask.queue_timeout_ms)?;
                }
                match (ask.attended, &ask.request_id) {
                    (false, _) => write!(f, " unattended")?,
                    (true, None) => write!(f, " without request id")?,
                    (true, Some(_)) => {}
                }
                Ok(())
            }
            Self::Poll { id, wait_ms } => write!(f, "poll {id} wait {wait_ms}ms"),
            Self::Show { id } => write!(f, "show {id}"),
            Self::Renew { id, token } => write!(f, "renew {id} token {token}"),
            Self::Release { id, token, key } => {
                write!(f, "release {id} token {token}{}", if key.is_some() { " keyed" } else { "" })
            }
            Self::ReleasePull { owner, .. } => write!(f, "release pull request of {owner}"),
            Self::Force { id } => write!(f, "force {id}"),
            Self::Cancel { id } => write!(f, "cancel {id}"),
            Self::List => f.write_str("list"),
            Self::ListStored => f.write_str("list the store"),
        }
    }
}

impl fmt::Display for LockSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.held { "held" } else { "reserved" };
        write!(f, "{} token {} {state} by {}", self.id, self.token, self.owner)?;
        match self.expires_in {
            Some(left) => write!(f, " for {}ms until {}", left / 1000, self.expires_at.unwrap_or(0)),
            None => f.write_str(" as a hold"),
        }
    }
}

struct Several<'a>(&'a [LockSeen]);

impl fmt::Display for Several<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for lock in self.0.iter().take(4) {
            write!(f, " [{lock}]")?;
        }
        if self.0.len() > 4 {
            write!(f, " and {} more", self.0.len() - 4)?;
        }
        Ok(())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acquired { lock, reentrant } => {
                write!(f, "acquired{} {lock}", if *reentrant { " again" } else { "" })
            }
            Self::Queued { ticket, holders, confirmed, .. } => {
                let word = if *confirmed { "queued" } else { "queued as far as is known" };
                write!(f, "{word} {ticket} behind{}", Several(holders))
            }
            Self::Lock(lock) => write!(f, "{lock}"),
            Self::Unconfirmed(lock) => write!(f, "as far as is known {lock}"),
            Self::Pending(lock) => write!(f, "pending release of {lock}"),
            Self::Released { lock, granted_to: None } => write!(f, "released {}, granted to nobody", lock.id),
            Self::Released { lock, granted_to: Some(next) } => {
                write!(f, "released {}, granted to {next}", lock.id)
            }
            Self::PullReleased { released, cancelled } => {
                write!(f, "released{} cancelled {cancelled:?}", Several(released))
            }
            Self::Refused { status, code, locks, lease } => {
                write!(f, "{status} {code}{}", Several(locks))?;
                match lease {
                    None => Ok(()),
                    Some(Lease::Hold) => f.write_str(" (a hold)"),
                    Some(Lease::Until(at)) => write!(f, " (until {at})"),
                }
            }
            Self::Listed(locks) => write!(f, "{} locks", locks.len()),
            Self::Strange(text) => write!(f, "STRANGE {text}"),
            Self::Cancelled | Self::NotSent | Self::Lost(_) => f.write_str(&self.word()),
        }
    }
}
