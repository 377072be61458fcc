//! Redis loses data, and gets it back from those who have copies.

use super::{Place, create, joined, open, open_some, opened, tell, tickets};
use crate::conformance::make::{id, on, stored, ticket};
use crate::contract::{Committed, Store, StoreError, StoredDocument};
use crate::redis::RedisStore;
use crate::shared::{Marker, MarkerState, Opening, SharedStore, Signature, Signed, WrittenBack};
use crate::testing::RedisServer;
use lockkeeper_core::{Partition, Timestamp, Version};
use std::time::Duration;

const P: Partition = Partition(1);
const FINISHED: Signature = Signature { generation: 0, token: 0, finished: true };
const WRITING: Signature = Signature { generation: 0, token: 0, finished: false };

fn copy(number: u64, generation: u64, counter: u64) -> StoredDocument {
    let version = Version { generation, counter };
    let fields = vec![(ticket(1), format!("{generation}.{counter}").into_bytes())];
    StoredDocument { id: id(1, number), version, header: b"a copy".to_vec(), fields }
}

async fn marker(store: &RedisStore) -> Marker {
    store.markers().await.unwrap()[1]
}

async fn sign(store: &RedisStore, signature: Signature) -> Timestamp {
    match store.sign(P, signature).await.unwrap() {
        Signed::Sealed(at) => at,
        other => panic!("{other:?}"),
    }
}

fn durable() -> RedisServer {
    RedisServer::with(&["appendonly yes", "appendfsync always"])
}

#[tokio::test]
async fn a_new_or_flushed_store_is_sealed_and_tells_nothing() {
    let server = RedisServer::start();
    let store = Place::on(&server).store();
    for flushed in [false, true] {
        let markers = store.markers().await.unwrap();
        assert_eq!(markers.len(), 256);
        assert!(markers.iter().all(|marker| marker.state == MarkerState::Sealed(None)));
        let sealed = StoreError::Sealed(P);
        assert_eq!(store.load(id(1, 1)).await, Err(sealed.clone()));
        assert_eq!(store.commit(on(&*store).created(id(1, 1), 1)).await, Err(sealed.clone()));
        assert_eq!(store.commit(on(&*store).checking(vec![(id(1, 1), None)])).await, Err(sealed.clone()));
        assert_eq!(store.list(Some(id(1, 0)), 10).await, Err(sealed));
        let changed = store.changed_since(P, 0).await.unwrap();
        assert_eq!((changed.marker.state, changed.documents.len()), (MarkerState::Sealed(None), 0));
        if !flushed {
            open_some(&store).await;
            create(&store, id(1, 1)).await;
            tell(&server, &["FLUSHALL"]);
        }
    }
}

#[tokio::test]
async fn a_restart_seals_even_if_nothing_was_lost() {
    let server = durable();
    let place = Place::on(&server);
    let store = joined(&place).await;
    assert_eq!(
        store.commit(on(&*store).changed(id(1, 1), None, 3, tickets(0..5, "kept"))).await,
        Ok(Committed::Done)
    );
    let before = stored(&*store, id(1, 1)).await.unwrap();
    let (known, was) = (store.known(P), marker(&store).await);
    server.restart();
    while store.markers().await.is_err() {}
    assert_eq!(store.load(id(1, 1)).await, Err(StoreError::Sealed(P)));
    let now = marker(&store).await;
    assert_eq!((now.state, now.generation, now.sequence), (MarkerState::Sealed(None), was.generation, 1));
    assert_eq!(store.changed_since(P, 0).await.unwrap().documents, [(id(1, 1), before.version)]);

    let sealed_at = sign(&store, WRITING).await;
    assert_eq!(marker(&store).await.state, MarkerState::Sealed(Some(sealed_at)));
    assert_eq!(store.write_back(before.clone()).await, Ok(WrittenBack::Same));
    let token = known.floor + (1 << 40);
    let signature = Signature { generation: known.generation + 5, token, finished: true };
    assert_eq!(sign(&store, signature).await, sealed_at);
    let Ok(Opening::Open { generation }) = store.open(P, Duration::ZERO, Duration::ZERO).await else {
        panic!("it opens");
    };
    assert!(generation > known.generation + 5);
    assert!(generation >= store.now_in(P).as_millis() - 10_000);
    assert_eq!(store.known(P).floor, token + 1);
    assert_eq!(store.load(id(1, 1)).await.unwrap().document, Some(before));
    assert_eq!(
        marker(&store).await,
        Marker { partition: P, state: MarkerState::Open, generation, sequence: 1, lost_before: generation }
    );
    // All others are as they were.
    assert_eq!(store.load(id(2, 1)).await, Err(StoreError::Sealed(Partition(2))));
    assert_eq!(store.sign(P, FINISHED).await, Ok(Signed::Open { generation }));
    assert_eq!(store.open(P, Duration::MAX, Duration::MAX).await, Ok(Opening::Open { generation }));
}

