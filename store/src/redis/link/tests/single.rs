//! One server: coming back, and what an error means.

use super::*;
use crate::redis::options::Secret;
use crate::testing::{Direction, Proxy, RedisServer, until};
use std::net::TcpListener;

#[tokio::test]
async fn a_script_is_run_by_its_digest_and_loaded_where_it_is_unknown() {
    let server = RedisServer::start();
    let link = link(&options(server.url()));
    assert_eq!(count(&link, 1).await, Ok(1));
    assert_eq!(server.cli(&["SCRIPT", "FLUSH"]), "OK");
    assert_eq!(count(&link, 1).await, Ok(2));
    assert_eq!(count(&link, 1).await, Ok(3));
    let calls = |name: &str| server.info(&format!("cmdstat_{name}")).unwrap_or_default();
    assert!(calls("eval").starts_with("calls=2,"), "{}", calls("eval"));
    assert!(calls("evalsha").starts_with("calls=3,"), "{}", calls("evalsha"));
}

#[tokio::test]
async fn a_link_to_nobody_is_made_at_once_and_says_that_nothing_was_sent() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let link = link(&options(format!("redis://127.0.0.1:{nobody}")));
    let error = count(&link, 1).await.unwrap_err();
    assert!(matches!(&error, CallError::NotSent(reason) if reason.contains("refused")), "{error:?}");
    let link = super::link(&options("redis://no-such-host.invalid"));
    assert!(matches!(count(&link, 1).await, Err(CallError::NotSent(_))));
}

#[tokio::test]
async fn a_server_that_was_killed_is_found_again() {
    let server = RedisServer::with(&["appendonly yes", "appendfsync always"]);
    let link = link(&options(server.url()));
    assert_eq!(count(&link, 1).await, Ok(1));
    server.kill9();
    // The first call may not have heard of it yet.
    let error = count(&link, 1).await.unwrap_err();
    assert!(matches!(error, CallError::NotSent(_) | CallError::Unknown(_)), "{error:?}");
    let error = count(&link, 1).await.unwrap_err();
    assert!(matches!(error, CallError::NotSent(_)), "{error:?}");
    server.restart();
    assert_eq!(eventually(async || count(&link, 1).await).await, 2);
}

#[tokio::test]
async fn a_call_without_an_answer_is_unknown_and_the_next_one_was_not_sent() {
    let server = RedisServer::start();
    let link = link(&RedisOptions { timeout: Duration::from_millis(300), ..options(server.url()) });
    assert_eq!(count(&link, 1).await, Ok(1));
    server.pause();
    let error = count(&link, 1).await.unwrap_err();
    assert!(matches!(error, CallError::Unknown(_)), "{error:?}");
    // The new connection is accepted by the kernel and greeted by nobody.
    let error = count(&link, 1).await.unwrap_err();
    assert!(matches!(error, CallError::NotSent(_)), "{error:?}");
    server.resume();
    // The first one was only slow.
    assert_eq!(eventually(async || count(&link, 1).await).await, 3);
}

#[tokio::test]
async fn a_lost_reply_is_unknown_and_the_call_is_not_repeated() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let link = link(&options(proxy.url()));
    assert_eq!(count(&link, 1).await, Ok(1));
    proxy.drop_reply_to(b"EVALSHA");
    let error = count(&link, 1).await.unwrap_err();
    assert!(matches!(error, CallError::Unknown(_)), "{error:?}");
    assert_eq!(count(&link, 1).await, Ok(3));
}

#[tokio::test]
async fn a_cut_or_silent_network_heals() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let link = link(&RedisOptions { timeout: Duration::from_millis(300), ..options(proxy.url()) });
    assert_eq!(count(&link, 1).await, Ok(1));
    proxy.cut();
    assert!(count(&link, 1).await.is_err());
    assert!(matches!(count(&link, 1).await, Err(CallError::NotSent(_))));
    proxy.heal();
    eventually(async || count(&link, 1).await).await;
    for direction in [Direction::ToServer, Direction::ToClient] {
        proxy.silence(direction);
        assert!(matches!(count(&link, 1).await, Err(CallError::Unknown(_))));
        proxy.heal();
        eventually(async || count(&link, 1).await).await;
    }
}

