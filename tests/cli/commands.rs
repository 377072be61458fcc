//! The client commands one by one: what they print and how they end.

use super::NOBODY_LISTENS;
use crate::support::{Cli, TestServer};
use serde_json::{Value, json};

#[tokio::test]
async fn acquire_renew_show_and_release() {
    let server = TestServer::start(&[]);
    let cli = Cli::new(server.url());
    let acquired = cli
        .run(&[
            "acquire",
            "acme/infra:net/vpc:prod:vpc",
            "--owner",
            "me",
            "--ttl",
            "10m",
            "--pull",
            "7",
            "--metadata",
            "run=1",
            "--priority",
            "high",
            "-o",
            "json",
        ])
        .await
        .ended(0);
    let answer = acquired.json();
    assert_eq!((&answer["status"], &answer["reentrant"]), (&json!("acquired"), &json!(false)));
    let lock = &answer["lock"];
    assert_eq!(lock["key"], "acme/infra/net/vpc/prod/vpc");
    assert_eq!((&lock["owner"]["id"], &lock["owner"]["pull"]["num"]), (&json!("me"), &json!(7)));
    assert_eq!((&lock["metadata"]["run"], &lock["priority"]), (&json!("1"), &json!("high")));
    let (id, token) = (lock["id"].as_str().unwrap(), lock["fencing_token"].to_string());

    // Once more, the other way to say the same resource, as a table.
    let again = cli
        .run(&[
            "acquire",
            "--repo",
            "acme/infra",
            "-d",
            "./net/vpc/",
            "-w",
            "prod",
            "-p",
            "vpc",
            "--owner",
            "me",
        ])
        .await
        .ended(0);
    assert!(again.out.contains(id) && again.out.contains("TOKEN") && again.out.contains(&token), "{again:?}");
    assert!(again.err.contains("had the lock already"), "{again:?}");

    let shown = cli.run(&["show", id, "-o", "json"]).await.ended(0);
    assert_eq!(shown.json()["lock"]["id"], id);
    let renewed =
        cli.run(&["renew", id, "--fencing-token", &token, "--ttl", "2h", "-o", "json"]).await.ended(0).json();
    assert!(
        renewed["lock"]["expires_in"]
            .as_str()
            .is_some_and(|left| left.starts_with("1h59m") || left == "2h0m0s"),
        "{renewed}"
    );
    let stale = cli.run(&["renew", id, "--fencing-token", "1"]).await.ended(1);
    assert!(stale.err.contains("stale") && stale.out.is_empty(), "{stale:?}");
    let stale = cli.run(&["release", id, "--fencing-token", "1"]).await.ended(1);
    assert!(stale.err.contains("fencing token"), "{stale:?}");

    let released = cli
        .clone()
        .env("LOCKKEEPER_FENCING_TOKEN", &token)
        .run(&["release", id, "-o", "name"])
        .await
        .ended(0);
    assert_eq!(released.out.trim(), id);
    let gone = cli.run(&["release", id, "--fencing-token", &token]).await.ended(1);
    assert!(gone.err.contains("released"), "{gone:?}");
    cli.run(&["show", id]).await.ended(1);
    assert!(server.client().locks().await.is_empty());
}

#[tokio::test]
async fn what_is_held_exits_3_and_names_the_holder() {
    let server = TestServer::start(&[]);
    let cli = Cli::new(server.url());
    cli.run(&["acquire", "acme/infra", "--owner", "first"]).await.ended(0);
    let refused = cli.run(&["acquire", "acme/infra", "--owner", "second"]).await.ended(3);
    assert!(refused.err.contains("first") && refused.out.is_empty(), "{refused:?}");
    let queued =
        cli.run(&["acquire", "acme/infra", "--owner", "second", "--queue", "-o", "json"]).await.ended(3);
    assert_eq!(
        (&queued.json()["status"], &queued.json()["ticket"]["position"]),
        (&json!("queued"), &json!(1))
    );
    assert!(queued.err.contains("lockkeeper wait"), "{queued:?}");
    cli.run(&["acquire", "acme/infra", "--owner", "first", "--no-reentrant"]).await.ended(3);
}

