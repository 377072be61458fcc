//! Each command against canned answers.

use super::super::options::Format;
use super::super::signals::{Signals, Stop};
use super::super::testing::{Asked, Play, Scripted, Stage, stage};
use super::super::tests::command;
use super::super::{ClientCommand, dispatch};
use serde_json::{Value, json};

fn lock(id: &str) -> Value {
    json!({"id": id, "state": "held", "owner": {"id": "acme/infra#41"}, "fencing_token": 7, "mode": "exclusive",
        "resource": {"namespace": "acme/infra", "path": ".", "workspace": "default", "project_name": ""},
        "acquired_at": "2026-01-01T00:00:00.000Z", "expires_at": "2026-01-01T00:30:00.000Z", "expires_in": "30m0s"})
}

fn acquired() -> Play {
    Play::Reply(200, json!({"status": "acquired", "reentrant": false, "lock": lock("L1")}))
}

fn queued(position: u64) -> Play {
    Play::Reply(
        202,
        json!({"status": "queued", "ticket": {"id": "T1", "position": position}, "holders": [lock("L0")]}),
    )
}

fn refused(status: u16, code: &str) -> Play {
    Play::Reply(status, json!({"title": "Refused", "code": code, "holders": [lock("L0")]}))
}

async fn on(
    line: &str,
    output: Format,
    play: impl Fn(usize, &Asked) -> Play + Send + Sync + 'static,
) -> (u8, Stage, Scripted) {
    let server = Scripted::start(play).await;
    let stage = stage(&[&server.url], output, &[("USER", "carol")]);
    let (_sender, signals) = Signals::scripted();
    let code = match command(line) {
        ClientCommand::Acquire(args) => super::acquire::run(&stage.ctx, &args, Some(signals)).await,
        ClientCommand::Wait(args) => super::wait::run(&stage.ctx, &args, Some(signals)).await,
        other => Ok(dispatch(&stage.ctx, &other).await),
    };
    let code = code.unwrap_or_else(|error| {
        stage.ctx.console.say(error);
        1
    });
    (code, stage, server)
}

#[tokio::test]
async fn acquire_sends_what_was_asked_and_prints_the_lock() {
    let line =
        "lockkeeper acquire acme/infra --ttl 5m --priority high --pull 41 --metadata a=b --request-id r";
    let (code, stage, server) = on(line, Format::Table, |_, _| acquired()).await;
    assert_eq!(code, 0);
    let out = stage.out.text();
    assert!(out.contains("L1") && out.contains(" 7 ") && out.contains("in 30m"), "{out}");
    assert_eq!(
        server.asked()[0].body,
        json!({"resource": {"namespace": "acme/infra"}, "owner": {"id": "carol@host", "pull": {"num": 41}},
            "priority": "high", "ttl": "5m", "metadata": {"a": "b"}, "request_id": "r"})
    );
}

#[tokio::test]
async fn acquire_retries_under_the_same_fresh_request_id() {
    let (code, _, server) =
        on(
            "lockkeeper acquire acme/infra",
            Format::Name,
            |before, _| {
                if before == 0 { Play::Drop } else { acquired() }
            },
        )
        .await;
    let asked = server.asked();
    assert_eq!((code, asked.len()), (0, 2));
    assert_eq!(asked[0].body, asked[1].body);
    assert_eq!(asked[0].body["request_id"].as_str().unwrap().len(), 32);
}

#[tokio::test]
async fn not_acquired_exits_3_and_names_the_holder() {
    for (line, play, wanted) in [
        ("lockkeeper acquire acme/infra", (|| refused(409, "held")) as fn() -> Play, ""),
        ("lockkeeper acquire acme/infra --queue", || queued(2), "T1\n"),
    ] {
        let (code, stage, _server) = on(line, Format::Name, move |_, _| play()).await;
        assert_eq!((code, stage.out.text().as_str()), (3, wanted), "{line}");
        assert!(stage.err.text().contains("held by acme/infra#41 since "), "{}", stage.err.text());
    }
    let (code, stage, _server) =
        on("lockkeeper acquire acme/infra", Format::Name, |_, _| refused(403, "forbidden")).await;
    assert_eq!((code, stage.out.text().as_str()), (1, ""));
}

