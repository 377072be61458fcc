//! A lean HTTP/1.1 client: one connection, one request at a time. The generator shares two cores
//! with the server, so it does as little as it can.

use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A kept-alive connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    request: Vec<u8>,
}

/// A lock as far as a generator needs it.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) id: String,
    pub(crate) token: u64,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server accepts");
        stream.set_nodelay(true).expect("an option");
        Self { stream, buffer: Vec::with_capacity(4096), request: Vec::with_capacity(1024) }
    }

    /// Sends a request and returns status and body.
    pub(crate) async fn send(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        use std::io::Write as _;
        self.request.clear();
        write!(self.request, "{method} {path} HTTP/1.1\r\nHost: bench\r\n").expect("memory");
        if !body.is_empty() {
            let length = body.len();
            write!(self.request, "Content-Type: application/json\r\nContent-Length: {length}\r\n")
                .expect("memory");
        }
        write!(self.request, "\r\n{body}").expect("memory");
        self.stream.write_all(&self.request).await.expect("the server reads");
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await.expect("the server answers");
            assert!(read > 0, "the server closed the connection");
            if let Some(answer) = parse(&self.buffer) {
                return answer;
            }
        }
    }

    /// As [`Client::send`]; `None` when the server goes away.
    pub(crate) async fn try_send(&mut self, method: &str, path: &str, body: &str) -> Option<u16> {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n");
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        self.stream.write_all(request.as_bytes()).await.ok()?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
            if let Some((status, _)) = parse(&self.buffer) {
                return Some(status);
            }
        }
    }

    /// Acquires a lock that is free.
    pub(crate) async fn acquire(&mut self, path: &str, owner: &str) -> Grant {
        let body = format!(
            r#"{{"resource":{{"namespace":"acme/infra","path":"{path}"}},"owner":{{"id":"{owner}"}}}}"#
        );
        let (status, body) = self.send("POST", "/api/v1/locks", &body).await;
        assert_eq!(status, 200, "{body}");
        grant(&body)
    }

    pub(crate) async fn release(&mut self, grant: &Grant) {
        let path = format!("/api/v1/locks/{}?fencing_token={}", grant.id, grant.token);
        let (status, body) = self.send("DELETE", &path, "").await;
        assert_eq!(status, 200, "{body}");
    }
}

/// Picks id and token out of an answer.
pub(crate) fn grant(body: &str) -> Grant {
    let lock = body.find("\"lock\":").map_or(body, |at| &body[at..]);
    let after = |name: &str| &lock[lock.find(name).expect("the field") + name.len()..];
    let id = after("\"id\":\"")[..26].to_owned();
    let token = after("\"fencing_token\":");
    let digits = token.find(|c: char| !c.is_ascii_digit()).unwrap_or(token.len());
    Grant { id, token: token[..digits].parse().expect("a number") }
}

/// Picks a ticket's id out of an answer.
pub(crate) fn ticket(body: &str) -> String {
    let ticket = &body[body.find("\"ticket\":").expect("a ticket")..];
    let id = ticket.find("\"id\":\"").expect("its id") + 6;
    ticket[id..id + 26].to_owned()
}

fn parse(bytes: &[u8]) -> Option<(u16, String)> {
    let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..head_end]).expect("a head in ASCII");
    let status = head[9..12].parse().expect("a status");
    let length = head
        .lines()
        .find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        })
        .unwrap_or(0);
    let body = bytes.get(head_end..head_end + length)?;
    Some((status, String::from_utf8_lossy(body).into_owned()))
}
