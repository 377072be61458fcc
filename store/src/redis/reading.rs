//! Reading documents, one or many.

use super::commit::chain;
use super::error::unavailable;
use super::link::CallError;
use super::reply::{Garbled, Reply, Rest, garbled, version_text};
use super::scripts::{CHANGES, FORMAT, READ};
use super::store::{RedisStore, number};
use crate::contract::{Loaded, Page, StoreError, StoredDocument};
use futures_util::{StreamExt, TryStreamExt, stream};
use lockkeeper_core::{Field, FieldKind, Partition, ResourceId, Version};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Fields that are read at once: a document with more is read in pages of about so many, since
/// nobody else is served meanwhile.
pub const READ_FIELDS: usize = 512;
/// A large document that changes so fast that its pages do not join up is begun again so often.
const READ_TRIES: usize = 8;
/// Documents of one page of a list at most; a caller that asks for more gets a shorter page.
pub const PAGE_MAX_DOCUMENTS: usize = 4096;
/// A page of a list that reached this many bytes of records ends.
pub const PAGE_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Documents of a list that are read at once.
const LIST_READS: usize = 32;
/// Partitions whose ids are read at once.
const LIST_PARTITIONS: usize = 16;
/// Ids that are read at once.
pub(super) const IDS_AT_ONCE: usize = 1000;
/// Lists that are gone through in pages at once without reading ids again,
const LISTINGS_MAX: usize = 8;
/// and for how long.
const LISTING_LIFE: Duration = Duration::from_secs(30);

/// What one reading of a document found.
enum Read {
    None,
    Whole(StoredDocument),
    Page {
        version: Version,
        header: Vec<u8>,
        fields: Vec<(Field, Vec<u8>)>,
        cursor: Vec<u8>,
        payloads: Vec<Vec<u8>>,
    },
}

/// The pages of a document, joined.
#[derive(Default)]
struct Pages {
    /// The version at the page before.
    before: Option<Version>,
    /// The partition's generation at the page before.
    opened: Option<u64>,
    fields: BTreeMap<Field, Vec<u8>>,
}

/// What a page made of those before it.
enum Taken {
    /// The next begins here.
    More(Vec<u8>),
    All(Presence),
    /// They do not join up: begin again.
    Apart,
}

impl Pages {
    fn take(&mut self, id: ResourceId, generation: u64, read: Read) -> Taken {
        // A cursor means nothing to another server, or to this one in another life: what is read with
        // it lacks fields. Either shows in that the partition was opened anew in between.
        if self.opened.replace(generation).is_some_and(|opened| opened != generation) {
            return Taken::Apart;
        }
        let (version, header, page, cursor, payloads) = match read {
            Read::None if self.before.is_none() => return Taken::All(Presence::Absent),
            // Gone, or gone and made again, in the middle.
            Read::None => return Taken::Apart,
            Read::Whole(document) => return Taken::All(Presence::There(document)),
            Read::Page { version, header, fields, cursor, payloads } => {
                (version, header, fields, cursor, payloads)
            }
        };
        if self.before.is_some_and(|before| before != version) {
            let since = chain(id, self.before, Some(version), payloads);
            if since.is_empty() {
                return Taken::Apart;
            }
            for (field, bytes) in since.into_iter().flat_map(|delta| delta.fields) {
                match bytes {
                    Some(bytes) => drop(self.fields.insert(field, bytes)),
                    None => drop(self.fields.remove(&field)),
                }
            }
        }
        self.fields.extend(page);
        self.before = Some(version);
        if cursor != b"0" {
            return Taken::More(cursor);
        }
        let fields = std::mem::take(&mut self.fields).into_iter().collect();
        Taken::All(Presence::There(StoredDocument { id, version, header, fields }))
    }
}

impl RedisStore {
    pub(super) async fn read_document(&self, id: ResourceId) -> Result<Loaded, StoreError> {
        for _ in 0..READ_TRIES {
            if let Some(document) = self.read_once(id).await? {
                let floor = self.partitions.known(id.partition()).floor;
                return Ok(Loaded { document: document.into(), floor });
            }
        }
        Err(StoreError::Unavailable(format!("document {id} changes faster than it can be read")))
    }

    /// Reads a document from its beginning; `None`: it changed too much meanwhile.
    async fn read_once(&self, id: ResourceId) -> Result<Option<Presence>, StoreError> {
        let mut pages = Pages::default();
        let mut cursor = Vec::new();
        loop {
            let (generation, read) = self.read_some(id, &cursor, pages.before).await?;
            match pages.take(id, generation, read) {
                Taken::More(next) => cursor = next,
                Taken::All(presence) => return Ok(Some(presence)),
                Taken::Apart => return Ok(None),
            }
        }
    }

