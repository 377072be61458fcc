//! Something that listens where Redis should, and is none, or one of long ago.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Answers every command by a rule; ends with its test.
pub(super) struct FakeRedis {
    port: u16,
    ends: Arc<AtomicBool>,
    listens: Option<JoinHandle<()>>,
}

type Answers = Arc<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

impl FakeRedis {
    /// A Redis that is new enough for RESP3 and says that it has this version.
    pub(super) fn of_version(version: &str) -> Self {
        let info = format!("# Server\r\nredis_version:{version}\r\nredis_mode:standalone\r\nrole:master\r\n");
        Self::start(Arc::new(move |command| match command {
            "HELLO" => b"%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n".to_vec(),
            "INFO" => format!("${}\r\n{info}\r\n", info.len()).into_bytes(),
            "CONFIG" => b"%0\r\n".to_vec(),
            "PING" => b"+PONG\r\n".to_vec(),
            _ => b"+OK\r\n".to_vec(),
        }))
    }

    /// Random bytes, whatever is asked.
    pub(super) fn of_garbage() -> Self {
        Self::start(Arc::new(|_| rand::random::<[u8; 64]>().to_vec()))
    }

    fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let ends = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ends);
        let listens = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::Acquire) {
                    return;
                }
                let (Ok(stream), answers) = (stream, Arc::clone(&answers)) else { continue };
                // It ends with its connection, that is with the instance.
                std::thread::spawn(move || serve(stream, &answers));
            }
        });
        Self { port, ends, listens: Some(listens) }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for FakeRedis {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(listens) = self.listens.take() {
            let _ = listens.join();
        }
    }
}

/// Answers each command of a client, in order.
fn serve(mut stream: TcpStream, answers: &Answers) {
    let mut read = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        read.extend_from_slice(&piece[..length]);
        while let Some((command, rest)) = first_command(&read) {
            read = rest;
            if stream.write_all(&answers(&command)).is_err() {
                return;
            }
        }
    }
}

/// The name of the first command, and what follows it; `None`: it is not there in full.
fn first_command(bytes: &[u8]) -> Option<(String, Vec<u8>)> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split_inclusive("\r\n");
    let mut taken = 0;
    let mut line = || {
        let line = lines.next().filter(|line| line.ends_with("\r\n"))?;
        taken += line.len();
        Some(line.trim_end().to_owned())
    };
    let count: usize = line()?.strip_prefix('*')?.parse().ok()?;
    let mut words = Vec::new();
    for _ in 0..count {
        // Lengths are not looked at: what is sent before the version is known has no line breaks.
        line()?;
        words.push(line()?);
    }
    Some((words.first()?.to_uppercase(), bytes[taken..].to_vec()))
}
