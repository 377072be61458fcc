//! The HTTP client: one place for failover and retries.
//!
//! A lost answer means *unknown*: a call is sent again only when repeating it is harmless (a read,
//! a renewal, the same request id), and the failure says when an attempt may have taken effect.
//! Every loop is bounded, by rounds or by a deadline.

mod call;
mod failure;
mod setup;

pub(crate) use call::{Answer, Call, Patience, Repeat};
pub(crate) use failure::{Cause, Failure, Silence};

use super::clock::BootTime;
use super::problem::Problem;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use serde_json::Value;
use std::cell::Cell;
use std::time::Duration;
use tokio::time::Instant;

/// Rounds over all servers before an interactive command gives up.
const ROUNDS_MAX: u32 = 3;
/// Pause after the first fruitless round; it doubles from there.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
/// Longest pause between rounds of our own choosing.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Longest pause between rounds that a server's `Retry-After` can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);

/// Shortest time an attempt gets, also at the end of patience.
const ATTEMPT_MIN: Duration = Duration::from_millis(10);

/// A client of one Lockkeeper service: one server or several that share a store.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    servers: Vec<Url>,
    /// The server that answered last: it is asked first.
    current: Cell<usize>,
    token: Option<HeaderValue>,
}

/// One attempt at one server that another attempt may do better.
enum Trouble {
    /// The request certainly was not carried out.
    NotDone(Result<Box<Problem>, Silence>),
    /// It may have been.
    Unknown(Result<Box<Problem>, Silence>),
}

