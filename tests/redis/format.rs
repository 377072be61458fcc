//! The store was written by a newer version: nothing is written into it by an older one.

use super::ground::{Ground, flags, keys_of};
use crate::support::{DEADLINE, eventually, serve_command};
use serde_json::json;

#[tokio::test]
async fn a_newer_store_stops_the_start() {
    let ground = Ground::start().await;
    assert_eq!(ground.redis.cli(&["SET", "{lk000}:format", "2"]), "OK");
    let before = ground.redis.cli(&["DEBUG", "DIGEST"]);
    let directory = tempfile::tempdir().unwrap();
    let command = serve_command(directory.path(), &flags("one", &[ground.redis.url()], &[]));
    let output =
        tokio::process::Command::from(command).kill_on_drop(true).stdin(std::process::Stdio::null()).output();
    let output = tokio::time::timeout(DEADLINE, output).await.expect("it starts").unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("format 2") && said.contains("newer Lockkeeper"), "{said}");
    assert_eq!(ground.redis.cli(&["GET", "{lk000}:format"]), "2");
    assert_eq!(ground.redis.cli(&["DEBUG", "DIGEST"]), before);
}

/// A newer version took a partition over while this one runs.
#[tokio::test]
async fn a_newer_writer_shuts_a_running_one_out() {
    let ground = Ground::start().await;
    let one = ground.instance("one").await;
    let held = one.lock("p", "holder", json!({"ttl": "1h"})).await;
    let keys = keys_of("p");
    let version = || ground.redis.cli(&["HGET", &keys.document, "v"]);
    let before = version();
    assert_eq!(ground.redis.cli(&["HSET", &keys.marker, "w", "2"]), "0");
    for path in ["p", "q"] {
        let refused = one.acquire(path, "another", json!({})).await;
        assert!(refused.status >= 500, "{}", refused.text);
        assert!(refused.text.contains("newer Lockkeeper"), "{}", refused.text);
    }
    assert!(one.renew(&held, "2h").await.status >= 500);
    // Accepted, to be carried out by whoever may.
    assert_eq!(one.release(&held).await.what(), (202, ""));
    assert_eq!(version(), before);
    assert_eq!(ground.redis.cli(&["EXISTS", &keys_of("q").document]), "0");
    // Nor is it opened by an older one, once it is sealed.
    assert_eq!(ground.redis.cli(&["HSET", &keys.marker, "r", "another life"]), "0");
    let sealed = ground.redis.cli(&["HGETALL", &keys.marker]);
    eventually("several looks at the markers", async || {
        let looks = ground.redis.info("total_commands_processed")?.parse::<u64>().ok()?;
        (looks > 5000).then_some(())
    })
    .await;
    assert_eq!(ground.redis.cli(&["HGETALL", &keys.marker]), sealed);
    assert_eq!(version(), before);
}
