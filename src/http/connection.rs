//! A client's connection, cut off when the client is too slow.
//!
//! The HTTP library bounds the time for the head of a connection's first request, and nothing after
//! that. Here a head that was begun must be whole in time on every request, and what is sent must be
//! taken: a connection on which nothing moves while something should is closed. How long a body may
//! take is bounded where bodies are read.
//!
//! A client that vanished without a word is found by the system, which gives up what is not
//! acknowledged after the same time.

use actix_rt::net::TcpStream;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use lockkeeper_telemetry::metrics;
use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Answers of at most so many bytes count as sent once they are made: the library buffers them.
const BUFFERED_MAX_BYTES: u64 = 64 * 1024;
/// The library's own timer goes by a clock that ticks twice a second.
const CLOCK_STEP: Duration = Duration::from_millis(500);

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the first byte of a request's head to its last.
    pub head: Duration,
    /// Until it takes some of what waits to be sent.
    pub send: Duration,
}

/// What the requests of a connection tell the connection.
#[derive(Default)]
pub struct Progress {
    /// Requests whose head has come.
    begun: Cell<u64>,
    /// Requests that are being answered.
    open: Cell<usize>,
}

impl Progress {
    /// The head of a request is there; it is being answered until the returned value is dropped.
    pub(super) fn begin(self: &Rc<Self>) -> Answering {
        self.begun.set(self.begun.get() + 1);
        self.open.set(self.open.get() + 1);
        Answering { progress: Rc::clone(self) }
    }
}

/// A request that is being answered.
pub(super) struct Answering {
    progress: Rc<Progress>,
}

impl Answering {
    /// It is answered when this body is sent.
    pub(super) fn until_sent(self, body: BoxBody) -> BoxBody {
        match body.size() {
            BodySize::None => body,
            BodySize::Sized(bytes) if bytes <= BUFFERED_MAX_BYTES => body,
            _ => BoxBody::new(Sending { body, _answering: self }),
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.progress.open.set(self.progress.open.get() - 1);
    }
}

/// A long answer on its way.
struct Sending {
    body: BoxBody,
    _answering: Answering,
}

impl MessageBody for Sending {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

/// Something that must happen within a time. Its timer is set once and moved only when it rings, so
/// that what happens in time costs next to nothing.
struct Deadline {
    limit: Duration,
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    fn new(limit: Duration) -> Self {
        Self { limit, since: None, timer: None }
    }

    fn begin(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    fn met(&mut self) {
        self.since = None;
    }

    /// Has the time passed? If not, the task is woken when it has.
    fn poll_missed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(since) = self.since else { return Poll::Pending };
        let end = since + self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= end {
                return Poll::Ready(());
            }
            timer.as_mut().reset(end);
        }
    }
}

/// A connection.
pub struct Connection {
    io: TcpStream,
    progress: Rc<Progress>,
    accepted: Instant,
    head: Deadline,
    /// How many requests there had been when the present head began.
    begun_before: u64,
    send: Deadline,
    /// The client closed its side.
    left: bool,
    told: bool,
}

impl Connection {
    /// A connection that was accepted.
    #[must_use]
    pub fn new(io: TcpStream, patience: Patience) -> Self {
        if let Err(error) = socket2::SockRef::from(&io).set_tcp_user_timeout(Some(patience.send)) {
            tracing::debug!(%error, "a client that vanishes is found later than it should");
        }
        Self {
            io,
            progress: Rc::default(),
            accepted: Instant::now(),
            head: Deadline::new(patience.head),
            begun_before: 0,
            send: Deadline::new(patience.send),
            left: false,
            told: false,
        }
    }

    /// What its requests tell it.
    #[must_use]
    pub fn progress(&self) -> &Rc<Progress> {
        &self.progress
    }

    fn cut_off(&mut self, what: &'static str) {
        if !std::mem::replace(&mut self.told, true) {
            metrics().slow_client(what);
            let peer = self.io.peer_addr().ok();
            tracing::debug!(?peer, what, "a client was too slow and was cut off");
        }
    }

    fn failed(&mut self, error: io::Error) -> io::Error {
        if error.kind() == io::ErrorKind::TimedOut {
            self.cut_off("send");
        }
        error
    }

    /// Nothing came: is a head late?
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.progress.open.get() > 0 || self.progress.begun.get() != self.begun_before {
            self.head.met();
        }
        ready!(self.head.poll_missed(cx));
        self.cut_off("header");
        // As if the client had closed its side.
        Poll::Ready(Ok(()))
    }

    /// Nothing was taken: is that for too long?
    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        self.send.begin();
        ready!(self.send.poll_missed(cx));
        self.cut_off("send");
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the client does not read"))
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        match Pin::new(&mut this.io).poll_read(cx, buf) {
            Poll::Pending => this.poll_head(cx),
            Poll::Ready(Err(error)) => Poll::Ready(Err(this.failed(error))),
            Poll::Ready(Ok(())) => {
                let begun = this.progress.begun.get();
                if begun != this.begun_before {
                    this.head.met();
                }
                let came = buf.filled().len() > before;
                this.left |= !came;
                if came && this.progress.open.get() == 0 {
                    this.begun_before = begun;
                    this.head.begin();
                }
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.io).poll_write(cx, bytes) {
            Poll::Pending => this.poll_unsent(cx).map(Err),
            Poll::Ready(Err(error)) => Poll::Ready(Err(this.failed(error))),
            Poll::Ready(Ok(sent)) => {
                this.send.met();
                Poll::Ready(Ok(sent))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The library answers 408 by itself when the first request does not come.
        let late = self.accepted.elapsed() + CLOCK_STEP >= self.head.limit;
        if late && self.progress.begun.get() == 0 && !self.left {
            self.cut_off("header");
        }
    }
}