#[tokio::test]
async fn a_distant_server_is_slow_and_not_less() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let link = link(&options(proxy.url()));
    proxy.delay(Duration::from_millis(20));
    eventually(async || count(&link, 1).await).await;
    let start = Instant::now();
    let together = futures_util::future::join_all((0..50).map(|_| count(&link, 1))).await;
    assert!(together.iter().all(Result::is_ok));
    assert!(start.elapsed() >= Duration::from_millis(40));
    // Not one after the other: that would take two seconds.
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn passwords_users_and_databases() {
    let server = RedisServer::builder().password("right").config("user alice on >wonder ~* &* +@all").start();
    let code = |result: Result<i64, CallError>| result.unwrap_err().code().map(str::to_owned);
    let with = |username: Option<&str>, password: Option<&str>| RedisOptions {
        username: username.map(Into::into),
        password: password.map(Secret::from),
        ..options(server.url())
    };
    assert_eq!(code(count(&link(&with(None, None)), 1).await).as_deref(), Some("NOAUTH"));
    assert_eq!(code(count(&link(&with(None, Some("wrong"))), 1).await).as_deref(), Some("WRONGPASS"));
    assert_eq!(count(&link(&with(None, Some("right"))), 1).await, Ok(1));
    assert_eq!(count(&link(&with(Some("alice"), Some("wonder"))), 1).await, Ok(2));
    let url = server.url().replace("://", "://alice:wonder@") + "/3";
    assert_eq!(count(&link(&options(url)), 1).await, Ok(1));
}

#[tokio::test]
async fn the_servers_refusals_have_their_codes() {
    let server = RedisServer::start();
    let replica = server.start_replica();
    until("the replica follows", LIMIT, || replica.info("master_link_status").as_deref() == Some("up"));
    let at_replica = link(&options(replica.url()));
    assert_eq!(count(&at_replica, 1).await.unwrap_err().code(), Some("READONLY"));
    let at_server = link(&options(server.url()));
    assert_eq!(server.cli(&["LPUSH", &String::from_utf8(key(2)).unwrap(), "x"]), "1");
    let error = count(&at_server, 2).await.unwrap_err();
    assert!(matches!(&error, CallError::Refused { code, .. } if code == "WRONGTYPE"), "{error:?}");
    assert_eq!(server.cli(&["CONFIG", "SET", "min-replicas-to-write", "3"]), "OK");
    assert_eq!(count(&at_server, 1).await.unwrap_err().code(), Some("NOREPLICAS"));
    // A replica that becomes master is seen as one.
    assert_eq!(replica.cli(&["REPLICAOF", "NO", "ONE"]), "OK");
    eventually(async || count(&at_replica, 1).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_share_few_connections() {
    let server = RedisServer::start();
    let link = link(&RedisOptions { connections: 2, ..options(server.url()) });
    let counts = futures_util::future::join_all((0..200).map(|_| count(&link, 1))).await;
    let mut counts: Vec<i64> = counts.into_iter().map(Result::unwrap).collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=200).collect::<Vec<i64>>());
    // One more is redis-cli's own.
    assert_eq!(server.info("connected_clients").as_deref(), Some("3"));
}

#[tokio::test]
async fn each_master_is_the_only_one() {
    let server = RedisServer::start();
    let link = link(&options(server.url()));
    let answers = link.each_master(&redis::cmd("PING")).await;
    assert_eq!(answers.len(), 1);
    assert_eq!(&*answers[0].0, server.address());
    assert!(answers[0].1.is_ok());
}

#[test]
fn a_link_outlives_the_runtime_it_was_made_in() {
    let server = RedisServer::start();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let link = first.block_on(async {
        let link = link(&options(server.url()));
        assert_eq!(count(&link, 1).await, Ok(1));
        link
    });
    drop(first);
    runtime().block_on(async {
        eventually(async || count(&link, 1).await).await;
    });
}
