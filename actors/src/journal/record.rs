//! What the journal's file holds, to the byte.
//!
//! A header (12 bytes of [`MAGIC`], a big-endian `u32` with the format's version), then frames. A
//! frame is what was made durable at once: 4 bytes [`FRAME`], the length of its body and the CRC-32
//! of its body (big-endian `u32` each), and the body: records one behind the other, in CBOR.
//!
//! A crash leaves at most one frame that is not whole, at the end: nobody was told of what it holds,
//! so it is cut off. A frame that is not whole with a whole one behind it was damaged later.

use lockkeeper_core::{EntryId, Lock, Resource, ResourceId, Timestamp};
use minicbor::{Decode, Encode};
use std::sync::Arc;

/// How a file begins.
pub(super) const MAGIC: &[u8; 12] = b"LKRELEASES\r\n";
/// The format that is written, and the newest that is read.
pub(super) const VERSION: u32 = 1;
/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = MAGIC.len() + 4;
/// How a frame begins.
const FRAME: &[u8; 4] = b"LKfr";
const FRAME_HEADER_BYTES: usize = 12;

/// A release that was accepted and is not carried out yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Its number in this journal: they are carried out in this order.
    pub(crate) number: u64,
    /// What is locked.
    pub(crate) resource: Arc<Resource>,
    /// The id of `resource`.
    pub(crate) id: ResourceId,
    /// The lock as it was known when its release was accepted.
    pub(crate) lock: Arc<Lock>,
    /// Identifies the release, however often it is sent.
    pub(crate) nonce: u64,
    /// When it was accepted, by the store's clock as it was known then.
    pub(crate) accepted_at: Timestamp,
}

impl Accepted {
    /// The lock's id.
    pub(crate) fn entry(&self) -> EntryId {
        EntryId { resource: self.id, seq: self.lock.seq }
    }
}

/// One record of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Accepted(Accepted),
    /// The release with this number needs no more work.
    Done(u64),
}

#[derive(Encode, Decode)]
enum Stored {
    #[n(0)]
    Accepted {
        #[n(0)]
        number: u64,
        #[n(1)]
        id: u64,
        #[n(2)]
        resource: Box<Resource>,
        #[n(3)]
        lock: Box<Lock>,
        #[n(4)]
        nonce: u64,
        #[n(5)]
        accepted_at: Timestamp,
    },
    #[n(1)]
    Done {
        #[n(0)]
        number: u64,
    },
}

impl Record {
    fn stored(&self) -> Stored {
        match self {
            Self::Accepted(accepted) => Stored::Accepted {
                number: accepted.number,
                id: accepted.id.0,
                resource: Box::new((*accepted.resource).clone()),
                lock: Box::new((*accepted.lock).clone()),
                nonce: accepted.nonce,
                accepted_at: accepted.accepted_at,
            },
            Self::Done(number) => Stored::Done { number: *number },
        }
    }

    fn of(stored: Stored) -> Self {
        match stored {
            Stored::Accepted { number, id, resource, lock, nonce, accepted_at } => Self::Accepted(Accepted {
                number,
                id: ResourceId(id),
                resource: Arc::new(*resource),
                lock: Arc::new(*lock),
                nonce,
                accepted_at,
            }),
            Stored::Done { number } => Self::Done(number),
        }
    }
}

/// The header of a new file.
pub(super) fn header() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes
}

/// One frame with these records.
///
/// # Errors
/// In words, if they cannot be written down.
pub(super) fn frame<'a>(records: impl IntoIterator<Item = &'a Record>) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; FRAME_HEADER_BYTES];
    for record in records {
        minicbor::encode(record.stored(), &mut bytes).map_err(|error| error.to_string())?;
    }
    let body = bytes.len() - FRAME_HEADER_BYTES;
    let length = u32::try_from(body).map_err(|_| "too many records for one frame".to_owned())?;
    let sum = crc32fast::hash(&bytes[FRAME_HEADER_BYTES..]);
    bytes[..4].copy_from_slice(FRAME);
    bytes[4..8].copy_from_slice(&length.to_be_bytes());
    bytes[8..12].copy_from_slice(&sum.to_be_bytes());
    Ok(bytes)
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It does not begin like one.
    Foreign,
    /// A later version wrote it.
    Newer(u32),
    /// Something in its midst is not as it was written.
    Damaged(String),
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) records: Vec<Record>,
    /// Bytes up to the end of the last whole frame; what is behind them is cut off.
    pub(super) good_bytes: usize,
}

/// Reads a file's bytes.
///
/// # Errors
/// When more than its end is not as it was written.
pub(super) fn read(bytes: &[u8]) -> Result<Read, Unreadable> {
    let expected = header();
    let Some(start) = bytes.get(..HEADER_BYTES) else {
        // Made, and not finished.
        let torn = expected.starts_with(bytes) || bytes.iter().all(|byte| *byte == 0);
        return if torn { Ok(Read { records: Vec::new(), good_bytes: 0 }) } else { Err(Unreadable::Foreign) };
    };
    if !start.starts_with(MAGIC) {
        return Err(Unreadable::Foreign);
    }
    let version = be_u32(&start[MAGIC.len()..]);
    if version > VERSION || version == 0 {
        return Err(Unreadable::Newer(version));
    }
    let mut records = Vec::new();
    let mut at = HEADER_BYTES;
    while let Some((body, length)) = whole_frame(&bytes[at..]) {
        let mut decoder = minicbor::Decoder::new(body);
        while decoder.position() < body.len() {
            let stored = decoder.decode::<Stored>().map_err(|error| {
                Unreadable::Damaged(format!("the frame at byte {at} cannot be understood: {error}"))
            })?;
            records.push(Record::of(stored));
        }
        at += length;
    }
    let rest = &bytes[at..];
    if (1..rest.len()).any(|from| whole_frame(&rest[from..]).is_some()) {
        return Err(Unreadable::Damaged(format!("the frame at byte {at} is not as it was written")));
    }
    Ok(Read { records, good_bytes: at })
}

/// The body of the frame that these bytes begin with, and how long it is; `None` if it is not whole.
fn whole_frame(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let start = bytes.get(..FRAME_HEADER_BYTES)?;
    if !start.starts_with(FRAME) {
        return None;
    }
    let length = FRAME_HEADER_BYTES.checked_add(be_u32(&start[4..8]) as usize)?;
    let body = bytes.get(FRAME_HEADER_BYTES..length)?;
    (!body.is_empty() && crc32fast::hash(body) == be_u32(&start[8..12])).then_some((body, length))
}

fn be_u32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}
