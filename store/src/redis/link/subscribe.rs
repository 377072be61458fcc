//! Following the partitions' channels on one server: by one pattern, on a connection of its own.

use super::backoff::wait_after;
use super::error::CallError;
use super::server::Server;
use super::told::{Teller, Told};
use super::wire::Wire;
use redis::{PushKind, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often a connection that only listens is asked whether it is still there.
pub(super) const PING_EVERY: Duration = Duration::from_secs(1);

/// Follows until nobody listens.
pub(super) async fn follow(server: Arc<Server>, pattern: String, timeout: Duration, teller: Teller) {
    let mut failures = 0;
    while !teller.is_closed() {
        tokio::time::sleep(wait_after(failures)).await;
        match subscribe(&server, &pattern, timeout, &teller).await {
            Ok(wire) => {
                failures = 1;
                teller.tell(Told::Lost).await;
                let reason = listen(&server, &wire, timeout, &teller).await;
                tracing::debug!(server = %server.name(), reason, "a subscription ended");
            }
            Err(error) => {
                failures += 1;
                tracing::debug!(server = %server.name(), %error, "cannot subscribe");
            }
        }
    }
}

async fn subscribe(
    server: &Server,
    pattern: &str,
    timeout: Duration,
    teller: &Teller,
) -> Result<Wire, CallError> {
    let listener = teller.clone();
    let wire = server
        .open(Some(Box::new(move |push| {
            if push.kind == PushKind::PMessage {
                // Pattern, channel, payload.
                listener.pass(push.data.into_iter().skip(1));
            }
        })))
        .await?;
    wire.ask(redis::cmd("PSUBSCRIBE").arg(pattern), Instant::now() + timeout).await?;
    Ok(wire)
}

/// Listens; tells why it ended.
async fn listen(server: &Server, wire: &Wire, timeout: Duration, teller: &Teller) -> &'static str {
    loop {
        tokio::select! {
            () = wire.ended() => return "the connection ended",
            () = teller.closed() => return "nobody listens",
            () = tokio::time::sleep(PING_EVERY) => {}
        }
        if !is_alive(wire, timeout).await {
            return "no answer";
        }
        if !server.is_current(wire) {
            return "another server is master";
        }
        teller.catch_up().await;
    }
}

/// Asks for a sign of life.
pub(super) async fn is_alive(wire: &Wire, timeout: Duration) -> bool {
    let answer = wire.ask(&redis::cmd("PING"), Instant::now() + timeout).await;
    matches!(answer, Ok(Value::SimpleString(pong)) if pong == "PONG")
}

/// The pattern of the channels of all partitions of a database.
pub(super) fn pattern(prefix: &str, database: u32) -> String {
    let mut escaped = String::with_capacity(prefix.len());
    for letter in prefix.chars() {
        if matches!(letter, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    // Digits and no star: another prefix may begin with this one.
    format!("{{{escaped}[0-9][0-9][0-9]}}:e:{database}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_taken_literally() {
        assert_eq!(pattern("lk", 3), "{lk[0-9][0-9][0-9]}:e:3");
        assert_eq!(pattern("a*[b]?", 0), "{a\\*\\[b\\]\\?[0-9][0-9][0-9]}:e:0");
    }
}
