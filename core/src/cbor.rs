//! How records are encoded: CBOR (RFC 8949) arrays by field number, through `minicbor`.
//!
//! A newer writer may add fields with higher numbers; an older reader skips them, a newer reader
//! takes an absent one as its default. Numbers are never used again for another meaning.

/// Shared values are written as what they share.
pub(crate) mod shared {
    use minicbor::{Decode, Decoder, Encode, Encoder};
    use std::sync::Arc;

    pub(crate) fn encode<C, T: Encode<C>, W: minicbor::encode::Write>(
        value: &Arc<T>,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        (**value).encode(e, ctx)
    }

    pub(crate) fn decode<'b, C, T: Decode<'b, C>>(
        d: &mut Decoder<'b>,
        ctx: &mut C,
    ) -> Result<Arc<T>, minicbor::decode::Error> {
        T::decode(d, ctx).map(Arc::new)
    }
}

/// Encodes a record. Writing to memory cannot fail, so there is no error to handle.
pub(crate) fn to_bytes<T: minicbor::Encode<()>>(record: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    match minicbor::encode(record, &mut bytes) {
        Ok(()) => bytes,
        Err(error) => unreachable!("writing to memory cannot fail: {error}"),
    }
}

/// Decodes a record, which must fill the bytes exactly.
pub(crate) fn from_bytes<'b, T: minicbor::Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, String> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let record = decoder.decode().map_err(|error| error.to_string())?;
    if decoder.position() == bytes.len() { Ok(record) } else { Err("bytes are left over".into()) }
}
