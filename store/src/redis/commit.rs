//! Commits: one script call each, and what is done when its answer does not come.
//!
//! A lost reply means unknown. The *same* call is then made again, with the same nonce and the same
//! now, until the answer is definite: the document remembers the nonces of its latest commits, so a
//! commit that was carried out is recognised; and one that was not can be told from it as long as
//! the document remembers all of them since the expected version.

use super::error::{half_done, is_half_done, unavailable};
use super::link::CallError;
use super::pauses::mark_life;
use super::payload;
use super::reply::{Garbled, Numbers, Reply, garbled, version_text};
use super::scripts::{COMMIT, FORMAT, NUMBER_MAX};
use super::store::{COMMITS_MAX, RedisStore, micros, number};
use crate::contract::{Commit, Committed, Conflict, Moved, StoreError};
use crate::validate::validate;
use lockkeeper_core::{Delta, Field, Partition, ResourceId, Timestamp, Version};
use std::time::Duration;
use tokio::time::Instant;

/// An unknown outcome is asked for so many times the timeout of a call.
const RESOLVE_TIMEOUTS: u32 = 3;
/// How long is waited before the same call is made again: at first,
const AGAIN_FIRST: Duration = Duration::from_millis(5);
/// and at most.
const AGAIN_MAX: Duration = Duration::from_millis(200);

const SEALED_MEANWHILE: &str = "the partition was sealed before the answer came";

/// A commit as it is sent, as often as it takes.
struct Call {
    partition: Partition,
    now: Timestamp,
    /// The generation that its versions carry.
    generation: u64,
    keys: Vec<Vec<u8>>,
    args: Vec<Vec<u8>>,
    deltas: Vec<Delta>,
    checks: Vec<(ResourceId, Option<Version>)>,
}

/// A document that was found with another version.
struct Found {
    /// Which of the call's deltas and then checks it is.
    place: usize,
    version: Option<Version>,
    /// How many nonces it remembers; `None` for a check.
    nonces: Option<u64>,
    payloads: Vec<Vec<u8>>,
}

/// A definite answer, or why there is none yet.
enum Answer {
    /// Carried out, on the server with this replication id, while the partition had been found
    /// sealed so often.
    Done {
        replication: String,
        sealings: u64,
    },
    Ended(Committed),
    Failed(StoreError),
    /// It may have been carried out.
    Unknown(String),
}

impl RedisStore {
    pub(super) async fn carry_out(&self, commit: Commit) -> Result<Committed, StoreError> {
        validate(&commit)?;
        let overloaded = StoreError::Overloaded { limit: COMMITS_MAX };
        let _permit = self.commits.try_acquire().map_err(|_| overloaded)?;
        let call = self.prepare(commit)?;
        self.pauses.wait(call.deltas.iter().map(|delta| delta.id)).await;
        let (replication, sealings) = match self.resolve(&call).await {
            Answer::Done { replication, sealings } => (replication, sealings),
            Answer::Ended(committed) => return Ok(committed),
            Answer::Failed(error) => return Err(error),
            Answer::Unknown(cause) => return Err(StoreError::OutcomeUnknown(cause)),
        };
        self.wait_for_replicas(call.partition, &replication).await?;
        if self.partitions.sealings(call.partition) != sealings {
            return Err(StoreError::OutcomeUnknown(SEALED_MEANWHILE.into()));
        }
        Ok(Committed::Done)
    }

    /// Calls until the answer is definite, or for too long.
    async fn resolve(&self, call: &Call) -> Answer {
        let deadline = Instant::now() + self.options.timeout * RESOLVE_TIMEOUTS;
        let mut pause = AGAIN_FIRST;
        // Why an earlier try may have been carried out.
        let mut unsure: Option<String> = None;
        loop {
            let answer = self.try_once(call, unsure.is_some()).await;
            let cause = match (answer, &unsure) {
                (Answer::Unknown(cause), _) => cause,
                // An error tells nothing of the earlier try; but if the partition is sealed it
                // will not be told soon.
                (Answer::Failed(StoreError::Sealed(_)), Some(cause)) => {
                    return Answer::Unknown(format!("{cause}; now the partition is sealed"));
                }
                (Answer::Failed(error), Some(_)) => error.to_string(),
                (definite, _) => return definite,
            };
            if Instant::now() + pause >= deadline {
                return Answer::Unknown(cause);
            }
            unsure = Some(cause);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(AGAIN_MAX);
        }
    }

