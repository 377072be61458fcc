//! A scripted HTTP server for the tests of this module: it plays canned answers and keeps what
//! it was asked.

use super::client::Client;
use super::context::{Console, Context};
use super::environment::Environment;
use super::options::{ClientOptions, Format};
use serde_json::Value;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How long a test waits for what must come.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Lower-case names.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Asked {
    pub(crate) fn is(&self, method: &str, prefix: &str) -> bool {
        self.method == method && self.target.starts_with(prefix)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// What to do with a request.
pub(crate) enum Play {
    /// Answer it.
    Reply(u16, Value),
    /// Answer it with `Retry-After: 0`.
    RetryNow(u16, Value),
    /// Close the connection without an answer.
    Drop,
    /// Keep the connection open and say nothing.
    Hang,
}

/// How a server answers: it sees each request and how many came before it.
type Script = dyn Fn(usize, &Asked) -> Play + Send + Sync;

/// A server on a random port that lives as long as this value.
pub(crate) struct Scripted {
    pub(crate) url: String,
    log: watch::Receiver<Vec<Asked>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Scripted {
    /// Starts one; `play` sees each request and how many came before it.
    pub(crate) async fn start(play: impl Fn(usize, &Asked) -> Play + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, log) = watch::channel(Vec::new());
        let play: Arc<Script> = Arc::new(play);
        let sender = Arc::new(sender);
        let task = tokio::spawn(async move {
            // Connections die with the server.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, play.clone(), sender.clone()));
            }
        });
        Self { url, log, task }
    }

    /// An address where nobody listens.
    pub(crate) async fn nobody() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.log.borrow().clone()
    }

    /// How many requests matched.
    pub(crate) fn count(&self, method: &str, prefix: &str) -> usize {
        self.log.borrow().iter().filter(|asked| asked.is(method, prefix)).count()
    }

    /// Waits until such a request has come.
    pub(crate) async fn until(&self, method: &str, prefix: &str) {
        let mut log = self.log.clone();
        tokio::time::timeout(SOON, log.wait_for(|log| log.iter().any(|asked| asked.is(method, prefix))))
            .await
            .unwrap_or_else(|_| panic!("no {method} {prefix}"))
            .unwrap();
    }
}

async fn serve(mut stream: TcpStream, play: Arc<Script>, log: Arc<watch::Sender<Vec<Asked>>>) {
    let Some(asked) = read(&mut stream).await else { return };
    let before = log.borrow().len();
    let answer = play(before, &asked);
    log.send_modify(|log| log.push(asked));
    let (status, body, extra) = match answer {
        Play::Reply(status, body) => (status, body, ""),
        Play::RetryNow(status, body) => (status, body, "retry-after: 0\r\n"),
        Play::Drop => return,
        Play::Hang => std::future::pending().await,
    };
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nx-request-id: req-{before}\r\n{extra}\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    while bytes.len() < head_end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = serde_json::from_slice(&bytes[head_end + 4..]).unwrap_or(Value::Null);
    Some(Asked { method, target, headers, body })
}

/// A writer whose content the test can read.
#[derive(Clone, Default)]
pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Waits until it contains the text.
    pub(crate) async fn until(&self, needle: &str) {
        let look = async {
            while !self.text().contains(needle) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, look)
            .await
            .unwrap_or_else(|_| panic!("never said {needle:?}, but: {}", self.text()));
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A context that talks to these servers, and what it prints.
pub(crate) struct Stage {
    pub(crate) ctx: Context,
    pub(crate) out: Captured,
    pub(crate) err: Captured,
}

/// Client options for these servers.
pub(crate) fn options(servers: &[&str], output: Format) -> ClientOptions {
    ClientOptions {
        server: servers.iter().map(|&server| server.to_owned()).collect(),
        token_file: None,
        ca_file: None,
        timeout: "2s".parse().unwrap(),
        output,
    }
}

/// Sets one up.
pub(crate) fn stage(servers: &[&str], output: Format, env: &[(&str, &str)]) -> Stage {
    let (out, err) = (Captured::default(), Captured::default());
    let client = Client::new(&options(servers, output)).unwrap();
    let console = Console::new(output, Box::new(out.clone()), Box::new(err.clone()));
    Stage { ctx: Context { client, console, env: Environment::of(env) }, out, err }
}
