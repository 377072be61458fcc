//! A commit as it is published and kept in logs: CBOR, an array of format, incarnation, deltas, note.
//!
//! A delta is an array of id, expected version (null: absent), next version (null: deleted), header,
//! fields; a version is an array of generation and counter; fields are kind, number and bytes
//! (null: removed) in turn. Array elements may be added at the end: an older reader skips them.

use lockkeeper_core::{Delta, Field, FieldKind, Header, ResourceId, Version};
use minicbor::decode::Error;
use minicbor::{Decoder, Encoder};

/// What a reader must know to understand it.
const PAYLOAD_FORMAT: u64 = 1;
/// Capacity that is reserved on the word of a payload.
const TRUSTED_LENGTH_MAX: usize = 1024;

/// What a payload holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Payload {
    pub(super) incarnation: u64,
    pub(super) deltas: Vec<Delta>,
    pub(super) note: Vec<u8>,
}

pub(super) fn encode(incarnation: u64, deltas: &[Delta], note: &[u8]) -> Vec<u8> {
    let record = |(_, bytes): &(Field, Option<Vec<u8>>)| 16 + bytes.as_ref().map_or(0, Vec::len);
    let size = |delta: &Delta| 64 + delta.fields.iter().map(record).sum::<usize>();
    let mut e = Encoder::new(Vec::with_capacity(64 + note.len() + deltas.iter().map(size).sum::<usize>()));
    match write(&mut e, incarnation, deltas, note) {
        Ok(()) => e.into_writer(),
        Err(error) => unreachable!("writing to memory cannot fail: {error}"),
    }
}

type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn write(e: &mut Encoder<Vec<u8>>, incarnation: u64, deltas: &[Delta], note: &[u8]) -> Written {
    e.array(4)?.u64(PAYLOAD_FORMAT)?.u64(incarnation)?.array(deltas.len() as u64)?;
    for delta in deltas {
        e.array(5)?.u64(delta.id.0)?;
        write_version(e, delta.expected)?;
        write_version(e, delta.next.as_ref().map(|next| next.version))?;
        e.bytes(delta.next.as_ref().map_or(&[], |next| &next.bytes))?;
        e.array(3 * delta.fields.len() as u64)?;
        for (field, bytes) in &delta.fields {
            e.u8(field.kind as u8)?.u64(field.seq)?;
            match bytes {
                Some(bytes) => e.bytes(bytes)?,
                None => e.null()?,
            };
        }
    }
    e.bytes(note)?;
    Ok(())
}

fn write_version(e: &mut Encoder<Vec<u8>>, version: Option<Version>) -> Written {
    match version {
        Some(version) => e.array(2)?.u64(version.generation)?.u64(version.counter)?,
        None => e.null()?,
    };
    Ok(())
}

pub(super) fn decode(payload: &[u8]) -> Result<Payload, Error> {
    let d = &mut Decoder::new(payload);
    let elements = read_length(d)?;
    if d.u64()? != PAYLOAD_FORMAT {
        return Err(Error::message("a payload of another format"));
    }
    let incarnation = d.u64()?;
    let deltas = read_array(d, read_delta)?;
    let note = d.bytes()?.to_vec();
    skip(d, elements, 4)?;
    if d.position() != payload.len() {
        return Err(Error::message("bytes are left over"));
    }
    Ok(Payload { incarnation, deltas, note })
}

fn read_delta(d: &mut Decoder<'_>) -> Result<Delta, Error> {
    let elements = read_length(d)?;
    let id = ResourceId(d.u64()?);
    let expected = read_version(d)?;
    let version = read_version(d)?;
    let bytes = d.bytes()?.to_vec();
    let next = version.map(|version| Header { version, bytes });
    let items = read_length(d)?;
    if items % 3 != 0 {
        return Err(Error::message("a field is not whole"));
    }
    let mut fields = Vec::with_capacity((items as usize / 3).min(TRUSTED_LENGTH_MAX));
    for _ in 0..items / 3 {
        let kind = FieldKind::from_u8(d.u8()?).ok_or_else(|| Error::message("an unknown kind of field"))?;
        let field = Field { kind, seq: d.u64()? };
        fields.push((field, read_optional(d, |d| d.bytes().map(<[u8]>::to_vec))?));
    }
    skip(d, elements, 5)?;
    Ok(Delta { id, expected, next, fields })
}

fn read_version(d: &mut Decoder<'_>) -> Result<Option<Version>, Error> {
    read_optional(d, |d| {
        let elements = read_length(d)?;
        let version = Version { generation: d.u64()?, counter: d.u64()? };
        skip(d, elements, 2)?;
        Ok(version)
    })
}

fn read_optional<T>(
    d: &mut Decoder<'_>,
    read: impl FnOnce(&mut Decoder<'_>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    if d.datatype()? == minicbor::data::Type::Null {
        d.null()?;
        return Ok(None);
    }
    read(d).map(Some)
}

fn read_array<T>(
    d: &mut Decoder<'_>,
    mut read: impl FnMut(&mut Decoder<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let length = read_length(d)?;
    let mut items = Vec::with_capacity((length as usize).min(TRUSTED_LENGTH_MAX));
    for _ in 0..length {
        items.push(read(d)?);
    }
    Ok(items)
}

fn read_length(d: &mut Decoder<'_>) -> Result<u64, Error> {
    d.array()?.ok_or_else(|| Error::message("an array without a length"))
}

/// Skips the elements of an array beyond those that are known.
fn skip(d: &mut Decoder<'_>, elements: u64, known: u64) -> Result<(), Error> {
    if elements < known {
        return Err(Error::message("an array is too short"));
    }
    for _ in known..elements {
        d.skip()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deltas() -> Vec<Delta> {
        let version = |counter| Version { generation: 7, counter };
        let field = |seq| Field { kind: FieldKind::Ticket, seq };
        vec![
            Delta {
                id: ResourceId(u64::MAX),
                expected: Some(version(1)),
                next: Some(Header { version: version(2), bytes: b"header".to_vec() }),
                fields: vec![
                    (field(1), Some(b"put".to_vec())),
                    (field(2), None),
                    (field(3), Some(Vec::new())),
                ],
            },
            Delta { id: ResourceId(1), expected: Some(version(3)), next: None, fields: Vec::new() },
            Delta {
                id: ResourceId(2),
                expected: None,
                next: Some(Header { version: version(9), bytes: Vec::new() }),
                fields: Vec::new(),
            },
        ]
    }

    #[test]
    fn it_reads_back() {
        let bytes = encode(42, &deltas(), b"note");
        assert_eq!(
            decode(&bytes).unwrap(),
            Payload { incarnation: 42, deltas: deltas(), note: b"note".to_vec() }
        );
    }

    #[test]
    fn garbage_is_an_error_and_no_more() {
        let good = encode(42, &deltas(), b"note");
        for length in 0..good.len() {
            assert!(decode(&good[..length]).is_err(), "cut at {length}");
        }
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                // Some of these are good payloads with other contents.
                let _ = decode(&bad);
            }
        }
        // An array that claims to be endless.
        assert!(decode(&[0x84, 1, 42, 0x9b, 255, 255, 255, 255, 255, 255, 255, 255]).is_err());
    }

    #[test]
    fn what_a_newer_writer_adds_is_skipped() {
        let mut bytes = encode(42, &[], b"note");
        assert_eq!(bytes[0], 0x84);
        bytes[0] = 0x85;
        bytes.push(0xf6);
        assert_eq!(decode(&bytes).unwrap().note, b"note");
        bytes[1] = 2;
        assert!(decode(&bytes).is_err(), "another format is not guessed at");
    }
}
