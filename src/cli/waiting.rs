//! Asking for a lock and waiting for it, however long: shared by `acquire`, `wait` and `run`.
//!
//! The first request asks for a place only, without a wait, so that its ticket's id is known (and
//! can be cancelled) as early as possible; then the ticket is polled. Every request carries what
//! makes it repeatable: the acquire its request id, the polls their ticket.

use super::client::{Answer, Call, Failure, Patience};
use super::clock::BootTime;
use super::context::Context;
use super::output::{held_by, span};
use super::signals::{Signals, Stop};
use super::values::go_text;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait that is asked of a server at once: load balancers close what idles longer.
const POLL_MAX: Duration = Duration::from_secs(50);
/// Time between the beginnings of two polls, should a server answer without waiting.
const POLL_SPACING: Duration = Duration::from_millis(250);
/// Margin for the answer of a poll.
const POLL_MARGIN: Duration = Duration::from_secs(10);
/// How long after the wait its last poll may be answered.
const LATE_ANSWER: Duration = Duration::from_secs(2);
/// Without a deadline: how long nobody may answer before waiting is given up.
const OUTAGE_MAX: Duration = Duration::from_secs(600);
/// How often a waiting client says where it stands.
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// How long looking for who is ahead may delay the wait.
const LOOK_WITHIN: Duration = Duration::from_secs(1);
/// Tickets ahead that are named.
const AHEAD_NAMED_MAX: usize = 3;
/// How far two clocks may differ about when a wait ended.
const DEADLINE_MARGIN: Duration = Duration::from_millis(100);
/// How long undoing may take after a signal: somebody waits for the process to end.
const UNDO_WITHIN: Duration = Duration::from_secs(3);

/// An acquired lock.
#[derive(Clone, Debug)]
pub(crate) struct Granted {
    /// The whole answer.
    pub(crate) answer: Value,
    /// When the request was sent that it answers.
    pub(crate) sent: BootTime,
}

impl Granted {
    /// The lock.
    pub(crate) fn lock(&self) -> &Value {
        &self.answer["lock"]
    }
}

/// How asking ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// With the lock.
    Granted(Granted),
    /// With a ticket that is still in the queue.
    Queued(Value),
    /// The wait ended, and the ticket was taken back.
    GaveUp(Value),
    /// The resource is held under the caller's own owner id, and that was to be an answer.
    HeldByOwner(Value),
    /// With a refusal, or nobody could decide.
    Failed(Failure),
    /// By a signal; what had been asked for was taken back.
    Stopped(Stop),
}

/// What is asked for.
pub(crate) struct Wanted {
    /// The body of the acquire, with its `request_id`.
    pub(crate) body: Value,
    /// How long to wait; zero asks once.
    pub(crate) wait: Duration,
    /// Leave the ticket in the queue when the wait ends.
    pub(crate) keep_ticket: bool,
    /// End with [`Outcome::HeldByOwner`] when this owner has the resource already.
    pub(crate) refuse_holder: Option<String>,
}

/// Acquires.
pub(crate) async fn acquire(ctx: &Context, signals: &mut Signals, wanted: &Wanted) -> Outcome {
    let deadline = Instant::now() + wanted.wait;
    let patience = if wanted.wait.is_zero() { Patience::Rounds } else { Patience::Until(deadline) };
    let call = Call::post(&["api", "v1", "locks"], wanted.body.clone());
    let tell = |failure: &Failure| trouble(ctx, failure);
    let mut asking = std::pin::pin!(ctx.client.call_telling(&call, patience, &tell));
    let answer = tokio::select! {
        answer = &mut asking => answer,
        stop = signals.next() => {
            // Let it end, or nobody knows what to take back; a second signal is final.
            let answer = tokio::select! {
                answer = tokio::time::timeout(UNDO_WITHIN, &mut asking) => answer,
                _ = signals.next() => return Outcome::Stopped(stop),
            };
            match answer {
                Ok(Ok(answer)) => undo(ctx, signals, &answer.body).await,
                Ok(Err(_)) => {}
                Err(_) => ctx.console.say("no answer: a ticket or lock may remain until its time is up"),
            }
            return Outcome::Stopped(stop);
        }
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(failure) => {
            return match own_holder(wanted, failure.problem().map_or(&[], |problem| problem.holders())) {
                Some(lock) => Outcome::HeldByOwner(lock),
                None => Outcome::Failed(failure),
            };
        }
    };
    if answer.status != 202 {
        return granted(answer);
    }
    if let Some(lock) = own_holder(wanted, holders(&answer.body)) {
        undo(ctx, signals, &answer.body).await;
        return Outcome::HeldByOwner(lock);
    }
    if wanted.wait.is_zero() {
        return Outcome::Queued(answer.body);
    }
    let id = answer.body["ticket"]["id"].as_str().unwrap_or_default().to_owned();
    match follow(ctx, signals, &id, Some(deadline), Some(answer.body)).await {
        Outcome::Queued(last) if !wanted.keep_ticket => match cancel(ctx, &id).await {
            // Its turn came in the last moment: what is ours is fetched, not thrown away.
            Cancelled::Granted(_) => follow(ctx, signals, &id, Some(Instant::now()), None).await,
            Cancelled::Gone => Outcome::GaveUp(last),
            Cancelled::Unknown(failure) => {
                ctx.console.say(format_args!("the ticket {id} could not be cancelled: {failure}"));
                Outcome::GaveUp(last)
            }
        },
        Outcome::Stopped(stop) => {
            undo(ctx, signals, &serde_json::json!({"ticket": {"id": id}})).await;
            Outcome::Stopped(stop)
        }
        other => other,
    }
}