impl Client {
    /// The servers' addresses, in the order they were given.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &Url> {
        self.servers.iter()
    }

    /// Sends a call until a server decides it, or patience ends.
    ///
    /// # Errors
    /// A refusal, or that no server could decide.
    pub(crate) async fn call(&self, call: &Call, patience: Patience) -> Result<Answer, Failure> {
        self.call_telling(call, patience, &|_| {}).await
    }

    /// Like [`Self::call`], and tells once when a whole round was fruitless and it goes on trying.
    pub(crate) async fn call_telling(
        &self,
        call: &Call,
        patience: Patience,
        tell: &dyn Fn(&Failure),
    ) -> Result<Answer, Failure> {
        let mut unsure = false;
        for round in 0u32.. {
            let mut silences = Vec::new();
            let mut problem: Option<Box<Problem>> = None;
            let mut pause = Duration::ZERO;
            let start = self.current.get();
            for step in 0..self.servers.len() {
                let index = (start + step) % self.servers.len();
                let within = match patience {
                    Patience::Rounds => call.reply_within,
                    Patience::Until(end) => {
                        let left = end.saturating_duration_since(Instant::now());
                        call.reply_within.min(left.max(ATTEMPT_MIN))
                    }
                };
                let trouble = match self.attempt(&self.servers[index], call, within).await {
                    Ok(decided) => {
                        self.current.set(index);
                        return decided.map_err(|cause| Failure { cause, unsure });
                    }
                    Err(trouble) => trouble,
                };
                let (unknown, what) = match trouble {
                    Trouble::NotDone(what) => (false, what),
                    Trouble::Unknown(what) => (true, what),
                };
                unsure |= unknown;
                match what {
                    Ok(refusal) => {
                        pause = pause.max(refusal.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
                        problem = Some(refusal);
                    }
                    Err(silence) => silences.push(silence),
                }
                if unsure && call.repeat == Repeat::IfNotDone {
                    return Err(Failure { cause: cause_of(problem, silences), unsure });
                }
            }
            let failure = Failure { cause: cause_of(problem, silences), unsure };
            pause = pause.max((PAUSE_FIRST * 2u32.saturating_pow(round.min(8))).min(PAUSE_MAX));
            match patience {
                Patience::Rounds if round + 1 >= ROUNDS_MAX => return Err(failure),
                Patience::Rounds => {}
                Patience::Until(end) => {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(failure);
                    }
                    // Near the end several quick attempts are worth more than one long pause.
                    pause = pause.min(left / 4).max(Duration::from_millis(5));
                    if round == 0 {
                        tell(&failure);
                    }
                }
            }
            // Whoever lost one server together must not come back to the next one together.
            tokio::time::sleep(pause.mul_f64(rand::random_range(0.75..1.0))).await;
        }
        unreachable!("u32 rounds of at least 5 ms outlast every patience")
    }

    /// One attempt at one server, whatever it answers: for `status`, which wants to hear each.
    ///
    /// # Errors
    /// The silence, or what else is wrong.
    pub(crate) async fn ask(&self, server: &Url, call: &Call) -> Result<(u16, Value), Failure> {
        let failure = |cause| Failure { cause, unsure: false };
        match self.attempt(server, call, call.reply_within).await {
            Ok(Ok(answer)) => Ok((answer.status, answer.body)),
            Ok(Err(Cause::Problem(problem)))
            | Err(Trouble::NotDone(Ok(problem)) | Trouble::Unknown(Ok(problem))) => {
                if problem.body.get("can_grant").is_some() {
                    Ok((problem.status, problem.body))
                } else {
                    Err(failure(Cause::Problem(problem)))
                }
            }
            Ok(Err(cause)) => Err(failure(cause)),
            Err(Trouble::NotDone(Err(silence)) | Trouble::Unknown(Err(silence))) => {
                Err(failure(Cause::Unreachable(vec![silence])))
            }
        }
    }

    /// `Ok` is a server's decision, good or bad; `Err` is worth another attempt.
    async fn attempt(
        &self,
        server: &Url,
        call: &Call,
        within: Duration,
    ) -> Result<Result<Answer, Cause>, Trouble> {
        let name = server.as_str().trim_end_matches('/');
        let silence = |reason: String| Silence { server: name.to_owned(), reason };
        let mut url = server.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&call.path);
        }
        let mut request = self.http.request(call.method.clone(), url).timeout(within);
        if !call.query.is_empty() {
            request = request.query(&call.query);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        if let Some(id) = &call.idempotency_key {
            request = request.header("Idempotency-Key", id);
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        let sent = BootTime::now();
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Err(Trouble::NotDone(Err(silence(reason(&error))))),
            Err(error) if error.is_builder() => {
                return Ok(Err(Cause::Foreign { server: name.to_owned(), reason: reason(&error) }));
            }
            Err(error) => return Err(Trouble::Unknown(Err(silence(reason(&error))))),
        };
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => return Err(Trouble::Unknown(Err(silence(reason(&error))))),
        };
        if (200..300).contains(&status) {
            let body = if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&body) };
            return Ok(match body {
                Ok(body) => Ok(Answer { status, body, sent }),
                Err(error) => Err(Cause::Foreign { server: name.to_owned(), reason: error.to_string() }),
            });
        }
        let mut problem = Box::new(Problem::new(status, name, &body));
        problem.request_id = text(&headers, "x-request-id");
        problem.retry_after =
            text(&headers, RETRY_AFTER.as_str()).and_then(|secs| secs.parse().ok()).map(Duration::from_secs);
        match (status, problem.code.as_str()) {
            (503, "outcome_unknown") => Err(Trouble::Unknown(Ok(problem))),
            (503, code) if !code.is_empty() => Err(Trouble::NotDone(Ok(problem))),
            (429, "rate_limited") => Err(Trouble::NotDone(Ok(problem))),
            // A proxy speaks, not the server: nobody knows what the server did.
            (502..=504, _) => Err(Trouble::Unknown(Ok(problem))),
            _ => Ok(Err(Cause::Problem(problem))),
        }
    }
}

/// A refusal says more than silence does.
fn cause_of(problem: Option<Box<Problem>>, silences: Vec<Silence>) -> Cause {
    match problem {
        Some(problem) => Cause::Problem(problem),
        None => Cause::Unreachable(silences),
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The innermost reason of an HTTP error: "connection refused" rather than "error sending request".
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return if error.is_connect() { "connecting took too long" } else { "no answer in time" }.into();
    }
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests;
