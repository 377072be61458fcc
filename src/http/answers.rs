//! What the actors answer, as HTTP answers.

use super::instant::Instant;
use super::problem::{self, Code, Problem};
use super::views::{LockView, LockViews, Place, ResourceView, TicketView, json, ok};
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use lockkeeper_actors::{self as actors, Answer, Bound, Failure, HoldOnly, LastLease, Sight, Unconfirmed};
use lockkeeper_core::{EndReason, Ended, Former, Refusal, Reply, ResourceId, Standing, Timestamp};
use serde::Serialize;

/// Holders that a refusal names in words.
const HOLDERS_IN_WORDS: usize = 3;
/// The setting that bounds one resource's queue.
const QUEUE_SIZE: &str = "queue.max-size";

#[derive(Serialize)]
struct Acquired<'a> {
    status: &'static str,
    reentrant: bool,
    lock: LockView<'a>,
}

#[derive(Serialize)]
struct Queued<'a> {
    status: &'static str,
    ticket: TicketView<'a>,
    holders: LockViews<'a>,
}

#[derive(Serialize)]
struct Single<'a> {
    lock: LockView<'a>,
}

#[derive(Serialize)]
struct Released<'a> {
    released: LockView<'a>,
    granted_to: Option<LockView<'a>>,
}

/// What only the view says: when it was so, and that nobody has confirmed it since.
#[derive(Serialize)]
struct AsOf {
    as_of: Instant,
    confirmed: bool,
}

#[derive(Serialize)]
struct Unsure<T> {
    #[serde(flatten)]
    body: T,
    #[serde(flatten)]
    as_of: AsOf,
}

impl<T> Unsure<T> {
    fn of(body: T, seen: &Unconfirmed) -> Self {
        Self { body, as_of: AsOf { as_of: Instant(seen.as_of), confirmed: false } }
    }
}

#[derive(Serialize)]
struct Pending<'a> {
    status: &'static str,
    lock: LockView<'a>,
    as_of: Instant,
}

/// The reply of an answer with the resource it speaks of, or the refusal as a problem.
fn reply(id: ResourceId, answer: &Answer) -> Result<(ResourceView<'_>, &Reply), Problem> {
    let of = answer.resource.as_deref().map(|resource| ResourceView { id, resource });
    match (&answer.outcome, of) {
        (Err(refused), of) => Err(refusal(refused, of, answer.decided_at)),
        (Ok(reply), Some(of)) => Ok((of, reply)),
        (Ok(_), None) => Err(Problem::internal("an answer names no resource")),
    }
}

fn unexpected() -> Problem {
    Problem::internal("an answer of another kind than was asked for")
}

/// To an acquire or a poll: where it stands.
pub(super) fn standing(id: ResourceId, answer: &Answer) -> Result<HttpResponse, Problem> {
    let now = answer.decided_at;
    match reply(id, answer)? {
        (of, Reply::Standing(Standing::Acquired { lock, reentrant, .. })) => {
            ok(&Acquired { status: "acquired", reentrant: *reentrant, lock: of.lock(lock, now) })
        }
        (of, Reply::Standing(Standing::Queued { ticket, position, holders })) => json(
            StatusCode::ACCEPTED,
            &Queued {
                status: "queued",
                ticket: of.ticket(ticket, Place::Queued(*position)),
                holders: of.locks(holders, now),
            },
        ),
        _ => Err(unexpected()),
    }
}

/// To a look or a renewal: the lock.
pub(super) fn lock(id: ResourceId, answer: &Answer) -> Result<HttpResponse, Problem> {
    match reply(id, answer)? {
        (of, Reply::Lock(lock)) => ok(&Single { lock: of.lock(lock, answer.decided_at) }),
        _ => Err(unexpected()),
    }
}

