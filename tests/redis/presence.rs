//! Instances list each other.

use super::ground::{Ground, Instance};
use crate::support::eventually;
use serde_json::Value;

/// Those that the instance lists: their names, and whether it is itself.
async fn listed(instance: &Instance) -> Vec<(String, bool)> {
    let list = instance.get("/api/v1/instances").await;
    assert_eq!(list.status, 200, "{}", list.text);
    let one = |one: &Value| (one["id"].as_str().unwrap().to_owned(), one["self"].as_bool().unwrap());
    list.body["instances"].as_array().unwrap().iter().map(one).collect()
}

async fn lists(instance: &Instance, expected: &[(&str, bool)]) {
    let expected: Vec<(String, bool)> = expected.iter().map(|(id, own)| ((*id).to_owned(), *own)).collect();
    eventually(&format!("{expected:?} in the list"), async || {
        (listed(instance).await == expected).then_some(())
    })
    .await;
}

async fn record_of(instance: &Instance, id: &str) -> Value {
    let list = instance.get("/api/v1/instances").await;
    list.body["instances"].as_array().unwrap().iter().find(|one| one["id"] == id).cloned().unwrap_or_default()
}

#[tokio::test]
async fn instances_list_each_other_while_they_live() {
    let ground = Ground::start().await;
    let [one, mut two, mut three] = ground.instances(["one", "two", "three"]).await;
    lists(&one, &[("one", true), ("three", false), ("two", false)]).await;
    lists(&two, &[("one", false), ("three", false), ("two", true)]).await;
    let record = record_of(&one, "two").await;
    assert_eq!(record["address"], two.server.address());
    // One that is killed is there until its lease is over, one that stops takes itself out.
    two.server.kill();
    three.server.terminate();
    assert!(three.server.ended().await.success());
    // The lease is longer than this look takes, or it vanished by itself: both are right.
    lists(&one, &[("one", true)]).await;
}

/// One that stops does not have to be waited for: nothing but its word takes it out here.
#[tokio::test]
async fn one_that_stops_takes_itself_out() {
    let ground = Ground::start().await;
    let settings = ["presence-lease=10m"];
    let one = ground.instance_with("one", &settings).await;
    let mut other = ground.instance_with("other", &settings).await;
    lists(&one, &[("one", true), ("other", false)]).await;
    other.server.terminate();
    assert!(other.server.ended().await.success());
    lists(&one, &[("one", true)]).await;
}

/// One that was killed and comes back is one, not two, however long its former life's lease runs.
#[tokio::test]
async fn another_life_replaces_the_former() {
    let ground = Ground::start().await;
    let settings = ["presence-lease=10m"];
    let one = ground.instance_with("one", &settings).await;
    let other = ground.instance_with("other", &settings).await;
    lists(&one, &[("one", true), ("other", false)]).await;
    let former = record_of(&one, "other").await;
    let other = other.restart();
    other.grants().await;
    eventually("its new life in the list", async || {
        (record_of(&one, "other").await["incarnation"] != former["incarnation"]
            && listed(&one).await.len() == 2)
            .then_some(())
    })
    .await;
    lists(&other, &[("one", false), ("other", true)]).await;
}
