//! Tickets: order, places, timeouts, cancelling, and why one waits.

use super::{NOBODY, TICKET, TestServer, is_ulid};
use crate::support::{Client, eventually, has_members, is_problem, millis_of};
use serde_json::{Value, json};

/// Releases the lock and claims what was granted by it; its owner.
async fn hand_on(client: &Client, lock: &mut Value) -> String {
    let released = client.release(lock).await;
    assert_eq!(released.status, 200, "{}", released.text);
    *lock = released.body["granted_to"].clone();
    lock["owner"]["id"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_ticket_has_its_place_and_names_the_holder() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    let body = json!({"queue": true, "queue_timeout": "5m", "priority": "high"});
    let reply = client.acquire("a", "me", body).await;
    let ticket = reply.ticket();
    has_members(&ticket, TICKET);
    assert!(is_ulid(&ticket["id"]), "{ticket}");
    assert_eq!(reply.body["holders"][0]["id"], lock["id"]);
    for (member, value) in [
        ("state", json!("queued")),
        ("key", json!("acme/infra/a/default/")),
        ("priority", json!("high")),
        ("position", json!(1)),
        ("resource", lock["resource"].clone()),
    ] {
        assert_eq!(ticket[member], value, "{member}");
    }
    assert_eq!(ticket["owner"]["id"], "me");
    assert_eq!(millis_of(&ticket["deadline"]) - millis_of(&ticket["enqueued_at"]), 300_000);
    let polled = client.poll(&ticket, "").await;
    assert_eq!(polled.ticket()["id"], ticket["id"]);
    assert_eq!(polled.body["holders"][0]["id"], lock["id"]);
}

#[tokio::test]
async fn a_free_resource_needs_no_queue() {
    let server = TestServer::start(&[]);
    let lock = server.client().acquire("a", "me", json!({"queue": true, "wait": "10s"})).await.lock();
    assert_eq!(lock["state"], "held");
}

#[tokio::test]
async fn higher_priorities_go_first_and_the_oldest_first_within_one() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let mut lock = client.lock("a", "holder", json!({})).await;
    for (owner, priority) in [
        ("l1", "low"),
        ("n1", "normal"),
        ("c1", "critical"),
        ("n2", "normal"),
        ("h1", "high"),
        ("c2", "critical"),
        ("l2", "low"),
    ] {
        client.queue("a", owner, json!({"priority": priority})).await;
    }
    let order = ["c1", "c2", "h1", "n1", "n2", "l1", "l2"];
    let queue = client.queues().await[0].clone();
    let shown: Vec<_> =
        queue["tickets"].as_array().unwrap().iter().map(|t| t["owner"]["id"].clone()).collect();
    assert_eq!(shown, order);
    let positions: Vec<_> =
        queue["tickets"].as_array().unwrap().iter().map(|t| t["position"].clone()).collect();
    assert_eq!(positions, [1, 2, 3, 4, 5, 6, 7]);
    for expected in order {
        assert_eq!(hand_on(&client, &mut lock).await, expected);
    }
    assert_eq!(hand_on(&client, &mut lock).await, "");
}

#[tokio::test]
async fn of_seventeen_grants_at_least_one_goes_to_the_oldest_ticket() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let mut lock = client.lock("a", "holder", json!({})).await;
    let mut oldest = ["old1", "old2", "old3"].into_iter();
    for owner in ["old1", "old2", "old3"] {
        client.queue("a", owner, json!({"priority": "low"})).await;
    }
    let (mut grants, mut waited) = (0, 0);
    let mut expected = oldest.next();
    while let Some(old) = expected {
        // There is always somebody more urgent.
        client.queue("a", &format!("urgent{grants}"), json!({"priority": "critical"})).await;
        let next = hand_on(&client, &mut lock).await;
        grants += 1;
        waited += 1;
        assert!(waited <= 17, "{old} was passed {waited} times");
        if next == old {
            // Aging is for those who waited, not a way to the front.
            assert!(grants > 1, "low went before critical at once");
            (expected, waited) = (oldest.next(), 0);
        }
    }
}

#[tokio::test]
async fn a_newcomer_cannot_take_what_somebody_waits_for() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    let ticket = client.queue("a", "waiting", json!({})).await;
    let released = client.release(&lock).await;
    assert_eq!(released.body["granted_to"]["owner"]["id"], "waiting");
    is_problem(&client.acquire("a", "newcomer", json!({"priority": "critical"})).await, 409, "held");
    client.poll(&ticket, "").await.lock();
}

#[tokio::test]
async fn a_ticket_leaves_the_queue_at_its_timeout() {
    let server = TestServer::start(&[]);
    let client = server.client();
    client.lock("a", "holder", json!({})).await;
    let ticket = client.acquire("a", "me", json!({"queue": true, "queue_timeout": "100ms"})).await.ticket();
    let behind = client.queue("a", "behind", json!({})).await;
    let end = eventually("the timeout", async || {
        let reply = client.poll(&ticket, "").await;
        (reply.status != 202).then_some(reply)
    })
    .await;
    is_problem(&end, 410, "queue_timeout");
    assert_eq!(client.poll(&behind, "").await.ticket()["position"], 1);
    // A request that waits hears it when it happens.
    let waited =
        client.acquire("a", "me2", json!({"queue": true, "queue_timeout": "200ms", "wait": "30s"})).await;
    is_problem(&waited, 410, "queue_timeout");
}