#[tokio::test]
async fn floors_and_generations_only_rise() {
    let (_server, _place, store) = opened().await;
    let mut known = store.known(P);
    for signature in [FINISHED, Signature { generation: 1 << 50, token: 1 << 52, finished: true }, FINISHED] {
        store.seal(P, known.generation).await.unwrap();
        let at = sign(&store, signature).await;
        assert!(matches!(store.open(P, Duration::ZERO, Duration::ZERO).await, Ok(Opening::Open { .. })));
        let now = store.known(P);
        assert!(now.generation > known.generation.max(signature.generation));
        assert!(now.floor >= known.floor && now.floor > signature.token && now.floor >= at.as_micros());
        known = now;
    }
}

#[tokio::test]
async fn what_is_written_back_into_a_sealed_partition_is_taken_where_it_is_newer() {
    let (_server, _place, store) = opened().await;
    let generation = store.known(P).generation;
    store.seal(P, generation).await.unwrap();
    sign(&store, WRITING).await;
    let write = |generation, counter| store.write_back(copy(1, generation, counter));
    assert_eq!(write(9, 9).await, Ok(WrittenBack::Taken), "absent");
    assert_eq!(write(9, 9).await, Ok(WrittenBack::Same));
    assert_eq!(write(9, 8).await, Ok(WrittenBack::Newer(Version { generation: 9, counter: 9 })));
    assert_eq!(write(9, 10).await, Ok(WrittenBack::Taken), "as numbers, not as texts");
    assert_eq!(write(10, 1).await, Ok(WrittenBack::Taken), "generation first");
    assert_eq!(write(9, 99).await, Ok(WrittenBack::Newer(Version { generation: 10, counter: 1 })));
    assert_eq!(sign(&store, FINISHED).await, marker_sealed_at(&store).await);
    open(&store, P).await;
    let document = stored(&*store, id(1, 1)).await.unwrap();
    assert_eq!(document, copy(1, 10, 1), "whole, and nothing of those before");
}

