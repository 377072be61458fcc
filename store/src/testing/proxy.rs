//! A network between a client and a server that can be slow, silent or cut.

use super::ports::free_port;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks on their way in one direction of a connection.
const CHUNKS_MAX: usize = 1024;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

#[derive(Clone, Debug, Default)]
struct Weather {
    delay: Duration,
    silent_to_server: bool,
    silent_to_client: bool,
    refusing: bool,
    stopped: bool,
}

impl Weather {
    const fn silent(&self, direction: Direction) -> bool {
        match direction {
            Direction::ToServer => self.silent_to_server,
            Direction::ToClient => self.silent_to_client,
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    accepted: AtomicU64,
    /// By number of the connection: dropping it ends the connection, a word makes it half-open.
    open: Mutex<HashMap<u64, mpsc::Sender<()>>>,
    /// The reply to the next request with these bytes is lost.
    lose: Mutex<Option<Vec<u8>>>,
}

/// A TCP proxy in a thread of its own. It listens on the loopback.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    weather: watch::Sender<Weather>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy in front of a port of the loopback.
    ///
    /// # Panics
    /// If it cannot listen.
    #[must_use]
    pub fn start(server_port: u16) -> Self {
        let port = free_port();
        let (weather, seen) = watch::channel(Weather::default());
        let shared = Arc::new(Shared::default());
        let (ready, is_ready) = std::sync::mpsc::channel();
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(listen(port, server_port, seen, of_thread, ready));
        });
        is_ready.recv().expect("a proxy that listens");
        Self { port, weather, shared, thread: Some(thread) }
    }

    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens, for a server without TLS.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Every byte takes so much longer, in either direction.
    pub fn delay(&self, each_way: Duration) {
        self.weather.send_modify(|weather| weather.delay = each_way);
    }

    /// Nothing gets through in this direction, while all connections seem to be open; new ones,
    /// too. What is sent meanwhile arrives after [`Self::heal`].
    pub fn silence(&self, direction: Direction) {
        self.weather.send_modify(|weather| match direction {
            Direction::ToServer => weather.silent_to_server = true,
            Direction::ToClient => weather.silent_to_client = true,
        });
    }

    /// Ends all connections; new ones are refused until [`Self::heal`].
    pub fn cut(&self) {
        self.weather.send_modify(|weather| weather.refusing = true);
        self.drop_connections();
        // The listener closes in its own thread.
        super::until("the proxy refuses", Duration::from_secs(10), || {
            std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err()
        });
    }

    /// Ends the connections there are.
    pub fn drop_connections(&self) {
        self.shared.open.lock().clear();
    }

    /// What a network does that forgets its connections: those there are seem open to the client for
    /// ever, and nobody hears it; the server sees them end. New ones are as always.
    pub fn forget_connections(&self) {
        for connection in self.shared.open.lock().values() {
            // It holds one word: a connection that was forgotten before needs no other.
            let _ = connection.try_send(());
        }
    }

    /// The server's next words are lost with their connection.
    pub fn drop_next_reply(&self) {
        self.drop_reply_to(b"");
    }

    /// The server's reply to the next request that holds these bytes is lost with its connection.
    pub fn drop_reply_to(&self, request: &[u8]) {
        *self.shared.lose.lock() = Some(request.to_vec());
    }

    /// True while the reply that shall be lost did not come.
    #[must_use]
    pub fn waits_for_reply(&self) -> bool {
        self.shared.lose.lock().is_some()
    }

    /// How many connections there ever were.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.open.lock().len()
    }

    /// Neither silent nor cut nor slow.
    pub fn heal(&self) {
        self.weather.send_modify(|weather| *weather = Weather::default());
        super::until("the proxy listens", Duration::from_secs(10), || {
            std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.weather.send_modify(|weather| weather.stopped = true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn listen(
    port: u16,
    server_port: u16,
    mut weather: watch::Receiver<Weather>,
    shared: Arc<Shared>,
    ready: std::sync::mpsc::Sender<()>,
) {
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut listener = Some(TcpListener::bind(here).await.expect("a free port"));
    let _ = ready.send(());
    loop {
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = weather.changed() => {}
            accepted = accepted => {
                let Ok((client, _)) = accepted else { continue };
                let number = shared.accepted.fetch_add(1, Ordering::Relaxed);
                let (open, closed) = mpsc::channel(1);
                shared.open.lock().insert(number, open);
                let (weather, shared) = (weather.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    carry(client, server_port, closed, weather, &shared).await;
                    shared.open.lock().remove(&number);
                });
            }
        }
        let now = weather.borrow_and_update().clone();
        if now.stopped {
            return;
        }
        if now.refusing {
            listener = None;
        } else if listener.is_none() {
            listener = Some(TcpListener::bind(here).await.expect("its port again"));
        }
    }
}

/// One connection, until either side or the test ends it.
async fn carry(
    mut client: TcpStream,
    server_port: u16,
    mut closed: mpsc::Receiver<()>,
    weather: watch::Receiver<Weather>,
    shared: &Shared,
) {
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server_port)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let doomed = Mutex::new(false);
    let doomed = &doomed;
    let there = |chunk: &[u8]| {
        let lose = shared.lose.lock();
        if lose.as_ref().is_some_and(|needle| holds(chunk, needle)) {
            *doomed.lock() = true;
        }
        true
    };
    let back = |_: &[u8]| {
        let mut lose = shared.lose.lock();
        let anything = lose.as_ref().is_some_and(Vec::is_empty);
        if anything || (*doomed.lock() && lose.is_some()) {
            *lose = None;
            return false;
        }
        true
    };
    let forgotten = tokio::select! {
        word = closed.recv() => word.is_some(),
        () = pump(from_client, to_server, Direction::ToServer, weather.clone(), there) => false,
        () = pump(from_server, to_client, Direction::ToClient, weather, back) => false,
    };
    drop(server);
    if forgotten {
        swallow(client, closed).await;
    }
}

/// Takes what the client says until it gives up, or the test ends the connection.
async fn swallow(mut client: TcpStream, mut closed: mpsc::Receiver<()>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    let listen = async { while matches!(client.read(&mut buffer).await, Ok(1..)) {} };
    tokio::select! {
        // Forgotten once more is the same.
        () = async { while closed.recv().await.is_some() {} } => {}
        () = listen => {}
    }
}

fn holds(chunk: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || chunk.windows(needle.len()).any(|window| window == needle)
}

/// Carries bytes in one direction until its source ends or `passes` says no.
async fn pump(
    from: ReadHalf<'_>,
    to: WriteHalf<'_>,
    direction: Direction,
    weather: watch::Receiver<Weather>,
    passes: impl Fn(&[u8]) -> bool,
) {
    let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
    let read = take(from, sender, weather.clone());
    let write = give(to, chunks, direction, weather, passes);
    tokio::pin!(read, write);
    tokio::select! {
        () = &mut write => return,
        () = &mut read => {}
    }
    // What was read is still on its way.
    write.await;
}

async fn take(
    mut from: ReadHalf<'_>,
    sender: mpsc::Sender<(Instant, Vec<u8>)>,
    weather: watch::Receiver<Weather>,
) {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        let due = Instant::now() + weather.borrow().delay;
        if sender.send((due, buffer[..length].to_vec())).await.is_err() {
            return;
        }
    }
}

async fn give(
    mut to: WriteHalf<'_>,
    mut chunks: mpsc::Receiver<(Instant, Vec<u8>)>,
    direction: Direction,
    mut weather: watch::Receiver<Weather>,
    passes: impl Fn(&[u8]) -> bool,
) {
    while let Some((due, chunk)) = chunks.recv().await {
        tokio::time::sleep_until(due).await;
        if weather.wait_for(|weather| !weather.silent(direction)).await.is_err() || !passes(&chunk) {
            return;
        }
        if to.write_all(&chunk).await.is_err() {
            return;
        }
    }
}
