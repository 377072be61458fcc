//! The ids of locks and tickets: ULIDs that lead to their document.
//!
//! The 128 bits are 48 bits of milliseconds, the 64 bits of the resource id, and a 16-bit counter.
//! Milliseconds and counter together are the entry's [`Seq`], which a document hands out strictly
//! increasing: ids are unique without randomness, sort by age, and any id tells which document
//! (and so which partition) knows it, without an index.

use crate::resource::ResourceId;
use minicbor::{Decode, Encode};
use std::fmt;
use std::str::FromStr;

/// An entry's place in the history of its resource: 48 bits of milliseconds, 16 bits of counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Seq(#[n(0)] pub u64);

impl Seq {
    /// The smallest sequence number that is greater than `self` and not before `millis`.
    #[must_use]
    pub fn next(self, millis: u64) -> Self {
        Self((self.0 + 1).max(millis << 16))
    }

    /// The milliseconds in it.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 >> 16
    }
}

/// The id of a lock or ticket. A ticket keeps its id when it becomes a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// Whose document knows it.
    pub resource: ResourceId,
    /// Which entry of that document it is.
    pub seq: Seq,
}

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TEXT_LEN: usize = 26;

impl EntryId {
    fn to_bits(self) -> u128 {
        let (millis, counter) = (self.seq.0 >> 16, self.seq.0 & 0xffff);
        u128::from(millis) << 80 | u128::from(self.resource.0) << 16 | u128::from(counter)
    }

    fn from_bits(bits: u128) -> Self {
        let millis = (bits >> 80) as u64;
        let counter = (bits & 0xffff) as u64;
        Self { resource: ResourceId((bits >> 16) as u64), seq: Seq(millis << 16 | counter) }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.to_bits();
        let mut text = [0u8; TEXT_LEN];
        for (place, byte) in text.iter_mut().enumerate() {
            *byte = ALPHABET[(bits >> (5 * (TEXT_LEN - 1 - place)) & 31) as usize];
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// The text is not a ULID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not an id: 26 characters of Crockford's base 32 are expected")]
pub struct NotAnId;

impl FromStr for EntryId {
    type Err = NotAnId;

    /// Reads a ULID; lower case is taken too, as the ULID specification asks.
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if text.len() != TEXT_LEN {
            return Err(NotAnId);
        }
        let mut bits: u128 = 0;
        for (place, byte) in text.bytes().enumerate() {
            let upper = byte.to_ascii_uppercase();
            let value = ALPHABET.iter().position(|&c| c == upper).ok_or(NotAnId)? as u128;
            // 26 characters carry 130 bits: the first may not use its two highest.
            if place == 0 && value > 7 {
                return Err(NotAnId);
            }
            bits = bits << 5 | value;
        }
        Ok(Self::from_bits(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_and_sort_by_age() {
        let resource = ResourceId(0xfedc_ba98_7654_3210);
        let first = Seq::default().next(1_790_000_000_000);
        let second = first.next(1_790_000_000_000);
        let later = second.next(1_790_000_000_001);
        assert!(first < second && second < later);
        let texts: Vec<String> =
            [first, second, later].iter().map(|&seq| EntryId { resource, seq }.to_string()).collect();
        assert!(texts.is_sorted(), "{texts:?}");
        for (text, seq) in texts.iter().zip([first, second, later]) {
            assert_eq!(text.parse(), Ok(EntryId { resource, seq }));
            assert_eq!(text.to_lowercase().parse(), Ok(EntryId { resource, seq }));
        }
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_repeats_no_id() {
        let late = Seq::default().next(5_000);
        assert!(late.next(4_000) > late);
        let mut seq = late;
        for _ in 0..70_000 {
            let next = seq.next(5_000);
            assert!(next > seq);
            seq = next;
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "01ARZ3NDEKTSV4RRFFQ69G5FA",
            "81ARZ3NDEKTSV4RRFFQ69G5FAV",
            "01ARZ3NDEKTSV4RRFFQ69G5FAU",
            "01ARZ3NDEKTSV4RRFFQ69G5FA\u{e9}",
        ] {
            assert_eq!(text.parse::<EntryId>(), Err(NotAnId), "{text}");
        }
    }
}
