//! The description of the API, and the page that shows it without a network.

use super::{NOBODY, TestServer};
use serde_json::Value;
use std::process::{Command, Stdio};

/// Every `$ref` of a document.
fn refs(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str() {
                    Some(target) if name == "$ref" => found.push(target.to_owned()),
                    _ => refs(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| refs(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_description_is_whole_and_true() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let reply = client.get("/api/openapi.json").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"));
    let document = reply.body;
    assert!(
        document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")),
        "{}",
        document["openapi"]
    );
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut targets = Vec::new();
    refs(&document, &mut targets);
    for target in targets {
        let pointer = target.strip_prefix('#').unwrap_or_else(|| panic!("{target} is elsewhere"));
        assert!(document.pointer(pointer).is_some(), "{target} does not exist");
    }

    let paths = document["paths"].as_object().unwrap();
    for needed in [
        "/api/v1/locks",
        "/api/v1/locks/{id}",
        "/api/v1/locks/{id}/renew",
        "/api/v1/locks/{id}/force-release",
        "/api/v1/locks/release-by-pull",
        "/api/v1/tickets",
        "/api/v1/tickets/{id}",
        "/api/v1/tickets/{id}/why",
        "/api/v1/why",
        "/api/v1/queues",
        "/api/v1/queues/{resource_id}",
        "/api/v1/events",
        "/api/v1/stats",
        "/api/v1/instances",
        "/healthz",
        "/readyz",
        "/version",
        "/metrics",
        "/api/locks/health",
        "/api/locks/queue-status",
        "/api/locks/compatibility/status",
    ] {
        assert!(paths.contains_key(needed), "{needed} is not described");
    }
    let mut ids = Vec::new();
    for (path, operations) in paths {
        let real = path.replace("{id}", NOBODY).replace("{resource_id}", "0");
        assert!(!real.contains('{'), "{path}");
        for (method, operation) in operations.as_object().unwrap() {
            if !["get", "post", "delete", "put", "patch", "head"].contains(&method.as_str()) {
                continue;
            }
            ids.push(
                operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path}")).to_owned(),
            );
            assert!(
                operation["responses"].as_object().is_some_and(|responses| !responses.is_empty()),
                "{method} {path}"
            );
            if path == "/api/v1/events" {
                continue;
            }
            let reply = client.send(&method.to_uppercase(), &real, None).await;
            assert_ne!(reply.status, 405, "{method} {path}");
            // An id that nobody has is not found; a route that does not exist says so in other words.
            let unrouted = client.send(&method.to_uppercase(), "/nothing", None).await;
            let same =
                reply.status == 404 && reply.body["detail"].as_str().unwrap().contains("there is nothing at");
            assert!(!same && unrouted.status == 404, "{method} {path}: {}", reply.text);
            assert!(
                operation["responses"].get(reply.status.to_string()).is_some()
                    || operation["responses"].get("default").is_some(),
                "{method} {path}: {} is not described",
                reply.status
            );
        }
    }
    let number = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), number, "operation ids are unique");
}

#[tokio::test]
async fn every_error_code_is_described() {
    let server = TestServer::start(&[]);
    let document = server.client().get("/api/openapi.json").await.text;
    for code in [
        "invalid_request",
        "not_found",
        "method_not_allowed",
        "held",
        "stale_token",
        "mode_conflict",
        "request_id_reused",
        "already_granted",
        "ambiguous",
        "released",
        "expired",
        "cancelled",
        "abandoned",
        "unclaimed",
        "queue_timeout",
        "forced",
        "events_gone",
        "payload_too_large",
        "unsupported_media_type",
        "queue_full",
        "internal",
        "backend_unavailable",
        "shutting_down",
        "overloaded",
        "outcome_unknown",
    ] {
        assert!(document.contains(code), "{code}");
    }
}

/// What a page loads: values of `src` and of `href` in links to styles, and imports.
fn loads(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for mark in ["src=\"", "href=\"", "url(", "@import ", "import(", "from \"", "fetch(\"", "src='", "href='"]
    {
        for (place, _) in text.match_indices(mark) {
            let rest = &text[place + mark.len()..];
            found.push(rest.chars().take_while(|c| !matches!(c, '"' | '\'' | ')' | '\n')).collect());
        }
    }
    found
}

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere() {
    let server = TestServer::start(&[]);
    let client = server.client();
    let page = client.get("/api/docs").await;
    assert!(page.status == 200 && page.header("content-type").starts_with("text/html"), "{:?}", page.headers);
    let mut own = Vec::new();
    for target in loads(&page.text) {
        assert!(!target.starts_with("//") && !target.contains("://"), "the page loads {target}");
        if target.starts_with('/') && !target.starts_with("/api/docs#") {
            own.push(target);
        }
    }
    for target in own {
        let part = client.get(&target).await;
        assert_eq!(part.status, 200, "{target}");
        let elsewhere: Vec<_> = loads(&part.text).into_iter().filter(|load| load.contains("://")).collect();
        assert!(elsewhere.is_empty(), "{target} loads {elsewhere:?}");
    }
}

#[tokio::test]
async fn a_browser_shows_the_operations() {
    let Some(browser) = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    }) else {
        panic!("no browser is installed: ./scripts/test installs chromium");
    };
    let server = TestServer::start(&[]);
    let profile = tempfile::tempdir().unwrap();
    let output = tokio::process::Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
        ])
        .args([
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--virtual-time-budget=10000",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--dump-dom", &format!("{}/api/docs", server.url())])
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(crate::support::DEADLINE, output)
        .await
        .expect("the browser does not end")
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    for shown in [
        "/api/v1/locks",
        "/api/v1/locks/{id}/renew",
        "/api/v1/events",
        "release-by-pull",
        "/readyz",
        "fencing_token",
        "stale_token",
    ] {
        assert!(
            dom.contains(shown),
            "{shown} is not on the page: {}",
            dom.chars().take(2000).collect::<String>()
        );
    }
}