/// Polls a ticket until it is granted, gone, or the deadline has passed. `known` is the newest
/// answer about it. On a signal the ticket is left alone.
pub(crate) async fn follow(
    ctx: &Context,
    signals: &mut Signals,
    ticket: &str,
    deadline: Option<Instant>,
    known: Option<Value>,
) -> Outcome {
    let mut report_at = Instant::now();
    if let Some(known) = &known {
        let left = deadline.map_or(LOOK_WITHIN, |deadline| deadline.saturating_duration_since(report_at));
        tokio::select! {
            () = report(ctx, known, left) => {}
            stop = signals.next() => return Outcome::Stopped(stop),
        }
        report_at += REPORT_EVERY;
    }
    // Whose ticket it is: one that somebody else took may end before the wait for it does.
    let own = known.is_some();
    let mut latest = known;
    let tell = |failure: &Failure| trouble(ctx, failure);
    loop {
        let begun = Instant::now();
        let left = deadline.map_or(POLL_MAX, |deadline| deadline.saturating_duration_since(begun));
        let mut wait = left.min(POLL_MAX);
        if report_at > begun {
            wait = wait.min(report_at - begun);
        }
        // Whole milliseconds; a rest below that asks once more without waiting.
        wait = Duration::from_millis(wait.as_millis() as u64);
        let call = Call::get(&["api", "v1", "tickets", ticket])
            .with("wait", go_text(wait))
            .reply_within(wait + POLL_MARGIN);
        let patience = match deadline {
            Some(deadline) => Patience::Until(deadline.max(begun) + LATE_ANSWER),
            None => Patience::Until(begun + OUTAGE_MAX),
        };
        let answer = tokio::select! {
            answer = ctx.client.call_telling(&call, patience, &tell) => answer,
            stop = signals.next() => return Outcome::Stopped(stop),
        };
        let body = match answer {
            Ok(answer) if answer.status == 202 => answer.body,
            Ok(answer) => return granted(answer),
            // The ticket's time is the wait's: whoever of the two clocks ends it, it was in vain.
            Err(failure) if own && failure.code() == "queue_timeout" && is_near(deadline) => {
                return latest.map_or(Outcome::Failed(failure), Outcome::GaveUp);
            }
            Err(failure) => return Outcome::Failed(failure),
        };
        if left.is_zero() {
            return Outcome::Queued(body);
        }
        if Instant::now() >= report_at {
            tokio::select! {
                () = report(ctx, &body, left) => {}
                stop = signals.next() => return Outcome::Stopped(stop),
            }
            report_at = Instant::now() + REPORT_EVERY;
        }
        latest = Some(body);
        let pause = POLL_SPACING.min(left).saturating_sub(begun.elapsed());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            stop = signals.next() => return Outcome::Stopped(stop),
        }
    }
}

/// Is the wait over, or so nearly that no one would call it shorter?
fn is_near(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now() + DEADLINE_MARGIN)
}

/// What cancelling a ticket came to.
pub(crate) enum Cancelled {
    /// It is out of the queue.
    Gone,
    /// It had become this lock.
    Granted(Value),
    /// Nobody could be asked.
    Unknown(Failure),
}

/// Takes a ticket out of its queue.
pub(crate) async fn cancel(ctx: &Context, ticket: &str) -> Cancelled {
    let call = Call::delete(&["api", "v1", "tickets", ticket]);
    match ctx.client.call(&call, Patience::Until(Instant::now() + UNDO_WITHIN)).await {
        Ok(_) => Cancelled::Gone,
        Err(failure) => match (failure.status(), failure.problem()) {
            (409, Some(problem)) if problem.code == "already_granted" => {
                Cancelled::Granted(problem.body["lock"].clone())
            }
            (404 | 410, _) => Cancelled::Gone,
            _ => Cancelled::Unknown(failure),
        },
    }
}

