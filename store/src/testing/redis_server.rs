//! One redis-server.

use super::certificates::Certificates;
use super::ports::free_port;
use super::process::Process;
use super::until::within;
use parking_lot::Mutex;
use rustix::process::Signal;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const READY_WITHIN: Duration = Duration::from_secs(20);
/// Others may take a free port just before the server does.
const PORTS_TRIED: usize = 5;
/// How long redis-cli may take, making a cluster included.
const CLI_SECONDS: &str = "60";
const CONFIG: &str = "redis.conf";
const LOG: &str = "log";

/// What a server is started with.
#[derive(Clone, Debug, Default)]
pub struct RedisServerBuilder {
    lines: Vec<String>,
    password: Option<String>,
    tls: Option<Arc<Certificates>>,
    sentinel: bool,
}

impl RedisServerBuilder {
    /// Adds a line of configuration.
    #[must_use]
    pub fn config(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Demands this password, and gives it to masters and to [`RedisServer::cli`].
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Listens with TLS only, and demands a client's certificate of the same authority.
    #[must_use]
    pub fn tls(mut self, certificates: Arc<Certificates>) -> Self {
        self.tls = Some(certificates);
        self
    }

    pub(super) fn password_given(&self) -> Option<String> {
        self.password.clone()
    }

    /// Is a sentinel.
    pub(super) fn sentinel(mut self) -> Self {
        self.sentinel = true;
        self
    }

    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// With its log, if it does not.
    #[must_use]
    pub fn start(self) -> RedisServer {
        for _ in 1..PORTS_TRIED {
            if let Ok(server) = self.clone().try_start() {
                return server;
            }
        }
        self.try_start().unwrap_or_else(|log| panic!("redis-server does not answer:\n{log}"))
    }

    fn try_start(self) -> Result<RedisServer, String> {
        let dir = tempfile::Builder::new().prefix("redis-").tempdir().expect("a temporary directory");
        let port = free_port();
        let mut text = String::new();
        let mut line = |args: std::fmt::Arguments<'_>| writeln!(text, "{args}").expect("a string");
        match &self.tls {
            None => line(format_args!("port {port}")),
            Some(tls) => {
                line(format_args!("port 0\ntls-port {port}\ntls-replication yes"));
                line(format_args!("tls-ca-cert-file {}", tls.ca_file().display()));
                line(format_args!("tls-cert-file {}", tls.server_cert_file().display()));
                line(format_args!("tls-key-file {}", tls.server_key_file().display()));
            }
        }
        line(format_args!("bind 127.0.0.1\nprotected-mode no\nloglevel notice"));
        line(format_args!("dir {0}\nlogfile {0}/{LOG}", dir.path().display()));
        if !self.sentinel {
            line(format_args!(
                "save \"\"\nappendonly no\nrepl-diskless-sync-delay 0\nrepl-ping-replica-period 1"
            ));
        }
        if let Some(password) = &self.password {
            line(format_args!("requirepass {password}"));
            if !self.sentinel {
                line(format_args!("masterauth {password}"));
            }
        }
        for extra in &self.lines {
            line(format_args!("{extra}"));
        }
        std::fs::write(dir.path().join(CONFIG), text).expect("its configuration");
        let server = RedisServer { builder: self, dir, port, process: Mutex::new(None) };
        server.try_spawn()?;
        Ok(server)
    }
}

/// A redis-server process.
#[derive(Debug)]
pub struct RedisServer {
    builder: RedisServerBuilder,
    dir: TempDir,
    port: u16,
    process: Mutex<Option<Process>>,
}

impl RedisServer {
    /// What it shall be started with.
    #[must_use]
    pub fn builder() -> RedisServerBuilder {
        RedisServerBuilder::default()
    }

    /// Starts one that keeps everything in memory only.
    #[must_use]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Starts one with these lines of configuration.
    #[must_use]
    pub fn with(lines: &[&str]) -> Self {
        lines.iter().fold(Self::builder(), |builder, line| builder.config(*line)).start()
    }

    /// Starts a replica of this one, with the same settings.
    #[must_use]
    pub fn start_replica(&self) -> Self {
        self.builder.clone().config(format!("replicaof 127.0.0.1 {}", self.port)).start()
    }

    /// Where it listens, without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.builder.tls.is_some() { "rediss" } else { "redis" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// The port it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:<port>`
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where its files lie.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join(LOG)).unwrap_or_default()
    }

    /// Its process id.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.lock().as_ref().expect("it runs").id()
    }

    /// False after [`Self::kill9`] and [`Self::shut_down`].
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.lock().as_mut().is_some_and(|process| !process.has_ended())
    }

    /// Kills it as a power cut would.
    pub fn kill9(&self) {
        drop(self.process.lock().take());
    }

    /// Ends it as an operator would; it saves what it is to save.
    pub fn shut_down(&self) {
        if let Some(mut process) = self.process.lock().take() {
            process.signal(Signal::TERM);
            process.wait();
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(process) = self.process.lock().as_ref() {
            process.signal(signal);
        }
    }

    /// Holds its process: connections stay, nobody answers.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Starts it again with the same directory and port, after killing it if it runs.
    ///
    /// # Panics
    /// With its log, if it does not answer.
    pub fn restart(&self) {
        self.kill9();
        if let Err(log) = self.try_spawn() {
            panic!("redis-server does not answer again:\n{log}");
        }
    }

    /// What redis-cli prints, without the last line break. An error of the server is printed, too.
    #[must_use]
    pub fn cli(&self, args: &[&str]) -> String {
        let output = self.cli_command().args(args).output().expect("redis-cli");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// A field of `INFO`.
    #[must_use]
    pub fn info(&self, field: &str) -> Option<String> {
        let info = self.cli(&["INFO", "everything"]);
        info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':').map(|v| v.trim().to_owned()))
    }

    /// redis-cli, talking to this server.
    pub(super) fn cli_command(&self) -> Command {
        // A server that is held accepts and never answers.
        let mut command = Command::new("timeout");
        command.args([CLI_SECONDS, "redis-cli", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        if let Some(password) = &self.builder.password {
            command.args(["--no-auth-warning", "-a", password]);
        }
        if let Some(tls) = &self.builder.tls {
            command.arg("--tls").arg("--cacert").arg(tls.ca_file());
            command.arg("--cert").arg(tls.client_cert_file()).arg("--key").arg(tls.client_key_file());
        }
        command
    }

    fn try_spawn(&self) -> Result<(), String> {
        let mut command = Command::new("redis-server");
        command.arg(self.dir.path().join(CONFIG));
        if self.builder.sentinel {
            command.arg("--sentinel");
        }
        *self.process.lock() = Some(Process::start(&mut command, self.dir.path()));
        let ready = within(READY_WITHIN, || {
            if self.process.lock().as_mut().is_none_or(Process::has_ended) {
                return Some(false);
            }
            let answer = self.cli(&["PING"]);
            (answer == "PONG" || answer.starts_with("NOAUTH")).then_some(true)
        });
        // Another server may have answered on a port that this one did not get.
        let alive = !self.process.lock().as_mut().is_none_or(Process::has_ended);
        if ready == Some(true) && alive { Ok(()) } else { Err(self.log()) }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            // Captured with the rest of the test's output.
            eprintln!("the log of the redis-server on port {}:\n{}", self.port, self.log());
        }
    }
}
