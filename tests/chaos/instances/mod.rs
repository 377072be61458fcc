//! The instances under test: processes of the built binary, each with its address and directory.

mod process;

use crate::support::{DEADLINE, SmallDisk, eventually, serve_command};
use parking_lot::Mutex;
use process::Process;
use rustix::process::Signal;
use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Instant;

/// Ports are looked for below those that the system gives to clients, so that an instance that was
/// killed finds its own free again, and above those of the Redis servers and their buses.
const PORTS: std::ops::Range<u16> = 24_000..32_000;

/// Of which a run uses a part.
const DISK_SIZE: &str = "256m";

struct Instance {
    url: String,
    log: PathBuf,
    process: Option<Process>,
}

/// All instances of a run.
pub(super) struct Instances {
    /// A copy: a build that goes on meanwhile does not change what is tested.
    binary: PathBuf,
    flags: Vec<Vec<String>>,
    data_dirs: Vec<PathBuf>,
    /// Their settings, which they read again on SIGHUP.
    files: Vec<PathBuf>,
    /// Where their data lies, if this process may mount.
    disks: Vec<Option<SmallDisk>>,
    all: Mutex<Vec<Instance>>,
}

impl Instances {
    /// Starts one for each list of flags.
    pub(super) async fn start(dir: &Path, flags: Vec<Vec<String>>) -> Self {
        let binary = dir.join("lockkeeper");
        std::fs::copy(env!("CARGO_BIN_EXE_lockkeeper"), &binary).unwrap();
        let count = flags.len();
        let place = |what: &str, ending: &str| {
            (0..count).map(|number| dir.join(format!("{what}-{number}{ending}"))).collect::<Vec<_>>()
        };
        let disks = place("disk", "").iter().map(|path| SmallDisk::mount(path, DISK_SIZE)).collect();
        let data_dirs = place("disk", "/data");
        let files = place("settings", ".yaml");
        let all = Mutex::new(Vec::new());
        let mut instances = Self { binary, flags: Vec::new(), data_dirs, files, disks, all };
        for (number, flags) in flags.into_iter().enumerate() {
            let port = free_port();
            let mut own: Vec<String> =
                ["--listen", &format!("127.0.0.1:{port}"), "--instance-id", &format!("chaos-{number}")]
                    .map(String::from)
                    .to_vec();
            own.extend(["--config".into(), instances.files[number].display().to_string()]);
            own.extend(flags);
            instances.flags.push(own);
            instances.set_enabled(number, true);
            let url = format!("http://127.0.0.1:{port}");
            let log = dir.join(format!("instance-{number}.log"));
            instances.all.lock().push(Instance { url, log, process: None });
            instances.launch(number);
        }
        for number in 0..count {
            instances.listens(number).await;
        }
        instances
    }

    /// They have disks of their own, which can be full.
    pub(super) fn have_disks(&self) -> bool {
        self.disks.iter().all(Option::is_some)
    }

    pub(super) fn fill_disk(&self, number: usize) {
        self.disks[number].as_ref().unwrap().fill();
    }

    pub(super) fn clear_disk(&self, number: usize) {
        self.disks[number].as_ref().unwrap().clear();
    }

    /// What its file of settings says of the kill switch.
    pub(super) fn set_enabled(&self, number: usize, enabled: bool) {
        let file = &self.files[number];
        let next = file.with_extension("next");
        std::fs::write(&next, format!("enabled: {enabled}\n")).unwrap();
        // It is never seen half written.
        std::fs::rename(next, file).unwrap();
    }

    pub(super) fn urls(&self) -> Vec<String> {
        self.all.lock().iter().map(|instance| instance.url.clone()).collect()
    }

    fn launch(&self, number: usize) {
        let mut all = self.all.lock();
        let log: File = OpenOptions::new().create(true).append(true).open(&all[number].log).unwrap();
        // The arguments as every test gives them, and the copy of the program.
        let plain = serve_command(&self.data_dirs[number], &self.flags[number]);
        let mut command = Command::new(&self.binary);
        command.args(plain.get_args()).stderr(log);
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        all[number].process = Some(Process::start(&mut command));
    }

    /// Waits until it takes connections.
    async fn listens(&self, number: usize) {
        let url = self.all.lock()[number].url.clone();
        let address = url.trim_start_matches("http://").to_owned();
        eventually("an instance listens", async || {
            if let Some(status) = self.has_ended(number) {
                let log = std::fs::read_to_string(&self.all.lock()[number].log).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(20).collect();
                panic!("instance {number} ended with {status}: {tail:#?}");
            }
            tokio::net::TcpStream::connect(&address).await.ok().map(drop)
        })
        .await;
    }

    /// How it ended, if it has.
    pub(super) fn has_ended(&self, number: usize) -> Option<ExitStatus> {
        self.all.lock()[number].process.as_mut().and_then(Process::ended)
    }

    /// kill -9.
    pub(super) fn kill(&self, number: usize) {
        let process = self.all.lock()[number].process.take();
        drop(process);
    }

    pub(super) fn signal(&self, number: usize, signal: Signal) {
        if let Some(process) = &self.all.lock()[number].process {
            process.signal(signal);
        }
    }

    /// SIGTERM, and waits for the end, which must be a proper one.
    pub(super) async fn terminate(&self, number: usize) -> Result<(), String> {
        self.signal(number, Signal::TERM);
        let begun = Instant::now();
        loop {
            if let Some(status) = self.has_ended(number) {
                self.kill(number);
                return if status.success() { Ok(()) } else { Err(format!("instance {number}: {status}")) };
            }
            if begun.elapsed() > DEADLINE {
                return Err(format!("instance {number} does not end"));
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// The same address, directory and flags.
    pub(super) async fn start_again(&self, number: usize) {
        self.launch(number);
        self.listens(number).await;
    }

    /// Instances that ended though nobody ended them.
    pub(super) fn fallen(&self) -> Vec<String> {
        let count = self.all.lock().len();
        let ended = (0..count).filter_map(|number| Some((number, self.has_ended(number)?)));
        ended.map(|(number, status)| format!("instance {number} ended by itself: {status}")).collect()
    }
}

fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| rand::random_range(PORTS)).take(1000);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}