#[tokio::test]
async fn a_wait_survives_lost_polls_and_restarts() {
    let (code, stage, server) =
        on("lockkeeper acquire acme/infra --wait 5m", Format::Name, |before, _| match before {
            0 => queued(2),
            1 => Play::Reply(200, json!({"ahead": [{"owner": {"id": "acme/infra#43"}}], "ahead_total": 1})),
            2 => Play::Drop,
            3 => Play::RetryNow(503, json!({"code": "shutting_down"})),
            4 => queued(1),
            _ => acquired(),
        })
        .await;
    assert_eq!((code, stage.out.text().as_str()), (0, "L1\n"));
    let asked = server.asked();
    assert_eq!((&asked[0].body["queue"], &asked[0].body["queue_timeout"]), (&json!(true), &json!("5m0s")));
    assert!(asked[0].body.get("wait").is_none());
    assert!(asked[1].is("GET", "/api/v1/tickets/T1/why"));
    assert!(asked[2..].iter().all(|asked| asked.is("GET", "/api/v1/tickets/T1?wait=")));
    assert_eq!(asked[2].target, "/api/v1/tickets/T1?wait=50s");
    let said = stage.err.text();
    assert!(said.contains("position 2; held by acme/infra#41 since "), "{said}");
    assert!(said.contains(" unless renewed), next is acme/infra#43\n"), "{said}");
}

#[tokio::test]
async fn those_ahead_are_named_and_counted() {
    for (names, total, wanted) in [
        (&["a", "b"][..], 2, "next are a and b\n"),
        (&["a", "b", "c"], 3, "next are a, b and c\n"),
        (&["a", "b", "c", "d"], 120, "next are a, b, c and 117 more\n"),
        // An older server, or the ticket has moved on: then nothing is said.
        (&[], 0, "unless renewed)\n"),
    ] {
        let ahead: Vec<Value> = names.iter().map(|name| json!({"owner": {"id": name}})).collect();
        let why = json!({"ahead": ahead, "ahead_total": total});
        let (code, stage, _server) =
            on("lockkeeper acquire acme/infra --wait 5m", Format::Name, move |before, asked| {
                match (before, asked.target.ends_with("/why")) {
                    (0, _) => queued(total + 1),
                    (_, true) => Play::Reply(if total == 0 { 404 } else { 200 }, why.clone()),
                    _ => acquired(),
                }
            })
            .await;
        let said = stage.err.text();
        assert!(code == 0 && said.contains(wanted), "{said}");
    }
}

#[tokio::test]
async fn the_end_of_a_wait_takes_the_ticket_back_unless_it_was_asked_to_stay() {
    let play = |_: usize, asked: &Asked| match asked.method.as_str() {
        "DELETE" => Play::Reply(204, Value::Null),
        _ => queued(1),
    };
    let (code, stage, server) = on("lockkeeper acquire acme/infra --wait 0.15s", Format::Name, play).await;
    assert_eq!((code, server.count("DELETE", "/api/v1/tickets/T1")), (3, 1));
    assert_eq!(stage.out.text(), "");
    assert!(stage.err.text().contains("not acquired within 0.15s\n"), "{}", stage.err.text());

    let (code, stage, server) =
        on("lockkeeper acquire acme/infra --queue --wait 150ms", Format::Name, play).await;
    assert_eq!((code, server.count("DELETE", "/")), (3, 0));
    assert_eq!(stage.out.text(), "T1\n");
}

