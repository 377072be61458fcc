//! `GET /api/v1/locks`: filters, order, pages.

use super::{LOCK, TestServer};
use crate::support::{Client, has_members, is_problem, is_time};
use serde_json::{Value, json};

async fn list(client: &Client, query: &str) -> Value {
    let reply = client.get(&format!("/api/v1/locks{query}")).await;
    assert_eq!(reply.status, 200, "{query}: {}", reply.text);
    reply.body
}

fn paths(list: &Value) -> Vec<&str> {
    list["locks"].as_array().unwrap().iter().map(|lock| lock["resource"]["path"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn filters_take_exactly_what_they_name() {
    let server = TestServer::start(&[]);
    let client = server.client();
    for (namespace, path, workspace, owner, pull, priority) in [
        ("acme/infra", "a", "default", "x", 1, "low"),
        ("acme/infra", "b", "prod", "y", 2, "high"),
        ("acme/infra", "c", "prod", "x", 3, "normal"),
        ("acme/infra-2", "d", "default", "x", 1, "critical"),
    ] {
        let body = json!({"resource": {"namespace": namespace, "path": path, "workspace": workspace},
                          "owner": {"id": owner, "pull": {"num": pull}}, "priority": priority});
        client.post("/api/v1/locks", body).await.lock();
    }
    let holder = client.lock("e", "z", json!({})).await;
    client.queue("e", "waits", json!({})).await;
    client.release(&holder).await;
    for (query, expected) in [
        ("", vec!["a", "b", "c", "d", "e"]),
        ("?namespace=acme/infra", vec!["a", "b", "c", "e"]),
        ("?namespace=acme%2Finfra-2", vec!["d"]),
        ("?namespace=acme", vec![]),
        ("?path=b", vec!["b"]),
        ("?path=./b/", vec!["b"]),
        ("?workspace=prod", vec!["b", "c"]),
        ("?owner=x", vec!["a", "c", "d"]),
        ("?namespace=acme/infra&pull=1", vec!["a"]),
        ("?priority=high", vec!["b"]),
        ("?state=reserved", vec!["e"]),
        ("?state=held", vec!["a", "b", "c", "d"]),
        ("?held_longer_than=1h", vec![]),
        ("?workspace=prod&owner=x", vec!["c"]),
    ] {
        for consistent in ["", "consistent=true"] {
            let glue = if query.is_empty() { "?" } else { "&" };
            let list = list(&client, &format!("{query}{glue}{consistent}")).await;
            let mut found = paths(&list);
            found.sort_unstable();
            assert_eq!(found, expected, "{query} {consistent}");
            assert!(is_time(&list["as_of"]), "{list}");
        }
    }
    for lock in list(&client, "").await["locks"].as_array().unwrap() {
        has_members(lock, LOCK);
    }
}

#[tokio::test]
async fn order_is_by_time_or_key() {
    let server = TestServer::start(&[]);
    let client = server.client();
    for path in ["c", "a", "b"] {
        client.lock(path, "me", json!({})).await;
    }
    assert_eq!(paths(&list(&client, "?sort=acquired_at").await), ["c", "a", "b"]);
    assert_eq!(paths(&list(&client, "?sort=-acquired_at").await), ["b", "a", "c"]);
    assert_eq!(paths(&list(&client, "?sort=key").await), ["a", "b", "c"]);
}

#[tokio::test]
async fn pages_are_stable_while_locks_come_and_go() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let mut locks = Vec::new();
    for n in 0..25 {
        locks.push(client.lock(&format!("p{n:02}"), "me", json!({})).await);
    }
    for sort in ["acquired_at", "-acquired_at", "key"] {
        let mut seen: Vec<String> = Vec::new();
        let mut cursor = String::new();
        let mut pages = 0;
        loop {
            let page = list(&client, &format!("?sort={sort}&limit=10{cursor}")).await;
            seen.extend(paths(&page).into_iter().filter(|path| path.starts_with('p')).map(str::to_owned));
            pages += 1;
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
            // What happens between pages neither repeats nor hides the rest.
            client.lock(&format!("x{sort}{pages}"), "me", json!({})).await;
            assert!(pages < 10);
        }
        let mut sorted = seen.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!((sorted.len(), seen.len()), (25, 25), "{sort}: {seen:?}");
    }
    // A lock that the cursor named may be gone.
    let first = list(&client, "?sort=key&limit=5").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    client.release(&locks[4]).await;
    let second = list(&client, &format!("?sort=key&limit=2&cursor={cursor}")).await;
    assert_eq!(paths(&second), ["p05", "p06"]);
}

#[tokio::test]
async fn the_last_page_has_no_cursor_and_cursors_are_not_guessed() {
    let server = TestServer::start(&[]);
    let client = server.client();
    for n in 0..3 {
        client.lock(&format!("p{n}"), "me", json!({})).await;
    }
    assert_eq!(list(&client, "?limit=3").await["next_cursor"], Value::Null);
    assert_eq!(list(&client, "?limit=1000").await["next_cursor"], Value::Null);
    let first = list(&client, "?limit=2").await;
    assert_eq!(paths(&first).len(), 2);
    for cursor in ["x", "", "AAAA", "../etc"] {
        let refused = client.get(&format!("/api/v1/locks?cursor={cursor}")).await;
        is_problem(&refused, 400, "invalid_request");
        assert_eq!(refused.fields(), ["cursor"]);
    }
}

#[tokio::test]
async fn a_page_has_a_hundred_unless_asked_otherwise() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let tasks: Vec<_> = (0..101)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move { client.lock(&format!("p{n}"), "me", json!({})).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let page = list(&client, "").await;
    assert_eq!(page["locks"].as_array().unwrap().len(), 100);
    assert!(page["next_cursor"].is_string());
    assert_eq!(list(&client, "?limit=1000").await["locks"].as_array().unwrap().len(), 101);
}

#[tokio::test]
async fn what_was_acknowledged_is_in_the_next_list() {
    let server = TestServer::start(&[]);
    let client = server.client();
    for n in 0..20 {
        let lock = client.lock("a", "me", json!({})).await;
        assert_eq!(list(&client, "?consistent=true").await["locks"][0]["id"], lock["id"], "round {n}");
        assert_eq!(list(&client, "").await["locks"][0]["id"], lock["id"], "round {n}");
        client.release(&lock).await;
        assert!(paths(&list(&client, "").await).is_empty(), "round {n}");
    }
}
