//! Commits whose answers are lost, late or of somebody else's.

use super::{Place, create, joined, open_some, opened, sequence, tell, tickets};
use crate::conformance::make::{id, on, stored, stored_version, ticket};
use crate::contract::{Commit, Committed, Conflict, Store, StoreError};
use crate::redis::pauses::PAUSE_MAX;
use crate::redis::store::COMMITS_MAX;
use crate::redis::{RedisOptions, RedisStore};
use crate::shared::SharedStore;
use crate::testing::{Direction, Proxy, RedisServer, until};
use lockkeeper_core::{Delta, Span};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A call takes so long at most where a test waits for it.
const SHORT: Duration = Duration::from_millis(300);

/// A store behind a proxy, and one beside it.
async fn behind_proxy(timeout: Duration) -> (RedisServer, Proxy, Arc<RedisStore>, Arc<RedisStore>) {
    let (server, mut place, beside) = opened().await;
    let proxy = Proxy::start(server.port());
    place.options = RedisOptions { urls: vec![proxy.url().into()], timeout, ..place.options };
    let behind = place.store();
    open_some(&behind).await;
    (server, proxy, behind, beside)
}

fn conflict(committed: Result<Committed, StoreError>) -> Conflict {
    match committed {
        Ok(Committed::Conflict(conflict)) => conflict,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_lost_reply_becomes_done_and_the_commit_happened_once() {
    let (_server, proxy, behind, beside) = behind_proxy(Duration::from_secs(10)).await;
    create(&behind, id(1, 1)).await;
    let before = sequence(&beside, 1).await;
    proxy.drop_reply_to(b"header 2");
    assert_eq!(behind.commit(on(&*behind).changed(id(1, 1), Some(1), 2, vec![])).await, Ok(Committed::Done));
    assert!(!proxy.waits_for_reply(), "the reply was lost indeed");
    assert_eq!(stored_version(&*beside, id(1, 1)).await, Some(on(&*beside).version(id(1, 1), 2)));
    assert_eq!(sequence(&beside, 1).await, before + 1);
    // A creation, and one with several documents.
    proxy.drop_reply_to(b"header 77");
    let several = on(&*behind).commit(vec![
        on(&*behind).delta(id(1, 2), None, Some(77)),
        on(&*behind).delta(id(1, 1), Some(2), Some(3)),
    ]);
    assert_eq!(behind.commit(several).await, Ok(Committed::Done));
    assert!(!proxy.waits_for_reply());
    assert_eq!(sequence(&beside, 1).await, before + 2);
}

#[tokio::test]
async fn carried_out_and_overtaken_is_not_done() {
    let (_server, proxy, behind, beside) = behind_proxy(SHORT).await;
    create(&beside, id(1, 1)).await;
    proxy.silence(Direction::ToClient);
    let commit = on(&*behind).changed(id(1, 1), Some(1), 2, vec![]);
    let asked = tokio::spawn({
        let behind = Arc::clone(&behind);
        async move { behind.commit(commit).await }
    });
    let two = Some(on(&*beside).version(id(1, 1), 2));
    while stored_version(&*beside, id(1, 1)).await != two {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let next = on(&*beside).changed(id(1, 1), Some(2), 3, vec![]);
    assert_eq!(beside.commit(next).await, Ok(Committed::Done));
    tokio::time::sleep(SHORT * 3 / 2).await;
    proxy.heal();
    let conflict = conflict(asked.await.unwrap());
    assert!(conflict.unsure, "{conflict:?}");
    assert_eq!(conflict.moved[0].version, Some(on(&*beside).version(id(1, 1), 3)));
}

#[tokio::test]
async fn an_answer_from_before_a_sealing_is_asked_for_again() {
    let (_server, proxy, behind, beside) = behind_proxy(Duration::from_secs(10)).await;
    create(&beside, id(1, 1)).await;
    let before = sequence(&beside, 1).await;
    for is_sealed in [false, true] {
        proxy.silence(Direction::ToClient);
        let version = 1 + u64::from(is_sealed);
        let commit = on(&*behind).changed(id(1, 1), Some(version), version + 1, vec![]);
        let asked = tokio::spawn({
            let behind = Arc::clone(&behind);
            async move { behind.commit(commit).await }
        });
        while sequence(&beside, 1).await == before + version - 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // As if another call had found it sealed.
        behind.partitions.sealed(id(1, 1).partition());
        if is_sealed {
            beside.seal(id(1, 1).partition(), beside.known(id(1, 1).partition()).generation).await.unwrap();
        }
        proxy.heal();
        let outcome = asked.await.unwrap();
        if is_sealed {
            assert!(matches!(outcome, Err(StoreError::OutcomeUnknown(_))), "{outcome:?}");
        } else {
            assert_eq!(outcome, Ok(Committed::Done), "it is there still");
        }
        assert_eq!(sequence(&beside, 1).await, before + version);
    }
}

#[tokio::test]
async fn without_enough_replicas_it_is_done_and_unknown() {
    let server = RedisServer::start();
    let replica = server.start_replica();
    until("the replica follows", Duration::from_secs(20), || {
        server.info("slave0").is_some_and(|replica| replica.contains("state=online"))
    });
    let mut place = Place::on(&server);
    place.options.min_replicas = 1;
    place.options.wait_timeout = Duration::from_secs(2);
    let store = joined(&place).await;
    create(&store, id(1, 1)).await;
    let confirm = |version| store.commit(on(&*store).checking(vec![(id(1, 1), Some(version))]));
    assert_eq!(confirm(1).await, Ok(Committed::Done));
    replica.pause();
    let change = store.commit(on(&*store).changed(id(1, 1), Some(1), 2, vec![])).await;
    assert!(matches!(change, Err(StoreError::OutcomeUnknown(_))), "{change:?}");
    assert_eq!(stored_version(&*store, id(1, 1)).await, Some(on(&*store).version(id(1, 1), 2)));
    let unconfirmed = confirm(2).await;
    assert!(matches!(unconfirmed, Err(StoreError::OutcomeUnknown(_))), "{unconfirmed:?}");
    replica.resume();
    let begun = Instant::now();
    while confirm(2).await != Ok(Committed::Done) {
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}

#[tokio::test]
async fn what_never_happened_is_proven() {
    let (_server, proxy, behind, beside) = behind_proxy(SHORT).await;
    create(&beside, id(1, 1)).await;
    proxy.silence(Direction::ToServer);
    let ask = |commit: Commit| {
        let behind = Arc::clone(&behind);
        tokio::spawn(async move { behind.commit(commit).await })
    };
    let changed = ask(on(&*behind).changed(id(1, 1), Some(1), 2, tickets(0..1, "mine")));
    let created = ask(on(&*behind).created(id(1, 2), 1));
    tokio::time::sleep(SHORT / 2).await;
    let theirs = on(&*beside).changed(id(1, 1), Some(1), 2, tickets(0..1, "theirs"));
    assert_eq!(beside.commit(theirs).await, Ok(Committed::Done));
    create(&beside, id(1, 2)).await;
    tokio::time::sleep(SHORT).await;
    proxy.heal();
    let changed = conflict(changed.await.unwrap());
    assert_eq!(changed, Conflict::of([(id(1, 1), Some(on(&*beside).version(id(1, 1), 2)))]));
    assert_eq!(stored(&*beside, id(1, 1)).await.unwrap().fields[0].1, b"theirs 0");
    // It may have been made, deleted, and made again.
    assert!(conflict(created.await.unwrap()).unsure);
}

#[tokio::test]
async fn a_server_that_does_not_answer_leaves_it_unknown_and_none_at_all_unavailable() {
    let (server, place, _) = opened().await;
    let mut place = Place { options: place.options };
    place.options.timeout = SHORT;
    let store = joined(&place).await;
    create(&store, id(1, 1)).await;
    let commit = || on(&*store).changed(id(1, 1), Some(1), 2, vec![]);
    server.pause();
    let begun = Instant::now();
    assert!(matches!(store.commit(commit()).await, Err(StoreError::OutcomeUnknown(_))));
    assert!(begun.elapsed() < SHORT * 6, "{:?}", begun.elapsed());
    server.resume();
    server.kill9();
    let error = loop {
        // The first call after it may find the broken connection only while it is sent.
        match store.commit(commit()).await {
            Err(StoreError::OutcomeUnknown(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(error, Err(StoreError::Unavailable(_))), "{error:?}");
    assert!(matches!(store.load(id(1, 1)).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.probe().await, Err(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn a_commit_decided_too_long_ago_or_too_far_ahead_is_late() {
    let (_server, _place, store) = opened().await;
    create(&store, id(1, 1)).await;
    let off = Span::from_secs(20);
    for now in [store.now_in(id(1, 1).partition()) - off, store.now_in(id(1, 1).partition()) + off] {
        let commit = Commit { now, ..on(&*store).changed(id(1, 1), Some(1), 2, vec![]) };
        assert_eq!(store.commit(commit).await, Ok(Committed::Late));
    }
    assert_eq!(stored_version(&*store, id(1, 1)).await, Some(on(&*store).version(id(1, 1), 1)));
}

#[tokio::test]
async fn a_loser_hears_what_came_between() {
    let (server, place, winner) = opened().await;
    let loser = joined(&place).await;
    let mut document = {
        let fields = tickets(0..100, "first");
        assert_eq!(winner.commit(on(&*winner).changed(id(1, 1), None, 1, fields)).await, Ok(Committed::Done));
        stored(&*loser, id(1, 1)).await.unwrap()
    };
    for version in 1..=3 {
        let fields = vec![(ticket(version), None), (ticket(1000 + version), Some(vec![1]))];
        // Another document changes in the same commits.
        let mine = Delta { fields, ..on(&*winner).delta(id(1, 1), Some(version), Some(version + 1)) };
        let other = on(&*winner).delta(id(1, 2), (version > 1).then_some(version), Some(version + 1));
        assert_eq!(winner.commit(on(&*winner).commit(vec![other, mine])).await, Ok(Committed::Done));
    }
    let lost = || on(&*loser).changed(id(1, 1), Some(1), 2, vec![]);
    let moved = conflict(loser.commit(lost()).await).moved;
    assert_eq!(moved.len(), 1);
    assert_eq!(moved[0].since.len(), 3);
    for delta in &moved[0].since {
        assert_eq!(delta.expected, Some(document.version));
        let next = delta.next.clone().unwrap();
        (document.version, document.header) = (next.version, next.bytes);
        for (field, bytes) in &delta.fields {
            document.fields.retain(|(other, _)| other != field);
            document.fields.extend(bytes.clone().map(|bytes| (*field, bytes)));
        }
    }
    document.fields.sort_unstable_by_key(|(field, _)| *field);
    assert_eq!(Some(&document), stored(&*loser, id(1, 1)).await.as_ref());
    // The log reaches back to when it was not there.
    let created = conflict(loser.commit(on(&*loser).created(id(1, 1), 1)).await);
    assert_eq!(created.moved[0].since.len(), 4);
    // A log with a gap tells nothing.
    let log = String::from_utf8(winner.keys.log(id(1, 1))).unwrap();
    assert_eq!(server.cli(&["LLEN", &log]), "4");
    tell(&server, &["LSET", &log, "1", "garbage"]);
    assert!(conflict(loser.commit(lost()).await).moved[0].since.is_empty());
    tell(&server, &["DEL", &log]);
    let moved = conflict(loser.commit(lost()).await).moved;
    assert_eq!((moved[0].version, moved[0].since.len()), (Some(document.version), 0));
}

#[tokio::test]
async fn a_log_keeps_the_latest_commits_only() {
    let (server, place, winner) = opened().await;
    let loser = joined(&place).await;
    let fields = tickets(0..100, "first");
    assert_eq!(winner.commit(on(&*winner).changed(id(1, 1), None, 1, fields)).await, Ok(Committed::Done));
    for version in 1..=70 {
        let next = on(&*winner).changed(id(1, 1), Some(version), version + 1, vec![]);
        assert_eq!(winner.commit(next).await, Ok(Committed::Done));
    }
    let log = String::from_utf8(winner.keys.log(id(1, 1))).unwrap();
    assert_eq!(server.cli(&["LLEN", &log]), "64");
    for (expected, told) in [(71 - 65, 0), (71 - 64, 64), (70, 1)] {
        let lost = on(&*loser).changed(id(1, 1), Some(expected), 500, vec![]);
        let moved = conflict(loser.commit(lost).await).moved;
        assert_eq!(moved[0].since.len(), told, "since {expected}");
    }
}

#[tokio::test]
async fn a_winner_lets_the_loser_have_the_next_turn() {
    let (server, place, winner) = opened().await;
    let loser = joined(&place).await;
    create(&winner, id(1, 1)).await;
    // As if it were far away: its mark lives long, whatever else the machine does.
    loser.learn_trip(Duration::from_secs(80));
    let document = String::from_utf8(winner.keys.document(id(1, 1))).unwrap();
    let mark = || server.cli(&["HEXISTS", &document, "x"]);
    let win = |version| winner.commit(on(&*winner).changed(id(1, 1), Some(version), version + 1, vec![]));
    assert_eq!(win(1).await, Ok(Committed::Done));
    assert_eq!(mark(), "0");
    let lost = loser.commit(on(&*loser).changed(id(1, 1), Some(1), 2, vec![])).await;
    assert!(!conflict(lost).unsure);
    assert_eq!(mark(), "1");
    // This one sees the mark, and the next one waits.
    assert_eq!(win(2).await, Ok(Committed::Done));
    let begun = Instant::now();
    assert_eq!(win(3).await, Ok(Committed::Done));
    assert!(begun.elapsed() >= PAUSE_MAX * 4 / 5, "{:?}", begun.elapsed());
    assert_eq!(mark(), "1", "its loser still tries");
    let turn = loser.commit(on(&*loser).changed(id(1, 1), Some(4), 5, vec![])).await;
    assert_eq!(turn, Ok(Committed::Done));
    assert_eq!(mark(), "0");
}

#[tokio::test]
async fn commits_on_their_way_are_bounded() {
    let (_server, _place, store) = opened().await;
    let all = store.commits.try_acquire_many(COMMITS_MAX as u32).unwrap();
    let overloaded = Err(StoreError::Overloaded { limit: COMMITS_MAX });
    assert_eq!(store.commit(on(&*store).created(id(1, 1), 1)).await, overloaded);
    drop(all);
    create(&store, id(1, 1)).await;
}

#[tokio::test]
async fn what_is_not_exact_in_redis_is_refused() {
    let (_server, _place, store) = opened().await;
    let on = on(&*store);
    let mut two_generations =
        on.commit(vec![on.delta(id(1, 1), None, Some(1)), on.delta(id(1, 2), None, Some(1))]);
    two_generations.deltas[1].next.as_mut().unwrap().version.generation += 1;
    let too_large = on.created(id(1, 1), (1 << 53) + 1);
    let too_high = Commit { raise_floor: Some(u64::MAX), ..on.created(id(1, 1), 1) };
    for commit in [two_generations, too_large, too_high] {
        assert!(matches!(store.commit(commit).await, Err(StoreError::Refused(_))));
    }
}

#[tokio::test]
async fn a_creation_by_an_old_floor_is_decided_again() {
    let (_server, place, store) = opened().await;
    let behind = joined(&place).await;
    create(&store, id(1, 1)).await;
    let floor = store.known(id(1, 1).partition()).floor + 100;
    let delete = Commit {
        raise_floor: Some(floor),
        ..on(&*store).commit(vec![on(&*store).delta(id(1, 1), Some(1), None)])
    };
    assert_eq!(store.commit(delete).await, Ok(Committed::Done));
    let known = conflict(behind.commit(on(&*behind).created(id(1, 1), 1)).await);
    assert_eq!(known, Conflict::default());
    assert_eq!(behind.known(id(1, 1).partition()).floor, floor);
    create(&behind, id(1, 1)).await;
    // To change what is there needs no floor.
    let change = Commit { floor: 0, ..on(&*store).changed(id(1, 1), Some(1), 2, vec![]) };
    assert_eq!(store.commit(change).await, Ok(Committed::Done));
}

#[tokio::test]
async fn a_full_or_demoted_server_names_the_fix() {
    let (server, _place, store) = opened().await;
    let said = |result: Result<Committed, StoreError>| match result {
        Err(StoreError::Unavailable(text)) => text,
        other => panic!("{other:?}"),
    };
    let commit = || on(&*store).created(id(1, 1), 1);
    tell(&server, &["CONFIG", "SET", "maxmemory", "1"]);
    assert!(said(store.commit(commit()).await).contains("maxmemory"));
    tell(&server, &["CONFIG", "SET", "maxmemory", "0"]);
    tell(&server, &["REPLICAOF", "127.0.0.1", "1"]);
    said(store.commit(commit()).await);
    assert!(matches!(store.load(id(1, 1)).await, Err(StoreError::Unavailable(_))), "a replica is not read");
    tell(&server, &["REPLICAOF", "NO", "ONE"]);
    assert_eq!(store.commit(commit()).await, Err(StoreError::Sealed(id(1, 1).partition())));
}

#[tokio::test]
async fn a_foreign_key_is_damage_and_no_panic() {
    let (server, _place, store) = opened().await;
    let key = |id| String::from_utf8(store.keys.document(id)).unwrap();
    tell(&server, &["SET", &key(id(1, 1)), "a text"]);
    tell(&server, &["HSET", &key(id(1, 2)), "v", "nonsense"]);
    tell(&server, &["HSET", &key(id(1, 3)), "v", "1.1", "odd field", "x"]);
    for number in 1..=3 {
        let loaded = store.load(id(1, number)).await;
        assert!(matches!(loaded, Err(StoreError::Damaged(_))), "{loaded:?}");
        let committed = store.commit(on(&*store).created(id(1, number), 1)).await;
        assert!(!matches!(committed, Ok(Committed::Done)), "{committed:?}");
    }
}