#[tokio::test]
async fn a_turn_that_comes_in_the_last_moment_is_taken() {
    let (code, stage, _server) =
        on("lockkeeper acquire acme/infra --wait 100ms", Format::Name, |_, asked| {
            match (asked.method.as_str(), asked.target.contains("wait=0s")) {
                ("DELETE", _) => Play::Reply(409, json!({"code": "already_granted", "lock": lock("L1")})),
                ("GET", true) => acquired(),
                _ => queued(1),
            }
        })
        .await;
    // Granted by the last poll or after the refused cancellation: either way it is ours.
    assert_eq!((code, stage.out.text().as_str()), (0, "L1\n"));
}

#[tokio::test]
async fn a_ticket_that_ends_exits_3_with_the_reason() {
    let (code, stage, _server) =
        on("lockkeeper wait T1", Format::Name, |_, _| refused(410, "queue_timeout")).await;
    assert_eq!(code, 3);
    assert!(stage.err.text().contains("queue_timeout"));
}

#[tokio::test]
async fn a_wait_that_the_server_ends_first_was_in_vain_too() {
    let play = |_: usize, asked: &Asked| match asked.target.contains("wait=0s") {
        true => refused(410, "queue_timeout"),
        false => queued(1),
    };
    let line = "lockkeeper acquire acme/infra --wait 150ms";
    let (code, stage, server) = on(line, Format::Name, play).await;
    assert_eq!((code, server.count("DELETE", "/")), (3, 0));
    assert!(stage.err.text().contains("not acquired within 150ms\n"), "{}", stage.err.text());
    // Long before the end it is the ticket that timed out, and not the wait.
    let play = |before: usize, _: &Asked| if before == 0 { queued(1) } else { refused(410, "queue_timeout") };
    let line = "lockkeeper acquire acme/infra --wait 5m --queue-timeout 1s";
    let (code, stage, _server) = on(line, Format::Name, play).await;
    let said = stage.err.text();
    assert!(code == 3 && said.contains("queue_timeout") && said.contains("--wait 10m"), "{said}");
}

#[tokio::test]
async fn a_signal_while_waiting_cancels_the_ticket() {
    for (stop, wanted) in [(Stop::Int, 130), (Stop::Term, 143)] {
        let server = Scripted::start(|before, asked| match (before, asked.method.as_str()) {
            (0, _) => queued(1),
            (_, "DELETE") => Play::Reply(204, Value::Null),
            _ => Play::Hang,
        })
        .await;
        let stage = stage(&[&server.url], Format::Table, &[]);
        let (sender, signals) = Signals::scripted();
        let ClientCommand::Acquire(args) = command("lockkeeper acquire acme/infra --wait 1h") else {
            panic!()
        };
        let trigger = async {
            server.until("GET", "/api/v1/tickets/T1").await;
            sender.send(stop).unwrap();
        };
        let (code, ()) = tokio::join!(super::acquire::run(&stage.ctx, &args, Some(signals)), trigger);
        assert_eq!(code.unwrap(), wanted);
        assert_eq!(server.count("DELETE", "/api/v1/tickets/T1"), 1);
    }
}

#[tokio::test]
async fn a_signal_in_the_moment_of_the_grant_releases_the_lock() {
    let server =
        Scripted::start(|before, asked| match (before, asked.method.as_str(), asked.target.as_str()) {
            (0, _, _) => queued(1),
            (_, "DELETE", "/api/v1/tickets/T1") => {
                Play::Reply(409, json!({"code": "already_granted", "lock": lock("L9")}))
            }
            (_, "DELETE", _) => Play::Reply(200, json!({"released": lock("L9")})),
            _ => Play::Hang,
        })
        .await;
    let stage = stage(&[&server.url], Format::Table, &[]);
    let (sender, signals) = Signals::scripted();
    let ClientCommand::Acquire(args) = command("lockkeeper acquire acme/infra --wait 1h") else { panic!() };
    let trigger = async {
        server.until("GET", "/api/v1/tickets/T1").await;
        sender.send(Stop::Int).unwrap();
    };
    let (code, ()) = tokio::join!(super::acquire::run(&stage.ctx, &args, Some(signals)), trigger);
    assert_eq!(code.unwrap(), 130);
    assert_eq!(server.count("DELETE", "/api/v1/locks/L9?fencing_token=7"), 1);
}