#[tokio::test]
async fn lists_in_every_form() {
    let server = TestServer::start(&[]);
    let cli = Cli::new(server.url());
    let empty = cli.run(&["list"]).await.ended(0);
    assert_eq!(empty.out, "");
    assert_eq!(cli.run(&["list", "-o", "json"]).await.ended(0).json()["locks"], json!([]));
    for (resource, owner) in [("acme/infra:a", "x"), ("acme/infra:b", "y"), ("acme/other:c", "x")] {
        cli.run(&["acquire", resource, "--owner", owner]).await.ended(0);
    }
    let table = cli.run(&["list"]).await.ended(0);
    let lines: Vec<&str> = table.out.lines().collect();
    assert!(
        lines.len() == 4 && lines[0].starts_with("ID ") && lines[1].contains("acme/infra:a:default"),
        "{table:?}"
    );
    assert!(cli.run(&["list", "-o", "wide"]).await.ended(0).out.contains("PRIORITY"));
    let json = cli.run(&["list", "--sort", "-acquired_at", "-o", "json"]).await.ended(0).json();
    assert_eq!(json["locks"][0]["owner"]["id"], "x");
    let jsonl = cli.run(&["list", "--owner", "x", "-o", "jsonl"]).await.ended(0);
    let parsed: Vec<Value> = jsonl.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(parsed.len(), 2);
    let names = cli.run(&["list", "--namespace", "acme/other", "-o", "name"]).await.ended(0);
    assert!(names.out.trim().len() == 26 && names.out.lines().count() == 1, "{names:?}");
    assert_eq!(cli.run(&["list", "--limit", "1", "-o", "name"]).await.ended(0).out.lines().count(), 1);
}

#[tokio::test]
async fn queues_and_status() {
    let server = TestServer::start(&[]);
    let cli = Cli::new(server.url());
    let free = cli.run(&["queue", "acme/infra:a"]).await.ended(0);
    assert!(free.err.contains("nobody holds"), "{free:?}");
    cli.run(&["show", "acme/infra:a"]).await.ended(1);
    cli.run(&["acquire", "acme/infra:a", "--owner", "holder"]).await.ended(0);
    cli.run(&["acquire", "acme/infra:a", "--owner", "next", "--queue"]).await.ended(3);
    for line in [
        &["queue"][..],
        &["queue", "acme/infra:a"],
        &["queue", "--namespace", "acme/infra"],
        &["show", "acme/infra:a"],
    ] {
        let queue = cli.run(line).await.ended(0);
        assert!(queue.out.contains("holder"), "{line:?}: {queue:?}");
    }
    let detail = cli.run(&["queue", "acme/infra:a", "-o", "json"]).await.ended(0).json();
    assert_eq!(
        (&detail["holders"][0]["owner"]["id"], &detail["tickets"][0]["owner"]["id"]),
        (&json!("holder"), &json!("next"))
    );
    let status = cli.run(&["status"]).await.ended(0);
    assert!(status.out.contains("granting") && status.out.contains(env!("CARGO_PKG_VERSION")), "{status:?}");
    let status = cli.run(&["status", "-o", "json"]).await.ended(0).json();
    assert_eq!(status["servers"][0]["ready"]["can_grant"], true);
    assert_eq!(status["servers"][0]["warnings"], json!([]));
    let alone = cli.run(&["instances"]).await.ended(0);
    assert!(alone.out.contains(server.address()) && alone.out.contains("yes"), "{alone:?}");
    let instances = cli.run(&["instances", "-o", "json"]).await.ended(0).json();
    let (one, told) = (&instances["instances"][0], &status["servers"][0]["instances"][0]);
    assert_eq!((&one["incarnation"], &one["self"]), (&told["incarnation"], &json!(true)));
}

#[tokio::test]
async fn pull_requests_are_unlocked_and_locks_taken_by_force() {
    let server = TestServer::start(&[]);
    let cli = Cli::new(server.url());
    for (resource, pull) in [("acme/infra:a", "1"), ("acme/infra:b", "2"), ("acme/infra-2:a", "1")] {
        cli.run(&["acquire", resource, "--owner", resource, "--pull", pull]).await.ended(0);
    }
    let unlocked = cli.run(&["unlock-pull", "--repo", "acme/infra", "1", "-o", "name"]).await.ended(0);
    assert_eq!(unlocked.out.lines().count(), 1, "{unlocked:?}");
    assert!(unlocked.err.contains("1 lock released, "), "{unlocked:?}");
    let left = server.client().locks().await;
    assert_eq!(left.len(), 2);
    let id = left[0]["id"].as_str().unwrap();
    cli.run(&["force-release", id]).await.ended(2);
    let forced = cli.run(&["force-release", id, "--reason", "the runner died"]).await.ended(0);
    assert!(forced.out.contains(id), "{forced:?}");
    let gone = cli.run(&["show", id]).await.ended(1);
    assert!(gone.err.contains("the runner died"), "{gone:?}");
}

