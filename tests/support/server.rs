//! A real server process on a free port, stopped by process id, its directory removed at the end.

use super::Client;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A running server. Dropping it kills it.
pub(crate) struct TestServer {
    child: Child,
    url: String,
    data_dir: PathBuf,
    flags: Vec<String>,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<std::thread::JoinHandle<()>>,
    /// Removed with the server, unless the directory is the caller's.
    _owned: Option<Arc<tempfile::TempDir>>,
}

impl TestServer {
    /// A server in a directory of its own.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let path = directory.path().join("data");
        Self::launch(path, flags.iter().map(ToString::to_string).collect(), Some(directory))
    }

    /// A server in the caller's directory.
    pub(crate) fn start_in(data_dir: &Path, flags: &[&str]) -> Self {
        Self::launch(data_dir.to_path_buf(), flags.iter().map(ToString::to_string).collect(), None)
    }

    /// A server with these variables in its environment.
    pub(crate) fn start_with(variables: &[(&str, &str)], flags: &[&str]) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let path = directory.path().join("data");
        let flags = flags.iter().map(ToString::to_string).collect();
        Starting::spawn_with(variables, path, flags, Some(directory)).listens()
    }

    /// A server whose address stays the same over [`Self::restart`]s.
    pub(crate) fn start_at_a_fixed_address() -> Self {
        Self::start(&["--listen", &fixed_address()])
    }

    /// Starts a server in a directory of its own, without waiting for it.
    pub(crate) fn spawn(flags: &[&str]) -> Starting {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let path = directory.path().join("data");
        Starting::spawn(path, flags.iter().map(ToString::to_string).collect(), Some(directory))
    }

    fn launch(data_dir: PathBuf, flags: Vec<String>, owned: Option<Arc<tempfile::TempDir>>) -> Self {
        Starting::spawn(data_dir, flags, owned).listens()
    }

    /// Its address: `http://…`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.url)
    }

    /// The same as [`Self::client`]: there is only one server.
    pub(crate) fn client_of_one(&self) -> Client {
        self.client()
    }

    /// The state of a lock that is granted while its client waits.
    pub(crate) const HANDED_OVER: &str = "held";

    /// What forced actions were recorded.
    pub(crate) fn audit(&self) -> String {
        std::fs::read_to_string(self.data_dir.join("audit.jsonl")).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }

    /// SIGTERM, without waiting.
    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_raw(self.child.id() as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// SIGHUP, without waiting.
    pub(crate) fn hang_up(&self) {
        let pid = rustix::process::Pid::from_raw(self.child.id() as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }

    /// Waits until it has ended, while other tasks go on.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // What it logged last is there once the reader is done.
                if let Some(reader) = self.reader.take() {
                    let _ = reader.join();
                }
                return status;
            }
            assert!(begun.elapsed() < super::DEADLINE, "the server does not end");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// The address without `http://`.
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < super::DEADLINE, "the server does not end");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// The same in its place, after a kill: it listens again.
    pub(crate) fn start_again(&mut self) {
        self.kill();
        let owned = self._owned.take();
        *self = Self::launch(self.data_dir.clone(), self.flags.clone(), owned);
    }

    /// The same directory and flags, after a kill.
    pub(crate) fn restart(mut self) -> Self {
        self.kill();
        let owned = self._owned.take();
        Self::launch(self.data_dir.clone(), self.flags.clone(), owned)
    }
}

/// A server that was started and may not listen yet.
pub(crate) struct Starting {
    server: TestServer,
    address: std::sync::mpsc::Receiver<String>,
}

impl Starting {
    fn spawn(data_dir: PathBuf, flags: Vec<String>, owned: Option<Arc<tempfile::TempDir>>) -> Self {
        Self::spawn_with(&[], data_dir, flags, owned)
    }

    fn spawn_with(
        variables: &[(&str, &str)],
        data_dir: PathBuf,
        flags: Vec<String>,
        owned: Option<Arc<tempfile::TempDir>>,
    ) -> Self {
        let mut command = serve_command(&data_dir, &flags);
        command.envs(variables.iter().copied());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (found, address) = std::sync::mpsc::channel();
        let lines = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some(url) = line.split("listening on ").nth(1) {
                    // In a JSON line the message's quotation mark and other members follow.
                    let url = url.split(['"', ' ']).next().unwrap_or_default();
                    let _ = found.send(url.to_owned());
                }
                lines.lock().unwrap().push(line);
            }
        });
        let url = String::new();
        let server = TestServer { child, url, data_dir, flags, log, reader: Some(reader), _owned: owned };
        Self { server, address }
    }

    /// Waits until it listens.
    pub(crate) fn listens(self) -> TestServer {
        let Self { mut server, address } = self;
        server.url = address.recv_timeout(super::DEADLINE).unwrap_or_else(|_| {
            server.kill();
            panic!("the server did not start: {:?}", server.log())
        });
        server
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An address that nobody listens on now, and which the system gives to nobody who asks for any: a
/// server may come back to it.
pub(crate) fn fixed_address() -> String {
    // Below the range from which the system takes ports on its own.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 10_000 + (std::process::id() % 20_000) as u16;
    loop {
        let address = format!("127.0.0.1:{}", base + NEXT.fetch_add(1, Ordering::Relaxed) % 1000);
        if std::net::TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}

/// A `serve` command, on a free port unless the flags name one, with no settings from the environment.
pub(crate) fn serve_command(data_dir: &Path, flags: &[String]) -> Command {
    let mut command = lockkeeper();
    command.args(["serve", "--data-dir"]).arg(data_dir).args(flags);
    if !flags.iter().any(|flag| flag == "--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command
}

/// The binary under test, without the tester's own settings.
pub(crate) fn lockkeeper() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LOCKKEEPER_") {
            command.env_remove(name);
        }
    }
    command
}
