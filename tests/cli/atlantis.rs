//! `--from-atlantis-env`: resource, owner and pull request from what Atlantis sets.

use crate::support::{Cli, TestServer};
use serde_json::json;

const VARIABLES: [(&str, &str); 11] = [
    ("BASE_REPO_OWNER", "acme"),
    ("BASE_REPO_NAME", "infra"),
    ("REPO_REL_DIR", "networking/vpc"),
    ("WORKSPACE", "production"),
    ("PROJECT_NAME", "vpc"),
    ("PULL_NUM", "42"),
    ("USER_NAME", "alice"),
    ("PULL_URL", "https://github.com/acme/infra/pull/42"),
    ("PULL_AUTHOR", "bob"),
    ("HEAD_COMMIT", "abc123"),
    ("BASE_BRANCH_NAME", "main"),
];

fn cli(server: &TestServer, without: &[&str]) -> Cli {
    let given = VARIABLES.iter().filter(|(name, _)| !without.contains(name));
    given.fold(Cli::new(server.url()), |cli, (name, value)| cli.env(name, value))
}

#[tokio::test]
async fn everything_is_taken_from_the_environment() {
    let server = TestServer::start(&[]);
    let cli = cli(&server, &[]);
    let lock =
        cli.run(&["acquire", "--from-atlantis-env", "-o", "json"]).await.ended(0).json()["lock"].clone();
    assert_eq!(lock["key"], "acme/infra/networking/vpc/production/vpc");
    assert_eq!(
        lock["owner"],
        json!({"id": "acme/infra#42", "user": "alice", "pull": {
            "num": 42, "url": "https://github.com/acme/infra/pull/42", "author": "bob",
            "head_commit": "abc123", "base_branch": "main"}})
    );
    // The next step of the same pull request has it already.
    let again = cli.run(&["acquire", "--from-atlantis-env", "-o", "json"]).await.ended(0).json();
    assert_eq!((&again["reentrant"], &again["lock"]["id"]), (&json!(true), &lock["id"]));
    cli.run(&["unlock-pull", "--repo", "acme/infra", "42"]).await.ended(0);
    let run =
        cli.run(&["run", "--from-atlantis-env", "--", "sh", "-c", "echo $LOCKKEEPER_OWNER"]).await.ended(0);
    assert!(run.out.starts_with("acme/infra#42"), "{run:?}");
}

#[tokio::test]
async fn a_project_without_a_name_is_one_too() {
    let server = TestServer::start(&[]);
    for cli in [cli(&server, &["PROJECT_NAME"]), cli(&server, &[]).env("PROJECT_NAME", "")] {
        let lock = cli.run(&["acquire", "--from-atlantis-env", "-o", "json"]).await.ended(0).json();
        assert_eq!(lock["lock"]["resource"]["project_name"], "");
    }
}

#[tokio::test]
async fn what_is_missing_is_named_and_nothing_is_sent() {
    let server = TestServer::start(&[]);
    for (name, _) in VARIABLES.iter().filter(|(name, _)| *name != "PROJECT_NAME") {
        let refused = cli(&server, &[name]).run(&["acquire", "--from-atlantis-env"]).await.ended(2);
        assert!(refused.err.contains(name), "{name}: {refused:?}");
        let refused =
            cli(&server, &[name]).run(&["run", "--from-atlantis-env", "--", "true"]).await.ended(120);
        assert!(refused.err.contains(name), "{name}: {refused:?}");
    }
    let refused = cli(&server, &["WORKSPACE", "PULL_NUM", "HEAD_COMMIT"])
        .run(&["acquire", "--from-atlantis-env"])
        .await
        .ended(2);
    for name in ["WORKSPACE", "PULL_NUM", "HEAD_COMMIT"] {
        assert!(refused.err.contains(name), "{refused:?}");
    }
    let refused =
        cli(&server, &[]).env("PULL_NUM", "forty").run(&["acquire", "--from-atlantis-env"]).await.ended(2);
    assert!(refused.err.contains("PULL_NUM"), "{refused:?}");
    cli(&server, &[]).run(&["acquire", "acme/infra", "--from-atlantis-env"]).await.ended(2);
    assert!(server.client().locks().await.is_empty());
}
