//! A reader of server-sent events, strict about their form.

use super::{Client, DEADLINE};
use serde_json::Value;

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) data: Value,
}

/// An open stream.
pub(crate) struct EventStream {
    response: reqwest::Response,
    rest: String,
    /// Lines that were comments, like `: ping`.
    pub(crate) comments: Vec<String>,
    /// What the server said about reconnecting.
    pub(crate) retry: Option<String>,
}

impl EventStream {
    /// Opens a stream; `query` begins with `?` or is empty.
    pub(crate) async fn open(client: &Client, query: &str, last_event_id: Option<&str>) -> Self {
        let mut request = client.request("GET", &format!("/api/v1/events{query}"));
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{:?}", response.text().await);
        let kind = response.headers()["content-type"].to_str().unwrap();
        assert!(kind.starts_with("text/event-stream"), "{kind}");
        let cached = response.headers()["cache-control"].to_str().unwrap();
        assert!(matches!(cached, "no-cache" | "no-store"), "{cached}");
        Self { response, rest: String::new(), comments: Vec::new(), retry: None }
    }

    /// The next event.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            let block = self.block().await;
            let mut event = Event { id: String::new(), kind: String::new(), data: Value::Null };
            let mut data = Vec::new();
            for line in block.lines() {
                match line.split_once(':') {
                    Some(("", comment)) => self.comments.push(comment.trim().to_owned()),
                    Some(("id", id)) => event.id = id.trim().to_owned(),
                    Some(("event", kind)) => event.kind = kind.trim().to_owned(),
                    Some(("data", text)) => data.push(text.trim().to_owned()),
                    Some(("retry", text)) => self.retry = Some(text.trim().to_owned()),
                    _ => panic!("not a line of an event stream: {line:?}"),
                }
            }
            if !data.is_empty() {
                event.data = serde_json::from_str(&data.join("\n"))
                    .unwrap_or_else(|error| panic!("{error}: {data:?}"));
                return event;
            }
        }
    }

    /// The next event of a type; others are passed over.
    pub(crate) async fn next_of(&mut self, kind: &str) -> Event {
        loop {
            let event = self.next().await;
            if event.kind == kind {
                return event;
            }
        }
    }

    /// Reads until a comment came.
    pub(crate) async fn comment(&mut self) -> String {
        while self.comments.is_empty() {
            let block = self.block().await;
            for line in block.lines() {
                if let Some(comment) = line.strip_prefix(':') {
                    self.comments.push(comment.trim().to_owned());
                }
            }
        }
        self.comments[0].clone()
    }

    /// Reads until the server ends the stream.
    pub(crate) async fn ends(&mut self) {
        let read = async { while matches!(self.response.chunk().await, Ok(Some(_))) {} };
        tokio::time::timeout(DEADLINE, read).await.expect("the stream goes on");
    }

    /// The text up to the next empty line.
    async fn block(&mut self) -> String {
        loop {
            if let Some(end) = self.rest.find("\n\n") {
                let block = self.rest[..end].to_owned();
                self.rest.drain(..end + 2);
                return block;
            }
            let chunk =
                tokio::time::timeout(DEADLINE, self.response.chunk()).await.expect("no event came").unwrap();
            let chunk = chunk.expect("the stream ended");
            self.rest.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}
