//! A real server in a temporary directory, on a free port, stopped by process id.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    log: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(data_dir: &Path) -> Self {
        Self::start_with(data_dir, &[])
    }

    /// An instance on a shared Redis.
    pub(crate) fn start_on(data_dir: &Path, redis: &str) -> Self {
        Self::start_with(data_dir, &["--store", "redis", "--redis-url", redis])
    }

    /// A server whose actors may be killed, as often as one likes.
    pub(crate) fn start_for_chaos(data_dir: &Path) -> Self {
        let file = data_dir.join("lockkeeper.yaml");
        let settings = "supervision: {max-deaths: 100000, max-deaths-per-resource: 100000}\n";
        std::fs::write(&file, settings).expect("a file");
        Self::start_with(&data_dir.join("data"), &["--chaos", "--config", &file.display().to_string()])
    }

    fn start_with(data_dir: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lockkeeper"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .args(more)
            // So that a bench need not wait for long; without meaning on a store of its own.
            .envs(
                more.iter()
                    .filter(|flag| **flag == "--redis-url")
                    .map(|_| ("LOCKKEEPER_SETTLE_WINDOW", "3100ms")),
            )
            // What a bench is told by the environment is no setting of the server, which refuses it.
            .env_remove("LOCKKEEPER_SOAK_MINUTES")
            .env_remove("LOCKKEEPER_SOAK_RATE")
            .env_remove("LOCKKEEPER_SOAK_STORE")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split("http://").nth(1)?.trim().parse().ok())
            .expect("the server says where it listens");
        // Whoever does not read a pipe blocks who writes it.
        let log = std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child, address, log: Some(log) }
    }

    /// Resident memory in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") * 1024
    }

    /// Processor time used so far, by the system's clock of a hundredth of a second.
    pub(crate) fn cpu_time(&self) -> std::time::Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("a process");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks =
            |place: usize| fields.get(place).and_then(|field| field.parse::<u64>().ok()).expect("a number");
        std::time::Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }

    pub(crate) fn kill(self) {}
}

impl Drop for Server {
    /// A bench that fails leaves no server behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(log) = self.log.take() {
            let _ = log.join();
        }
    }
}