#[tokio::test]
async fn a_cancelled_ticket_is_gone_and_the_next_moves_up() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    let first = client.queue("a", "first", json!({})).await;
    let second = client.queue("a", "second", json!({})).await;
    let path = format!("/api/v1/tickets/{}", first["id"].as_str().unwrap());
    let cancelled = client.delete(&path).await;
    assert_eq!((cancelled.status, cancelled.text.as_str()), (204, ""));
    is_problem(&client.get(&path).await, 410, "cancelled");
    is_problem(&client.delete(&path).await, 410, "cancelled");
    assert_eq!(client.poll(&second, "").await.ticket()["position"], 1);
    assert_eq!(client.release(&lock).await.body["granted_to"]["owner"]["id"], "second");
}

#[tokio::test]
async fn a_granted_ticket_cannot_be_cancelled() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let lock = client.lock("a", "holder", json!({})).await;
    let ticket = client.queue("a", "me", json!({})).await;
    client.release(&lock).await;
    let refused = client.delete(&format!("/api/v1/tickets/{}", ticket["id"].as_str().unwrap())).await;
    is_problem(&refused, 409, "already_granted");
    let lock = &refused.body["lock"];
    assert_eq!((&lock["owner"]["id"], &lock["state"]), (&json!("me"), &json!("reserved")));
    // What it says is enough to give the lock back.
    assert_eq!(client.release(lock).await.status, 200);
    assert!(client.locks().await.is_empty());
}

#[tokio::test]
async fn a_full_queue_says_so() {
    let server = TestServer::start(&["--set", "queue.max-size=2"]);
    let client = server.client();
    client.lock("a", "holder", json!({})).await;
    client.queue("a", "first", json!({})).await;
    client.queue("a", "second", json!({})).await;
    let refused = client.acquire("a", "third", json!({"queue": true})).await;
    is_problem(&refused, 429, "queue_full");
    assert_eq!(client.queues().await[0]["tickets"].as_array().unwrap().len(), 2);
    client.queue("a", "first", json!({})).await;
}

#[tokio::test]
async fn tickets_are_found_by_owner_and_pull_request() {
    let server = TestServer::start(&[]);
    let client = server.client();
    for path in ["a", "b"] {
        client.lock(path, "holder", json!({})).await;
    }
    let pull = |id: &str, num: u64| json!({"owner": {"id": id, "pull": {"num": num}}});
    let one = client.queue("a", "x", pull("acme/infra#1", 1)).await;
    let two = client.queue("b", "x", pull("acme/infra#1", 1)).await;
    let other = client.queue("b", "x", pull("acme/infra#2", 2)).await;
    for (query, expected) in [
        ("", vec![&one, &two, &other]),
        ("?owner=acme%2Finfra%231", vec![&one, &two]),
        ("?namespace=acme/infra&pull=2", vec![&other]),
        ("?namespace=acme/infra&pull=1", vec![&one, &two]),
        ("?namespace=acme/infra-2&pull=1", vec![]),
        ("?owner=nobody", vec![]),
    ] {
        let reply = client.get(&format!("/api/v1/tickets{query}")).await;
        assert_eq!(reply.status, 200, "{query}: {}", reply.text);
        let tickets = reply.body["tickets"].as_array().unwrap();
        let mut ids: Vec<_> = tickets.iter().map(|ticket| ticket["id"].as_str().unwrap()).collect();
        let mut expected: Vec<_> = expected.iter().map(|ticket| ticket["id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        expected.sort_unstable();
        assert_eq!(ids, expected, "{query}");
        for ticket in tickets {
            has_members(ticket, TICKET);
        }
    }
    let refused = client.get("/api/v1/tickets?pull=1").await;
    is_problem(&refused, 400, "invalid_request");
    assert_eq!(refused.fields(), ["namespace"]);
}

#[tokio::test]
async fn why_tells_who_holds_and_who_is_ahead() {
    let server = TestServer::start(&[]);
    let client = server.client();
    client.lock("a", "acme/infra#1", json!({})).await;
    client.queue("a", "acme/infra#2", json!({})).await;
    let owner = json!({"id": "acme/infra#3", "pull": {"num": 3}});
    let ticket = client.queue("a", "", json!({"owner": owner})).await;
    let why = client.get(&format!("/api/v1/tickets/{}/why", ticket["id"].as_str().unwrap())).await;
    assert_eq!(why.status, 200, "{}", why.text);
    let text = why.body["text"].as_str().unwrap();
    for said in ["acme/infra#1", "acme/infra#2"] {
        assert!(text.contains(said), "{said} in {text}");
    }
    assert!(why.text.matches("acme/infra#1").count() > 1, "only in words: {}", why.text);
    let of_pull = client.get("/api/v1/why?namespace=acme/infra&pull=3").await;
    assert_eq!(of_pull.status, 200, "{}", of_pull.text);
    for said in ["acme/infra#1", "acme/infra#2", ticket["id"].as_str().unwrap()] {
        assert!(of_pull.text.contains(said), "{said} in {}", of_pull.text);
    }
    is_problem(&client.get(&format!("/api/v1/tickets/{NOBODY}/why")).await, 404, "not_found");
}

#[tokio::test]
async fn an_unknown_ticket_is_not_found() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let path = format!("/api/v1/tickets/{NOBODY}");
    is_problem(&client.get(&path).await, 404, "not_found");
    is_problem(&client.delete(&path).await, 404, "not_found");
}

#[tokio::test]
async fn queues_survive_a_kill_in_their_order() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let mut lock = client.lock("a", "holder", json!({})).await;
    for (owner, priority) in [("n", "normal"), ("l", "low"), ("c", "critical")] {
        client.queue("a", owner, json!({"priority": priority})).await;
    }
    let server = server.restart();
    let client = server.client();
    for expected in ["c", "n", "l"] {
        assert_eq!(hand_on(&client, &mut lock).await, expected);
    }
}
