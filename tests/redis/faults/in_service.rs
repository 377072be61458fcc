//! Faults that come while instances run.

use super::super::ground::{Ground, Instance};
use super::{is_back_in_service, is_out_of_service};
use crate::support::eventually;
use lockkeeper_store::testing::RedisServer;
use serde_json::{Value, json};

struct Served {
    ground: Ground,
    one: Instance,
    held: Value,
}

impl Served {
    async fn start(lines: &[&str]) -> Self {
        let ground = Ground::with(lines).await;
        let one = ground.instance("one").await;
        let held = one.lock("held", "holder", json!({"ttl": "1h"})).await;
        Self { ground, one, held }
    }

    fn tell(&self, args: &[&str]) {
        tell(&self.ground.redis, args);
    }

    /// Out of service for that reason, and back when it is gone.
    async fn suffers(self, cause: &str, mend: impl AsyncFnOnce(&Ground)) {
        is_out_of_service(&self.one, cause).await;
        // What is known is shown with its age.
        assert_eq!(self.one.get("/api/v1/locks").await.body["locks"][0]["id"], self.held["id"]);
        mend(&self.ground).await;
        is_back_in_service(&self.one, cause).await;
        let renewed = self.one.renew(&self.held, "2h").await;
        assert_eq!(renewed.status, 200, "{}", renewed.text);
    }
}

fn tell(redis: &RedisServer, args: &[&str]) {
    assert_eq!(redis.cli(args), "OK", "{args:?}");
}

#[tokio::test]
async fn redis_goes_away_and_comes_back() {
    let served = Served::start(&["appendonly yes", "appendfsync always"]).await;
    served.ground.redis.kill9();
    served.suffers("refused", async |ground| ground.redis.restart()).await;
}

#[tokio::test]
async fn redis_stands_still() {
    let served = Served::start(&[]).await;
    served.ground.redis.pause();
    served.suffers("no answer", async |ground| ground.redis.resume()).await;
}

#[tokio::test]
async fn the_password_is_changed() {
    let served = Served::start(&[]).await;
    served.tell(&["ACL", "SETUSER", "default", "resetpass", ">other"]);
    let other = |ground: &Ground, args: &[&str]| {
        let all: Vec<&str> =
            ["--no-auth-warning", "-a", "other"].into_iter().chain(args.iter().copied()).collect();
        ground.redis.cli(&all)
    };
    other(&served.ground, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    served
        .suffers("redis.password", async |ground| {
            assert_eq!(other(ground, &["ACL", "SETUSER", "default", "nopass"]), "OK");
        })
        .await;
}

#[tokio::test]
async fn a_right_is_taken_away() {
    let served = Served::start(&[]).await;
    served.tell(&["ACL", "SETUSER", "default", "-@write"]);
    served
        .suffers("docs/redis-acl.md", async |ground| {
            tell(&ground.redis, &["ACL", "SETUSER", "default", "+@write"])
        })
        .await;
}

#[tokio::test]
async fn memory_is_full() {
    let served = Served::start(&[]).await;
    served.tell(&["CONFIG", "SET", "maxmemory", "1mb"]);
    served
        .suffers("out of memory", async |ground| tell(&ground.redis, &["CONFIG", "SET", "maxmemory", "0"]))
        .await;
}

/// Keys would be thrown away: that is not waited for.
#[tokio::test]
async fn an_evicting_policy_is_set() {
    let served = Served::start(&[]).await;
    served.tell(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    served
        .suffers("noeviction", async |ground| {
            tell(&ground.redis, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        })
        .await;
}

#[tokio::test]
async fn the_server_becomes_a_replica() {
    let served = Served::start(&[]).await;
    served.tell(&["REPLICAOF", "127.0.0.1", "1"]);
    served.suffers("replica", async |ground| tell(&ground.redis, &["REPLICAOF", "NO", "ONE"])).await;
}

#[tokio::test]
async fn data_is_loaded() {
    let served =
        Served::start(&["enable-debug-command yes", "loading-process-events-interval-bytes 1024"]).await;
    // So long for each key, until it is told otherwise.
    served.tell(&["CONFIG", "SET", "key-load-delay", "50000"]);
    let reloads = std::thread::spawn({
        let port = served.ground.redis.port().to_string();
        move || std::process::Command::new("redis-cli").args(["-p", &port, "DEBUG", "RELOAD"]).output()
    });
    served
        .suffers("loading", async |ground| tell(&ground.redis, &["CONFIG", "SET", "key-load-delay", "0"]))
        .await;
    let reloaded = reloads.join().unwrap().unwrap();
    assert!(reloaded.stdout.starts_with(b"OK"), "{reloaded:?}");
}

/// A lock that is asked for while Redis is away, with time to wait, is not granted behind the back of
/// a client that was refused.
#[tokio::test]
async fn a_refused_request_leaves_nothing_behind() {
    let served = Served::start(&["appendonly yes", "appendfsync always"]).await;
    served.ground.redis.kill9();
    // Whatever is sent before its end is noticed may have arrived.
    is_out_of_service(&served.one, "refused").await;
    let body = json!({"queue": true, "wait": "1s", "request_id": "r-1"});
    let refused = served.one.acquire("waited", "somebody", body).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert_eq!(refused.code(), "backend_unavailable", "nothing can have been done: {}", refused.text);
    served.ground.redis.restart();
    served.one.grants().await;
    eventually("all looked at", async || {
        (served.one.get("/api/v1/locks?consistent=true").await.status == 200).then_some(())
    })
    .await;
    assert!(served.one.locks().await.iter().all(|lock| lock["resource"]["path"] != "waited"));
}
