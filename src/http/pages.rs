//! Pages of long lists, and the cursors that lead from one to the next.
//!
//! A cursor is the place of the last entry shown, not a count: entries that come and go meanwhile
//! make nothing appear twice and hide nothing that was there all the time.

use super::problem::Problem;
use super::query::Query;
use lockkeeper_core::{EntryId, ResourceId, Seq, Timestamp};
use sha2::{Digest, Sha256};

const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 4;
const NUMBERS_BYTES: usize = 24;

/// In which order a list is; part of its cursors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Locks, oldest first.
    Acquired,
    /// Locks, newest first.
    AcquiredLast,
    /// Locks, by key.
    Key,
    /// Queues, by resource id.
    Resource,
    /// Tickets, oldest first.
    Enqueued,
}

impl Order {
    const ALL: [Self; 5] = [Self::Acquired, Self::AcquiredLast, Self::Key, Self::Resource, Self::Enqueued];

    /// The order of locks with this word.
    pub(super) fn of_locks(word: &str) -> Option<Self> {
        match word {
            "acquired_at" => Some(Self::Acquired),
            "-acquired_at" => Some(Self::AcquiredLast),
            "key" => Some(Self::Key),
            _ => None,
        }
    }
}

/// An entry's place in a list; places compare in the list's order.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    number: u64,
    text: String,
    resource: u64,
    seq: u64,
}

impl Place {
    /// By time, then by id.
    pub(super) fn by_time(at: Timestamp, id: EntryId) -> Self {
        Self { number: at.as_micros(), ..Self::by_text(String::new(), id) }
    }

    /// The latest first, then by id.
    pub(super) fn by_time_backwards(at: Timestamp, id: EntryId) -> Self {
        Self { number: u64::MAX - at.as_micros(), ..Self::by_text(String::new(), id) }
    }

    /// By a text, then by id.
    pub(super) fn by_text(text: String, id: EntryId) -> Self {
        Self { number: 0, text, resource: id.resource.0, seq: id.seq.0 }
    }

    /// By resource.
    pub(super) fn by_resource(resource: ResourceId) -> Self {
        Self::by_text(String::new(), EntryId { resource, seq: Seq(0) })
    }
}

/// Which page of a list is wanted.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) order: Order,
    after: Option<Place>,
    limit: usize,
}

impl Wanted {
    /// Reads `limit` and `cursor`.
    pub(super) fn read(query: &mut Query<'_>, order: Order) -> Self {
        let limit = query.limit();
        let after = query.get("cursor").map(|text| decode(order, text));
        let after = match after {
            Some(Err(message)) => {
                query.complain("cursor", message);
                None
            }
            Some(Ok(place)) => Some(place),
            None => None,
        };
        Self { order, after, limit }
    }

    /// Is an entry at this place on the wanted page or later?
    pub(super) fn takes(&self, place: &Place) -> bool {
        self.after.as_ref().is_none_or(|after| place > after)
    }

    /// The page, in order, and the cursor of the next one. Takes entries in any order.
    pub(super) fn page<T>(&self, mut entries: Vec<(Place, T)>) -> (Vec<(Place, T)>, Option<String>) {
        let more = entries.len() > self.limit;
        if more {
            // A full sort of everything for each page would make long lists slow.
            entries.select_nth_unstable_by(self.limit, |a, b| a.0.cmp(&b.0));
            entries.truncate(self.limit);
        }
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let next = entries.last().filter(|_| more).map(|(last, _)| encode(self.order, last));
        (entries, next)
    }
}

fn encode(order: Order, place: &Place) -> String {
    let mut bytes = vec![VERSION, order as u8];
    for number in [place.number, place.resource, place.seq] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes.extend_from_slice(place.text.as_bytes());
    bytes.extend_from_slice(&checksum(&bytes));
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn decode(order: Order, text: &str) -> Result<Place, &'static str> {
    const DAMAGED: &str = "is not a cursor of this list; take next_cursor as it is";
    let (kind, place) = read(text).ok_or(DAMAGED)?;
    if kind == order { Ok(place) } else { Err("belongs to a list in another order; begin without a cursor") }
}

fn read(text: &str) -> Option<(Order, Place)> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits?;
    let bytes: Vec<u8> =
        digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    let (content, sum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_BYTES)?)?;
    if digits.len() % 2 == 1 || checksum(content) != sum {
        return None;
    }
    let (head, rest) = content.split_at_checked(2)?;
    let (numbers, text) = rest.split_at_checked(NUMBERS_BYTES)?;
    let order = Order::ALL.into_iter().find(|order| head == [VERSION, *order as u8])?;
    let number = |place: usize| numbers[place * 8..][..8].iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
    let text = String::from_utf8(text.to_vec()).ok()?;
    Some((order, Place { number: number(0), text, resource: number(1), seq: number(2) }))
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash: [u8; 32] = Sha256::digest(bytes).into();
    [hash[0], hash[1], hash[2], hash[3]]
}

/// Documents that are looked through in place; more are looked through on another thread.
const IN_PLACE_MAX: usize = 2000;

/// Runs `work`, beside the event loop if `size` documents are to be looked through.
pub(super) async fn beside<T: Send + 'static>(
    size: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    if size <= IN_PLACE_MAX {
        return Ok(work());
    }
    actix_web::web::block(work)
        .await
        .map_err(|error| Problem::internal(format!("a list could not be made: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u64) -> Place {
        let id = EntryId { resource: ResourceId(number), seq: Seq(number) };
        Place::by_text(format!("k/{number:03}/é"), id)
    }

    fn wanted(query: &str) -> Result<Wanted, Problem> {
        let mut query = Query::read(query, &["limit", "cursor"]);
        let wanted = Wanted::read(&mut query, Order::Key);
        query.finish().map(|()| wanted)
    }

    #[test]
    fn pages_follow_each_other_though_entries_come_and_go() {
        let mut there: Vec<u64> = (0..50).rev().collect();
        let mut seen = Vec::new();
        let mut cursor = None;
        for round in 0.. {
            let query = cursor.as_ref().map_or("limit=7".into(), |cursor| format!("limit=7&cursor={cursor}"));
            let wanted = wanted(&query).unwrap();
            let entries =
                there.iter().map(|n| (place(*n), *n)).filter(|(place, _)| wanted.takes(place)).collect();
            let (page, next) = wanted.page(entries);
            seen.extend(page.into_iter().map(|(_, n)| n));
            // The last one shown goes, and another comes before it.
            let last = *seen.last().unwrap();
            there.retain(|n| *n != last);
            cursor = next;
            if cursor.is_none() {
                assert_eq!(round, 7);
                break;
            }
        }
        assert_eq!(seen, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn damaged_and_foreign_cursors_are_refused() {
        let good = encode(Order::Key, &place(7));
        assert!(wanted(&format!("cursor={good}")).unwrap().takes(&place(8)));
        let changed = format!("{}{}", &good[..good.len() - 1], if good.ends_with('0') { '1' } else { '0' });
        let foreign = encode(Order::Acquired, &place(7));
        for bad in
            ["", "0", "zz", "00000000", &good[1..], &good[2..], &changed, &format!("{good}00"), &foreign, "é"]
        {
            let problem = wanted(&format!("cursor={bad}")).unwrap_err();
            assert_eq!(problem.errors()[0].field, "cursor", "{bad}");
        }
    }

    #[test]
    fn the_latest_come_first_where_that_is_asked_for() {
        let id = EntryId { resource: ResourceId(1), seq: Seq(1) };
        let at = |secs| Place::by_time_backwards(Timestamp::from_millis(secs), id);
        assert!(at(2) < at(1));
    }
}
