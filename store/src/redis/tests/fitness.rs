//! What is found out about a Redis before it is trusted.

use super::{Place, opened, tell};
use crate::contract::{Store, StoreError};
use crate::redis::{Topology, Unfit};
use crate::shared::SharedStore;
use crate::testing::{RedisCluster, RedisServer};

async fn misfit(place: &Place) -> String {
    match place.store().fit().await {
        Err(Unfit::Misfit(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_durable_server_is_fit_without_a_warning() {
    let server = RedisServer::with(&["appendonly yes", "appendfsync always"]);
    let store = Place::on(&server).store();
    assert_eq!(store.fit().await, Ok(vec![]));
    assert_eq!(store.fit().await, Ok(vec![]), "and remains so");
    assert_eq!(store.probe().await, Ok(()));
    tell(&server, &["CONFIG", "SET", "appendfsync", "everysec"]);
    assert_eq!(store.probe().await, Ok(()));
    let [warning] = store.warnings().try_into().unwrap();
    assert!(warning.contains("everysec") && warning.contains("appendfsync always"), "{warning}");
}

#[tokio::test]
async fn a_forgetful_server_is_warned_of() {
    let (server, place, store) = opened().await;
    let warnings = store.fit().await.unwrap();
    assert!(warnings.iter().any(|warning| warning.contains("appendonly yes")), "{warnings:?}");
    let mut place = place;
    place.options.min_replicas = 2;
    let warnings = place.store().fit().await.unwrap();
    assert!(warnings.iter().any(|warning| warning.contains("min-replicas")), "{warnings:?}");
    tell(&server, &["CONFIG", "SET", "maxmemory", "1100000"]);
    let warnings = store.fit().await;
    let full = matches!(&warnings, Ok(warnings) if warnings.iter().any(|text| text.contains("maxmemory")))
        || matches!(&warnings, Err(Unfit::Unavailable(text)) if text.contains("maxmemory"));
    assert!(full, "{warnings:?}");
}

#[tokio::test]
async fn a_server_that_throws_keys_away_is_unfit() {
    let (server, place, store) = opened().await;
    tell(&server, &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    assert!(misfit(&place).await.contains("maxmemory-policy noeviction"));
    assert!(matches!(store.probe().await, Err(StoreError::Unfit(text)) if text.contains("noeviction")));
    // Documents have no expiry.
    tell(&server, &["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]);
    assert!(store.fit().await.unwrap().iter().any(|warning| warning.contains("volatile-lru")));
}

#[tokio::test]
async fn a_wrong_password_or_database_is_unfit_and_no_server_is_not() {
    let server = RedisServer::builder().password("right").start();
    let mut place = Place::on(&server);
    assert!(misfit(&place).await.contains("redis.password"));
    place.options.password = Some("wrong".into());
    assert!(misfit(&place).await.contains("redis.password"));
    place.options.password = Some("right".into());
    assert!(place.store().fit().await.is_ok());
    place.options.database = 99;
    misfit(&place).await;
    server.kill9();
    place.options.timeout = std::time::Duration::from_millis(300);
    assert!(matches!(place.store().fit().await, Err(Unfit::Unavailable(_))));
}

#[tokio::test]
async fn a_store_of_a_newer_format_is_unfit() {
    let (server, place, store) = opened().await;
    assert!(store.fit().await.is_ok());
    let key = String::from_utf8(store.keys.format()).unwrap();
    assert_eq!(server.cli(&["GET", &key]), "1");
    tell(&server, &["SET", &key, "2"]);
    assert!(misfit(&place).await.contains("newer"));
    tell(&server, &["SET", &key, "of another program"]);
    assert!(misfit(&place).await.contains("key-prefix"));
}

#[tokio::test]
async fn the_topology_must_be_the_servers() {
    let server = RedisServer::start();
    let mut place = Place::on(&server);
    place.options.topology = Topology::Cluster;
    assert!(place.store().fit().await.is_err());
    let cluster = RedisCluster::start();
    place.options.urls = vec![cluster.urls()[0].as_str().into()];
    place.options.topology = Topology::Single;
    assert!(misfit(&place).await.contains("redis.topology"));
    place.options.topology = Topology::Cluster;
    assert!(place.store().fit().await.is_ok());
}
