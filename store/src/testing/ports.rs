//! Ports nobody listens on.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

/// Below those that the system gives to clients, so that a server that was killed finds its port
/// free again; and low enough that a cluster bus (10000 above) is below them, too.
const FROM: Range<u16> = 10_000..22_000;
/// How far a cluster node's bus is above its port.
const BUS_ABOVE: u16 = 10_000;
const TRIES: usize = 1000;

/// A port that is free together with its cluster bus. Somebody may still be faster: whoever
/// starts a server tries again with another one.
pub(super) fn free_port() -> u16 {
    let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    (0..TRIES)
        .map(|_| rand::random_range(FROM))
        .find(|&port| free(port) && free(port + BUS_ABOVE))
        .expect("a free port of the loopback")
}
