//! Somebody deletes the data of a Redis that goes on running.

use super::ground::{Ground, SEALED, keys_of};
use super::story::Story;
use crate::support::eventually;
use serde_json::json;

#[tokio::test]
async fn what_flushall_deletes_is_written_back() {
    let ground = Ground::start().await;
    let [one, other] = ground.instances(["one", "other"]).await;
    let story = Story::begin(&one, &other).await;
    assert_eq!(ground.redis.cli(&["FLUSHALL"]), "OK");
    for instance in [&one, &other] {
        instance.opened_again(1).await;
        assert_eq!(instance.logged(SEALED), 1, "{:?}", instance.server.log());
    }
    story.goes_on(&one, &other).await;
}

/// An operator deletes the key of a lock that is held. Whoever touches it next, its partition is
/// sealed and written back, and nobody else gets it meanwhile.
#[tokio::test]
async fn a_deleted_document_is_written_back_and_its_lock_still_held() {
    let ground = Ground::start().await;
    let [one, other] = ground.instances(["one", "other"]).await;
    let story = Story::begin(&one, &other).await;
    assert_eq!(ground.redis.cli(&["DEL", &keys_of("told").document]), "1");
    eventually("the lock is held again", async || {
        let thief = other.acquire("told", "thief", json!({})).await;
        assert!(matches!(thief.what(), (503, "backend_unavailable") | (409, "held")), "{}", thief.text);
        (thief.status == 409).then_some(())
    })
    .await;
    for instance in [&one, &other] {
        instance.opened_again(1).await;
        // Only that partition.
        let lines = instance.server.log();
        let sealed: Vec<_> = lines.iter().filter(|line| line.contains(SEALED)).collect();
        assert!(sealed.len() == 1 && sealed[0].contains("partitions=1"), "{sealed:?}");
    }
    let culprit = one.logged("vanished from the store") + other.logged("vanished from the store");
    assert!(culprit > 0);
    story.goes_on(&one, &other).await;
}

/// The same with the marker: the partition is sealed although all of its documents are there.
#[tokio::test]
async fn a_deleted_marker_seals_its_partition() {
    let ground = Ground::start().await;
    let [one, other] = ground.instances(["one", "other"]).await;
    let story = Story::begin(&one, &other).await;
    assert_eq!(ground.redis.cli(&["DEL", &keys_of("told").marker]), "1");
    for instance in [&one, &other] {
        instance.opened_again(1).await;
    }
    story.goes_on(&one, &other).await;
}