#[tokio::test]
async fn a_release_whose_answer_was_lost_is_done() {
    let play = |before: usize, _: &Asked| match before {
        0 => Play::Drop,
        _ => refused(410, "released"),
    };
    let (code, _, server) = on("lockkeeper release L1 --fencing-token 7", Format::Table, play).await;
    let asked = server.asked();
    assert_eq!(code, 0);
    assert!(asked[0].is("DELETE", "/api/v1/locks/L1?fencing_token=7"));
    assert!(asked[0].header("idempotency-key").is_some());
    assert_eq!(asked[0].header("idempotency-key"), asked[1].header("idempotency-key"));

    let (code, ..) =
        on("lockkeeper release L1 --fencing-token 7", Format::Table, |_, _| refused(410, "released")).await;
    assert_eq!(code, 1);
}

#[tokio::test]
async fn list_follows_the_cursor_and_stops_at_its_limit() {
    let play = |_: usize, asked: &Asked| {
        let next = if asked.target.contains("cursor=c1") { Value::Null } else { json!("c1") };
        Play::Reply(
            200,
            json!({"locks": [lock("A"), lock("B")], "next_cursor": next, "as_of": "t", "new": 1}),
        )
    };
    let (code, stage, server) = on("lockkeeper list --owner x --consistent", Format::Name, play).await;
    assert_eq!((code, stage.out.text().as_str()), (0, "A\nB\nA\nB\n"));
    assert_eq!(server.asked()[0].target, "/api/v1/locks?owner=x&consistent=true&limit=1000");
    let (_, stage, server) = on("lockkeeper list --limit 1", Format::Jsonl, play).await;
    assert_eq!((stage.out.text().lines().count(), server.asked().len()), (1, 1));
    let (_, stage, _) = on("lockkeeper list --limit 3", Format::Json, play).await;
    let whole: Value = serde_json::from_str(&stage.out.text()).unwrap();
    assert_eq!((whole["locks"].as_array().unwrap().len(), &whole["as_of"]), (3, &json!("t")));
}

#[tokio::test]
async fn show_finds_locks_tickets_and_resources() {
    const ID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let line = format!("lockkeeper show {ID}");
    let (code, stage, server) =
        on(&line, Format::Table, |_, _| Play::Reply(200, json!({"lock": lock("L1")}))).await;
    assert!(code == 0 && stage.out.text().contains("L1"));
    assert!(server.asked()[0].is("GET", &format!("/api/v1/locks/{ID}")));

    let (code, stage, _) = on(&line, Format::Table, |_, asked| match asked.target.contains("/tickets/") {
        true => queued(4),
        false => refused(404, "not_found"),
    })
    .await;
    assert!(code == 0 && stage.out.text().contains("T1"), "{}", stage.out.text());

    // An ended lock says why it ended, not that there is no such ticket.
    let (code, stage, _) = on(&line, Format::Table, |_, asked| match asked.target.contains("/tickets/") {
        true => refused(404, "not_found"),
        false => refused(410, "forced"),
    })
    .await;
    assert!(code == 1 && stage.err.text().contains("forced"));

    let play = |_: usize, _: &Asked| {
        Play::Reply(200, json!({"resource": {}, "holders": [lock("L1")], "tickets": []}))
    };
    let (code, stage, server) = on("lockkeeper show acme/infra:net", Format::Table, play).await;
    assert!(code == 0 && stage.out.text().contains("L1"));
    let target = &server.asked()[0].target;
    assert!(
        target.starts_with("/api/v1/queues?namespace=acme%2Finfra&path=net&workspace=default"),
        "{target}"
    );
}