#[tokio::test]
async fn mistakes_on_the_line_exit_2_and_send_nothing() {
    let server = TestServer::start(&[]);
    let cli = Cli::new(server.url());
    for line in [
        &["acquire"][..],
        &["acquire", "acme/infra:a:b:c:d"],
        &["acquire", ":a"],
        &["acquire", "acme/infra", "--ttl", "1d"],
        &["acquire", "acme/infra", "--ttl", "30"],
        &["acquire", "acme/infra", "--ttl", ""],
        &["acquire", "acme/infra", "--priority", "urgent"],
        &["acquire", "acme/infra", "--mode", "write"],
        &["acquire", "acme/infra", "--hold", "--ttl", "1m"],
        &["acquire", "acme/infra", "--repo", "acme/infra"],
        &["acquire", "acme/infra", "--metadata", "novalue"],
        &["acquire", "acme/infra", "-o", "xml"],
        &["acquire", "acme/infra", "--nonsense"],
        &["release", "x"],
        &["release", "x", "--fencing-token", "abc"],
        &["list", "--pull", "1"],
        &["list", "--limit", "0"],
        &["list", "--sort", "owner"],
        &["unlock-pull", "1"],
        &["unlock-pull", "--repo", "a/b", "x"],
        &["wait"],
        &["nonsense"],
        &[],
    ] {
        let refused = cli.run(line).await.ended(2);
        assert!(refused.out.is_empty() && !refused.err.is_empty(), "{line:?}: {refused:?}");
    }
    assert!(server.client().locks().await.is_empty());
    // What the server refuses as bad input is an error, and its words arrive.
    let refused = cli.run(&["acquire", "acme/infra:../etc", "--owner", "me"]).await;
    assert!(matches!(refused.code, Some(1 | 2)) && refused.err.contains("resource.path"), "{refused:?}");
}

#[tokio::test]
async fn help_and_version_go_to_stdout() {
    let cli = Cli::new(NOBODY_LISTENS);
    let version = cli.run(&["--version"]).await.ended(0);
    assert_eq!(version.out.trim(), format!("lockkeeper {}", env!("CARGO_PKG_VERSION")));
    let help = cli.run(&["--help"]).await.ended(0);
    for command in [
        "serve",
        "acquire",
        "release",
        "renew",
        "list",
        "show",
        "unlock-pull",
        "queue",
        "wait",
        "status",
        "instances",
        "run",
        "backup",
        "restore",
        "compact",
    ] {
        assert!(help.out.contains(&format!("  {command} ")), "{command}: {help:?}");
        let of = cli.run(&[command, "--help"]).await.ended(0);
        assert!(of.out.contains("Usage: lockkeeper"), "{of:?}");
    }
}

#[tokio::test]
async fn an_unreachable_server_is_named_and_the_next_is_asked() {
    let server = TestServer::start(&[]);
    let cli = Cli::new(NOBODY_LISTENS);
    for line in [&["list"][..], &["acquire", "acme/infra"], &["status"], &["queue"]] {
        let failed = cli.run(line).await.ended(1);
        assert!(
            failed.err.contains("127.0.0.1:1") || failed.out.contains("127.0.0.1:1"),
            "{line:?}: {failed:?}"
        );
    }
    let both = cli
        .run(&[
            "--server",
            NOBODY_LISTENS,
            "--server",
            server.url(),
            "acquire",
            "acme/infra",
            "--owner",
            "me",
        ])
        .await
        .ended(0);
    assert!(both.out.contains("acme/infra"), "{both:?}");
    let bad = cli.run(&["--server", "not a url", "list"]).await.ended(2);
    assert!(bad.err.contains("not a url"), "{bad:?}");
}
