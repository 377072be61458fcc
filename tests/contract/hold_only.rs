//! What is said while the store cannot be asked: nothing that it alone could know.

use super::{LOCK, NOBODY, TICKET, TestServer};
use crate::support::{Client, EventStream, Reply, eventually, has_members, is_problem, is_time, millis_of};
use serde_json::{Value, json};

/// Members of a problem that the store's absence is the cause of.
const UNAVAILABLE: &[&str] = &["phase", "reason"];

fn start() -> TestServer {
    start_with(&[])
}

fn start_with(settings: &[&str]) -> TestServer {
    let mut flags = vec!["--chaos", "--set", "health.interval=100ms"];
    flags.extend(settings.iter().flat_map(|setting| ["--set", *setting]));
    TestServer::start(&flags)
}

/// From now on its store fails everything, and that is known.
async fn goes_away(client: &Client) {
    for point in ["store.load", "store.commit", "store.probe"] {
        fails(client, point).await;
    }
    eventually("a store that is seen to be away", async || {
        (client.get("/readyz").await.status == 503).then_some(())
    })
    .await;
}

async fn fails(client: &Client, point: &str) {
    let fault = json!({"kind": "unavailable", "times": 1_000_000});
    let planned = client.send("PUT", &format!("/api/v1/admin/faults/{point}"), Some(&fault)).await;
    assert_eq!(planned.status, 200, "{}", planned.text);
}

async fn comes_back(client: &Client) {
    assert_eq!(client.delete("/api/v1/admin/faults").await.status, 204);
    eventually("grants", async || (client.get("/readyz").await.status == 200).then_some(())).await;
}