    async fn try_once(&self, call: &Call, unsure: bool) -> Answer {
        let sealings = self.partitions.sealings(call.partition);
        let begun = Instant::now();
        let reply = match self.call(call.partition, &COMMIT, &call.keys, &call.args).await {
            Ok(Ok(reply)) => reply,
            // It was answered, so it may have been carried out.
            Ok(Err(error)) => return Answer::Unknown(error.to_string()),
            Err(CallError::Unknown(cause)) => return Answer::Unknown(cause),
            Err(CallError::Refused { code, message }) if is_half_done(&message) => {
                return Answer::Failed(half_done(&code, &message));
            }
            Err(error) => return Answer::Failed(unavailable(error)),
        };
        self.learn_trip(begun.elapsed());
        match self.understand(call, reply, sealings, unsure) {
            // It was carried out, but perhaps by a server that is no longer believed: what was
            // known here has been written back without it.
            Ok(Answer::Done { .. }) if self.partitions.sealings(call.partition) != sealings => {
                Answer::Unknown(SEALED_MEANWHILE.into())
            }
            Ok(answer) => answer,
            Err(error @ (StoreError::Refused(_) | StoreError::Unfit(_))) => Answer::Failed(error),
            Err(error) => Answer::Unknown(error.to_string()),
        }
    }

    fn understand(
        &self,
        call: &Call,
        mut reply: Reply,
        sealings: u64,
        unsure: bool,
    ) -> Result<Answer, StoreError> {
        let numbers = self.numbers(call.partition, &mut reply)?;
        if reply.word == "SEALED" {
            return Ok(Answer::Failed(StoreError::Sealed(call.partition)));
        }
        self.partitions.open(call.partition, numbers);
        match reply.word.as_str() {
            // The server's clock may still come to the time of an earlier try that is on its way.
            "LATE" if unsure && call.now > reply.time => {
                return Ok(Answer::Unknown("it was decided ahead of the server's clock".into()));
            }
            "LATE" => return Ok(Answer::Ended(Committed::Late)),
            "DONE" | "MOVED" | "ALREADY" => {}
            _ => return Err(reply.unexpected().into()),
        }
        let replication = reply.rest.text()?;
        if reply.word == "DONE" {
            while !reply.rest.is_empty() {
                let (place, trip) = (read_place(&mut reply, call.deltas.len())?, reply.rest.number()?);
                self.pauses.add(call.deltas[place].id, Duration::from_micros(trip));
            }
            return Ok(Answer::Done { replication, sealings });
        }
        let found = read_found(&mut reply, call.deltas.len() + call.checks.len())?;
        if reply.word == "ALREADY" && call.is_what_was_found(&found) {
            return Ok(Answer::Done { replication, sealings });
        }
        // Carried out and overtaken is not done: what was decided is no longer so.
        let unsure = reply.word == "ALREADY" || (unsure && !call.never_happened(&numbers, &found));
        let moved = found.into_iter().map(|found| call.moved(found)).collect();
        Ok(Answer::Ended(Committed::Conflict(Conflict { moved, unsure })))
    }

    /// Waits until enough replicas have what the partition's server has written.
    async fn wait_for_replicas(&self, partition: Partition, replication: &str) -> Result<(), StoreError> {
        let wanted = self.options.min_replicas;
        if wanted == 0 {
            return Ok(());
        }
        let unknown = StoreError::OutcomeUnknown;
        let have = self.link.wait_replicas(partition, replication, wanted, self.options.wait_timeout).await;
        match have {
            Ok(have) if have >= wanted => Ok(()),
            Ok(have) => Err(unknown(format!(
                "{have} of {wanted} replicas have it after {}",
                humantime::format_duration(self.options.wait_timeout)
            ))),
            Err(error) => Err(unknown(format!("whether {wanted} replicas have it is not known: {error}"))),
        }
    }