/// Takes back what an answer gave: a ticket, or a lock that was not ours before.
async fn undo(ctx: &Context, signals: &mut Signals, answer: &Value) {
    let work = async {
        let mut lock = answer["lock"].clone();
        if answer["reentrant"] == true {
            return ctx.console.say("the lock was yours before, and stays");
        }
        if let Some(ticket) = answer["ticket"]["id"].as_str() {
            match cancel(ctx, ticket).await {
                Cancelled::Gone => return ctx.console.say(format_args!("the ticket {ticket} was cancelled")),
                Cancelled::Granted(granted) => lock = granted,
                Cancelled::Unknown(failure) => {
                    return ctx
                        .console
                        .say(format_args!("the ticket {ticket} could not be cancelled: {failure}"));
                }
            }
        }
        let (Some(id), Some(token)) = (lock["id"].as_str(), lock["fencing_token"].as_u64()) else { return };
        let call = Call::delete(&["api", "v1", "locks", id]).with("fencing_token", token.to_string());
        match ctx.client.call(&call, Patience::Until(Instant::now() + UNDO_WITHIN)).await {
            Ok(_) => ctx.console.say(format_args!("the lock {id} was released")),
            Err(failure) if failure.status() == 410 => {}
            Err(failure) => ctx.console.say(format_args!("the lock {id} could not be released: {failure}")),
        }
    };
    tokio::select! {
        () = work => {}
        _ = signals.next() => ctx.console.say("stopped before everything was taken back"),
    }
}

fn granted(answer: Answer) -> Outcome {
    Outcome::Granted(Granted { answer: answer.body, sent: answer.sent })
}

fn holders(answer: &Value) -> &[Value] {
    answer["holders"].as_array().map_or(&[], Vec::as_slice)
}

fn own_holder(wanted: &Wanted, holders: &[Value]) -> Option<Value> {
    let owner = wanted.refuse_holder.as_deref()?;
    holders.iter().find(|lock| lock["owner"]["id"] == owner).cloned()
}

/// Says where a ticket stands, who holds what it waits for, and who comes before it. `left` is how
/// long the wait still lasts.
async fn report(ctx: &Context, answer: &Value, left: Duration) {
    let ticket = &answer["ticket"];
    let mut text = format!("waiting with ticket {}", ticket["id"].as_str().unwrap_or("?"));
    let position = ticket["position"].as_u64();
    if let Some(position) = position {
        text.push_str(&format!(": position {position}"));
    }
    let holders = holders(answer);
    let mut parts = Vec::new();
    if !holders.is_empty() {
        parts.push(format!("held by {}", held_by(holders)));
    }
    if position.is_some_and(|position| position > 1) {
        parts.extend(ahead(ctx, ticket, left.min(LOOK_WITHIN)).await);
    }
    let estimate = ticket["estimated_wait"].as_str().and_then(|text| lockkeeper_core::Span::parse(text).ok());
    if let Some(estimate) = estimate {
        parts.push(format!("about {} to go", span(estimate.to_std())));
    }
    if !parts.is_empty() {
        text.push_str(&format!("; {}", parts.join(", ")));
    }
    ctx.console.say(text);
}

/// Who comes before a ticket, if the server says so in time: nobody's wait depends on it.
async fn ahead(ctx: &Context, ticket: &Value, within: Duration) -> Option<String> {
    let call = Call::get(&["api", "v1", "tickets", ticket["id"].as_str()?, "why"]).reply_within(within);
    let asking = ctx.client.call(&call, Patience::Until(Instant::now() + within));
    let answer = tokio::time::timeout(within, asking).await.ok()?.ok()?.body;
    let tickets = answer["ahead"].as_array()?;
    let mut names: Vec<String> = tickets
        .iter()
        .take(AHEAD_NAMED_MAX)
        .filter_map(|ticket| ticket["owner"]["id"].as_str().map(str::to_owned))
        .collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    let total = answer["ahead_total"].as_u64().unwrap_or(tickets.len() as u64);
    let more = total.saturating_sub(names.len() as u64);
    if names.is_empty() {
        return None;
    }
    let last = if more > 0 { Some(format!("{more} more")) } else { names.pop() };
    let last = last.unwrap_or_default();
    Some(match names.as_slice() {
        [] => format!("next {verb} {last}"),
        names => format!("next {verb} {} and {last}", names.join(", ")),
    })
}

fn trouble(ctx: &Context, failure: &Failure) {
    ctx.console.say(format_args!("{failure}\n  trying again"));
}
