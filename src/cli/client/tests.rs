//! Failover, repeats and their limits.

use super::super::options::Format;
use super::super::testing::{Play, Scripted, options, stage};
use super::*;
use serde_json::json;

fn problem(code: &str) -> Value {
    json!({"title": code, "code": code, "detail": "d"})
}

#[tokio::test]
async fn the_next_server_gets_the_same_request_id() {
    let away = Scripted::start(|_, _| Play::Reply(503, problem("shutting_down"))).await;
    let lost = Scripted::start(|_, _| Play::Drop).await;
    let good = Scripted::start(|_, _| Play::Reply(200, json!({"ok": true}))).await;
    let nobody = Scripted::nobody().await;
    let stage = stage(&[&nobody, &away.url, &lost.url, &good.url], Format::Table, &[]);
    let call = Call::post(&["x"], json!({"request_id": "r"})).idempotency_key("r".into());
    let answer = stage.ctx.client.call(&call, Patience::Rounds).await.unwrap();
    assert_eq!(answer.body, json!({"ok": true}));
    for server in [&away, &lost, &good] {
        let asked = server.asked();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].body, json!({"request_id": "r"}));
        assert_eq!(asked[0].header("idempotency-key"), Some("r"));
    }
    // The one that answered is asked first from now on.
    stage.ctx.client.call(&Call::get(&["y"]), Patience::Rounds).await.unwrap();
    assert_eq!(away.count("GET", "/y"), 0);
}

#[tokio::test]
async fn a_single_server_is_asked_again_after_a_lost_answer() {
    let server =
        Scripted::start(
            |before, _| if before == 0 { Play::Drop } else { Play::Reply(410, problem("released")) },
        )
        .await;
    let stage = stage(&[&server.url], Format::Table, &[]);
    let failure = stage.ctx.client.call(&Call::delete(&["x"]), Patience::Rounds).await.unwrap_err();
    assert_eq!((failure.code(), failure.unsure), ("released", true));
    assert_eq!(failure.problem().unwrap().request_id.as_deref(), Some("req-1"));
}

#[tokio::test]
async fn what_may_have_happened_is_not_repeated_unless_it_may_be() {
    for play in
        [|| Play::Drop, || Play::Reply(503, problem("outcome_unknown")), || Play::Reply(504, Value::Null)]
    {
        let first = Scripted::start(move |_, _| play()).await;
        let second = Scripted::start(|_, _| Play::Reply(200, json!({}))).await;
        let stage = stage(&[&first.url, &second.url], Format::Table, &[]);
        let call = Call::post(&["x"], json!({})).repeat(Repeat::IfNotDone);
        let failure = stage.ctx.client.call(&call, Patience::Rounds).await.unwrap_err();
        assert!(failure.unsure);
        assert_eq!(second.asked().len(), 0);
    }
}

#[tokio::test]
async fn retries_are_bounded_by_rounds_and_by_time() {
    let away = Scripted::start(|_, _| Play::RetryNow(503, problem("overloaded"))).await;
    let stage = stage(&[&away.url], Format::Table, &[]);
    let failure = stage.ctx.client.call(&Call::get(&["x"]), Patience::Rounds).await.unwrap_err();
    assert_eq!(failure.code(), "overloaded");
    assert!(!failure.unsure && failure.is_unreachable());
    assert_eq!(away.asked().len(), ROUNDS_MAX as usize);

    let end = Instant::now() + Duration::from_millis(300);
    let told = Cell::new(0);
    let call = Call::get(&["x"]);
    let tell = |_: &Failure| told.set(told.get() + 1);
    stage.ctx.client.call_telling(&call, Patience::Until(end), &tell).await.unwrap_err();
    assert!(Instant::now() >= end);
    assert_eq!(told.get(), 1);
}

#[tokio::test]
async fn a_silent_server_does_not_hold_up_the_call_beyond_its_deadline() {
    let silent = Scripted::start(|_, _| Play::Hang).await;
    let good = Scripted::start(|_, _| Play::Reply(200, json!({}))).await;
    let stage = stage(&[&silent.url, &good.url], Format::Table, &[]);
    let call = Call::get(&["x"]).reply_within(Duration::from_millis(100));
    stage.ctx.client.call(&call, Patience::Rounds).await.unwrap();
    assert_eq!(good.asked().len(), 1);
}

#[tokio::test]
async fn refusals_are_final_and_paths_are_escaped() {
    let server = Scripted::start(|_, _| Play::Reply(404, problem("not_found"))).await;
    let stage = stage(&[&format!("{}/base/", server.url)], Format::Table, &[]);
    let call = Call::get(&["locks", "a/b ?"]).with("n", "x&y");
    let failure = stage.ctx.client.call(&call, Patience::Rounds).await.unwrap_err();
    assert_eq!(failure.status(), 404);
    assert_eq!(server.asked().len(), 1);
    assert_eq!(server.asked()[0].target, "/base/locks/a%2Fb%20%3F?n=x%26y");
}

#[tokio::test]
async fn the_token_is_sent_and_never_shown() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "s3cret\n").unwrap();
    let server = Scripted::start(|_, _| Play::Reply(200, json!({}))).await;
    let mut options = options(&[&server.url], Format::Table);
    options.token_file = Some(file.path().into());
    let client = Client::new(&options).unwrap();
    client.call(&Call::get(&["x"]), Patience::Rounds).await.unwrap();
    assert_eq!(server.asked()[0].header("authorization"), Some("Bearer s3cret"));
    assert!(!format!("{client:?}").contains("s3cret"));

    std::fs::write(file.path(), " \n").unwrap();
    assert!(Client::new(&options).unwrap_err().contains("is empty"));
    options.token_file = Some("/does/not/exist".into());
    assert!(Client::new(&options).is_err());
}

#[tokio::test]
async fn certificates_are_not_needed_for_plain_http_and_checked_when_given() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "no pem").unwrap();
    let mut options = options(&["https://127.0.0.1:1"], Format::Table);
    options.ca_file = Some(file.path().into());
    assert!(Client::new(&options).unwrap_err().contains("no PEM certificate"));
}
