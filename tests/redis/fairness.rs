//! A far instance against a near one.

use super::ground::{Ground, Instance};
use lockkeeper_store::testing::Proxy;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Commits of both together.
const COMMITS: usize = 600;
/// What the far one gets of them at least, in percent.
const SHARE_PERCENT: usize = 10;
/// Clients of each instance.
const CLIENTS: usize = 2;

/// Both change one resource as fast as they can. The far one needs twenty times as long for a try,
/// and everything it decides by is old when it arrives; it has its share all the same, since the
/// other pauses for it.
#[tokio::test]
async fn a_far_instance_is_not_starved_by_a_near_one() {
    let ground = Ground::start().await;
    let proxy = Proxy::start(ground.redis.port());
    proxy.delay(Duration::from_millis(2));
    let far = Instance::launch("far", &[proxy.url()], &[]);
    far.grants().await;
    let near = ground.instance("near").await;
    let done = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let total = Arc::new(AtomicUsize::new(0));
    let mut clients = Vec::new();
    for (instance, done) in [&near, &far].into_iter().zip(&done) {
        for number in 0..CLIENTS {
            let (client, done, total) = (instance.another_client(), Arc::clone(done), Arc::clone(&total));
            clients.push(tokio::spawn(async move {
                let owner = format!("{}-{number}", Arc::as_ptr(&done) as usize);
                while total.load(Ordering::Relaxed) < COMMITS {
                    let taken = client.acquire("hot", &owner, json!({"mode": "shared"})).await;
                    if taken.status != 200 {
                        assert_eq!(taken.code(), "overloaded", "{}", taken.text);
                        continue;
                    }
                    while client.release(&taken.lock()).await.status != 200 {}
                    for count in [&done, &total] {
                        count.fetch_add(2, Ordering::Relaxed);
                    }
                }
            }));
        }
    }
    for client in clients {
        client.await.unwrap();
    }
    let [near, far] = done.map(|done| done.load(Ordering::Relaxed));
    assert!(far * 100 >= (near + far) * SHARE_PERCENT, "the far one got {far}, the near one {near}");
}
