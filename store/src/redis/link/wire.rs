//! One connection.

use super::error::CallError;
use crate::redis::options::Address;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, PushInfo, PushKind, Value};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

/// A connection that many callers use at once: requests follow each other without waiting for
/// answers. It is never mended; whoever finds that it is over opens another one.
#[derive(Clone)]
pub(crate) struct Wire {
    connection: MultiplexedConnection,
    address: Address,
    name: Arc<str>,
    end: Arc<End>,
    _driver: Arc<Driver>,
}

/// Whether a connection is over, or should be used no more.
#[derive(Debug, Default)]
pub(super) struct End {
    over: AtomicBool,
    told: Notify,
}

impl End {
    pub(super) fn set(&self) {
        self.over.store(true, Ordering::Release);
        self.told.notify_waiters();
    }

    pub(super) fn is_set(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    async fn wait(&self) {
        loop {
            let told = self.told.notified();
            if self.is_set() {
                return;
            }
            told.await;
        }
    }
}

/// Tells the end of a connection when it is dropped: with the task that moves the bytes, even if
/// that ends with its runtime.
pub(super) struct Ending(pub(super) Arc<End>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// What the server says unasked. Must not block: the connection waits for it.
pub(super) type Pushes = Box<dyn Fn(PushInfo) + Send + Sync>;

/// Tells the connection's end, and the rest to whoever listens.
pub(super) fn pushes_of(
    end: &Arc<End>,
    listener: Option<Pushes>,
) -> impl Fn(PushInfo) -> Result<(), ()> + Send + Sync + 'static {
    let end = Arc::clone(end);
    move |push| {
        if push.kind == PushKind::Disconnection {
            end.set();
        } else if let Some(listener) = &listener {
            listener(push);
        }
        Ok(())
    }
}

/// The task that moves the bytes; it ends with the last user of the connection.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Wire {
    pub(super) fn new(
        connection: MultiplexedConnection,
        address: Address,
        end: Arc<End>,
        driver: AbortHandle,
    ) -> Self {
        let name = address.to_string().into();
        Self { connection, address, name, end, _driver: Arc::new(Driver(driver)) }
    }

    /// Where it leads to.
    pub(super) const fn address(&self) -> &Address {
        &self.address
    }

    /// Its address as a text.
    pub(super) const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// False if it is known that nothing can be sent any more.
    pub(super) fn is_usable(&self) -> bool {
        !self.end.is_set()
    }

    /// Nothing new shall be sent on it; answers may still come.
    pub(super) fn retire(&self) {
        self.end.set();
    }

    /// Comes back when nothing more can be sent.
    pub(super) async fn ended(&self) {
        self.end.wait().await;
    }

    /// Sends a command.
    ///
    /// A connection on which an answer did not come in time is used no more. The server may only
    /// be slow; but if it is half dead or cut off, this is the only sign of it, and a new attempt
    /// to connect tells.
    pub(super) async fn ask(&self, command: &Cmd, deadline: Instant) -> Result<Value, CallError> {
        let mut connection = self.connection.clone();
        match timeout_at(deadline, connection.send_packed_command(command)).await {
            Ok(Ok(Value::ServerError(error))) => Err(CallError::refused(&error)),
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.broken(&error)),
            Err(_) => Err(self.late()),
        }
    }

    /// Sends several commands in one go; some may fail.
    pub(super) async fn ask_all(
        &self,
        commands: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<Value>, CallError> {
        let mut connection = self.connection.clone();
        let asking = connection.send_packed_commands(commands, 0, commands.len());
        match timeout_at(deadline, asking).await {
            Ok(Ok(values)) if values.len() == commands.len() => Ok(values),
            Ok(Ok(values)) => {
                self.retire();
                Err(CallError::Unknown(format!(
                    "{} gave {} answers to {} requests",
                    self.address,
                    values.len(),
                    commands.len()
                )))
            }
            Ok(Err(error)) => Err(self.broken(&error)),
            Err(_) => Err(self.late()),
        }
    }

    fn broken(&self, error: &redis::RedisError) -> CallError {
        let error = CallError::sent(&self.address, error);
        if matches!(error, CallError::Unknown(_)) {
            self.retire();
        }
        error
    }

    fn late(&self) -> CallError {
        self.retire();
        CallError::Unknown(format!("no answer from {} in time", self.address))
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("address", &self.name).field("usable", &self.is_usable()).finish()
    }
}
