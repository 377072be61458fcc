//! A client that speaks the contract and nothing else.

use serde_json::{Value, json};

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
}

/// A client of one server.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
}

impl Client {
    pub(crate) fn new(url: &str) -> Self {
        let http = reqwest::Client::builder().timeout(std::time::Duration::from_secs(90)).build().unwrap();
        Self { http, url: url.to_owned() }
    }

    /// Sends a request; an error means that no whole answer came.
    pub(crate) async fn try_send(&self, method: &str, path: &str, body: Option<&Value>) -> reqwest::Result<Reply> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Reply { status, headers, body, text })
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        self.try_send(method, path, body).await.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, None).await
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

    /// Releases a lock given as the JSON of an answer.
    pub(crate) async fn release(&self, lock: &Value) -> Reply {
        let (id, token) = (lock["id"].as_str().unwrap_or_default(), &lock["fencing_token"]);
        self.delete(&format!("/api/v1/locks/{id}?fencing_token={token}")).await
    }
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
