//! Every instance streams the events of all.

use super::ground::{Ground, Instance};
use crate::support::{EventStream, eventually};
use lockkeeper_store::testing::RedisServer;
use serde_json::{Value, json};

/// A stream that has everything from now on: what an instance missed before it followed the others
/// would end it.
async fn follow(instance: &Instance) -> EventStream {
    eventually("a view of all partitions", async || {
        let listed = instance.get("/api/v1/locks").await;
        (!listed.body["as_of"].as_str()?.starts_with("1970")).then_some(())
    })
    .await;
    EventStream::open(instance, "", None).await
}

/// The resource's path, and what happened to whose entry.
fn told(event: &Value) -> (String, String) {
    let path = event["resource"]["path"].as_str().unwrap_or_default().to_owned();
    let owner = event["lock"]["owner"]["id"].as_str().or(event["ticket"]["owner"]["id"].as_str());
    (path, format!("{} {}", event["type"].as_str().unwrap_or_default(), owner.unwrap_or_default()))
}

#[tokio::test]
async fn events_of_all_instances_come_from_each_once() {
    let ground = Ground::start().await;
    let instances = ground.instances(["one", "two", "three"]).await;
    let mut streams = Vec::new();
    for instance in &instances {
        streams.push(follow(instance).await);
    }
    for (number, instance) in instances.iter().enumerate() {
        let path = format!("p{number}");
        let lock = instance.lock(&path, "holder", json!({})).await;
        let ticket = instances[(number + 1) % 3].queue(&path, "next", json!({})).await;
        assert_eq!(instances[(number + 2) % 3].release(&lock).await.status, 200);
        let lock = instance.poll(&ticket, "").await.lock();
        assert_eq!(instance.release(&lock).await.status, 200);
    }
    let last = instances[0].lock("the end", "holder", json!({})).await;
    let mut lists = Vec::new();
    for stream in &mut streams {
        let (mut list, mut ids) = (Vec::new(), Vec::new());
        loop {
            let event = stream.next().await;
            ids.push(event.id.clone());
            if event.data["lock"]["id"] == last["id"] {
                break;
            }
            list.push(told(&event.data));
        }
        let mut once = ids.clone();
        once.dedup();
        assert_eq!(ids, once);
        lists.push(list);
    }
    for path in ["p0", "p1", "p2"] {
        let expected = [
            "lock.acquired holder",
            "ticket.queued next",
            "lock.released holder",
            "lock.reserved next",
            "lock.acquired next",
            "lock.released next",
        ];
        for list in &lists {
            let told: Vec<&String> = list.iter().filter(|(of, _)| of == path).map(|(_, told)| told).collect();
            assert_eq!(told, expected, "{path}");
        }
    }
}

fn cut_subscriptions(redis: &RedisServer) -> String {
    redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"])
}

/// Events may be missing where a subscription was: whoever follows there is told by the end of its
/// stream, and cannot go on as if nothing were missing.
#[tokio::test]
async fn a_stream_that_may_have_missed_events_ends() {
    let ground = Ground::start().await;
    let [one, other] = ground.instances(["one", "other"]).await;
    let mut stream = follow(&other).await;
    let lock = one.lock("p", "holder", json!({})).await;
    let seen = stream.next_of("lock.acquired").await;
    assert_eq!(seen.data["lock"]["id"], lock["id"]);
    assert_eq!(cut_subscriptions(&ground.redis), "2");
    stream.ends().await;
    let request = other.request("GET", "/api/v1/events").header("Last-Event-ID", &seen.id);
    let gone = request.send().await.unwrap();
    assert_eq!(gone.status(), 410);
    assert_eq!(gone.json::<Value>().await.unwrap()["code"], "events_gone");
    // From now on there is another stream.
    ground.followed_by(2).await;
    let mut stream = EventStream::open(&other, "", None).await;
    assert_eq!(one.release(&lock).await.status, 200);
    assert_eq!(stream.next_of("lock.released").await.data["lock"]["id"], lock["id"]);
}