#[tokio::test]
async fn queue_shows_all_or_one_and_a_free_resource_is_no_error() {
    let queue = json!({"resource": {"id": "r1", "namespace": "a/b", "path": ".", "workspace": "w"},
        "depth": {"normal": 1}, "holders": [lock("L1")], "tickets": [{"id": "T1"}]});
    let body = json!({"queues": [queue], "next_cursor": null});
    for (line, text) in [("lockkeeper queue", "r1\n"), ("lockkeeper queue a/b", "L1\nT1\n")] {
        let body = body.clone();
        let (code, stage, _) = on(line, Format::Name, move |_, _| Play::Reply(200, body.clone())).await;
        assert_eq!((code, stage.out.text().as_str()), (0, text));
    }
    // The queue itself, and a list that shows less of it: what is shown is the whole, and once.
    let mut both = body["queues"][0].clone();
    both["tickets"] = json!([{"id": "T1"}, {"id": "T2"}]);
    both["queues"] = body["queues"].clone();
    both["next_cursor"] = Value::Null;
    for (format, text) in [(Format::Name, "L1\nT1\nT2\n"), (Format::Json, "\"T2\"")] {
        for line in ["lockkeeper queue a/b", "lockkeeper show a/b"] {
            let both = both.clone();
            let (code, stage, _) = on(line, format, move |_, _| Play::Reply(200, both.clone())).await;
            let out = stage.out.text();
            assert!(code == 0 && out.contains(text) && !out.contains("queues"), "{line}: {out}");
        }
    }
    for (line, wanted) in [("lockkeeper queue a/b", 0), ("lockkeeper show a/b", 1)] {
        let (code, stage, _) = on(line, Format::Table, |_, _| refused(404, "not_found")).await;
        assert!(code == wanted && stage.err.text().contains("nobody holds a/b"), "{}", stage.err.text());
    }
}

#[tokio::test]
async fn status_asks_every_server_and_fails_when_none_can_grant() {
    let play = |can_grant: bool| {
        move |_: usize, asked: &Asked| match asked.target.as_str() {
            "/readyz" if can_grant => Play::Reply(200, json!({"can_grant": true, "phase": "granting"})),
            "/readyz" => {
                Play::Reply(503, json!({"can_grant": false, "phase": "sealed", "reason": "r", "action": "a"}))
            }
            "/version" if can_grant => {
                Play::Reply(200, json!({"version": "9.9.9", "features": ["instances", "store-warnings"]}))
            }
            "/version" => Play::Reply(200, json!({"version": "9.9.9", "features": []})),
            "/api/v1/instances" => Play::Reply(200, json!({"instances": [{"id": "one"}, {"id": "two"}]})),
            "/api/locks/health" => Play::Reply(
                200,
                json!({"warnings": ["persistence is off"], "state": "degraded", "circuit_state": "half_open",
                    "reasons": ["persistence is off", "the last probe took 1s"]}),
            ),
            _ => Play::Reply(200, json!({"totals": {"locks_held": 3}, "resources": []})),
        }
    };
    let (code, stage, _good) = on("lockkeeper status", Format::Table, play(true)).await;
    let out = stage.out.text();
    assert!(
        code == 0 && out.contains("granting") && out.contains("9.9.9") && out.contains("locks held"),
        "{out}"
    );
    assert!(out.contains("degraded") && out.contains("half-open"), "{out}");
    assert!(
        out.contains("WARNING\npersistence is off\nthe last probe took 1s\n") && out.contains("\ntwo "),
        "{out}"
    );
    let (code, stage, _bad) = on("lockkeeper status", Format::Table, play(false)).await;
    let out = stage.out.text();
    assert!(code == 1 && out.contains("r; a") && !out.contains("INSTANCE"), "{out}");

    let nobody = Scripted::nobody().await;
    let good = Scripted::start(play(true)).await;
    let both = super::super::testing::stage(&[&nobody, &good.url], Format::Table, &[]);
    assert_eq!(dispatch(&both.ctx, &command("lockkeeper status")).await, 0);
    assert!(both.out.text().contains("unreachable"));
}

