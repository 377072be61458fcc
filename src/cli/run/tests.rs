//! `run` with real commands and a scripted server.

use super::super::ClientCommand;
use super::super::options::Format;
use super::super::signals::Stop;
use super::super::testing::{Asked, Play, SOON, Scripted, Stage, stage};
use super::super::tests::command;
use super::*;
use serde_json::json;
use std::path::Path;

/// What the server says to acquire, renew and release.
fn lock(ttl: &str) -> Value {
    json!({"id": "L1", "fencing_token": 7, "owner": {"id": "x"}, "expires_in": ttl, "expires_at": "2026-01-01T00:00:00Z"})
}

fn granted(ttl: &str) -> Play {
    Play::Reply(200, json!({"status": "acquired", "reentrant": false, "lock": lock(ttl)}))
}

fn refused(status: u16, code: &str) -> Play {
    Play::Reply(status, json!({"title": "Refused", "code": code}))
}

/// A server that grants, renews and releases.
fn kind(_: usize, asked: &Asked) -> Play {
    match asked.method.as_str() {
        "DELETE" => Play::Reply(200, json!({"released": lock("2m0s"), "granted_to": null})),
        _ => granted("2m0s"),
    }
}

fn args(line: &str, script: &str) -> RunArgs {
    let ClientCommand::Run(mut args) = command(&format!("lockkeeper run {line} -- sh -c")) else {
        panic!("not run")
    };
    args.command.push(script.into());
    args
}

async fn go(stage: &Stage, args: &RunArgs) -> u8 {
    let (_sender, signals) = Signals::scripted();
    tokio::time::timeout(SOON, run(&stage.ctx, args, Some(signals))).await.expect("run hangs")
}

/// Waits until a file exists: how a command tells that it is under way.
async fn until_exists(path: &Path) {
    let look = async {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, look).await.expect("the command never began");
}

#[tokio::test]
async fn the_commands_code_is_the_exit_code_and_the_lock_is_released_after_it() {
    let server = Scripted::start(kind).await;
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)] {
        let stage = stage(&[&server.url], Format::Table, &[]);
        assert_eq!(go(&stage, &args("acme/infra", script)).await, code, "{script}");
    }
    assert_eq!(server.count("DELETE", "/api/v1/locks/L1?fencing_token=7"), 3);
    let body = &server.asked()[0].body;
    assert_eq!(
        (&body["reentrant"], &body["ttl"], &body["queue"]),
        (&json!(false), &json!("2m"), &Value::Null)
    );
    assert!(
        server
            .asked()
            .iter()
            .all(|asked| asked.header("idempotency-key").is_some() == (asked.method == "DELETE"))
    );
}

#[tokio::test]
async fn the_command_sees_token_owner_and_lock_and_every_run_is_its_own_owner() {
    let server = Scripted::start(kind).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let script = format!(
        "echo $LOCKKEEPER_FENCING_TOKEN $LOCKKEEPER_LOCK_ID $LOCKKEEPER_OWNER > {}",
        file.path().display()
    );
    let mut owners = Vec::new();
    for (line, env, base) in [
        ("acme/infra", &[("USER", "carol")][..], "carol@host:run:"),
        ("acme/infra", &[("USER", "carol")], "carol@host:run:"),
        ("acme/infra --owner me", &[("LOCKKEEPER_OWNER", "outer")], "me:run:"),
        ("acme/infra", &[("LOCKKEEPER_OWNER", "outer")], "outer"),
    ] {
        let stage = stage(&[&server.url], Format::Table, env);
        assert_eq!(go(&stage, &args(line, &script)).await, 0);
        let seen = std::fs::read_to_string(file.path()).unwrap();
        let owner = seen.trim().strip_prefix("7 L1 ").unwrap().to_owned();
        assert!(owner.starts_with(base), "{owner}");
        let asked = server.asked();
        let acquire = asked.iter().rev().find(|asked| asked.method == "POST").unwrap();
        assert_eq!(acquire.body["owner"]["id"], owner);
        owners.push(owner);
    }
    assert_ne!(owners[0], owners[1]);
}

