//! `backup`, `restore`, `compact`.

use super::run;
use crate::support::{TestServer, is_problem};
use serde_json::json;

fn text(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn a_backup_of_a_running_server_brings_its_locks_back_and_tokens_grow() {
    let directory = tempfile::tempdir().unwrap();
    let (data, file) = (directory.path().join("data"), directory.path().join("backup.redb"));
    let mut server = TestServer::start_in(&data, &[]);
    let client = server.client();
    let kept = client.lock("kept", "me", json!({"ttl": "0s"})).await;
    let ticket = client.queue("kept", "next", json!({})).await;
    let done = run(&["backup", text(&file), "--data-dir", text(&data)]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.err.contains(text(&file)), "{done:?}");
    // What happens later is not in it, but its tokens were seen by the world.
    client.release(&kept).await;
    let claimed = client.poll(&ticket, "").await.lock();
    let mut last = claimed["fencing_token"].as_u64().unwrap();
    let mut lock = claimed;
    for n in 0..10 {
        client.release(&lock).await;
        lock = client.lock("kept", &format!("late{n}"), json!({"ttl": "0s"})).await;
        last = last.max(lock["fencing_token"].as_u64().unwrap());
    }
    let other = client.lock("other", "late", json!({"ttl": "0s"})).await;
    last = last.max(other["fencing_token"].as_u64().unwrap());

    let refused = run(&["restore", text(&file), "--data-dir", text(&data), "--force"]).await;
    assert_eq!(refused.code, Some(1), "while a server runs: {refused:?}");
    server.terminate();
    assert!(server.ended().await.success());
    let refused = run(&["restore", text(&file), "--data-dir", text(&data)]).await;
    assert_eq!(refused.code, Some(1), "without --force: {refused:?}");
    assert!(refused.err.contains("--force"), "{refused:?}");
    let restored = run(&["restore", text(&file), "--data-dir", text(&data), "--force"]).await;
    assert_eq!(restored.code, Some(0), "{restored:?}");

    let server = TestServer::start_in(&data, &[]);
    let client = server.client();
    let locks = client.locks().await;
    assert_eq!((locks.len(), &locks[0]["id"], &locks[0]["owner"]["id"]), (1, &kept["id"], &json!("me")));
    assert_eq!(client.poll(&ticket, "").await.ticket()["id"], ticket["id"]);
    let released = client.release(&locks[0]).await;
    let next = &released.body["granted_to"];
    assert!(next["fencing_token"].as_u64().unwrap() > last, "{next} after {last}");
    for path in ["other", "new"] {
        let lock = client.lock(path, "me", json!({})).await;
        assert!(lock["fencing_token"].as_u64().unwrap() > last, "{lock} after {last}");
    }
}

#[tokio::test]
async fn a_backup_needs_no_server_and_does_not_overwrite() {
    let directory = tempfile::tempdir().unwrap();
    let (data, file) = (directory.path().join("data"), directory.path().join("backup.redb"));
    let mut server = TestServer::start_in(&data, &[]);
    let lock = server.client().lock("a", "me", json!({"ttl": "0s"})).await;
    server.terminate();
    assert!(server.ended().await.success());
    assert_eq!(run(&["backup", text(&file), "--data-dir", text(&data)]).await.code, Some(0));
    let size = std::fs::metadata(&file).unwrap().len();
    let again = run(&["backup", text(&file), "--data-dir", text(&data)]).await;
    assert!(again.code == Some(1) && again.err.contains(text(&file)), "{again:?}");
    assert_eq!(std::fs::metadata(&file).unwrap().len(), size);

    let fresh = directory.path().join("fresh");
    let restored = run(&["restore", text(&file), "--data-dir", text(&fresh)]).await;
    assert_eq!(restored.code, Some(0), "{restored:?}");
    let server = TestServer::start_in(&fresh, &[]);
    assert_eq!(server.client().locks().await[0]["id"], lock["id"]);
}

#[tokio::test]
async fn what_is_no_backup_is_refused_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut server = TestServer::start_in(&data, &[]);
    let lock = server.client().lock("a", "me", json!({"ttl": "0s"})).await;
    server.terminate();
    assert!(server.ended().await.success());
    let bad = directory.path().join("bad");
    for bytes in [&b""[..], b"garbage", &[0; 8192]] {
        std::fs::write(&bad, bytes).unwrap();
        let refused = run(&["restore", text(&bad), "--data-dir", text(&data), "--force"]).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.contains(text(&bad)) && !refused.err.contains("panicked"), "{refused:?}");
    }
    let missing =
        run(&["restore", text(&directory.path().join("none")), "--data-dir", text(&data), "--force"]).await;
    assert_eq!(missing.code, Some(1), "{missing:?}");
    let none = run(&["backup", text(&bad), "--data-dir", text(&directory.path().join("none"))]).await;
    assert_eq!(none.code, Some(1), "{none:?}");
    let server = TestServer::start_in(&data, &[]);
    assert_eq!(server.client().locks().await[0]["id"], lock["id"]);
}

#[tokio::test]
async fn compacting_keeps_everything() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut server = TestServer::start_in(&data, &[]);
    let client = server.client();
    for n in 0..100 {
        let lock = client.lock(&format!("p{n}"), "me", json!({})).await;
        if n % 10 != 0 {
            client.release(&lock).await;
        }
    }
    let gone = client.lock("gone", "me", json!({})).await;
    client.release(&gone).await;
    server.terminate();
    assert!(server.ended().await.success());
    let done = run(&["compact", "--data-dir", text(&data)]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    let server = TestServer::start_in(&data, &[]);
    let client = server.client();
    assert_eq!(client.locks().await.len(), 10);
    is_problem(&client.release(&gone).await, 410, "released");
}
