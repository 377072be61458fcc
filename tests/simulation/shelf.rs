//! The simulated store: what is in here is durable.

use lockkeeper_core::{Delta, Document, Field, Partition, ResourceId, Version};
use lockkeeper_store::contract::{Commit, Committed, Conflict, Loaded, Moved, StoredDocument};
use std::collections::BTreeMap;

/// Changes that a document remembers.
const LOG_MAX: usize = 4;

#[derive(Default)]
struct Kept {
    version: Version,
    header: Vec<u8>,
    fields: BTreeMap<Field, Vec<u8>>,
    /// The latest changes, as a conflict tells them.
    log: Vec<Delta>,
    /// The records as they are read back, since they were last written.
    read: Option<Document>,
}

/// Documents and floors, with the semantics of the store contract and none of its delays.
#[derive(Default)]
pub(super) struct Shelf {
    documents: BTreeMap<ResourceId, Kept>,
    floors: BTreeMap<Partition, u64>,
}

impl Shelf {
    pub(super) fn load(&self, id: ResourceId) -> Loaded {
        let document = self.documents.get(&id).map(|kept| StoredDocument {
            id,
            version: kept.version,
            header: kept.header.clone(),
            fields: kept.fields.clone().into_iter().collect(),
        });
        Loaded { document, floor: self.floors.get(&id.partition()).copied().unwrap_or(0) }
    }

    pub(super) fn document(&mut self, id: ResourceId) -> Option<Document> {
        let floor = self.floors.get(&id.partition()).copied().unwrap_or(0);
        let kept = self.documents.get_mut(&id)?;
        if let Some(document) = &kept.read {
            return Some(document.clone());
        }
        let fields = kept.fields.iter().map(|(field, bytes)| (*field, bytes.as_slice()));
        let document = Document::from_records(id, kept.version, &kept.header, fields, floor);
        kept.read = Some(document.expect("what was written can be read"));
        kept.read.clone()
    }

    pub(super) fn version(&self, id: ResourceId) -> Option<Version> {
        self.documents.get(&id).map(|kept| kept.version)
    }

    /// All changes since that version, if they are still known.
    fn since(&self, id: ResourceId, expected: Option<Version>) -> Vec<Delta> {
        let log = self.documents.get(&id).map_or(&[][..], |kept| &kept.log);
        let first = log.iter().position(|delta| delta.expected == expected);
        first.map_or_else(Vec::new, |first| log[first..].to_vec())
    }

    pub(super) fn commit(&mut self, commit: &Commit) -> Committed {
        let deltas = commit.deltas.iter().map(|delta| (delta.id, delta.expected));
        let moved: Vec<Moved> = deltas
            .chain(commit.checks.iter().copied())
            .map(|(id, expected)| (id, expected, self.version(id)))
            .filter(|(_, expected, version)| expected != version)
            .map(|(id, expected, version)| Moved { id, version, since: self.since(id, expected) })
            .collect();
        if !moved.is_empty() {
            return Committed::Conflict(Conflict { moved, unsure: false });
        }
        for delta in &commit.deltas {
            let Some(next) = &delta.next else {
                self.documents.remove(&delta.id);
                continue;
            };
            let kept = self.documents.entry(delta.id).or_default();
            assert!(next.version > kept.version, "versions grow");
            (kept.version, kept.read) = (next.version, None);
            kept.header.clone_from(&next.bytes);
            kept.log.push(delta.clone());
            if kept.log.len() > LOG_MAX {
                kept.log.remove(0);
            }
            for (field, bytes) in &delta.fields {
                match bytes {
                    Some(bytes) => kept.fields.insert(*field, bytes.clone()),
                    None => kept.fields.remove(field),
                };
            }
        }
        if let Some(floor) = commit.raise_floor {
            let known = self.floors.entry(commit.partition).or_default();
            *known = floor.max(*known);
        }
        Committed::Done
    }
}