    fn prepare(&self, commit: Commit) -> Result<Call, StoreError> {
        let partition = commit.partition;
        let mut checks = commit.checks;
        let mut deltas = commit.deltas;
        // To ask that something is absent is a check.
        deltas.retain(|delta| {
            let absent = delta.expected.is_none() && delta.next.is_none();
            if absent {
                checks.push((delta.id, None));
            }
            !absent
        });
        let known = self.partitions.known(partition).generation;
        let generation = generation_of(&deltas)?.unwrap_or(known);
        let raise = commit.raise_floor;
        for floor in [Some(commit.floor), raise].into_iter().flatten() {
            small_enough(floor)?;
        }
        let trip = self.trip();
        let payload = payload::encode(self.incarnation, &deltas, &commit.note);
        let mut keys = vec![self.keys.marker(partition), self.keys.changes(partition)];
        let mut args = vec![
            number(FORMAT),
            number(generation),
            number(commit.floor),
            raise.map_or_else(Vec::new, number),
            number(commit.now.as_micros()),
            micros(self.options.time_window),
            rand::random::<[u8; 8]>().to_vec(),
            number(self.incarnation),
            micros(trip),
            micros(mark_life(trip)),
            self.publish_word(),
            self.keys.channel(partition),
            payload,
            number(deltas.len() as u64),
            number(checks.len() as u64),
        ];
        for delta in &deltas {
            keys.extend([self.keys.document(delta.id), self.keys.log(delta.id)]);
            push_delta(&mut args, delta);
        }
        for (id, expected) in &checks {
            keys.push(self.keys.document(*id));
            args.push(version_text(*expected));
        }
        Ok(Call { partition, now: commit.now, generation, keys, args, deltas, checks })
    }
}

impl Call {
    /// Is every document as this commit makes it?
    fn is_what_was_found(&self, found: &[Found]) -> bool {
        self.deltas.iter().enumerate().all(|(place, delta)| {
            let version = match found.iter().find(|found| found.place == place) {
                Some(found) => found.version,
                None => delta.expected,
            };
            version == delta.next.as_ref().map(|next| next.version)
        })
    }

    /// Do the documents prove that no earlier try was carried out, and that none ever will be? What
    /// is true of one is true of all, since all change together; but after a loss nothing is.
    fn never_happened(&self, numbers: &Numbers, found: &[Found]) -> bool {
        if numbers.generation != self.generation {
            return false;
        }
        let find = |place| found.iter().find(|found| found.place == place);
        let mut deltas = self.deltas.iter().enumerate();
        let remembered = deltas.any(|(place, delta)| {
            find(place).is_some_and(|found| found.remembers_all_since(delta.expected, self.generation))
        });
        // One that is as it was expected tells that nothing happened yet; one that has gone beyond
        // (or, if none moved, the floor), that nothing will. One that is behind what was expected,
        // or absent, may still be written back.
        let mut deltas = self.deltas.iter().enumerate();
        let not_yet = deltas.any(|(place, delta)| delta.expected.is_some() && find(place).is_none());
        let beyond = |found: &Found| {
            let (_, expected) = self.named(found.place);
            expected.is_some() && found.version > expected
        };
        remembered || (not_yet && (found.is_empty() || found.iter().any(beyond)))
    }

    /// The document that a reply calls by a number, and its expected version.
    fn named(&self, place: usize) -> (ResourceId, Option<Version>) {
        match place.checked_sub(self.deltas.len()) {
            None => (self.deltas[place].id, self.deltas[place].expected),
            Some(place) => self.checks[place],
        }
    }

    fn moved(&self, found: Found) -> Moved {
        let Found { place, version, payloads, .. } = found;
        let (id, expected) = self.named(place);
        Moved { id, version, since: chain(id, expected, version, payloads) }
    }
}

impl Found {
    /// Does it know the nonces of all commits since the expected version?
    fn remembers_all_since(&self, expected: Option<Version>, generation: u64) -> bool {
        let (Some(expected), Some(actual), Some(nonces)) = (expected, self.version, self.nonces) else {
            // One that was to be made, or is gone: it may have been made and deleted.
            return false;
        };
        let commits = actual.counter.checked_sub(expected.counter);
        expected.generation == generation
            && actual.generation == generation
            && commits.is_some_and(|commits| (1..=nonces).contains(&commits))
    }
}

