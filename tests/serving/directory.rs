//! The data directory: one server at a time, and nothing is made up for what is damaged.

use super::{run, serve};
use crate::support::TestServer;
use serde_json::json;
use std::path::Path;

/// The store's file.
fn store_file(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("lockkeeper.redb")
}

#[tokio::test]
async fn a_second_server_stops_with_a_clear_message() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "me", json!({})).await;
    let second = serve(server.data_dir(), &[]).await;
    assert_eq!(second.code, Some(1), "{second:?}");
    let directory = server.data_dir().display().to_string();
    assert!(second.err.contains(&directory) && second.err.contains("in use"), "{second:?}");
    assert!(second.err.contains(&server.pid().to_string()), "names the process: {second:?}");
    assert_eq!(client.locks().await[0]["id"], lock["id"], "the first is not disturbed");
    // Nor do the offline commands touch what is in use.
    for command in ["compact"] {
        let refused = run(&[command, "--data-dir", &directory]).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.contains("in use"), "{refused:?}");
    }
    client.lock("b", "me", json!({})).await;
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let server = TestServer::start(&[]);
    let directory = tempfile::tempdir().unwrap();
    let second = serve(directory.path(), &["--listen", server.address()]).await;
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.err.contains(server.address()), "{second:?}");
}

#[tokio::test]
async fn a_damaged_store_is_named_and_not_replaced() {
    for damage in ["garbage", "truncated", "middle", "empty"] {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let mut server = TestServer::start_in(&data, &[]);
        for n in 0..50 {
            server.client().lock(&format!("p{n}"), "me", json!({})).await;
        }
        server.terminate();
        assert!(server.wait().success());
        let file = store_file(&data);
        let mut bytes = std::fs::read(&file).unwrap();
        match damage {
            "garbage" => bytes = b"this is not a database".repeat(1000),
            "truncated" => bytes.truncate(bytes.len() / 3),
            "middle" => {
                let (from, to) = (4096, bytes.len());
                bytes[from..to].fill(0xa5);
            }
            _ => bytes.clear(),
        }
        std::fs::write(&file, &bytes).unwrap();
        let ended = serve(&data, &[]).await;
        assert_eq!(ended.code, Some(1), "{damage}: {ended:?}");
        assert!(ended.err.contains("lockkeeper.redb"), "{damage}: {ended:?}");
        assert!(ended.err.contains("restore"), "says what to do, {damage}: {ended:?}");
        assert_eq!(std::fs::read(&file).unwrap().len(), bytes.len(), "{damage}: the file was changed");
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for data in [file.clone(), file.join("below")] {
        let ended = serve(&data, &[]).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.contains(&file.display().to_string()), "{ended:?}");
    }
}