#[tokio::test]
async fn instances_are_listed_and_the_one_that_answers_is_marked() {
    let play = |_: usize, _: &Asked| {
        let one = json!({"id": "one", "incarnation": "one-1", "address": "h:1", "version": "1.0", "self": false,
            "started_at": "2026-01-01T00:00:00.000Z", "seen_at": "2026-01-01T00:00:00.000Z"});
        let mut two = one.clone();
        (two["id"], two["self"]) = (json!("two"), json!(true));
        Play::Reply(200, json!({"instances": [one, two], "as_of": "2026-01-01T00:00:00.000Z"}))
    };
    let (code, stage, server) = on("lockkeeper instances", Format::Wide, play).await;
    let out = stage.out.text();
    let rows: Vec<&str> = out.lines().collect();
    assert!(code == 0 && rows.len() == 3 && server.asked()[0].is("GET", "/api/v1/instances"), "{out}");
    assert!(rows[1].contains("h:1") && rows[1].ends_with("one-1") && !rows[1].contains("yes"), "{out}");
    assert!(rows[2].contains("yes"), "{out}");
    assert_eq!(on("lockkeeper instances", Format::Name, play).await.1.out.text(), "one\ntwo\n");
    let nobody = |_: usize, _: &Asked| Play::Reply(200, json!({"instances": [], "as_of": null}));
    let (code, stage, _) = on("lockkeeper instances", Format::Table, nobody).await;
    assert!(code == 0 && stage.err.text().contains("not reached its store"), "{}", stage.err.text());
}

#[tokio::test]
async fn actors_are_listed_with_what_is_refused() {
    let play = |quarantined: Value| {
        move |_: usize, _: &Asked| {
            let actor = |name: &str, alive: bool, restarts: u64, died: Value| {
                json!({"name": name, "kind": "reaper", "alive": alive, "restarts": restarts,
                    "last_death": died, "unstable": !alive})
            };
            let actors = [
                actor("reaper", true, 0, json!(null)),
                actor("health", false, 7, json!("2026-01-01T00:00:00.000Z")),
            ];
            Play::Reply(200, json!({"actors": actors, "queue_actors": 3, "quarantined": quarantined}))
        }
    };
    let (code, stage, server) = on("lockkeeper actors", Format::Table, play(json!([]))).await;
    let out = stage.out.text();
    let rows: Vec<&str> = out.lines().collect();
    assert!(code == 0 && rows.len() == 3 && server.asked()[0].is("GET", "/api/v1/actors"), "{out}");
    assert!(rows[1].starts_with("reaper ") && rows[1].contains("alive") && !rows[1].contains("ago"), "{out}");
    assert!(
        rows[2].contains("dead, unstable") && rows[2].contains("ago") && rows[2].contains(" 7 "),
        "{out}"
    );
    let one = json!([{"resource": "00ff", "key": "acme/infra/p/default/", "until": "2126-01-01T00:00:00.000Z", "deaths": 11}]);
    let (_, stage, _) = on("lockkeeper actors", Format::Table, play(one.clone())).await;
    let out = stage.out.text();
    assert!(out.contains("00ff") && out.contains("acme/infra/p/default/") && out.contains(" in "), "{out}");
    let (_, stage, _) = on("lockkeeper actors", Format::Json, play(one.clone())).await;
    assert_eq!(serde_json::from_str::<Value>(&stage.out.text()).unwrap()["quarantined"], one);
    assert_eq!(on("lockkeeper actors", Format::Name, play(json!([]))).await.1.out.text(), "reaper\nhealth\n");
}

