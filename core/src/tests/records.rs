//! Records: what was written is read; what was damaged is refused, or at least never panics.

use super::kit::{MINUTE, Room, SECOND, Shelf, ask, resource};
use crate::{Document, Field, FieldKind, Metadata, Priority, Pull};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A document with every kind of record and every optional part.
fn furnished() -> Shelf {
    let mut room = Room::new();
    let mut wish = ask("acme/infra#1").counted(2).request(1).ttl(MINUTE);
    wish.intent.owner.user = Some("alice".into());
    wish.intent.owner.pull = Some(Box::new(Pull {
        num: 1,
        url: Some("https://github.com/acme/infra/pull/1".into()),
        author: Some("alice".into()),
        head_commit: Some("0123abc".into()),
        base_branch: Some("main".into()),
    }));
    wish.intent.metadata = Some(Box::new(Metadata::from([("run".into(), "123".into())])));
    room.lock(&wish);
    let hold = room.lock(&ask("b").counted(2).hold());
    room.queue(&ask("c").counted(2).priority(Priority::Critical).wait(SECOND));
    let unattended = room.queue(&ask("d").counted(2).unattended());
    room.queue(&ask("e").counted(2).request(2));
    room.hand_on(&hold);
    room.cancel(unattended.seq).unwrap();
    room.shelf
}

fn read(shelf: &Shelf, header: &[u8], fields: &BTreeMap<Field, Vec<u8>>) -> Result<Document, String> {
    let fields = fields.iter().map(|(field, bytes)| (*field, bytes.as_slice()));
    Document::from_records(resource().id(), shelf.version.unwrap(), header, fields, shelf.floor)
        .map_err(|damaged| damaged.to_string())
}

/// Everything that may be asked of a copy, so that a strange one has its chance to panic.
fn look_at(document: &Document) {
    for ticket in document.tickets() {
        let _ = document.position(ticket);
    }
    let _ = (document.next_deadline(), document.delete_at(), document.holders_shown());
    let _ = (document.next_ticket(), document.oldest_ticket(), document.depths());
}

#[test]
fn what_was_written_is_read() {
    // Every commit through a room compares; this one says what must have been in it.
    let shelf = furnished();
    let kinds: Vec<FieldKind> = shelf.fields.keys().map(|field| field.kind).collect();
    for kind in [FieldKind::Identity, FieldKind::Lock, FieldKind::Ticket, FieldKind::Ended] {
        assert!(kinds.contains(&kind), "{kind:?}");
    }
    let document = read(&shelf, &shelf.header, &shelf.fields).unwrap();
    let lock = document.locks().next().unwrap();
    assert_eq!(lock.intent.owner.pull.as_ref().unwrap().head_commit.as_deref(), Some("0123abc"));
    assert_eq!(lock.intent.metadata.as_ref().unwrap().len(), 1);
}

#[test]
fn a_truncated_record_is_refused() {
    let shelf = furnished();
    for (field, bytes) in &shelf.fields {
        for length in 0..bytes.len() {
            let mut fields = shelf.fields.clone();
            fields.insert(*field, bytes[..length].to_vec());
            let error = read(&shelf, &shelf.header, &fields).unwrap_err();
            assert!(error.contains(&resource().id().to_string()), "{error}");
        }
    }
    for length in 0..shelf.header.len() {
        read(&shelf, &shelf.header[..length], &shelf.fields).unwrap_err();
    }
}

#[test]
fn a_record_with_bytes_left_over_is_refused() {
    let shelf = furnished();
    for (field, bytes) in &shelf.fields {
        let mut fields = shelf.fields.clone();
        fields.insert(*field, [bytes.as_slice(), &[0]].concat());
        read(&shelf, &shelf.header, &fields).unwrap_err();
    }
}

#[test]
fn a_document_without_its_identity_or_with_another_is_refused() {
    let shelf = furnished();
    let mut fields = shelf.fields.clone();
    let identity = Field { kind: FieldKind::Identity, seq: 0 };
    fields.remove(&identity);
    read(&shelf, &shelf.header, &fields).unwrap_err();
    let fields = shelf.fields.iter().map(|(field, bytes)| (*field, bytes.as_slice()));
    let stranger = crate::ResourceId(1);
    Document::from_records(stranger, shelf.version.unwrap(), &shelf.header, fields, 0).unwrap_err();
}

#[test]
fn a_record_under_another_number_is_refused() {
    let shelf = furnished();
    for kind in [FieldKind::Lock, FieldKind::Ticket] {
        let mut fields = shelf.fields.clone();
        let field = *fields.keys().find(|field| field.kind == kind).unwrap();
        let bytes = fields.remove(&field).unwrap();
        fields.insert(Field { seq: field.seq + 7, ..field }, bytes);
        read(&shelf, &shelf.header, &fields).unwrap_err();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_bytes_never_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0u8..8), 1..4)
    ) {
        let shelf = FURNISHED.get_or_init(furnished);
        let mut header = shelf.header.clone();
        let mut fields = shelf.fields.clone();
        for (record, byte, bit) in flips {
            let record = record.index(fields.len() + 1);
            let bytes = match fields.values_mut().nth(record) {
                Some(bytes) => bytes,
                None => &mut header,
            };
            let place = byte.index(bytes.len());
            bytes[place] ^= 1 << bit;
        }
        if let Ok(document) = read(shelf, &header, &fields) {
            look_at(&document);
        }
    }

    #[test]
    fn bytes_that_never_were_a_record_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), which in 0usize..9) {
        let shelf = FURNISHED.get_or_init(furnished);
        let mut header = shelf.header.clone();
        let mut fields = shelf.fields.clone();
        match fields.values_mut().nth(which) {
            Some(record) => *record = bytes,
            None => header = bytes,
        }
        if let Ok(document) = read(shelf, &header, &fields) {
            look_at(&document);
        }
    }
}

static FURNISHED: std::sync::OnceLock<Shelf> = std::sync::OnceLock::new();
