//! The yardstick: `redis-benchmark` with `SET NX` on the same machine, in the same run.

use std::process::{Child, Command, Stdio};

/// A redis-server without persistence.
pub(crate) struct Redis {
    child: Child,
    port: u16,
}

impl Redis {
    /// `None` when redis-server is not installed.
    pub(crate) fn start() -> Option<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        let redis = Self { child, port };
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(std::time::Instant::now() < deadline, "redis-server does not listen");
            std::thread::yield_now();
        }
        Some(redis)
    }

    /// Operations per second of `SET key value NX` over distinct keys.
    pub(crate) fn set_nx_per_second(&self, connections: usize, operations: usize) -> f64 {
        let output = Command::new("redis-benchmark")
            .args([
                "-p",
                &self.port.to_string(),
                "-c",
                &connections.to_string(),
                "-n",
                &operations.to_string(),
            ])
            .args(["-r", "1000000", "--csv", "SET", "lock:__rand_int__", "owner", "NX"])
            .output()
            .expect("redis-benchmark runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines()
            .last()
            .and_then(|line| line.split("\",\"").nth(1))
            .and_then(|number| number.trim_matches('"').parse().ok())
            .unwrap_or_else(|| panic!("redis-benchmark printed {text}"))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