#[tokio::test]
async fn what_cannot_be_run_releases_the_lock() {
    let server = Scripted::start(kind).await;
    let stage = stage(&[&server.url], Format::Table, &[]);
    let mut args = args("acme/infra", "");
    args.command = vec!["/does/not/exist".into()];
    assert_eq!(go(&stage, &args).await, exit::NOT_FOUND);
    args.command = vec!["/etc/hostname".into()];
    assert_eq!(go(&stage, &args).await, exit::NOT_EXECUTABLE);
    assert_eq!(server.count("DELETE", "/api/v1/locks/L1"), 2);
}

#[tokio::test]
async fn not_acquired_and_unreachable_start_nothing() {
    let nobody = Scripted::nobody().await;
    let file = tempfile::tempdir().unwrap();
    let script = format!("touch {}/ran", file.path().display());
    for (play, code) in [
        ((|| refused(409, "held")) as fn() -> Play, 121),
        (|| refused(429, "queue_full"), 121),
        (|| refused(403, "forbidden"), 121),
        (|| refused(410, "queue_timeout"), 121),
        (|| refused(400, "invalid_request"), 120),
        (|| Play::RetryNow(503, json!({"code": "backend_unavailable"})), 123),
    ] {
        let server = Scripted::start(move |_, _| play()).await;
        let stage = stage(&[&server.url], Format::Table, &[]);
        assert_eq!(go(&stage, &args("acme/infra", &script)).await, code, "{}", stage.err.text());
    }
    let stage = stage(&[&nobody], Format::Table, &[]);
    assert_eq!(go(&stage, &args("acme/infra", &script)).await, exit::UNREACHABLE);
    assert_eq!(go(&stage, &args("acme/infra --wait 200ms", &script)).await, exit::UNREACHABLE);
    assert!(!file.path().join("ran").exists());
}

#[tokio::test]
async fn the_same_resource_again_from_within_exits_at_once() {
    let holder = json!({"id": "L0", "owner": {"id": "outer:run:1"}});
    // A server may refuse it, or queue it like anybody else.
    for (status, body) in [
        (409, json!({"code": "held", "holders": [holder]})),
        (202, json!({"status": "queued", "ticket": {"id": "T1", "position": 1}, "holders": [holder]})),
    ] {
        let server = Scripted::start(move |_, asked| match asked.method.as_str() {
            "DELETE" => Play::Reply(204, Value::Null),
            _ => Play::Reply(status, body.clone()),
        })
        .await;
        let stage = stage(&[&server.url], Format::Table, &[("LOCKKEEPER_OWNER", "outer:run:1")]);
        assert_eq!(go(&stage, &args("acme/infra --wait 1h", "exit 0")).await, exit::NOT_ACQUIRED);
        assert!(stage.err.text().contains("an outer `lockkeeper run` has it"), "{}", stage.err.text());
        assert_eq!(server.count("DELETE", "/api/v1/tickets/T1"), usize::from(status == 202));
    }
}