/// To a poll; a ticket perhaps as the view has it.
pub(super) fn ticket_seen(id: ResourceId, sight: &Sight) -> Result<HttpResponse, Problem> {
    match sight {
        Sight::Confirmed(answer) => standing(id, answer),
        Sight::Unconfirmed(seen) => {
            let of = ResourceView { id, resource: &seen.resource };
            let Reply::Standing(Standing::Queued { ticket, position, holders }) = &seen.reply else {
                return Err(unexpected());
            };
            let body = Queued {
                status: "queued",
                ticket: of.ticket(ticket, Place::Queued(*position)),
                holders: of.locks(holders, seen.now),
            };
            json(StatusCode::ACCEPTED, &Unsure::of(body, seen))
        }
    }
}

/// To a look at a lock, perhaps as the view has it.
pub(super) fn lock_seen(id: ResourceId, sight: &Sight) -> Result<HttpResponse, Problem> {
    match sight {
        Sight::Confirmed(answer) => lock(id, answer),
        Sight::Unconfirmed(seen) => {
            let of = ResourceView { id, resource: &seen.resource };
            let Reply::Lock(lock) = &seen.reply else { return Err(unexpected()) };
            ok(&Unsure::of(Single { lock: of.lock(lock, seen.now) }, seen))
        }
    }
}

/// To a release, which may be carried out later.
pub(super) fn release(id: ResourceId, released: &actors::Released) -> Result<HttpResponse, Problem> {
    match released {
        actors::Released::Now(answer) => self::released(id, answer),
        actors::Released::Pending(seen) => {
            let of = ResourceView { id, resource: &seen.resource };
            let Reply::Lock(lock) = &seen.reply else { return Err(unexpected()) };
            let lock = of.lock(lock, seen.now);
            json(StatusCode::ACCEPTED, &Pending { status: "pending", lock, as_of: Instant(seen.as_of) })
        }
    }
}

/// To a release: what ended, and who has it now.
pub(super) fn released(id: ResourceId, answer: &Answer) -> Result<HttpResponse, Problem> {
    let now = answer.decided_at;
    match reply(id, answer)? {
        (of, Reply::Released { lock, granted_to }) => ok(&Released {
            released: of.lock(lock, now),
            granted_to: granted_to.as_deref().map(|lock| of.lock(lock, now)),
        }),
        _ => Err(unexpected()),
    }
}

/// To a cancellation.
pub(super) fn done(id: ResourceId, answer: &Answer) -> Result<HttpResponse, Problem> {
    match &answer.outcome {
        Ok(Reply::Done) => Ok(HttpResponse::NoContent().finish()),
        Ok(_) => Err(unexpected()),
        Err(_) => reply(id, answer).and_then(|_| Err(unexpected())),
    }
}

/// A refusal of the core.
pub(super) fn refusal(refusal: &Refusal, of: Option<ResourceView<'_>>, now: Timestamp) -> Problem {
    match (refusal, of) {
        (Refusal::Held { holders, waiting }, Some(of)) => {
            let names: Vec<&str> =
                holders.iter().take(HOLDERS_IN_WORDS).map(|lock| &*lock.intent.owner.id).collect();
            let more = holders.len().saturating_sub(names.len());
            let detail = match (names.is_empty(), more) {
                // The queue comes first, or the resource rests after a lock that was not released.
                (true, _) => format!("not free yet: {waiting} wait for it"),
                (false, 0) => format!("held by {}; {waiting} wait for it", names.join(", ")),
                (false, more) => {
                    format!("held by {} and {more} more; {waiting} wait for it", names.join(", "))
                }
            };
            Problem::new(&problem::HELD, detail)
                .with("holders", &of.locks(holders, now))
                .with("waiting", waiting)
        }
        (Refusal::AlreadyGranted(lock), Some(of)) => {
            Problem::new(&problem::ALREADY_GRANTED, "the ticket was granted before it was cancelled")
                .with("lock", &of.lock(lock, now))
        }
        (Refusal::Gone(ended), _) => gone(ended),
        (Refusal::NotGranting, _) => {
            Problem::new(&problem::SHUTTING_DOWN, "no new grants: this instance was switched off")
        }
        (Refusal::QueueFull { limit }, _) => {
            lockkeeper_telemetry::metrics().limit_refused(QUEUE_SIZE);
            Problem::new(
                &problem::QUEUE_FULL,
                format!("{limit} tickets wait for this resource already, and no more may ({QUEUE_SIZE})"),
            )
            .with("limit", &QUEUE_SIZE)
            .with("value", limit)
        }
        (Refusal::StaleToken, _) => {
            Problem::new(&problem::STALE_TOKEN, "the fencing token given is not the lock's")
        }
        (Refusal::Superseded, _) => {
            Problem::internal("a release was refused as it is not refused to clients")
        }
        (Refusal::ModeConflict(what), _) => Problem::new(&problem::MODE_CONFLICT, what.clone()),
        (Refusal::RequestIdReused, _) => Problem::new(
            &problem::REQUEST_ID_REUSED,
            "this request id came before with another body, for the same resource and owner",
        ),
        (Refusal::NotFound, _) => {
            Problem::new(&problem::NOT_FOUND, "no lock or ticket with this id is known, or it was forgotten")
        }
        (Refusal::Lost, _) => Problem::new(
            &problem::LOST,
            "the store lost data after this lock or ticket was made, and no instance could write it back",
        ),
        (Refusal::IdTaken, _) => {
            Problem::internal("another resource has the same resource id; this one cannot be locked")
        }
        (Refusal::Held { .. } | Refusal::AlreadyGranted(_), None) => {
            Problem::internal("a refusal names no resource")
        }
    }
}

