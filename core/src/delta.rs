//! What a store sees of a document: a version, a header, and fields that are opaque bytes.

use crate::resource::ResourceId;

/// The version of a stored document: compared as a pair, generation first.
///
/// The generation grows when a store that lost data is opened again; the counter grows by one
/// with every commit. A document that is deleted and made again starts its counter at the time of
/// its creation (microseconds), so that no version ever comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The generation of the store that wrote it; 0 on a store that cannot lose data unnoticed.
    pub generation: u64,
    /// Counts the commits of this document.
    pub counter: u64,
}

/// What kind of record a field holds. The numbers are part of the file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum FieldKind {
    /// The resource's identity; one per document, written once.
    Identity = 1,
    /// A lock, reserved or held.
    Lock = 2,
    /// A waiting ticket.
    Ticket = 3,
    /// What became of a lock or ticket that has ended.
    Ended = 4,
}

impl FieldKind {
    /// The kind with this number, if there is one.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Identity),
            2 => Some(Self::Lock),
            3 => Some(Self::Ticket),
            4 => Some(Self::Ended),
            _ => None,
        }
    }
}

/// The name of one field of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Field {
    /// What it holds.
    pub kind: FieldKind,
    /// Which one of that kind: the entry's sequence number, 0 for the identity.
    pub seq: u64,
}

/// The change of one document from one version to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// Which document.
    pub id: ResourceId,
    /// The version it must have in the store; `None`: it must not exist.
    pub expected: Option<Version>,
    /// What it becomes; `None`: it is deleted with all its fields.
    pub next: Option<Header>,
    /// Fields to write (`Some`) or to remove (`None`). Empty when the document is deleted.
    pub fields: Vec<(Field, Option<Vec<u8>>)>,
}

/// The version of a document with its encoded header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The new version.
    pub version: Version,
    /// The header record (opaque to stores).
    pub bytes: Vec<u8>,
}
