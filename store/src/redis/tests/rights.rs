//! The least that a user of Redis must be allowed, as `docs/redis-acl.md` says.

use super::Place;
use crate::conformance;
use crate::redis::{RedisOptions, RedisUrl, Topology, Unfit};
use crate::testing::{RedisCluster, RedisServer};

const PAGE: &str = include_str!("../../../../docs/redis-acl.md");

/// The rules of the line in the page that begins with `user lockkeeper` under this heading.
fn rules(heading: &str, place: &Place) -> Vec<String> {
    let part = PAGE.split(heading).nth(1).expect("the heading");
    let line = part.lines().find(|line| line.starts_with("user lockkeeper ")).expect("its rules");
    let line = line.replace("{lk", &format!("{{{}", place.options.key_prefix.replace('-', "\\-")));
    line.split_whitespace().skip(2).map(str::to_owned).collect()
}

/// Makes the user on a server, with these rules but without one.
fn grant(server: &RedisServer, rules: &[String], without: Option<&str>) {
    let mut command = vec!["ACL", "SETUSER", "lockkeeper", "reset"];
    command.extend(rules.iter().map(String::as_str).filter(|rule| Some(*rule) != without));
    assert_eq!(server.cli(&command), "OK", "{command:?}");
}

fn as_user(mut options: RedisOptions) -> RedisOptions {
    options.username = Some("lockkeeper".into());
    options.password = Some("change-me".into());
    options
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_least_rights_are_enough_on_one_server() {
    let server = RedisServer::start();
    let fresh = || {
        let place = Place::new(as_user(RedisOptions::new(server.url())));
        grant(&server, &rules("## One server", &place), None);
        place
    };
    conformance::run_all(fresh).await;
    let place = fresh();
    place.store().fit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_least_rights_are_enough_on_a_cluster() {
    let cluster = RedisCluster::start();
    let urls: Vec<RedisUrl> = cluster.urls().into_iter().map(RedisUrl::from).collect();
    let fresh = || {
        let options =
            RedisOptions { urls: urls.clone(), topology: Topology::Cluster, ..RedisOptions::new("") };
        let place = Place::new(as_user(options));
        for node in cluster.nodes() {
            grant(node, &rules("## Cluster", &place), None);
        }
        place
    };
    conformance::run_all(fresh).await;
    let place = fresh();
    place.store().fit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_lacks_a_right_is_told_which() {
    let server = RedisServer::start();
    let mut place = Place::new(as_user(RedisOptions::new(server.url())));
    place.options.timeout = std::time::Duration::from_secs(2);
    place.options.min_replicas = 1;
    let rules = rules("## One server", &place);
    let optional = ["+config|get", "+select", "+role", "+ping"];
    let mut tried = 0;
    for rule in &rules {
        let is_command = rule.starts_with('+') && !optional.contains(&rule.as_str());
        if !(is_command || rule.starts_with('~') || rule.starts_with('&')) {
            continue;
        }
        grant(&server, &rules, Some(rule));
        let text = match place.store().fit().await {
            Err(Unfit::Misfit(text)) => text,
            other => panic!("without {rule}: {other:?}"),
        };
        if is_command {
            let name = rule.trim_start_matches('+');
            assert!(text.contains(name), "without {rule}: {text}");
        }
        tried += 1;
    }
    assert!(tried > 25, "{tried}");
    grant(&server, &rules, None);
    place.store().fit().await.unwrap();
}