/// The code of an end.
pub(super) fn end_code(reason: EndReason) -> &'static Code {
    match reason {
        EndReason::Released => &problem::RELEASED,
        EndReason::Expired => &problem::EXPIRED,
        EndReason::Cancelled => &problem::CANCELLED,
        EndReason::Abandoned => &problem::ABANDONED,
        EndReason::Unclaimed => &problem::UNCLAIMED,
        EndReason::QueueTimeout => &problem::QUEUE_TIMEOUT,
        EndReason::Forced => &problem::FORCED,
    }
}

fn gone(ended: &Ended) -> Problem {
    let what = match ended.former {
        Former::Lock(_) => "lock",
        Former::Ticket(_) => "ticket",
    };
    let at = Instant(ended.at);
    let how = match (ended.reason, &ended.former) {
        (EndReason::Released, _) => "was released",
        (EndReason::Expired, _) => "expired",
        (EndReason::Cancelled, _) => "was cancelled",
        (EndReason::Abandoned, Former::Lock(_)) => {
            "was taken back, since its client was gone before it heard of it,"
        }
        (EndReason::Abandoned, Former::Ticket(_)) => {
            "was abandoned: its client stopped asking for it; it left the queue"
        }
        (EndReason::Unclaimed, _) => "was granted, not fetched in time, and went on",
        (EndReason::QueueTimeout, _) => "waited as long as it wanted to and left the queue",
        (EndReason::Forced, _) => "was ended by an operator",
    };
    let detail = match &ended.note {
        Some(note) => format!("the {what} {how} at {at}: {note}"),
        None => format!("the {what} {how} at {at}"),
    };
    Problem::new(end_code(ended.reason), detail).with("ended_at", &at)
}

/// The store cannot be asked, or what it missed comes first: what is held stays as it was.
fn hold_only(why: &HoldOnly) -> Problem {
    let detail = match &why.lease {
        Some(LastLease { expires_at: Some(at), .. }) => {
            format!("nothing is changed now: {}; the lease ends at {} as before", why.reason, Instant(*at))
        }
        _ => format!("nothing is changed now: {}", why.reason),
    };
    let problem = Problem::new(&problem::BACKEND_UNAVAILABLE, detail)
        .with("phase", &why.phase.as_str())
        .with("reason", &why.reason);
    match why.lease {
        Some(LastLease { expires_at, as_of }) => {
            problem.with("expires_at", &expires_at.map(Instant)).with("as_of", &Instant(as_of))
        }
        None => problem,
    }
}

