//! What must hold between limits: one that another never lets be reached is a mistake, and so is one that
//! says the opposite of another.

use crate::effective::Entry;
use crate::problem::Problem;
use crate::resolve::Candidates;
use crate::schema::Rule;
use crate::source::Source;
use crate::value::Value;

pub(super) const RULES: &[Rule] = &[
    Rule::Many(parts_within_wholes),
    Rule::One(burst_needs_rate),
    Rule::One(breaker_by_rate),
    Rule::One(slow_before_given_up),
    Rule::One(chaos_among_ourselves),
];

/// A limit of a part, that of the whole, and what becomes of the part's. A limit of zero is none.
const PARTS: &[(&str, &str, &str)] = &[
    ("queue.max-tickets-per-namespace", "queue.max-tickets", "one namespace"),
    ("queue.max-tickets-per-client", "queue.max-tickets", "one client"),
    ("http.max-waiting-per-client", "http.max-waiting", "one client"),
    ("events.max-subscribers-per-client", "events.max-subscribers", "one client"),
    ("supervision.max-deaths-per-resource", "supervision.max-deaths", "one resource"),
    ("rate-limit.per-client", "rate-limit.global", "one client"),
];

fn number<'a>(settings: &'a Candidates, name: &str) -> Option<(&'a Entry, u64)> {
    let entry = settings.get(name)?;
    match entry.value {
        Value::Integer(number) => Some((entry, number)),
        _ => None,
    }
}

fn problem(entry: &Entry, message: String) -> Problem {
    Problem::new(entry.name, &entry.source, message).with_value(&entry.value.to_string(), false)
}

fn parts_within_wholes(settings: &Candidates) -> Vec<Problem> {
    let wrong = PARTS.iter().filter_map(|(part, whole, what)| {
        let ((part, least), (whole, most)) = (number(settings, part)?, number(settings, whole)?);
        // Nobody asked for a default that is never reached.
        (part.source != Source::Default && most > 0 && least > most).then(|| {
            let message = format!(
                "is more than {}, which is {most} ({}), so that {what} could never reach it; lower {} or raise {}",
                whole.setting.name, whole.source, part.setting.name, whole.setting.name
            );
            problem(part, message)
        })
    });
    wrong.collect()
}

fn burst_needs_rate(settings: &Candidates) -> Option<Problem> {
    let ((burst, at_once), (rate, a_second)) =
        (number(settings, "rate-limit.burst")?, number(settings, "rate-limit.per-client")?);
    (at_once > 0 && a_second == 0).then(|| {
        let message = format!(
            "has no meaning without a rate: rate-limit.per-client is 0 ({}), no limit; give it, or leave rate-limit.burst out",
            rate.source
        );
        problem(burst, message)
    })
}

fn breaker_by_rate(settings: &Candidates) -> Option<Problem> {
    let (_, percent) = number(settings, "circuit-breaker.failure-percent")?;
    let ((calls, fewest), (faults, in_a_row)) = (
        number(settings, "circuit-breaker.min-calls")?,
        number(settings, "circuit-breaker.failure-threshold")?,
    );
    let on = settings.get("circuit-breaker.enabled")?.value == Value::Bool(true);
    (on && percent > 0 && fewest < in_a_row).then(|| {
        let message = format!(
            "is less than circuit-breaker.failure-threshold, which is {in_a_row} ({}): the rate would always open the breaker before so many faults in a row; raise circuit-breaker.min-calls, or set circuit-breaker.failure-percent to 0",
            faults.source
        );
        problem(calls, message)
    })
}

fn slow_before_given_up(settings: &Candidates) -> Option<Problem> {
    let (slow, call) = (settings.get("health.slow-after")?, settings.get("store-call-timeout")?);
    let (Value::Duration(slow_after), Value::Duration(timeout)) = (&slow.value, &call.value) else {
        return None;
    };
    // Nobody asked for the default: with a shorter timeout a probe is in time or has failed.
    (slow.source != Source::Default && slow_after >= timeout).then(|| {
        let message = format!(
            "is not less than {}, which is {} ({}): the call would be given up before it counts as slow; lower health.slow-after or raise {}",
            call.name, call.value, call.source, call.name
        );
        problem(slow, message)
    })
}

fn chaos_among_ourselves(settings: &Candidates) -> Option<Problem> {
    let (chaos, listen, insecure) =
        (settings.get("chaos")?, settings.get("listen")?, settings.get("insecure")?);
    let Value::Address(address) = listen.value else { return None };
    let loopback = address.ip().to_canonical().is_loopback();
    (chaos.value == Value::Bool(true) && !loopback && insecure.value == Value::Bool(false)).then(|| {
        let message = format!(
            "would let everyone who reaches {address} ({}) kill actors and make the store fail; serve a loopback address, or use --insecure to accept that",
            listen.source
        );
        problem(chaos, message)
    })
}
