//! Keeping a lease alive, and knowing when it must be taken for lost.
//!
//! The end of the lease is counted on the boot clock from when the request was *sent*: the
//! server's count began later, so ours ends first. Renewals go out every third of the lease and
//! are repeated, server after server, until the lease's end.

use super::super::client::{Answer, Call, Failure, Patience};
use super::super::clock::BootTime;
use super::super::commands::renew::renew_call;
use super::super::context::Context;
use super::super::values::go_text;
use lockkeeper_core::Span;
use serde_json::Value;
use std::cell::Cell;
use std::time::Duration;
use tokio::time::Instant;

/// How long one renewal attempt may take, at most; with little of the lease left it is less.
const RENEWAL_WITHIN: Duration = Duration::from_secs(5);
/// Pause after an answer to a renewal that neither renews nor ends the lock.
const ODD_ANSWER_PAUSE: Duration = Duration::from_secs(2);

/// Why a lock is no longer ours.
#[derive(Debug)]
pub(super) enum Loss {
    /// A server says so.
    Refused(Failure),
    /// Nobody could be asked until the lease ended.
    Expired(Option<Failure>),
}

/// A lock with the end of its lease.
pub(super) struct Lease {
    lock: String,
    token: u64,
    ttl: Duration,
    ends: Cell<BootTime>,
    /// The lease as it was granted: the server may have shortened what was asked for.
    granted: Cell<Duration>,
}

impl Lease {
    /// The lease of a fresh lock, asked for at `sent`.
    pub(super) fn new(lock: &Value, ttl: Duration, sent: BootTime) -> Option<Self> {
        let granted = length(lock).unwrap_or(ttl);
        Some(Self {
            lock: lock["id"].as_str()?.to_owned(),
            token: lock["fencing_token"].as_u64()?,
            ttl,
            ends: Cell::new(sent.plus(granted)),
            granted: Cell::new(granted),
        })
    }

    pub(super) fn lock(&self) -> &str {
        &self.lock
    }

    pub(super) fn token(&self) -> u64 {
        self.token
    }

    /// How much of it is left.
    pub(super) fn left(&self) -> Duration {
        self.ends.get().left()
    }

    /// True while it is not yet time to renew.
    pub(super) fn is_fresh(&self) -> bool {
        self.left() > self.granted.get() * 2 / 3
    }

    /// Renews it again and again. Returns when the lock is lost.
    pub(super) async fn keep(&self, ctx: &Context) -> Loss {
        loop {
            // A third of the lease, less up to a tenth of that: many runs that began together
            // must not renew together for ever.
            let third = self.granted.get().mul_f64(rand::random_range(0.9..=1.0) / 3.0);
            let pause = self.left().saturating_sub(self.granted.get().saturating_sub(third));
            BootTime::now().plus(pause).sleep_until().await;
            if let Some(loss) = self.renew(ctx).await {
                return loss;
            }
        }
    }

    /// Renews it before anything was started under it. By our count it may have ended: a grant at
    /// the end of a long poll is counted from the poll's beginning. The server knows.
    ///
    /// # Errors
    /// The lock is not ours, or nobody can tell.
    pub(super) async fn confirm(&self, ctx: &Context) -> Result<(), Failure> {
        let call = renew_call(&self.lock, self.token, Some(&go_text(self.ttl))).reply_within(RENEWAL_WITHIN);
        let answer = ctx.client.call(&call, Patience::Rounds).await?;
        self.take(&answer);
        Ok(())
    }

    /// Renews it once, trying until its end.
    async fn renew(&self, ctx: &Context) -> Option<Loss> {
        let last: Cell<Option<Failure>> = Cell::new(None);
        let attempts = async {
            loop {
                let left = self.left();
                let within = (left / 3).clamp(Duration::from_millis(50), RENEWAL_WITHIN);
                let call: Call =
                    renew_call(&self.lock, self.token, Some(&go_text(self.ttl))).reply_within(within);
                let tell = |failure: &Failure| {
                    ctx.console.say(format_args!("cannot renew, trying until the lease ends: {failure}"));
                    last.set(Some(failure.clone()));
                };
                match ctx.client.call_telling(&call, Patience::Until(Instant::now() + left), &tell).await {
                    Ok(answer) => {
                        self.take(&answer);
                        return None;
                    }
                    // A proxy's error page has no code, and proves nothing.
                    Err(failure)
                        if matches!(failure.status(), 404 | 409 | 410) && !failure.code().is_empty() =>
                    {
                        return Some(Loss::Refused(failure));
                    }
                    Err(failure) => {
                        if !failure.is_unreachable() {
                            ctx.console.say(format_args!("odd answer to a renewal: {failure}"));
                        }
                        last.set(Some(failure));
                        tokio::time::sleep(ODD_ANSWER_PAUSE.min(self.left() / 4)).await;
                    }
                }
                if self.left().is_zero() {
                    return Some(Loss::Expired(None));
                }
            }
        };
        let loss = tokio::select! {
            biased;
            loss = attempts => loss,
            () = self.ends.get().sleep_until() => Some(Loss::Expired(None)),
        };
        match loss {
            Some(Loss::Expired(_)) => Some(Loss::Expired(last.take())),
            other => other,
        }
    }

    fn take(&self, answer: &Answer) {
        let granted = length(&answer.body["lock"]).unwrap_or(self.ttl);
        self.granted.set(granted);
        self.ends.set(answer.sent.plus(granted));
    }
}

/// The lease's length as an answer tells it.
fn length(lock: &Value) -> Option<Duration> {
    lock["expires_in"].as_str().and_then(|text| Span::parse(text).ok()).map(Span::to_std)
}
