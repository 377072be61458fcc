//! The yardstick: `redis-benchmark` with `SET NX` on the same machine, in the same run.

use std::process::{Child, Command, Stdio};

/// How a Redis keeps what it is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Persistence {
    None,
    EverySecond,
    Always,
}

impl Persistence {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "no persistence",
            Self::EverySecond => "AOF every second",
            Self::Always => "AOF always",
        }
    }
}

/// What a server has counted.
pub(crate) struct Calls {
    pub(crate) scripts: u64,
    pub(crate) script_micros: u64,
    pub(crate) others: u64,
}

/// A redis-server.
pub(crate) struct Redis {
    child: Child,
    port: u16,
    persistence: Persistence,
    directory: tempfile::TempDir,
}

impl Redis {
    /// `None` when redis-server is not installed.
    pub(crate) fn start(persistence: Persistence) -> Option<Self> {
        let directory = tempfile::tempdir().ok()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
        let child = launch(persistence, port, directory.path())?;
        Some(Self { child, port, persistence, directory })
    }

    /// kill -9.
    pub(crate) fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The same again, with what it had written.
    pub(crate) fn start_again(&mut self) {
        self.child = launch(self.persistence, self.port, self.directory.path()).expect("redis-server");
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The calls it has counted so far. Commands that a script runs count too, for themselves.
    pub(crate) fn calls(&self) -> Calls {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string(), "info", "commandstats"])
            .output()
            .expect("redis-cli runs");
        let mut calls = Calls { scripts: 0, script_micros: 0, others: 0 };
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Some((name, rest)) = line.strip_prefix("cmdstat_").and_then(|line| line.split_once(':'))
            else {
                continue;
            };
            let number = |key: &str| {
                rest.split(',').find_map(|part| part.strip_prefix(key)?.parse::<u64>().ok()).unwrap_or(0)
            };
            match name {
                "evalsha" | "eval" => {
                    calls.scripts += number("calls=");
                    calls.script_micros += number("usec=");
                }
                // What only clients send, and never scripts.
                "ping" | "wait" | "script|load" | "hello" | "client|setinfo" => {
                    calls.others += number("calls=")
                }
                _ => {}
            }
        }
        calls
    }

    /// Memory that its data takes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string(), "info", "memory"])
            .output()
            .expect("redis-cli runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let used = text.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok());
        used.unwrap_or_else(|| panic!("redis-cli printed {text}"))
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

/// Starts it and waits until it listens.
fn launch(persistence: Persistence, port: u16, directory: &std::path::Path) -> Option<Child> {
    let (append, sync) = match persistence {
        Persistence::None => ("no", "no"),
        Persistence::EverySecond => ("yes", "everysec"),
        Persistence::Always => ("yes", "always"),
    };
    let child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", append])
        .args(["--appendfsync", sync, "--dir"])
        .arg(directory)
        .stdout(Stdio::null())
        .spawn()
        .ok()?;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(std::time::Instant::now() < deadline, "redis-server does not listen");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Some(child)
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