/// The changes of a document from the expected version to the actual one, from payloads that come
/// newest first; nothing if they do not join up.
pub(super) fn chain(
    id: ResourceId,
    expected: Option<Version>,
    actual: Option<Version>,
    payloads: Vec<Vec<u8>>,
) -> Vec<Delta> {
    let mut at = expected;
    let mut since = Vec::with_capacity(payloads.len());
    for payload in payloads.iter().rev() {
        let delta = payload::decode(payload).ok().and_then(|payload| {
            payload.deltas.into_iter().find(|delta| delta.id == id && delta.expected == at)
        });
        let Some(delta) = delta else { return Vec::new() };
        at = delta.next.as_ref().map(|next| next.version);
        since.push(delta);
    }
    if at == actual { since } else { Vec::new() }
}

/// The generation that all new versions of a commit carry.
fn generation_of(deltas: &[Delta]) -> Result<Option<u64>, StoreError> {
    let mut generation = None;
    for delta in deltas {
        for version in delta.expected.iter().chain(delta.next.as_ref().map(|next| &next.version)) {
            small_enough(version.generation)?;
            small_enough(version.counter)?;
        }
        let Some(next) = &delta.next else { continue };
        match generation {
            Some(other) if other != next.version.generation => {
                return Err(StoreError::Refused(format!(
                    "a commit makes versions of generations {other} and {}",
                    next.version.generation
                )));
            }
            _ => generation = Some(next.version.generation),
        }
    }
    Ok(generation)
}

pub(super) fn small_enough(number: u64) -> Result<(), StoreError> {
    if number <= NUMBER_MAX {
        return Ok(());
    }
    Err(StoreError::Refused(format!("{number} is greater than 2^53, beyond which numbers are not exact")))
}

/// A field's name in its document.
pub(super) fn field_name(field: Field) -> Vec<u8> {
    let mut name = Vec::with_capacity(9);
    name.push(field.kind as u8);
    name.extend_from_slice(&field.seq.to_be_bytes());
    name
}

fn push_delta(args: &mut Vec<Vec<u8>>, delta: &Delta) {
    let next = delta.next.as_ref();
    let puts = delta.fields.iter().filter(|(_, bytes)| bytes.is_some()).count();
    args.push(delta.id.to_string().into_bytes());
    args.push(version_text(delta.expected));
    args.push(version_text(next.map(|next| next.version)));
    args.push(next.map_or_else(Vec::new, |next| next.bytes.clone()));
    args.push(number(2 * puts as u64));
    args.push(number((delta.fields.len() - puts) as u64));
    for (field, bytes) in &delta.fields {
        if let Some(bytes) = bytes {
            args.push(field_name(*field));
            args.push(bytes.clone());
        }
    }
    args.extend(
        delta.fields.iter().filter(|(_, bytes)| bytes.is_none()).map(|(field, _)| field_name(*field)),
    );
}

/// The number of a delta or check, which scripts count from 1.
fn read_place(reply: &mut Reply, count: usize) -> Result<usize, Garbled> {
    let place = usize::try_from(reply.rest.number()?).unwrap_or(usize::MAX);
    if (1..=count).contains(&place) {
        Ok(place - 1)
    } else {
        Err(garbled("a document that was not asked for"))
    }
}

fn read_found(reply: &mut Reply, count: usize) -> Result<Vec<Found>, Garbled> {
    let mut all = Vec::with_capacity(count);
    while !reply.rest.is_empty() {
        let place = read_place(reply, count)?;
        let version = reply.rest.version()?;
        let nonces = u64::try_from(reply.rest.integer()?).ok();
        let mut since = reply.rest.array()?;
        let mut payloads = Vec::with_capacity(since.len());
        while !since.is_empty() {
            payloads.push(since.bytes()?);
        }
        all.push(Found { place, version, nonces, payloads });
    }
    Ok(all)
}
