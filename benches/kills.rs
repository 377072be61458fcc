//! What clients notice when an actor, an instance or Redis goes away.

use crate::client::Client;
use crate::redis::{Persistence, Redis};
use crate::server::Server;
use crate::shared::ready;
use crate::table::{Latencies, row, time, title};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ACTOR_KILLS: usize = 500;
const CONTENDERS: usize = 8;
const ROUNDS: usize = 5;
const LOADED: Duration = Duration::from_secs(6);
const OUTAGE: Duration = Duration::from_secs(8);

/// An actor is killed while clients work with its resource.
pub(crate) async fn actor() {
    title("An actor is killed under load: until its resource answers again");
    row("", &["median", "p99", "longest", "errors"].map(String::from));
    for how in ["panic", "stop"] {
        let directory = tempfile::tempdir().expect("a directory");
        // Kills come faster than any storm: what is measured is one death, not the budget of deaths.
        let server = Server::start_for_chaos(directory.path());
        let mut one = Client::connect(server.address).await;
        let held = one.acquire("hot", "first").await;
        let (_, shown) = one.send("GET", &format!("/api/v1/locks/{}", held.id), "").await;
        let at = shown.find("\"resource\":{\"id\":\"").expect("the resource") + 18;
        let resource = shown[at..].split('"').next().expect("its id").to_owned();
        one.release(&held).await;
        let (stop, errors) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let load: Vec<_> = (0..CONTENDERS)
            .map(|number| contend(server.address, number, Arc::clone(&stop), Arc::clone(&errors)))
            .map(tokio::spawn)
            .collect();
        let (mut samples, mut dead) = (Vec::new(), 0);
        for _ in 0..ACTOR_KILLS {
            let path = format!("/api/v1/admin/actors/queue:{resource}/kill");
            let (status, _) = one.send("POST", &path, &format!(r#"{{"how":"{how}"}}"#)).await;
            dead += usize::from(status == 202);
            let start = Instant::now();
            let (status, answer) = one.send("GET", &format!("/api/v1/locks/{}", held.id), "").await;
            assert!(matches!(status, 404 | 410), "{answer}");
            samples.push(start.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stop.store(true, Ordering::Relaxed);
        for task in load {
            task.await.expect("no task fails");
        }
        let samples = Latencies::new(samples);
        row(
            &format!("{dead} kills by {how}"),
            &[
                time(samples.quantile(0.5)),
                time(samples.quantile(0.99)),
                time(samples.quantile(1.0)),
                errors.load(Ordering::Relaxed).to_string(),
            ],
        );
    }
}

/// Acquires what all want, and hands it on; counts what is no answer.
async fn contend(address: SocketAddr, number: usize, stop: Arc<AtomicBool>, errors: Arc<AtomicU64>) {
    let mut client = Client::connect(address).await;
    let body = format!(
        r#"{{"resource":{{"namespace":"acme/infra","path":"hot"}},"owner":{{"id":"c{number}"}},"queue":true,"wait":"20s"}}"#
    );
    while !stop.load(Ordering::Relaxed) {
        let (status, answer) = client.send("POST", "/api/v1/locks", &body).await;
        if status != 200 {
            errors.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let held = crate::client::grant(&answer);
        let path = format!("/api/v1/locks/{}?fencing_token={}", held.id, held.token);
        let (status, _) = client.send("DELETE", &path, "").await;
        errors.fetch_add(u64::from(status != 200), Ordering::Relaxed);
    }
}

/// One of three instances is killed: what the clients of the others notice.
pub(crate) async fn instance() {
    title("One of three instances is killed: p99 of acquire and release at the others");
    row("", &["before", "after", "ratio"].map(String::from));
    if Redis::start(Persistence::None).is_none() {
        println!("redis-server is not installed");
        return;
    }
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let redis = Redis::start(Persistence::EverySecond).expect("redis-server");
        let (one, two, third) = (ready(&redis).await, ready(&redis).await, ready(&redis).await);
        let others = [one.address, two.address];
        // Its own clients work, too, and lose their server in the midst of it.
        let busy = tokio::spawn(work_until_gone(third.address));
        let before = load(&others).await;
        third.kill();
        let after = load(&others).await;
        busy.await.expect("no task fails");
        let (before, after) = (before.quantile(0.99), after.quantile(0.99));
        let ratio = after.as_secs_f64() / before.as_secs_f64();
        ratios.push(ratio);
        row(&format!("round {round}"), &[time(before), time(after), format!("{ratio:.2}")]);
    }
    ratios.sort_unstable_by(f64::total_cmp);
    row("median", &[String::new(), String::new(), format!("{:.2}", ratios[ROUNDS / 2])]);
}

async fn work_until_gone(address: SocketAddr) {
    let mut client = Client::connect(address).await;
    let mut number = 0;
    loop {
        number += 1;
        let body = format!(
            r#"{{"resource":{{"namespace":"acme/third","path":"p{number}"}},"owner":{{"id":"third"}},"ttl":"1m"}}"#
        );
        if client.try_send("POST", "/api/v1/locks", &body).await.is_none() {
            return;
        }
    }
}

async fn load(addresses: &[SocketAddr]) -> Latencies {
    let tasks: Vec<_> = (0..CONTENDERS)
        .map(|number| {
            let address = addresses[number % addresses.len()];
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                let (begun, mut samples, mut turn) = (Instant::now(), Vec::new(), 0);
                while begun.elapsed() < LOADED {
                    turn += 1;
                    let start = Instant::now();
                    let held = client.acquire(&format!("l{number}/{turn}"), "acme/infra#1").await;
                    samples.push(start.elapsed());
                    let start = Instant::now();
                    client.release(&held).await;
                    samples.push(start.elapsed());
                }
                samples
            })
        })
        .collect();
    let mut samples = Vec::new();
    for task in tasks {
        samples.extend(task.await.expect("no task fails"));
    }
    Latencies::new(samples)
}

/// Redis stops and starts again with what it had: until the first grant.
pub(crate) async fn outage() {
    title("Redis stopped and started again: from its first answer to the first grant");
    row("", &["probe answers", "can grant", "first grant"].map(String::from));
    let Some(mut redis) = Redis::start(Persistence::Always) else {
        println!("redis-server is not installed");
        return;
    };
    let server = ready(&redis).await;
    for round in 1..=ROUNDS {
        redis.stop();
        tokio::time::sleep(OUTAGE).await;
        // Idle connections do not last that long.
        let mut client = Client::connect(server.address).await;
        redis.start_again();
        let back = Instant::now();
        let (mut healthy, mut can_grant) = (None, None);
        let granted = loop {
            let (_, ready) = client.send("GET", "/readyz", "").await;
            let (_, health) = client.send("GET", "/api/locks/health", "").await;
            if health.contains("\"healthy\":true") {
                healthy.get_or_insert_with(|| back.elapsed());
            }
            if ready.contains("\"can_grant\":true") {
                can_grant.get_or_insert_with(|| back.elapsed());
            }
            let body = format!(
                r#"{{"resource":{{"namespace":"acme/infra","path":"after{round}"}},"owner":{{"id":"first"}}}}"#
            );
            let (status, _) = client.send("POST", "/api/v1/locks", &body).await;
            if status == 200 {
                break back.elapsed();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let shown = |when: Option<Duration>| when.map_or("-".to_owned(), time);
        row(&format!("round {round}"), &[shown(healthy), shown(can_grant), time(granted)]);
    }
    println!("health interval 2 s, settle window 3.1 s, circuit breaker open for 5 s");
}
