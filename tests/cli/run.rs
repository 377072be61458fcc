//! `lockkeeper run`: a lock around a command.

use super::{LOCKKEEPER, NOBODY_LISTENS};
use crate::support::{Cli, TestServer, eventually, finish};
use serde_json::json;

#[tokio::test]
async fn the_command_runs_under_the_lock_and_its_code_is_ours() {
    let server = TestServer::start(&[]);
    let cli = Cli::new(server.url());
    let script =
        format!("echo \"$LOCKKEEPER_FENCING_TOKEN|$LOCKKEEPER_OWNER\"; {LOCKKEEPER} list -o jsonl; exit 7");
    let run = cli
        .run(&["run", "acme/infra:net:prod", "--owner", "acme/infra#42", "--", "sh", "-c", &script])
        .await
        .ended(7);
    let mut lines = run.out.lines();
    let (token, owner) = lines.next().unwrap().split_once('|').unwrap();
    let lock: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!((lock["fencing_token"].to_string().as_str(), &lock["owner"]["id"]), (token, &json!(owner)));
    assert!(owner.starts_with("acme/infra#42") && owner != "acme/infra#42", "unique: {owner}");
    assert_eq!(lock["key"], "acme/infra/net/prod/");
    assert!(server.client().locks().await.is_empty(), "released afterwards");
    cli.run(&["run", "acme/infra", "--", "true"]).await.ended(0);
    let killed = cli.run(&["run", "acme/infra", "--", "sh", "-c", "kill -9 $$"]).await.ended(137);
    assert!(server.client().locks().await.is_empty(), "{killed:?}");
}

#[tokio::test]
async fn what_is_not_acquired_is_not_run() {
    let server = TestServer::start(&[]);
    let cli = Cli::new(server.url());
    server.client().lock(".", "holder", json!({})).await;
    let refused = cli.run(&["run", "acme/infra", "--", "echo", "ran"]).await.ended(121);
    assert!(refused.out.is_empty() && refused.err.contains("holder"), "{refused:?}");
    let in_vain = cli.run(&["run", "acme/infra", "--wait", "300ms", "--", "echo", "ran"]).await.ended(121);
    assert!(in_vain.out.is_empty(), "{in_vain:?}");
    assert!(server.client().queues().await[0]["tickets"].as_array().unwrap().is_empty());
    // Under the same owner it is not re-entrant.
    let refused = cli.run(&["run", "acme/infra", "--owner", "holder", "--", "echo", "ran"]).await.ended(121);
    assert!(refused.out.is_empty(), "{refused:?}");
}

#[tokio::test]
async fn it_waits_for_its_turn() {
    let server = TestServer::start(&[]);
    let (cli, client) = (Cli::new(server.url()), server.client());
    let lock = client.lock(".", "holder", json!({})).await;
    let waits = cli.start(&["run", "acme/infra", "--wait", "5m", "--", "echo", "ran"]);
    eventually("it is in the queue", async || {
        (client.get("/api/v1/tickets").await.body["tickets"].as_array()?.len() == 1).then_some(())
    })
    .await;
    client.release(&lock).await;
    let run = finish(waits).await.ended(0);
    assert_eq!(run.out.trim(), "ran");
    assert!(client.locks().await.is_empty());
}

#[tokio::test]
async fn runs_of_one_resource_do_not_overlap() {
    let server = TestServer::start(&[]);
    let cli = Cli::new(server.url());
    let directory = tempfile::tempdir().unwrap();
    let script = format!("cd {} && mkdir one && rmdir one && echo x >> log", directory.path().display());
    let runs: Vec<_> = (0..6)
        .map(|_| cli.start(&["run", "acme/infra", "--wait", "1m", "--", "sh", "-c", &script]))
        .collect();
    for run in runs {
        finish(run).await.ended(0);
    }
    assert_eq!(std::fs::read_to_string(directory.path().join("log")).unwrap().lines().count(), 6);
}

#[tokio::test]
async fn a_nested_run_of_the_same_resource_ends_at_once() {
    let server = TestServer::start(&[]);
    let cli = Cli::new(server.url());
    let nested =
        ["run", "acme/infra", "--", LOCKKEEPER, "run", "acme/infra", "--wait", "10m", "--", "echo", "ran"];
    let run = cli.run(&nested).await.ended(121);
    assert!(run.out.is_empty() && run.err.contains("held by"), "{run:?}");
    assert!(server.client().locks().await.is_empty());
    // Another resource is fine, under the outer owner.
    let nested = ["run", "acme/infra:a", "--", LOCKKEEPER, "run", "acme/infra:b", "--", "sh", "-c", "exit 5"];
    cli.run(&nested).await.ended(5);
}

#[tokio::test]
async fn a_signal_reaches_the_command_and_the_lock_is_released() {
    let server = TestServer::start(&[]);
    let (cli, client) = (Cli::new(server.url()), server.client());
    for (signal, trap, code) in
        [(rustix::process::Signal::TERM, "", 143), (rustix::process::Signal::INT, "trap 'exit 9' INT;", 9)]
    {
        let script = format!("{trap} echo ready; while :; do sleep 0.05; done");
        let run = cli.start(&["run", "acme/infra", "--", "sh", "-c", &script]);
        eventually("it runs", async || (client.locks().await.len() == 1).then_some(())).await;
        // The lock comes before the command: its trap must stand before the signal comes.
        let directory = format!("/proc/{}/task/{}/children", run.id().unwrap(), run.id().unwrap());
        eventually("the shell has begun to loop", async || {
            let child = std::fs::read_to_string(&directory).ok()?;
            let child = child.split_whitespace().next()?.to_owned();
            let grandchild = std::fs::read_to_string(format!("/proc/{child}/task/{child}/children")).ok()?;
            (!grandchild.trim().is_empty()).then_some(())
        })
        .await;
        let pid = rustix::process::Pid::from_raw(run.id().unwrap() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
        finish(run).await.ended(code);
        assert!(client.locks().await.is_empty());
    }
}

#[tokio::test]
async fn mistakes_have_codes_of_their_own() {
    let server = TestServer::start(&[]);
    let cli = Cli::new(server.url());
    for line in [
        &["run"][..],
        &["run", "acme/infra"],
        &["run", "--", "true"],
        &["run", "acme/infra:a:b:c:d", "--", "true"],
        &["run", "acme/infra", "--ttl", "1d", "--", "true"],
        &["run", "acme/infra", "--ttl", "0s", "--", "true"],
        &["run", "acme/infra", "--priority", "urgent", "--", "true"],
        &["run", "acme/infra:../x", "--", "true"],
    ] {
        let refused = cli.run(line).await;
        assert_eq!(refused.code, Some(120), "{line:?}: {refused:?}");
    }
    cli.run(&["run", "acme/infra", "--", "/no/such/command"]).await.ended(127);
    cli.run(&["run", "acme/infra", "--", "/etc/passwd"]).await.ended(126);
    let unreachable =
        Cli::new(NOBODY_LISTENS).run(&["run", "acme/infra", "--", "echo", "ran"]).await.ended(123);
    assert!(unreachable.out.is_empty(), "{unreachable:?}");
    assert!(server.client().locks().await.is_empty());
}