    async fn read_some(
        &self,
        id: ResourceId,
        cursor: &[u8],
        before: Option<Version>,
    ) -> Result<(u64, Read), StoreError> {
        let partition = id.partition();
        let keys = [self.keys.marker(partition), self.keys.document(id), self.keys.log(id)];
        let args = [number(FORMAT), cursor.to_vec(), version_text(before), number(READ_FIELDS as u64)];
        let reply = match self.call(partition, &READ, &keys, &args).await {
            // A connection that broke is found out by the first call on it, and reading again
            // does no harm.
            Err(CallError::NotSent(_) | CallError::Unknown(_)) => {
                self.call(partition, &READ, &keys, &args).await
            }
            other => other,
        };
        let mut reply = reply.map_err(unavailable)??;
        let numbers = self.numbers(partition, &mut reply)?;
        if reply.word == "SEALED" {
            return Err(StoreError::Sealed(partition));
        }
        self.partitions.open(partition, numbers);
        Ok((numbers.generation, read_reply(id, reply)?))
    }

    pub(super) async fn read_page(&self, from: Option<ResourceId>, limit: usize) -> Result<Page, StoreError> {
        let limit = limit.clamp(1, PAGE_MAX_DOCUMENTS);
        let from = from.unwrap_or(ResourceId(0));
        let first = from.partition().0;
        let known = self.listings.take(from);
        let ids = stream::iter(first..=u8::MAX)
            .map(|number| {
                let known = known.clone().filter(|_| number == first);
                async move {
                    match known {
                        Some(ids) => Ok(ids),
                        None => self.read_ids(Partition(number)).await.map(Arc::new),
                    }
                }
            })
            .buffered(LIST_PARTITIONS);
        let mut ids = std::pin::pin!(ids);
        let mut page = Page::default();
        let mut bytes = 0;
        while let Some(ids) = ids.try_next().await? {
            let begin = ids.partition_point(|id| *id < from);
            let mut documents =
                stream::iter(ids[begin..].to_vec()).map(|id| self.read_document(id)).buffered(LIST_READS);
            let mut at = begin;
            while at < ids.len() {
                // What is read ahead beyond the end of the page is thrown away.
                if page.documents.len() == limit || bytes >= PAGE_MAX_BYTES {
                    page.next = Some(ids[at]);
                    drop(documents);
                    self.listings.keep(ids[at], ids);
                    return Ok(page);
                }
                let Some(loaded) = documents.try_next().await? else { break };
                at += 1;
                // It may have been deleted meanwhile.
                if let Some(document) = loaded.document {
                    bytes += size(&document);
                    page.documents.push(document);
                }
            }
        }
        Ok(page)
    }

    /// The ids of all documents of an open partition, in order.
    async fn read_ids(&self, partition: Partition) -> Result<Vec<ResourceId>, StoreError> {
        let mut ids = Vec::new();
        let mut after = 0;
        loop {
            let (open, found, next) = self.read_ids_since(partition, after).await?;
            if !open.is_open {
                return Err(StoreError::Sealed(partition));
            }
            ids.extend(found);
            match next {
                Some(next) => after = next,
                None => break,
            }
        }
        // What was committed meanwhile came again.
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// Some documents that were committed after a commit, and after which to go on, if there may
    /// be more.
    pub(super) async fn read_ids_since(
        &self,
        partition: Partition,
        after: u64,
    ) -> Result<(Looked, Vec<ResourceId>, Option<u64>), StoreError> {
        let keys = [self.keys.marker(partition), self.keys.seal(partition), self.keys.changes(partition)];
        let args = [number(after), number(IDS_AT_ONCE as u64)];
        let mut reply = self.call(partition, &CHANGES, &keys, &args).await.map_err(unavailable)??;
        let looked = self.looked(partition, &mut reply)?;
        let mut ids = Vec::with_capacity(reply.rest.len() / 2);
        let mut last = None;
        let full = reply.rest.len() >= 2 * IDS_AT_ONCE;
        while !reply.rest.is_empty() {
            let text = reply.rest.text()?;
            let id: ResourceId = text.parse().map_err(|_| garbled(format!("the id {text:?}")))?;
            if id.partition() != partition {
                return Err(garbled(format!("the id {id} in partition {}", partition.0)).into());
            }
            ids.push(id);
            last = Some(reply.rest.number()?);
        }
        Ok((looked, ids, last.filter(|_| full)))
    }
}

/// A partition's marker, as a reply tells of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looked {
    pub(super) is_open: bool,
    pub(super) generation: u64,
    pub(super) sequence: u64,
    pub(super) sealed_at_micros: Option<u64>,
    /// Milliseconds; see [`Marker`](crate::shared::Marker).
    pub(super) lost_before: u64,
}

impl RedisStore {
    /// The head of the replies that begin with OPEN or SEALED and a marker.
    pub(super) fn looked(&self, partition: Partition, reply: &mut Reply) -> Result<Looked, StoreError> {
        let numbers = self.numbers(partition, reply)?;
        let is_open = match reply.word.as_str() {
            "OPEN" => {
                self.partitions.open(partition, numbers);
                true
            }
            "SEALED" => false,
            _ => return Err(reply.unexpected().into()),
        };
        let when = reply.rest.optional_number()?;
        Ok(Looked {
            is_open,
            generation: numbers.generation,
            sequence: numbers.sequence,
            sealed_at_micros: when.filter(|_| !is_open),
            lost_before: when.filter(|_| is_open).unwrap_or_default(),
        })
    }
}

