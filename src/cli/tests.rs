//! The command line as a whole: what it takes and how it exits.

use super::options::Format;
use super::testing::{Play, Scripted, stage};
use super::*;
use clap::CommandFactory;
use serde_json::json;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

/// The client command of a line.
pub(super) fn command(line: &str) -> ClientCommand {
    match parse(line).unwrap().command {
        Command::Client(command) => command,
        other => panic!("{other:?} is no client command"),
    }
}

#[test]
fn the_declaration_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn lines_of_the_contract_are_taken() {
    for line in [
        "lockkeeper serve --listen 127.0.0.1:0 --dry-run --config-dump",
        "lockkeeper backup f --data-dir d",
        "lockkeeper restore f --force",
        "lockkeeper compact",
        "lockkeeper --server http://a --server http://b list -o json --sort -acquired_at --pull 1 --namespace a/b",
        "lockkeeper acquire --repo a/b -d x -w y -p z --wait 1h --priority high --metadata a=b",
        "lockkeeper acquire --from-atlantis-env --hold",
        "lockkeeper acquire a/b:x:y --queue --queue-timeout 5m --unattended --no-reentrant --request-id r",
        "lockkeeper release L --fencing-token 7",
        "lockkeeper renew L --fencing-token 7 --ttl 1m",
        "lockkeeper show a/b:x:y",
        "lockkeeper queue",
        "lockkeeper wait T --wait 10m",
        "lockkeeper status -o wide",
        "lockkeeper instances -o wide",
        "lockkeeper actors -o json",
        "lockkeeper config get rate-limit -o json",
        "lockkeeper config set rate-limit.global=5 enabled=false --reason why",
        "lockkeeper unlock-pull --repo a/b 42 --acquired-before 2026-01-01T00:00:00Z",
        "lockkeeper force-release L --reason why",
        "lockkeeper run a/b:x:y --wait 10m --priority high --ttl 2m --kill-after 5s -- make -j2 --server x",
        "lockkeeper run --repo a/b -- true",
    ] {
        parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn other_lines_are_refused() {
    for line in [
        "lockkeeper",
        "lockkeeper acquire a/b --repo c/d",
        "lockkeeper acquire a/b -w x",
        "lockkeeper acquire -w x",
        "lockkeeper acquire --from-atlantis-env -w x",
        "lockkeeper acquire a/b --ttl 30",
        "lockkeeper acquire a/b --ttl 1m --hold",
        "lockkeeper acquire a/b --priority urgent",
        "lockkeeper acquire a/b --from-atlantis-env",
        "lockkeeper list --pull 1",
        "lockkeeper list --limit 0",
        "lockkeeper release L",
        "lockkeeper run a/b true",
        "lockkeeper run a/b --",
        "lockkeeper force-release L",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn a_wrong_run_line_is_told_from_others() {
    let names = |line: &str| names_run(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
    assert!(names("lockkeeper run --bogus"));
    assert!(names("lockkeeper --server run -o json run"));
    assert!(!names("lockkeeper --server run list"));
    assert!(!names("lockkeeper list run"));
    assert!(!names("lockkeeper"));
}

#[tokio::test]
async fn exit_codes_tell_usage_error_and_done_apart() {
    let server = Scripted::start(|_, asked| {
        if asked.target.contains("gone") {
            Play::Reply(410, json!({"title": "Gone", "code": "expired"}))
        } else {
            Play::Reply(200, json!({"lock": {"id": "L"}, "released": {"id": "L"}}))
        }
    })
    .await;
    for (line, code) in [
        ("lockkeeper renew L --fencing-token 7", 0),
        ("lockkeeper release L --fencing-token 7", 0),
        ("lockkeeper release gone --fencing-token 7", 1),
        ("lockkeeper acquire :x", 2),
        ("lockkeeper acquire --from-atlantis-env", 2),
        ("lockkeeper run :x -- true", 120),
        ("lockkeeper run --from-atlantis-env -- true", 120),
        ("lockkeeper run a/b --ttl 0s -- true", 120),
    ] {
        let stage = stage(&[&server.url], Format::Table, &[]);
        assert_eq!(dispatch(&stage.ctx, &command(line)).await, code, "{line}: {}", stage.err.text());
    }
}
