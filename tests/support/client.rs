//! A client that speaks the contract and nothing else.

use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An HTTP answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Reply {
    /// The problem's machine word.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("")
    }

    /// Status and code at once, for comparisons that show both.
    pub(crate) fn what(&self) -> (u16, &str) {
        (self.status, self.code())
    }

    /// The fields that were refused.
    pub(crate) fn fields(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().filter_map(|error| error["field"].as_str()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// The lock of a 200.
    pub(crate) fn lock(&self) -> Value {
        assert_eq!((self.status, &self.body["status"]), (200, &json!("acquired")), "{}", self.text);
        self.body["lock"].clone()
    }

    /// The ticket of a 202.
    pub(crate) fn ticket(&self) -> Value {
        assert_eq!((self.status, &self.body["status"]), (202, &json!("queued")), "{}", self.text);
        self.body["ticket"].clone()
    }
}

async fn reply(request: reqwest::RequestBuilder) -> reqwest::Result<Reply> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await?;
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok(Reply { status, headers, body, text })
}

/// A client of one server, or of several in turn.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    urls: Arc<[String]>,
    turn: Arc<AtomicUsize>,
}

impl Client {
    pub(crate) fn new(url: &str) -> Self {
        Self::of_all(&[url])
    }

    /// Each request goes to the next of these servers.
    pub(crate) fn of_all(urls: &[&str]) -> Self {
        // Only http is spoken here, but the library wants a provider and certificates to be named.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder().timeout(std::time::Duration::from_secs(90)).no_proxy();
        let http = builder.tls_certs_only([]).build().unwrap();
        let urls = urls.iter().map(ToString::to_string).collect();
        Self { http, urls, turn: Arc::default() }
    }

    /// The server whose turn it is.
    fn next_url(&self) -> &str {
        &self.urls[self.turn.fetch_add(1, Ordering::Relaxed) % self.urls.len()]
    }

    fn request_to(&self, url: &str, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        self.http.request(method, format!("{url}{path}"))
    }

    /// The library's request, for what the methods below do not offer.
    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.request_to(self.next_url(), method, path)
    }

    /// A request to the next server. What is answered from a server's own view may be a moment
    /// behind what another server acknowledged; asking for the truth first brings it up to date.
    async fn request_of_now(&self, method: &str, path: &str) -> reqwest::Result<reqwest::RequestBuilder> {
        let url = self.next_url();
        if self.urls.len() > 1 && method == "GET" && is_of_the_view(path) {
            self.request_to(url, "GET", "/api/v1/locks?consistent=true&limit=1").send().await?;
        }
        Ok(self.request_to(url, method, path))
    }

    /// Sends a request; an error means that no whole answer came.
    pub(crate) async fn try_send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> reqwest::Result<Reply> {
        let mut request = self.request_of_now(method, path).await?;
        if let Some(body) = body {
            request = request.json(body);
        }
        reply(request).await
    }

    /// Sends a request with headers of the caller's choice.
    pub(crate) async fn with_headers(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Reply {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        reply(request).await.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Sends a body that need not be JSON; an empty content type sends none.
    pub(crate) async fn raw_body(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> Reply {
        let mut request = self.request("POST", path).body(body);
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        reply(request).await.unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        self.try_send(method, path, body).await.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, None).await
    }

    /// The same of each server.
    pub(crate) async fn get_from_each(&self, path: &str) -> Vec<Reply> {
        let mut replies = Vec::new();
        for url in self.urls.iter() {
            let got = reply(self.request_to(url, "GET", path)).await;
            replies.push(got.unwrap_or_else(|error| panic!("GET {path}: {error}")));
        }
        replies
    }

    /// A metric, added up over all servers; `None` where it is not exported.
    pub(crate) async fn metric(&self, line: &str) -> Option<f64> {
        let replies = self.get_from_each("/metrics").await;
        let values = replies.iter().filter_map(|reply| {
            reply.text.lines().find_map(|text| text.strip_prefix(line)?.trim().parse::<f64>().ok())
        });
        values.reduce(|one, other| one + other)
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send("POST", path, Some(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, None).await
    }

    /// Acquires `path` of `acme/infra` for an owner; `more` is merged into the body.
    pub(crate) async fn acquire(&self, path: &str, owner: &str, more: Value) -> Reply {
        self.post("/api/v1/locks", acquire_body(path, owner, more)).await
    }

    /// Acquires what must be free; the lock.
    pub(crate) async fn lock(&self, path: &str, owner: &str, more: Value) -> Value {
        self.acquire(path, owner, more).await.lock()
    }

    /// Queues for what must be held; the ticket. Unattended and with a long timeout, so that it stays.
    pub(crate) async fn queue(&self, path: &str, owner: &str, more: Value) -> Value {
        let mut body = json!({"queue": true, "attended": false, "queue_timeout": "1h"});
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        self.acquire(path, owner, body).await.ticket()
    }

    /// All locks there are.
    pub(crate) async fn locks(&self) -> Vec<Value> {
        let reply = self.get("/api/v1/locks?consistent=true&limit=1000").await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.body["locks"].as_array().unwrap().clone()
    }

    /// All queues there are; one with holders or tickets each.
    pub(crate) async fn queues(&self) -> Vec<Value> {
        let reply = self.get("/api/v1/queues").await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.body["queues"].as_array().unwrap().clone()
    }

    /// Asks for a ticket; `wait` like `10s`, or empty.
    pub(crate) async fn poll(&self, ticket: &Value, wait: &str) -> Reply {
        let id = ticket["id"].as_str().unwrap_or_default();
        let wait = if wait.is_empty() { String::new() } else { format!("?wait={wait}") };
        self.get(&format!("/api/v1/tickets/{id}{wait}")).await
    }

    /// Renews a lock given as the JSON of an answer.
    pub(crate) async fn renew(&self, lock: &Value, ttl: &str) -> Reply {
        let mut body = json!({"fencing_token": lock["fencing_token"]});
        if !ttl.is_empty() {
            body["ttl"] = ttl.into();
        }
        self.post(&format!("/api/v1/locks/{}/renew", lock["id"].as_str().unwrap_or_default()), body).await
    }

    /// Releases a lock given as the JSON of an answer.
    pub(crate) async fn release(&self, lock: &Value) -> Reply {
        let (id, token) = (lock["id"].as_str().unwrap_or_default(), &lock["fencing_token"]);
        self.delete(&format!("/api/v1/locks/{id}?fencing_token={token}")).await
    }
}

/// Answered from the server's own view of all resources.
fn is_of_the_view(path: &str) -> bool {
    // Some tests write a letter of it in another way.
    let path = &*path.split('?').next().unwrap_or_default().replace("%6b", "k");
    ["/api/v1/locks", "/api/v1/tickets", "/api/v1/why", "/api/locks/queue-status", "/api/v1/stats"]
        .contains(&path)
        || path.starts_with("/api/v1/queues")
        || path.ends_with("/why")
}

/// The body of an acquire.
pub(crate) fn acquire_body(path: &str, owner: &str, more: Value) -> Value {
    let mut body = json!({
        "resource": {"namespace": "acme/infra", "path": path},
        "owner": {"id": owner},
    });
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    body
}
