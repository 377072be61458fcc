//! HTTP by hand over TCP, for what no library sends: half requests, closed connections, odd bytes.

use super::DEADLINE;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection.
pub(crate) struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An answer, as it came.
#[derive(Debug)]
pub(crate) struct RawReply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl RawReply {
    /// A header's value, or an empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        let find = |line: &'_ str| line.split_once(':').is_some_and(|(is, _)| is.eq_ignore_ascii_case(name));
        let line = self.head.lines().skip(1).find(|line| find(line));
        line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

impl Raw {
    /// Connects to `host:port`.
    pub(crate) async fn connect(address: &str) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends a POST with a JSON body.
    pub(crate) async fn post(&mut self, path: &str, body: &Value) {
        let body = body.to_string();
        self.send(format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    }

    /// Sends a request without a body.
    pub(crate) async fn ask(&mut self, method: &str, path: &str) {
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
    }

    /// Reads one answer. `has_body` is false for the answer to a HEAD.
    pub(crate) async fn reply(&mut self, has_body: bool) -> RawReply {
        let end = loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                break end;
            }
            assert!(self.more().await, "closed before an answer: {:?}", String::from_utf8_lossy(&self.read));
        };
        let head = String::from_utf8(self.read[..end].to_vec()).unwrap();
        self.read.drain(..end + 4);
        let status =
            head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{head}"));
        let mut reply = RawReply { status, head, body: Vec::new() };
        let length: usize = if has_body { reply.header("content-length").parse().unwrap_or(0) } else { 0 };
        assert_eq!(reply.header("transfer-encoding"), "", "{}", reply.head);
        while self.read.len() < length {
            assert!(self.more().await, "closed within an answer");
        }
        reply.body = self.read.drain(..length).collect();
        reply
    }

    /// Waits until the server closes the connection; what came before that.
    pub(crate) async fn closed(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.read)
    }

    async fn more(&mut self) -> bool {
        let mut piece = [0; 16 * 1024];
        let read = tokio::time::timeout(DEADLINE, self.stream.read(&mut piece)).await.expect("nothing came");
        match read {
            Ok(0) | Err(_) => false,
            Ok(length) => {
                self.read.extend_from_slice(&piece[..length]);
                true
            }
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
