//! Real Redis servers for tests: own processes on free ports of the loopback, with a directory of
//! their own, ended and removed when they are dropped or the test's process ends in any way.
//!
//! All of it blocks the calling thread, and panics with the server's log where it cannot go on.

mod certificates;
mod cluster;
mod ports;
mod process;
mod proxy;
mod redis_server;
mod sentinels;
#[cfg(test)]
mod tests;
mod until;

pub use certificates::Certificates;
pub use cluster::RedisCluster;
pub use proxy::{Direction, Proxy};
pub use redis_server::{RedisServer, RedisServerBuilder};
pub use sentinels::Sentinels;
pub use until::{until, within};