/// Whether a document is there.
enum Presence {
    Absent,
    There(StoredDocument),
}

impl From<Presence> for Option<StoredDocument> {
    fn from(presence: Presence) -> Self {
        match presence {
            Presence::Absent => None,
            Presence::There(document) => Some(document),
        }
    }
}

/// Ids of a partition, kept for the next page of a list.
#[derive(Debug, Default)]
pub(super) struct Listings(Mutex<VecDeque<Listing>>);

#[derive(Debug)]
struct Listing {
    /// Where the next page begins.
    next: ResourceId,
    ids: Arc<Vec<ResourceId>>,
    until: Instant,
}

impl Listings {
    fn keep(&self, next: ResourceId, ids: Arc<Vec<ResourceId>>) {
        let mut listings = self.0.lock();
        if listings.len() >= LISTINGS_MAX {
            listings.pop_front();
        }
        listings.push_back(Listing { next, ids, until: Instant::now() + LISTING_LIFE });
    }

    fn take(&self, from: ResourceId) -> Option<Arc<Vec<ResourceId>>> {
        let now = Instant::now();
        let mut listings = self.0.lock();
        listings.retain(|listing| listing.until > now);
        let at = listings.iter().position(|listing| listing.next == from)?;
        listings.remove(at).map(|listing| listing.ids)
    }
}

fn size(document: &StoredDocument) -> usize {
    document.header.len() + document.fields.iter().map(|(_, bytes)| bytes.len()).sum::<usize>()
}

fn read_reply(id: ResourceId, mut reply: Reply) -> Result<Read, Garbled> {
    if reply.word == "NONE" {
        return Ok(Read::None);
    }
    let rest = &mut reply.rest;
    let version = rest.version()?.ok_or_else(|| garbled("a document without a version"))?;
    let header = rest.bytes()?;
    let mut fields = read_fields(&mut rest.array()?)?;
    match reply.word.as_str() {
        "WHOLE" => {
            fields.sort_unstable_by_key(|(field, _)| *field);
            Ok(Read::Whole(StoredDocument { id, version, header, fields }))
        }
        "PAGE" => {
            let cursor = rest.bytes()?;
            let mut since = rest.array()?;
            let mut payloads = Vec::with_capacity(since.len());
            while !since.is_empty() {
                payloads.push(since.bytes()?);
            }
            Ok(Read::Page { version, header, fields, cursor, payloads })
        }
        _ => Err(reply.unexpected()),
    }
}

fn read_fields(rest: &mut Rest) -> Result<Vec<(Field, Vec<u8>)>, Garbled> {
    let mut fields = Vec::with_capacity(rest.len() / 2);
    while !rest.is_empty() {
        let (name, bytes) = (rest.bytes()?, rest.bytes()?);
        // The document's own affairs have names of one letter.
        if name.len() > 1 {
            fields.push((read_field_name(&name)?, bytes));
        }
    }
    Ok(fields)
}

fn read_field_name(name: &[u8]) -> Result<Field, Garbled> {
    let bad = || garbled(format!("a field with the name {:?}", String::from_utf8_lossy(name)));
    let [kind, seq @ ..] = name else { return Err(bad()) };
    let seq: [u8; 8] = seq.try_into().map_err(|_| bad())?;
    let kind = FieldKind::from_u8(*kind).ok_or_else(bad)?;
    Ok(Field { kind, seq: u64::from_be_bytes(seq) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ResourceId = ResourceId(7);

    fn page(seq: u64, cursor: &[u8]) -> Read {
        let field = Field { kind: FieldKind::Ended, seq };
        let version = Version { generation: 1, counter: 1 };
        let (header, cursor) = (b"h".to_vec(), cursor.to_vec());
        Read::Page { version, header, fields: vec![(field, b"r".to_vec())], cursor, payloads: Vec::new() }
    }

    #[test]
    fn pages_of_one_life_of_the_server_join_up() {
        let mut pages = Pages::default();
        assert!(matches!(pages.take(ID, 1, page(1, b"5")), Taken::More(cursor) if cursor == b"5"));
        let Taken::All(Presence::There(document)) = pages.take(ID, 1, page(2, b"0")) else {
            panic!("the last page")
        };
        assert_eq!(document.fields.len(), 2);
    }

    /// Found by chaos: a cursor of the master before a failover, given to the one after it, left out
    /// fields of a document whose version had not changed.
    #[test]
    fn a_cursor_of_another_life_of_the_server_is_not_gone_on_with() {
        let mut pages = Pages::default();
        assert!(matches!(pages.take(ID, 1, page(1, b"5")), Taken::More(_)));
        assert!(matches!(pages.take(ID, 2, page(2, b"0")), Taken::Apart));
    }
}
