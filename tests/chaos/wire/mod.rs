//! Sends requests and takes down what was asked and answered.

mod parse;
mod request;

use super::history::{Answer, Call, Op, Recorder};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How long a client lets a request go on beyond what it offered to wait.
const PATIENCE: Duration = Duration::from_secs(4);

/// How a client takes part in one request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manner {
    /// It closes the connection after this long, answer or not.
    pub(super) vanish_after: Option<Duration>,
    /// It waits only so long for the answer.
    pub(super) patience: Option<Duration>,
}

/// A way to all instances, with everything that passes taken down.
pub(super) struct Wire {
    http: reqwest::Client,
    urls: Vec<String>,
    recorder: Arc<Recorder>,
}

impl Wire {
    pub(super) fn new(urls: Vec<String>, recorder: Arc<Recorder>) -> Self {
        // Only http is spoken here, but the library wants a provider and certificates to be named.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder().no_proxy().tls_certs_only([]);
        // Without its own retries: each sending is one line of the history.
        let builder = builder.retry(reqwest::retry::never()).connect_timeout(Duration::from_secs(2));
        Self { http: builder.build().unwrap(), urls, recorder }
    }

    pub(super) fn instances(&self) -> usize {
        self.urls.len()
    }

    /// A request outside of the history: status and body.
    pub(super) async fn look(&self, instance: usize, path: &str) -> Option<(u16, Value)> {
        let request = self.http.get(format!("{}{path}", self.urls[instance])).timeout(Duration::from_secs(1));
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, serde_json::from_slice(&response.bytes().await.ok()?).ok()?))
    }

    /// An order outside of the history: status and body, `Null` if there is none.
    pub(super) async fn tell(
        &self,
        instance: usize,
        method: reqwest::Method,
        path: &str,
        body: Option<Value>,
    ) -> Option<(u16, Value)> {
        let mut request = self.http.request(method, format!("{}{path}", self.urls[instance]));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.timeout(PATIENCE).send().await.ok()?;
        let status = response.status().as_u16();
        let body = response.bytes().await.ok()?;
        Some((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    /// The value of a metric without labels.
    pub(super) async fn metric(&self, instance: usize, name: &str) -> Option<f64> {
        let request = self.http.get(format!("{}/metrics", self.urls[instance])).timeout(PATIENCE);
        let text = request.send().await.ok()?.text().await.ok()?;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// Asks, with a client's usual patience.
    pub(super) async fn ask(&self, client: u32, instance: usize, call: Call) -> Answer {
        self.send(client, instance, call, Manner::default()).await
    }

    pub(super) async fn send(&self, client: u32, instance: usize, call: Call, manner: Manner) -> Answer {
        let invoked = self.recorder.now();
        let patience = manner.patience.unwrap_or(PATIENCE) + call.wait();
        let request = call.request(&self.http, &self.urls[instance]).timeout(patience);
        let exchange = async {
            let response = request.send().await?;
            let status = response.status().as_u16();
            Ok::<_, reqwest::Error>((status, response.bytes().await?))
        };
        let result = match manner.vanish_after {
            None => Some(exchange.await),
            // Dropping the request closes its connection.
            Some(after) => tokio::time::timeout(after, exchange).await.ok(),
        };
        let answered = self.recorder.now();
        let answer = match result {
            None => Answer::Lost("vanished"),
            Some(Ok((status, body))) => parse::answer(&call, status, &body),
            Some(Err(error)) if error.is_connect() => Answer::NotSent,
            Some(Err(error)) if error.is_timeout() => Answer::Lost("timeout"),
            Some(Err(_)) => Answer::Lost("broken connection"),
        };
        let op = Op { client, instance, invoked, answered, call, answer: answer.clone() };
        self.recorder.op(op);
        answer
    }
}