#[tokio::test]
async fn the_lease_is_renewed_while_the_command_runs() {
    let server = Scripted::start(|_, asked| match asked.method.as_str() {
        "DELETE" => Play::Reply(200, json!({"released": lock("1s")})),
        _ => granted("1.5s"),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let stage = stage(&[&server.url], Format::Table, &[]);
    let script = format!("while [ ! -e {0}/go ]; do sleep 0.02; done", dir.path().display());
    let args = args("acme/infra --ttl 1.5s", &script);
    let renewals = async {
        let look = async {
            while server.count("POST", "/api/v1/locks/L1/renew") < 3 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, look).await.unwrap();
        std::fs::write(dir.path().join("go"), "").unwrap();
    };
    let (code, ()) = tokio::join!(go(&stage, &args), renewals);
    assert_eq!(code, 0, "{}", stage.err.text());
    let asked = server.asked();
    let renewal = asked.iter().find(|asked| asked.target.ends_with("/renew")).unwrap();
    assert_eq!(renewal.body, json!({"fencing_token": 7, "ttl": "1.5s"}));
}

#[tokio::test]
async fn a_lost_lock_stops_the_command_and_all_it_started() {
    for (status, code) in [(409, "stale_token"), (410, "forced"), (404, "not_found")] {
        let server = Scripted::start(move |_, asked| match asked.target.ends_with("/renew") {
            true => refused(status, code),
            false => granted("300ms"),
        })
        .await;
        let dir = tempfile::tempdir().unwrap();
        let stage = stage(&[&server.url], Format::Table, &[]);
        // The inner shell outlives the outer one, cleans up on TERM, and must be waited for.
        let script = format!(
            "sh -c 'trap \"sleep 0.1; touch {0}/clean; exit 0\" TERM; while :; do sleep 0.02; done' & wait",
            dir.path().display()
        );
        assert_eq!(go(&stage, &args("acme/infra --ttl 300ms", &script)).await, exit::LOST, "{code}");
        assert!(dir.path().join("clean").exists(), "{code}: {}", stage.err.text());
        assert_eq!(server.count("DELETE", "/"), 0, "there is nothing to release");
    }
}

#[tokio::test]
async fn a_command_that_ignores_term_is_killed() {
    let server = Scripted::start(|_, asked| match asked.target.ends_with("/renew") {
        true => refused(410, "expired"),
        false => granted("300ms"),
    })
    .await;
    let stage = stage(&[&server.url], Format::Table, &[]);
    let args =
        args("acme/infra --ttl 300ms --kill-after 100ms", "trap '' TERM; while :; do sleep 0.02; done");
    assert_eq!(go(&stage, &args).await, exit::LOST);
}

#[tokio::test]
async fn unreachable_until_the_leases_end_is_lost() {
    for play in [
        || Play::Drop,
        || Play::Hang,
        || refused(503, "backend_unavailable"),
        || Play::Reply(404, Value::Null),
    ] {
        let server = Scripted::start(move |_, asked| match asked.target.ends_with("/renew") {
            true => play(),
            false => granted("400ms"),
        })
        .await;
        let stage = stage(&[&server.url], Format::Table, &[]);
        let begun = Instant::now();
        assert_eq!(go(&stage, &args("acme/infra --ttl 400ms", "sleep 60")).await, exit::LOST);
        assert!(begun.elapsed() >= Duration::from_millis(380), "given up before the lease ended");
        assert!(server.count("POST", "/api/v1/locks/L1/renew") > 1);
    }
}

#[tokio::test]
async fn a_renewal_goes_to_the_next_server_when_the_first_falls_silent() {
    let silent = Scripted::start(|_, asked| match asked.target.ends_with("/renew") {
        true => Play::Hang,
        false => granted("900ms"),
    })
    .await;
    let other = Scripted::start(kind).await;
    let stage = stage(&[&silent.url, &other.url], Format::Table, &[]);
    let (sender, signals) = Signals::scripted();
    let args = args("acme/infra --ttl 900ms", "sleep 60");
    let trigger = async {
        other.until("POST", "/api/v1/locks/L1/renew").await;
        sender.send(Stop::Term).unwrap();
    };
    let (code, ()) = tokio::join!(run(&stage.ctx, &args, Some(signals)), trigger);
    assert_eq!(code, 143, "{}", stage.err.text());
    assert_eq!(other.count("DELETE", "/api/v1/locks/L1"), 1);
}

#[tokio::test]
async fn signals_are_forwarded_and_the_lock_is_released_when_all_is_done() {
    for (stop, trap, code) in [(Stop::Int, "INT", 130), (Stop::Term, "TERM", 143), (Stop::Hup, "HUP", 129)] {
        let server = Scripted::start(kind).await;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display();
        let stage = stage(&[&server.url], Format::Table, &[]);
        let (sender, signals) = Signals::scripted();
        // The trap counts: a signal must arrive once, and what it ends may take a moment.
        let script = format!(
            "trap 'echo x >> {path}/seen; sleep 0.1; trap - {trap}; kill -{trap} $$' {trap}; \
             touch {path}/begun; while :; do sleep 0.02; done"
        );
        let args = args("acme/infra", &script);
        let trigger = async {
            until_exists(&dir.path().join("begun")).await;
            sender.send(stop).unwrap();
        };
        let (got, ()) = tokio::join!(run(&stage.ctx, &args, Some(signals)), trigger);
        assert_eq!(got, code);
        assert_eq!(std::fs::read_to_string(dir.path().join("seen")).unwrap(), "x\n");
        assert_eq!(server.count("DELETE", "/api/v1/locks/L1"), 1);
    }
}

#[tokio::test]
async fn a_signal_while_waiting_cancels_the_ticket() {
    let server = Scripted::start(|before, asked| match (before, asked.method.as_str()) {
        (0, _) => Play::Reply(202, json!({"status": "queued", "ticket": {"id": "T1", "position": 2}})),
        (_, "DELETE") => Play::Reply(204, Value::Null),
        _ => Play::Hang,
    })
    .await;
    let stage = stage(&[&server.url], Format::Table, &[]);
    let (sender, signals) = Signals::scripted();
    let args = args("acme/infra --wait 1h", "exit 0");
    let trigger = async {
        server.until("GET", "/api/v1/tickets/T1").await;
        stage.err.until("position 2").await;
        sender.send(Stop::Int).unwrap();
    };
    let (code, ()) = tokio::join!(run(&stage.ctx, &args, Some(signals)), trigger);
    assert_eq!(code, 130);
    assert_eq!(server.count("DELETE", "/api/v1/tickets/T1"), 1);
}

#[tokio::test]
async fn a_lock_that_was_waited_for_is_renewed_before_the_command_starts() {
    // The poll is counted from when it was sent: of a lease shorter than any exchange nothing is left.
    let server = Scripted::start(|before, asked| match (before, asked.method.as_str()) {
        (0, _) => Play::Reply(202, json!({"status": "queued", "ticket": {"id": "T1"}})),
        (_, "GET") => granted("1us"),
        _ => kind(before, asked),
    })
    .await;
    let stage = stage(&[&server.url], Format::Table, &[]);
    assert_eq!(go(&stage, &args("acme/infra --wait 10s", "exit 5")).await, 5, "{}", stage.err.text());
    assert_eq!(server.count("POST", "/api/v1/locks/L1/renew"), 1);
}

#[tokio::test]
async fn a_lock_lost_before_the_commands_end_is_told_at_the_release() {
    for (code, wanted) in [("forced", 122), ("expired", 122), ("released", 0)] {
        let server = Scripted::start(move |_, asked| match asked.method.as_str() {
            "DELETE" => refused(410, code),
            _ => granted("2m0s"),
        })
        .await;
        let stage = stage(&[&server.url], Format::Table, &[]);
        assert_eq!(go(&stage, &args("acme/infra", "exit 0")).await, wanted, "{code}");
    }
}

#[tokio::test]
async fn a_release_is_repeated_under_one_request_id_and_gives_up_in_time() {
    let server = Scripted::start(|before, asked| match (asked.method.as_str(), before) {
        ("DELETE", 0..3) => Play::Drop,
        ("DELETE", _) => refused(410, "released"),
        _ => granted("2m0s"),
    })
    .await;
    let first = stage(&[&server.url], Format::Table, &[]);
    assert_eq!(go(&first, &args("acme/infra", "exit 4")).await, 4);
    let keys: Vec<_> = server
        .asked()
        .iter()
        .filter_map(|asked| asked.header("idempotency-key").map(str::to_owned))
        .collect();
    assert!(keys.len() == 3 && keys.windows(2).all(|pair| pair[0] == pair[1]), "{keys:?}");

    let gone = Scripted::start(|_, asked| match asked.method.as_str() {
        "DELETE" => Play::Drop,
        _ => granted("500ms"),
    })
    .await;
    let second = stage(&[&gone.url], Format::Table, &[]);
    assert_eq!(go(&second, &args("acme/infra --ttl 500ms", "exit 4")).await, 4);
    assert!(second.err.text().contains("could not be released"), "{}", second.err.text());
}

#[tokio::test]
async fn a_lock_that_cannot_be_confirmed_starts_nothing() {
    for (status, code, wanted) in
        [(410, "expired", exit::LOST), (503, "backend_unavailable", exit::UNREACHABLE)]
    {
        let server = Scripted::start(move |_, asked| match asked.target.ends_with("/renew") {
            true => refused(status, code),
            false => granted("0s"),
        })
        .await;
        let dir = tempfile::tempdir().unwrap();
        let stage = stage(&[&server.url], Format::Table, &[]);
        let script = format!("touch {}/ran", dir.path().display());
        assert_eq!(go(&stage, &args("acme/infra", &script)).await, wanted, "{code}");
        assert!(!dir.path().join("ran").exists());
    }
}