/// There is too much of something at once.
pub(super) fn overloaded(what: Bound, limit: usize) -> Problem {
    let Some(setting) = what.setting() else {
        return Problem::new(&problem::OVERLOADED, format!("too many {what} (at most {limit})"));
    };
    lockkeeper_telemetry::metrics().limit_refused(setting);
    Problem::new(&problem::OVERLOADED, format!("too many {what}: {setting} allows {limit}"))
        .with("limit", &setting)
        .with("value", &limit)
}

/// No answer of the actors.
pub(super) fn failure(failure: &Failure) -> Problem {
    match failure {
        Failure::Unavailable(cause) => {
            Problem::new(&problem::BACKEND_UNAVAILABLE, format!("the store is unavailable: {cause}"))
        }
        Failure::HoldOnly(why) => hold_only(why),
        Failure::Overloaded { what, limit } => overloaded(*what, *limit),
        Failure::QueueFull { limit, value } => {
            let detail = format!(
                "{value} tickets wait already, and no more may ({limit}); cancel those that are not needed"
            );
            Problem::new(&problem::QUEUE_FULL, detail).with("limit", limit).with("value", value)
        }
        Failure::Quarantined(quarantined) => {
            let detail = format!(
                "the actor of resource {} died {} times shortly before: its requests are refused until {}, and \
                 nothing else is affected. The log of this instance says why it dies; take a backup, and report it",
                quarantined.resource,
                quarantined.deaths,
                Instant(quarantined.until)
            );
            Problem::new(&problem::BACKEND_UNAVAILABLE, detail).after(quarantined.remaining)
        }
        Failure::OutcomeUnknown(cause) => Problem::new(&problem::OUTCOME_UNKNOWN, cause.clone()),
        Failure::ShuttingDown => {
            Problem::new(&problem::SHUTTING_DOWN, "no new grants: the server is stopping")
        }
        Failure::SwitchedOff(by) => {
            let detail = format!(
                "no new grants: this instance was {by}; ask another one, or wait until it is turned on again"
            );
            Problem::new(&problem::SHUTTING_DOWN, detail)
        }
        Failure::Internal(what) => Problem::internal(what.clone()),
        Failure::Damaged(what) => {
            Problem::internal(format!("a record in the store cannot be read; an operator must look: {what}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_actors::Quarantined;

    #[test]
    fn failures_keep_their_meaning() {
        let quarantined = Quarantined {
            resource: ResourceId(7),
            until: Timestamp::from_millis(5000),
            remaining: std::time::Duration::from_millis(4900),
            deaths: 11,
        };
        for (is, code, retry) in [
            (Failure::Unavailable("disk full".into()), "backend_unavailable", true),
            (
                Failure::HoldOnly(Box::new(HoldOnly {
                    phase: actors::Phase::HoldOnly,
                    reason: "no answer".into(),
                    lease: None,
                })),
                "backend_unavailable",
                true,
            ),
            (Failure::Overloaded { what: Bound::WaitingClients, limit: 3 }, "overloaded", true),
            (Failure::QueueFull { limit: "queue.max-tickets", value: 3 }, "queue_full", true),
            (Failure::OutcomeUnknown("no answer".into()), "outcome_unknown", true),
            (Failure::ShuttingDown, "shutting_down", true),
            (Failure::SwitchedOff("switched off".into()), "shutting_down", true),
            (Failure::Quarantined(quarantined), "backend_unavailable", true),
            (Failure::Internal("x".into()), "internal", false),
            (Failure::Damaged("x".into()), "internal", false),
        ] {
            let problem = failure(&is);
            assert_eq!((problem.code().word, problem.code().retryable), (code, retry));
            let response = actix_web::ResponseError::error_response(&problem);
            assert_eq!(response.headers().contains_key("retry-after"), retry, "{code}");
        }
    }

    #[test]
    fn every_end_has_its_code() {
        for reason in [
            EndReason::Released,
            EndReason::Expired,
            EndReason::Cancelled,
            EndReason::Abandoned,
            EndReason::Unclaimed,
            EndReason::QueueTimeout,
            EndReason::Forced,
        ] {
            assert_eq!((end_code(reason).word, end_code(reason).status), (reason.as_str(), 410));
        }
    }
}
