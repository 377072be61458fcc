//! `GET /api/v1/queues`, one or all, by id, by fields, by key.

use super::{LOCK, TICKET, TestServer};
use crate::support::{has_members, is_problem};
use serde_json::json;

#[tokio::test]
async fn a_queue_shows_holders_tickets_and_depth() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    for (owner, priority) in [("n", "normal"), ("h", "high"), ("n2", "normal")] {
        client.queue("a", owner, json!({"priority": priority})).await;
    }
    let id = lock["resource"]["id"].as_str().unwrap();
    let queue = client.get(&format!("/api/v1/queues/{id}")).await;
    assert_eq!(queue.status, 200, "{}", queue.text);
    let queue = queue.body;
    has_members(&queue, &["resource", "key", "depth", "holders", "tickets", "oldest_wait"]);
    assert_eq!((&queue["resource"], &queue["key"]), (&lock["resource"], &lock["key"]));
    assert_eq!(queue["depth"], json!({"critical": 0, "high": 1, "normal": 2, "low": 0}));
    assert_eq!(queue["holders"][0]["id"], lock["id"]);
    has_members(&queue["holders"][0], LOCK);
    let order: Vec<_> = queue["tickets"].as_array().unwrap().iter().map(|t| &t["owner"]["id"]).collect();
    assert_eq!(order, ["h", "n", "n2"]);
    has_members(&queue["tickets"][0], TICKET);
    assert!(queue["oldest_wait"].is_string(), "{queue}");

    // By its fields: the one, and beside it a list with it.
    let found = client.get("/api/v1/queues?namespace=acme/infra&path=./a/&workspace=default").await;
    assert_eq!(found.status, 200, "{}", found.text);
    let one = found.body;
    has_members(&one, &["resource", "key", "depth", "holders", "tickets", "oldest_wait", "as_of"]);
    for name in ["resource", "key", "depth", "tickets"] {
        assert_eq!((&one[name], &one["queues"][0][name]), (&queue[name], &queue[name]), "{name}");
    }
    assert_eq!((&one["holders"][0]["id"], &one["next_cursor"]), (&lock["id"], &json!(null)));
}

#[tokio::test]
async fn the_fields_of_a_place_find_one_queue_or_several() {
    let server = TestServer::start(&[]);
    let client = server.client();
    const PLACE: &str = "/api/v1/queues?namespace=acme/infra&path=a&workspace=default";
    is_problem(&client.get(PLACE).await, 404, "not_found");
    let empty = client.get(&format!("{PLACE}&limit=1")).await;
    assert!(empty.status == 200 && empty.body["queues"] == json!([]), "{}", empty.text);
    for project in ["", "p"] {
        let resource = json!({"namespace": "acme/infra", "path": "a", "project_name": project});
        let body = json!({"resource": resource, "owner": {"id": "me"}});
        client.post("/api/v1/locks", body).await.lock();
    }
    let both = client.get(PLACE).await;
    assert_eq!(both.body["queues"].as_array().map(Vec::len), Some(2), "{}", both.text);
    assert!(both.body.get("resource").is_none(), "{}", both.text);
    for project in ["", "p"] {
        let one = client.get(&format!("{PLACE}&project_name={project}")).await;
        assert_eq!(one.body["resource"]["project_name"], project, "{}", one.text);
    }
    let other = format!("{PLACE}&project_name=q");
    is_problem(&client.get(&other).await, 404, "not_found");
}

#[tokio::test]
async fn nothing_is_there_without_holders_and_tickets() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "me", json!({})).await;
    client.release(&lock).await;
    let id = lock["resource"]["id"].as_str().unwrap();
    is_problem(&client.get(&format!("/api/v1/queues/{id}")).await, 404, "not_found");
    assert!(client.queues().await.is_empty());
}

#[tokio::test]
async fn all_queues_can_be_filtered() {
    let server = TestServer::start(&[]);
    let client = server.client();
    client.lock("a", "me", json!({})).await;
    client.lock("b", "me", json!({})).await;
    let other = json!({"resource": {"namespace": "acme/infra-2"}, "owner": {"id": "me"}});
    client.post("/api/v1/locks", other).await.lock();
    for (query, number) in
        [("", 3), ("?namespace=acme/infra", 2), ("?namespace=acme/infra-2", 1), ("?namespace=acme", 0)]
    {
        let found = client.get(&format!("/api/v1/queues{query}")).await;
        let queues = found.body["queues"].as_array().map(Vec::len).unwrap_or_default();
        assert!(queues == number && found.status == 200, "{query}: {}", found.text);
    }
}

#[tokio::test]
async fn a_key_that_fits_several_resources_is_ambiguous() {
    let server = TestServer::start(&[]);
    let client = server.client();
    for (namespace, path) in [("acme", "infra/a"), ("acme/infra", "a"), ("acme/infra", "b")] {
        let body = json!({"resource": {"namespace": namespace, "path": path}, "owner": {"id": "me"}});
        client.post("/api/v1/locks", body).await.lock();
    }
    let ambiguous = client.get("/api/v1/queues?key=acme/infra/a/default/").await;
    is_problem(&ambiguous, 409, "ambiguous");
    let candidates = ambiguous.body["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 2, "{}", ambiguous.text);
    let one = client.get("/api/v1/queues?key=acme/infra/b/default/").await;
    assert!(one.status == 200 && one.text.contains("\"path\":\"b\""), "{}", one.text);
}
