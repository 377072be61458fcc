//! The servers for tests do what the tests rely on, and leave nothing behind.

use super::*;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn a_server_is_killed_and_comes_back_with_what_it_saved() {
    let server = RedisServer::with(&["appendonly yes", "appendfsync always"]);
    assert_eq!(server.cli(&["SET", "k", "v"]), "OK");
    server.kill9();
    assert!(!server.is_running());
    server.restart();
    assert_eq!(server.cli(&["GET", "k"]), "v");
    let forgetful = RedisServer::start();
    assert_eq!(forgetful.cli(&["SET", "k", "v"]), "OK");
    forgetful.restart();
    assert_eq!(forgetful.cli(&["GET", "k"]), "");
    assert_eq!(forgetful.info("role").as_deref(), Some("master"));
}

#[test]
fn nothing_is_left_of_a_server_that_is_dropped() {
    let server = RedisServer::start();
    server.pause();
    let (process, dir) = (server.process_id(), server.dir().to_owned());
    drop(server);
    assert!(!runs(process) && !dir.exists());
}

#[test]
fn nothing_is_left_of_a_server_whose_test_is_killed() {
    let mut test = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "testing::tests::holds_a_server", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(test.stdout.take().unwrap()).lines();
    let said =
        lines.map(Result::unwrap).find_map(|line| line.split_once("holds ").map(|(_, rest)| rest.to_owned()));
    let said = said.unwrap();
    let (process, dir) = said.split_once(' ').unwrap();
    let process = process.parse().unwrap();
    assert!(runs(process));
    test.kill().unwrap();
    test.wait().unwrap();
    until("the server is gone", LIMIT, || !runs(process) && !Path::new(dir).exists());
}

#[test]
#[ignore = "is run and killed by another test"]
fn holds_a_server() {
    let server = RedisServer::start();
    println!("holds {} {}", server.process_id(), server.dir().display());
    // Longer than it is left alone.
    std::thread::sleep(LIMIT);
}

/// False for one that has ended, even if nobody has heard of its end yet.
fn runs(process: u32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/status")) else { return false };
    !status.lines().any(|line| line.starts_with("State:") && line.contains('Z'))
}
