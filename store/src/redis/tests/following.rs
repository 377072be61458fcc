//! Hearing of what others do.

use super::{create, joined, opened, tell, tickets};
use crate::conformance::make::{id, on};
use crate::contract::{Commit, Committed, Store};
use crate::redis::RedisStore;
use crate::shared::{CHANGES_MAX, Change, CommittedChange, SharedStore, WrittenBack};
use lockkeeper_core::{Delta, Partition};
use std::time::Duration;
use tokio::sync::mpsc;

/// Long enough that only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(30);

async fn next(changes: &mut mpsc::Receiver<Change>) -> Change {
    let change = tokio::time::timeout(DEADLINE, changes.recv()).await;
    change.expect("something is told").expect("the channel stays open")
}

async fn following(store: &RedisStore) -> mpsc::Receiver<Change> {
    let mut changes = store.follow();
    assert_eq!(next(&mut changes).await, Change::Missed(None), "what was before is not known");
    changes
}

#[tokio::test]
async fn commits_are_heard_with_their_numbers() {
    let (_server, place, one) = opened().await;
    let other = joined(&place).await;
    let (mut at_one, mut at_other) = (following(&one).await, following(&other).await);
    let generation = one.known(Partition(1)).generation;
    for version in 1..=3 {
        let fields = tickets(0..version, "a ticket");
        let commit = on(&*one).changed(id(1, 1), (version > 1).then(|| version - 1), version, fields);
        let commit = Commit { note: vec![version as u8], ..commit };
        assert_eq!(one.commit(commit.clone()).await, Ok(Committed::Done));
        let change = CommittedChange {
            partition: Partition(1),
            generation,
            sequence: version,
            own: false,
            deltas: commit.deltas,
            note: commit.note,
        };
        assert_eq!(next(&mut at_other).await, Change::Committed(change.clone()));
        let own = CommittedChange { own: true, ..change };
        assert_eq!(next(&mut at_one).await, Change::Committed(own));
    }
    // Checks have no number and are not told of.
    assert_eq!(one.commit(on(&*one).checking(vec![(id(1, 1), Some(3))])).await, Ok(Committed::Done));
    create(&one, id(2, 1)).await;
    let Change::Committed(change) = next(&mut at_other).await else { panic!("a commit") };
    assert_eq!((change.partition, change.sequence), (Partition(2), 1));
}

#[tokio::test]
async fn markers_and_what_is_written_back_are_heard() {
    let (_server, place, one) = opened().await;
    let other = joined(&place).await;
    let mut changes = following(&other).await;
    let generation = one.known(Partition(1)).generation;
    one.seal(Partition(1), generation).await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Marker(Partition(1)));
    let small = crate::StoredDocument {
        id: id(1, 1),
        version: on(&*one).version(id(1, 1), 5),
        header: b"header".to_vec(),
        fields: Vec::new(),
    };
    assert_eq!(one.write_back(small.clone()).await, Ok(WrittenBack::Taken));
    let Change::Committed(change) = next(&mut changes).await else { panic!("a commit") };
    let [Delta { expected: None, next: Some(header), .. }] = change.deltas.as_slice() else {
        panic!("{change:?}");
    };
    assert_eq!((header.version, &header.bytes), (small.version, &small.header));
    let large = crate::StoredDocument { id: id(1, 2), header: vec![0; 100_000], ..small };
    assert_eq!(one.write_back(large).await, Ok(WrittenBack::Taken));
    assert_eq!(next(&mut changes).await, Change::Missed(Some(Partition(1))), "too large to be told");
    super::open(&one, Partition(1)).await;
    assert_eq!(next(&mut changes).await, Change::Marker(Partition(1)));
}

#[tokio::test]
async fn a_slow_reader_is_told_that_it_missed_some() {
    let (server, _place, store) = opened().await;
    let mut changes = following(&store).await;
    let channel = String::from_utf8(store.keys.channel(Partition(2))).unwrap();
    let flood = format!("for i = 1, {} do redis.call('PUBLISH', ARGV[1], 'M') end", CHANGES_MAX * 4);
    tell(&server, &["EVAL", &flood, "0", &channel]);
    let mut heard = 0;
    loop {
        match next(&mut changes).await {
            Change::Marker(partition) => {
                assert_eq!(partition, Partition(2));
                heard += 1;
            }
            Change::Missed(None) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(heard >= CHANGES_MAX, "{heard}");
    create(&store, id(1, 1)).await;
    while !matches!(next(&mut changes).await, Change::Committed(_)) {}
}

#[tokio::test]
async fn a_lost_connection_comes_back_with_a_doubt() {
    let (server, _place, store) = opened().await;
    let mut changes = following(&store).await;
    tell(&server, &["CLIENT", "KILL", "TYPE", "pubsub"]);
    assert_eq!(next(&mut changes).await, Change::Missed(None));
    create(&store, id(1, 1)).await;
    assert!(matches!(next(&mut changes).await, Change::Committed(_)));
}
