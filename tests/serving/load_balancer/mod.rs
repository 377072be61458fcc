//! Three instances behind the shipped configuration of HAProxy.

mod balancer;
mod work;

use crate::support::{Client, IDS, Raw, ThreeInstances, acquire_body, eventually, fixed_address, is_problem};
use balancer::{Balancer, SHIPPED};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use work::{Trouble, Work};

/// Three instances, and what is in front of them.
struct Site {
    instances: ThreeInstances,
    balancer: Balancer,
}

impl Site {
    async fn start() -> Self {
        let addresses = [(); 3].map(|()| fixed_address());
        // As in the shipped settings of an instance.
        let flags = ["--drain-delay", "5s"];
        let instances = ThreeInstances::start_at(addresses.each_ref().map(String::as_str), &flags);
        let balancer = Balancer::start(&addresses).await;
        Self { instances, balancer }
    }
}

/// The instance that answers.
async fn who(client: &Client) -> String {
    let stats = client.get("/api/v1/stats").await;
    assert_eq!(stats.status, 200, "{}", stats.text);
    stats.body["instance"].as_str().unwrap().to_owned()
}

/// The instances that share the store, as the one that answers has heard; by name.
async fn present(client: &Client) -> Vec<String> {
    let listed = client.get("/api/v1/instances").await;
    let instances = listed.body["instances"].as_array().unwrap_or_else(|| panic!("{}", listed.text));
    let own = instances.iter().filter(|one| one["self"] == true).count();
    // Before it has reached the store it has heard of nobody.
    assert_eq!(own, instances.len().min(1), "{}", listed.text);
    instances.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

/// Waits until this instance takes part.
async fn takes_part(client: &Client, id: &str) {
    eventually("an instance is asked again", async || (who(client).await == id).then_some(())).await;
}

async fn waiting(client: &Client, path: &str) -> Vec<Value> {
    let queue = client.get(&format!("/api/v1/queues?namespace=acme/infra&path={path}&limit=1")).await;
    queue.body["queues"][0]["tickets"].as_array().cloned().unwrap_or_default()
}

async fn waits(client: &Client, path: &str, number: usize) -> Vec<Value> {
    eventually("tickets wait", async || {
        let tickets = waiting(client, path).await;
        (tickets.len() == number).then_some(tickets)
    })
    .await
}

#[tokio::test]
async fn requests_go_round_and_the_story_is_one() {
    let site = Site::start().await;
    let client = site.balancer.client();
    let mut seen = BTreeMap::<String, usize>::new();
    for _ in 0..9 {
        *seen.entry(who(&client).await).or_default() += 1;
    }
    assert_eq!(seen, IDS.map(|id| (id.to_owned(), 3)).into());
    eventually("each has heard of the others", async || {
        (present(&client).await == ["one", "three", "two"]).then_some(())
    })
    .await;

    // Acquired, queued for, renewed and released at whichever instance.
    for round in 0..4 {
        let path = format!("p{round}");
        let lock = client.lock(&path, "holder", json!({})).await;
        let ticket = client.queue(&path, "next", json!({})).await;
        assert_eq!(client.renew(&lock, "2h").await.status, 200);
        assert_eq!(client.release(&lock).await.body["granted_to"]["owner"]["id"], "next");
        let next = client.poll(&ticket, "").await.lock();
        assert_eq!(client.release(&next).await.status, 200);
        is_problem(&client.renew(&lock, "").await, 410, "released");
    }
}

#[tokio::test]
async fn a_wait_is_ended_by_a_grant_through_another_instance() {
    let site = Site::start().await;
    let client = site.balancer.client();
    for round in 0..3 {
        let path = format!("p{round}");
        let lock = client.lock(&path, "holder", json!({})).await;
        let (other, of) = (site.balancer.client(), path.clone());
        let waits_for = tokio::spawn(async move {
            other.acquire(&of, "second", json!({"queue": true, "wait": "50s", "request_id": "r"})).await
        });
        waits(&client, &path, 1).await;
        // Whether or not it is released through the instance at which the other one waits.
        for _ in 0..round {
            who(&client).await;
        }
        assert_eq!(client.release(&lock).await.status, 200);
        let second = waits_for.await.unwrap().lock();
        assert_eq!((&second["owner"]["id"], &second["state"]), (&json!("second"), &json!("held")));
    }
}

#[tokio::test]
async fn a_client_that_goes_away_gives_its_place_up() {
    let site = Site::start().await;
    let client = site.balancer.client();
    client.lock("p", "holder", json!({})).await;
    let mut raw = Raw::connect(site.balancer.address()).await;
    raw.post("/api/v1/locks", &acquire_body("p", "gone", json!({"queue": true, "wait": "50s"}))).await;
    waits(&client, "p", 1).await;
    drop(raw);
    waits(&client, "p", 0).await;
}

#[tokio::test]
async fn nobody_notices_that_an_instance_leaves_and_comes_back() {
    let mut site = Site::start().await;
    let client = site.balancer.client();
    let held = client.lock("kept", "holder", json!({"ttl": "1h"})).await;
    let work = Work::begin(|| site.balancer.client(), Trouble::Never);
    work.goes_on().await;
    site.instances.one(0).terminate();
    let status = site.instances.one(0).ended().await;
    assert_eq!(status.code(), Some(0), "{:?}", site.instances.log());
    eventually("the others know that it has left", async || {
        (present(&client).await == ["three", "two"]).then_some(())
    })
    .await;
    work.goes_on().await;
    site.instances.one(0).start_again();
    takes_part(&client, IDS[0]).await;
    work.goes_on().await;
    work.ends().await;
    assert_eq!(client.release(&held).await.status, 200);
    assert!(client.locks().await.is_empty());
}

#[tokio::test]
async fn clients_that_ask_again_lose_nothing_by_a_kill() {
    let mut site = Site::start().await;
    let client = site.balancer.client();
    let held = client.lock("kept", "holder", json!({"ttl": "1h"})).await;
    let work = Work::begin(|| site.balancer.client(), Trouble::Repeated);
    work.goes_on().await;
    site.instances.one(1).kill();
    work.goes_on().await;
    site.instances.one(1).start_again();
    takes_part(&client, IDS[1]).await;
    work.goes_on().await;
    work.ends().await;
    assert_eq!(client.renew(&held, "2h").await.status, 200);
    let left = client.locks().await;
    assert!(left.len() == 1 && left[0]["id"] == held["id"], "{left:?}");
}

#[tokio::test]
async fn a_balancer_without_instances_says_so_in_the_words_of_the_contract() {
    let mut site = Site::start().await;
    let client = site.balancer.client();
    let lock = client.lock("p", "holder", json!({})).await;
    let other = site.balancer.client();
    let waits_for = tokio::spawn(async move {
        other.acquire("p", "second", json!({"queue": true, "wait": "50s", "request_id": "r"})).await
    });
    waits(&client, "p", 1).await;
    (0..3).for_each(|number| site.instances.one(number).kill());
    // What was under way may have happened.
    assert_eq!(waits_for.await.unwrap().what(), (502, "outcome_unknown"));
    let refused = client.renew(&lock, "").await;
    assert_eq!(refused.what(), (503, "backend_unavailable"), "{}", refused.text);
    assert_eq!(
        (refused.header("content-type"), refused.header("retry-after")),
        ("application/problem+json", "1")
    );
    assert_eq!((&refused.body["retryable"], &refused.body["status"]), (&json!(true), &json!(503)));
}

/// A time of the shipped configuration.
fn shipped(name: &str) -> Duration {
    let line = SHIPPED.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(' '));
    let text = line.unwrap_or_else(|| panic!("no {name}"));
    Duration::from_secs(text.strip_suffix('s').unwrap().parse().unwrap())
}

#[test]
fn its_times_fit_those_of_the_server() {
    let settings = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/lockkeeper.yaml"));
    let default = |name: &str| {
        let line = settings.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
        let seconds = line.and_then(|text| text.split_once('s')?.0.parse().ok());
        Duration::from_secs(seconds.unwrap_or_else(|| panic!("no {name}")))
    };
    for name in ["timeout client", "timeout server"] {
        assert!(shipped(name) > default("max-wait") + Duration::from_secs(10), "{name}");
    }
    assert!(shipped("timeout http-keep-alive") < default("keep-alive"));
}