#[tokio::test]
async fn settings_are_shown_with_what_waits_for_a_restart() {
    let play = |_: usize, _: &Asked| {
        let setting = |name: &str, value: Value, restart: bool, pending: Value| {
            json!({"name": name, "value": value, "default": 0, "source": "default", "restart": restart,
                "pending": pending, "allowed": "0 to 9"})
        };
        let settings = [
            setting("rate-limit.global", json!(5), false, json!(null)),
            setting("listen", json!("a"), true, json!("b")),
            setting("redis.url", json!([]), true, json!(null)),
        ];
        Play::Reply(200, json!({ "settings": settings }))
    };
    let (code, stage, server) = on("lockkeeper config get", Format::Table, play).await;
    let out = stage.out.text();
    let rows: Vec<&str> = out.lines().collect();
    assert!(code == 0 && rows.len() == 4 && server.asked()[0].is("GET", "/api/v1/config"), "{out}");
    assert!(rows[1].contains(" 5 ") && rows[1].ends_with("while running"), "{out}");
    assert!(rows[2].contains("a (b after a restart)") && rows[2].ends_with("at a restart"), "{out}");
    assert!(rows[3].contains(" [] "), "{out}");
    let (_, stage, server) = on("lockkeeper config get rate-limit", Format::Name, play).await;
    assert_eq!(stage.out.text(), "rate-limit.global\nlisten\nredis.url\n");
    assert_eq!(server.asked()[0].target, "/api/v1/config?name=rate-limit");
}

#[tokio::test]
async fn settings_are_changed_together_and_for_a_reason() {
    let line = "lockkeeper config set rate-limit.global=5 enabled=false --reason busy";
    let play = |_: usize, _: &Asked| {
        let changed = [json!({"name": "enabled", "from": true, "to": false})];
        Play::Reply(200, json!({"changed": changed, "scope": "this instance only"}))
    };
    let (code, stage, server) = on(line, Format::Table, play).await;
    let asked = &server.asked()[0];
    assert!(code == 0 && asked.is("PATCH", "/api/v1/config"));
    assert_eq!(
        asked.body,
        json!({"changes": {"rate-limit.global": "5", "enabled": "false"}, "reason": "busy"})
    );
    assert!(stage.out.text().contains("enabled") && stage.err.text().contains("this instance only"));
    // Nothing was different.
    let play = |_: usize, _: &Asked| Play::Reply(200, json!({"changed": [], "scope": "x"}));
    let (code, stage, _) = on(line, Format::Table, play).await;
    assert!(code == 0 && stage.out.text().is_empty() && stage.err.text().contains("nothing changed"));
    // The same name twice would be one of them by chance.
    let twice = "lockkeeper config set enabled=true enabled=false --reason r";
    let (code, stage, server) = on(twice, Format::Table, play).await;
    assert!(code == 2 && server.asked().is_empty() && stage.err.text().contains("second time"));
}

#[tokio::test]
async fn unlock_pull_is_not_repeated_blindly() {
    let line = "lockkeeper unlock-pull --repo acme/infra 42";
    let (code, _, server) = on(line, Format::Table, |_, _| Play::Drop).await;
    assert_eq!((code, server.asked().len()), (1, 1));
    let bounded = format!("{line} --acquired-before 2026-01-01T00:00:00Z");
    let play = |before: usize, _: &Asked| match before {
        0 => Play::Drop,
        _ => Play::Reply(200, json!({"released": [lock("L1")], "cancelled": [{"id": "T1"}]})),
    };
    let (code, stage, server) = on(&bounded, Format::Name, play).await;
    assert_eq!((code, stage.out.text().as_str()), (0, "L1\nT1\n"));
    assert!(stage.err.text().contains("1 lock released, 1 ticket cancelled"), "{}", stage.err.text());
    assert_eq!(
        server.asked()[0].body,
        json!({"namespace": "acme/infra", "pull": 42, "acquired_before": "2026-01-01T00:00:00Z"})
    );
}

#[tokio::test]
async fn force_release_gives_its_reason() {
    let (code, stage, server) = on("lockkeeper force-release L1 --reason stuck", Format::Name, |_, _| {
        Play::Reply(200, json!({"released": lock("L1"), "granted_to": lock("L2")}))
    })
    .await;
    assert_eq!((code, stage.out.text().as_str()), (0, "L1\n"));
    assert_eq!(server.asked()[0].body, json!({"reason": "stuck"}));
    assert!(stage.err.text().contains("went to acme/infra#41"));
}