#[track_caller]
fn is_unavailable(reply: &Reply) {
    is_problem(reply, 503, "backend_unavailable");
    has_members(&reply.body, UNAVAILABLE);
    assert_eq!(reply.body["phase"], "hold_only", "{}", reply.text);
    assert!(reply.body["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{}", reply.text);
}

async fn show(client: &Client, id: &Value) -> Reply {
    client.get(&format!("/api/v1/locks/{}", id.as_str().unwrap())).await
}

#[tokio::test]
async fn what_is_known_is_shown_as_unconfirmed_and_nothing_is_denied() {
    let server = start();
    let client = server.client();
    let lock = client.lock("a", "holder", json!({"ttl": "1h"})).await;
    let ticket = client.queue("a", "next", json!({})).await;
    let ended = client.lock("ended", "former", json!({})).await;
    assert_eq!(client.release(&ended).await.status, 200);
    let confirmed = show(&client, &lock["id"]).await.body;
    assert!(confirmed.get("as_of").is_none() && confirmed.get("confirmed").is_none(), "{confirmed}");
    goes_away(&client).await;

    let shown = show(&client, &lock["id"]).await;
    assert_eq!((shown.status, &shown.body["confirmed"]), (200, &json!(false)), "{}", shown.text);
    has_members(&shown.body["lock"], LOCK);
    assert!(is_time(&shown.body["as_of"]), "{}", shown.text);
    for member in ["id", "fencing_token", "expires_at", "owner", "state"] {
        assert_eq!(shown.body["lock"][member], lock[member], "{member}");
    }
    for wait in ["", "100ms"] {
        let polled = client.poll(&ticket, wait).await;
        assert_eq!((polled.status, &polled.body["confirmed"]), (202, &json!(false)), "{}", polled.text);
        assert_eq!(
            (&polled.body["status"], &polled.body["ticket"]["position"]),
            (&json!("queued"), &json!(1)),
            "{}",
            polled.text
        );
        has_members(&polled.body["ticket"], TICKET);
        assert_eq!(polled.body["holders"][0]["id"], lock["id"]);
        assert!(is_time(&polled.body["as_of"]), "{}", polled.text);
    }
    // A lock is not given to whoever asks for its ticket, and its lease is told as it was.
    let as_ticket = client.poll(&lock, "").await;
    is_unavailable(&as_ticket);
    assert_eq!(as_ticket.body["expires_at"], lock["expires_at"], "{}", as_ticket.text);
    assert!(is_time(&as_ticket.body["as_of"]), "{}", as_ticket.text);
    // What it lacks, or has as ended, is for the store to tell.
    for id in [NOBODY, ended["id"].as_str().unwrap()] {
        is_unavailable(&client.get(&format!("/api/v1/locks/{id}")).await);
        is_unavailable(&client.get(&format!("/api/v1/tickets/{id}")).await);
        is_unavailable(&client.get(&format!("/api/v1/tickets/{id}?wait=50ms")).await);
        is_unavailable(&client.get(&format!("/api/v1/tickets/{id}/why")).await);
    }
    let nobody_has = ended["resource"]["id"].as_str().unwrap();
    for lacking in [&format!("/api/v1/queues/{nobody_has}"), "/api/v1/why?namespace=acme/infra&pull=77"] {
        is_unavailable(&client.get(lacking).await);
    }
    let why = client.get(&format!("/api/v1/tickets/{}/why", ticket["id"].as_str().unwrap())).await;
    assert_eq!(why.status, 200, "{}", why.text);
    for list in ["/api/v1/locks", "/api/v1/tickets", "/api/v1/queues", "/api/v1/stats"] {
        let listed = client.get(list).await;
        assert_eq!(listed.status, 200, "{}", listed.text);
        assert!(
            millis_of(&listed.body["as_of"]) <= millis_of(&shown.body["as_of"]),
            "{list}: {}",
            listed.text
        );
    }
    is_unavailable(&client.get("/api/v1/locks?consistent=true").await);

    comes_back(&client).await;
    assert_eq!(show(&client, &lock["id"]).await.body["lock"]["expires_at"], lock["expires_at"]);
    assert_eq!(show(&client, &ended["id"]).await.what(), (410, "released"));
    assert_eq!(client.poll(&ticket, "").await.ticket()["position"], 1);
    is_problem(&client.get(&format!("/api/v1/queues/{nobody_has}")).await, 404, "not_found");
}

#[tokio::test]
async fn nothing_is_granted_renewed_or_taken_away() {
    let server = start();
    let client = server.client();
    let lock =
        client.lock("a", "holder", json!({"ttl": "1h", "owner": {"id": "holder", "pull": {"num": 7}}})).await;
    let ticket = client.queue("a", "next", json!({})).await;
    goes_away(&client).await;
    for (path, owner) in [("free", "me"), ("a", "me"), ("a", "holder")] {
        for more in [json!({}), json!({"queue": true}), json!({"queue": true, "wait": "100ms"})] {
            is_unavailable(&client.acquire(path, owner, more).await);
        }
    }
    for ttl in ["", "2h", "0s"] {
        let refused = client.renew(&lock, ttl).await;
        is_unavailable(&refused);
        assert_eq!(refused.body["expires_at"], lock["expires_at"], "{}", refused.text);
        assert!(is_time(&refused.body["as_of"]), "{}", refused.text);
        assert!(refused.body.get("lock").is_none(), "{}", refused.text);
    }
    let (id, place) = (lock["id"].as_str().unwrap(), ticket["id"].as_str().unwrap());
    is_unavailable(&client.delete(&format!("/api/v1/tickets/{place}")).await);
    is_unavailable(
        &client.post(&format!("/api/v1/locks/{id}/force-release"), json!({"reason": "stuck"})).await,
    );
    let pull = json!({"namespace": "acme/infra", "pull": 7});
    is_unavailable(&client.post("/api/v1/locks/release-by-pull", pull).await);
    assert_eq!(server.audit(), "", "nothing was begun");
    comes_back(&client).await;
    assert_eq!(client.locks().await.len(), 1);
    assert_eq!(client.queues().await[0]["tickets_total"], 1);
    assert_eq!(show(&client, &lock["id"]).await.body["lock"]["expires_at"], lock["expires_at"]);
}

#[tokio::test]
async fn a_release_is_accepted_once_and_carried_out_before_anything_is_granted() {
    let server = start();
    let client = server.client();
    let lock = client.lock("a", "holder", json!({"ttl": "1h"})).await;
    let ticket = client.queue("a", "next", json!({})).await;
    let mut events = EventStream::open(&client, "", None).await;
    goes_away(&client).await;
    let accepted = "atlantis_enhanced_locking_journal_accepted_total";
    for _ in 0..3 {
        let pending = client.release(&lock).await;
        assert_eq!((pending.status, &pending.body["status"]), (202, &json!("pending")), "{}", pending.text);
        has_members(&pending.body["lock"], LOCK);
        assert_eq!(pending.body["lock"]["id"], lock["id"]);
        assert!(is_time(&pending.body["as_of"]), "{}", pending.text);
        assert!(pending.body.get("released").is_none() && pending.body.get("granted_to").is_none());
        assert_eq!(client.metric(accepted).await, Some(1.0));
    }
    // It is not carried out yet: it is shown, and its place in the queue is nobody's.
    assert_eq!(show(&client, &lock["id"]).await.body["confirmed"], false);
    let mut other = lock.clone();
    other["fencing_token"] = (lock["fencing_token"].as_u64().unwrap() + 1).into();
    is_unavailable(&client.release(&other).await);
    other["id"] = NOBODY.into();
    is_unavailable(&client.release(&other).await);
    let waits = tokio::spawn({
        let client = client.clone();
        async move { client.acquire("b", "patient", json!({"queue": true, "wait": "50s"})).await }
    });
    eventually("it waits", async || {
        (client.metric("atlantis_enhanced_locking_waiting_clients").await == Some(1.0)).then_some(())
    })
    .await;
    comes_back(&client).await;
    assert_eq!(show(&client, &lock["id"]).await.what(), (410, "released"));
    assert_eq!(client.poll(&ticket, "").await.lock()["owner"]["id"], "next");
    let patient = waits.await.unwrap().lock();
    assert!(patient.get("enqueued_at").is_none_or(Value::is_null), "it had no ticket: {patient}");
    let mut told = Vec::new();
    while told.last().is_none_or(|(_, owner)| *owner != json!("patient")) {
        let event = events.next().await;
        told.push((event.kind, event.data["lock"]["owner"]["id"].clone()));
    }
    let place = |kind: &str, owner: &str| {
        told.iter().rposition(|(is, of)| is == kind && (owner.is_empty() || of == owner)).expect(kind)
    };
    let (released, handed) = (place("lock.released", "holder"), place("lock.reserved", "next"));
    let (phase, granted) = (place("phase.changed", ""), place("lock.acquired", "patient"));
    assert!(released < phase && handed < phase && phase < granted, "{told:?}");
}

#[tokio::test]
async fn only_so_many_releases_are_kept_and_only_what_is_written_down_is_accepted() {
    let server = start_with(&["journal.max-entries=1"]);
    let client = server.client();
    let mut locks = Vec::new();
    for path in ["a", "b"] {
        locks.push(client.lock(path, "holder", json!({"ttl": "1h"})).await);
    }
    goes_away(&client).await;
    fails(&client, "journal.append").await;
    is_unavailable(&client.release(&locks[0]).await);
    assert_eq!(client.delete("/api/v1/admin/faults/journal.append").await.status, 204);
    assert_eq!(client.release(&locks[0]).await.status, 202);
    let refused = client.release(&locks[1]).await;
    is_problem(&refused, 503, "overloaded");
    let told = (&refused.body["limit"], &refused.body["value"]);
    assert_eq!(told, (&json!("journal.max-entries"), &json!(1)), "{}", refused.text);
    // What was accepted stays accepted.
    assert_eq!(client.release(&locks[0]).await.status, 202);
    comes_back(&client).await;
    assert_eq!(show(&client, &locks[0]["id"]).await.what(), (410, "released"));
    assert_eq!(client.release(&locks[1]).await.status, 200);
}
