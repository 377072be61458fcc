//! One suite, and every way to run a Redis.

use super::Place;
use crate::conformance;
use crate::redis::{RedisOptions, RedisUrl, Topology};
use crate::testing::{RedisCluster, RedisServer, Sentinels};

fn urls(urls: Vec<String>) -> Vec<RedisUrl> {
    urls.into_iter().map(RedisUrl::from).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_conforms_on_one_server() {
    let server = RedisServer::start();
    conformance::run_all(|| Place::on(&server)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_conforms_behind_sentinels() {
    let sentinels = Sentinels::start();
    let options = RedisOptions {
        urls: urls(sentinels.urls()),
        topology: Topology::Sentinel { master: sentinels.master_name().into() },
        min_replicas: 1,
        ..RedisOptions::new("")
    };
    conformance::run_all(|| Place::new(options.clone())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_conforms_on_a_cluster() {
    let cluster = RedisCluster::start();
    let options =
        RedisOptions { urls: urls(cluster.urls()), topology: Topology::Cluster, ..RedisOptions::new("") };
    conformance::run_all(|| Place::new(options.clone())).await;
}