async fn marker_sealed_at(store: &RedisStore) -> Timestamp {
    match marker(store).await.state {
        MarkerState::Sealed(Some(at)) => at,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_comes_late_is_taken_only_where_nothing_was_decided_since() {
    let (_server, place, store) = opened().await;
    let late = joined(&place).await;
    store.seal(P, store.known(P).generation).await.unwrap();
    sign(&store, WRITING).await;
    for number in 1..=4 {
        assert_eq!(store.write_back(copy(number, 5, 5)).await, Ok(WrittenBack::Taken));
    }
    sign(&store, FINISHED).await;
    let generation = open(&store, P).await;
    // 1 was changed since, 2 confirmed, 3 only seen; 4 is as it was; 5 and 6 are absent.
    let mut change = on(&*store).changed(id(1, 1), Some(5), 6, vec![]);
    change.deltas[0].expected = Some(Version { generation: 5, counter: 5 });
    assert_eq!(store.commit(change).await, Ok(Committed::Done));
    let mut check = on(&*store).checking(vec![(id(1, 2), Some(5))]);
    check.checks[0].1 = Some(Version { generation: 5, counter: 5 });
    for _ in 0..2 {
        assert_eq!(store.commit(check.clone()).await, Ok(Committed::Done));
    }
    stored(&*store, id(1, 3)).await.unwrap();
    let write = |number, generation, counter| late.write_back(copy(number, generation, counter));
    let five = Version { generation: 5, counter: 5 };
    assert_eq!(write(1, 5, 7).await, Ok(WrittenBack::Newer(Version { generation, counter: 6 })));
    assert_eq!(
        write(1, generation, 7).await,
        Ok(WrittenBack::Lost(Some(Version { generation, counter: 6 })))
    );
    assert_eq!(write(2, 5, 6).await, Ok(WrittenBack::Lost(Some(five))));
    assert_eq!(write(3, 5, 4).await, Ok(WrittenBack::Newer(five)));
    assert_eq!(write(3, 5, 6).await, Ok(WrittenBack::Taken));
    assert_eq!(write(4, 5, 5).await, Ok(WrittenBack::Same));
    assert_eq!(write(5, 5, 1).await, Ok(WrittenBack::Taken));
    assert_eq!(write(6, generation, 1).await, Ok(WrittenBack::Lost(None)), "deleted since");
    assert_eq!(stored(&*store, id(1, 3)).await, Some(copy(3, 5, 6)));
}

#[tokio::test]
async fn a_partition_opens_after_its_settle_window() {
    let (_server, place, one) = opened().await;
    let other = joined(&place).await;
    let (settle, settle_max) = (Duration::from_millis(300), Duration::from_millis(1_200));
    let try_open = || one.open(P, settle, settle_max);
    one.seal(P, one.known(P).generation).await.unwrap();
    assert_eq!(try_open().await, Ok(Opening::Unsigned));
    let sealed_at = sign(&one, WRITING).await;
    assert_eq!(sign(&other, FINISHED).await, sealed_at, "the first to sign says when");
    let after = |length: Duration| {
        let micros = sealed_at.as_micros() + length.as_micros() as u64;
        Ok(Opening::NotBefore(Timestamp::from_micros(micros)))
    };
    assert_eq!(try_open().await, after(settle_max), "somebody still writes back");
    assert_eq!(sign(&one, FINISHED).await, sealed_at);
    assert_eq!(try_open().await, after(settle));
    assert_eq!(sign(&other, WRITING).await, sealed_at, "it learned of something more");
    tokio::time::sleep(settle).await;
    assert_eq!(try_open().await, after(settle_max));
    tokio::time::sleep(settle_max - settle).await;
    assert!(
        matches!(try_open().await, Ok(Opening::Open { .. })),
        "they are waited for so long and no longer"
    );
}

#[tokio::test]
async fn a_sealing_begins_anew_when_the_server_does() {
    let server = durable();
    let place = Place::on(&server);
    let (one, other) = (joined(&place).await, joined(&place).await);
    one.seal(P, one.known(P).generation).await.unwrap();
    let first = sign(&one, WRITING).await;
    assert_eq!(sign(&one, FINISHED).await, first);
    server.restart();
    while one.markers().await.is_err() {}
    assert_eq!(marker(&one).await.state, MarkerState::Sealed(None), "that note is of another life");
    assert_eq!(one.open(P, Duration::ZERO, Duration::ZERO).await, Ok(Opening::Unsigned));
    let second = sign(&other, WRITING).await;
    assert!(second > first);
    // Who finished the first has not finished the second.
    assert_eq!(sign(&one, FINISHED).await, second);
    assert_eq!(sign(&other, FINISHED).await, second);
    let hour = Duration::from_secs(3600);
    let Ok(Opening::NotBefore(at)) = one.open(P, Duration::ZERO, hour).await else { panic!("not yet") };
    assert_eq!(at.since(second).to_std(), hour);
    assert_eq!(sign(&one, FINISHED).await, second);
    assert!(matches!(one.open(P, Duration::ZERO, hour).await, Ok(Opening::Open { .. })));
}

#[tokio::test]
async fn only_the_generation_that_is_meant_is_sealed() {
    let (_server, _place, store) = opened().await;
    create(&store, id(1, 1)).await;
    let generation = store.known(P).generation;
    store.seal(P, generation - 1).await.unwrap();
    assert!(store.load(id(1, 1)).await.is_ok());
    store.seal(P, generation).await.unwrap();
    store.seal(P, generation).await.unwrap();
    assert_eq!(store.load(id(1, 1)).await, Err(StoreError::Sealed(P)));
    assert_eq!(marker(&store).await.generation, generation);
}

#[tokio::test]
async fn versions_of_an_earlier_generation_are_not_made_any_more() {
    let (_server, place, store) = opened().await;
    let behind = joined(&place).await;
    create(&store, id(1, 1)).await;
    let stale = behind.known(P).generation;
    store.seal(P, stale).await.unwrap();
    open(&store, P).await;
    let version = |counter| Version { generation: stale, counter };
    let mut commit = on(&*behind).changed(id(1, 1), Some(1), 2, vec![]);
    assert_eq!(commit.deltas[0].expected, Some(version(1)));
    let conflict = match behind.commit(commit.clone()).await {
        Ok(Committed::Conflict(conflict)) => conflict,
        other => panic!("{other:?}"),
    };
    assert!(conflict.moved.is_empty() && !conflict.unsure);
    commit = on(&*behind).changed(id(1, 1), Some(1), 2, vec![]);
    commit.deltas[0].expected = Some(version(1));
    assert_eq!(behind.commit(commit).await, Ok(Committed::Done), "the next knows the generation");
    assert_eq!(behind.known(P), store.known(P));
}

#[tokio::test]
async fn a_large_document_is_written_back_in_parts() {
    let (server, _place, store) = opened().await;
    store.seal(P, store.known(P).generation).await.unwrap();
    sign(&store, WRITING).await;
    let fields = (0..10_000).map(|seq| (ticket(seq), vec![7; 300])).collect();
    let document = StoredDocument { fields, ..copy(1, 5, 5) };
    let older = StoredDocument { fields: vec![(ticket(20_000), vec![1])], ..copy(1, 5, 4) };
    assert_eq!(store.write_back(older).await, Ok(WrittenBack::Taken));
    assert_eq!(store.write_back(document.clone()).await, Ok(WrittenBack::Taken));
    assert_eq!(store.write_back(document.clone()).await, Ok(WrittenBack::Same));
    sign(&store, FINISHED).await;
    open(&store, P).await;
    assert_eq!(stored(&*store, id(1, 1)).await.unwrap(), document);
    let key = String::from_utf8(store.keys.document(id(1, 1))).unwrap();
    assert_eq!(server.cli(&["PTTL", &key]), "-1", "it stays");
    let mut change = on(&*store).changed(id(1, 1), Some(5), 6, vec![]);
    change.deltas[0].expected = Some(document.version);
    assert_eq!(store.commit(change).await, Ok(Committed::Done));
}

#[tokio::test]
async fn an_older_writer_is_refused_once_a_newer_format_is_written() {
    let (server, _place, store) = opened().await;
    create(&store, id(1, 1)).await;
    let key = String::from_utf8(store.keys.marker(P)).unwrap();
    tell(&server, &["HSET", &key, "w", "2"]);
    let newer = |error: StoreError| match error {
        StoreError::Unfit(text) => assert!(text.contains("newer"), "{text}"),
        other => panic!("{other:?}"),
    };
    newer(store.commit(on(&*store).changed(id(1, 1), Some(1), 2, vec![])).await.unwrap_err());
    newer(store.load(id(1, 1)).await.unwrap_err());
    newer(store.write_back(copy(1, 1, 1)).await.unwrap_err());
    newer(store.sign(P, FINISHED).await.unwrap_err());
    newer(store.open(P, Duration::ZERO, Duration::ZERO).await.unwrap_err());
    // A store that is opened by a newer version still lets this one write, if that one allows it.
    tell(&server, &["HSET", &key, "w", "1"]);
    assert_eq!(store.commit(on(&*store).changed(id(1, 1), Some(1), 2, vec![])).await, Ok(Committed::Done));
}
