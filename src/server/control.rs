//! The control socket: lets `lockkeeper backup` work while the server runs.
//!
//! A Unix socket in the data directory, so that whoever may read the directory may use it and
//! nobody else. One request a connection, one line each way: `backup PATH`, answered `ok …` or
//! `error …`.

use lockkeeper_store::embedded::EmbeddedStore;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The socket's name in the data directory.
const CONTROL_SOCKET: &str = "control.sock";
/// Bytes a request may have.
const REQUEST_MAX_BYTES: u64 = 8192;
/// How long a client may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a backup may take, as far as its client waits.
const BACKUP_TIMEOUT: Duration = Duration::from_secs(600);

/// The running control socket; dropping it takes it away.
pub(super) struct Control {
    path: PathBuf,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    pub(super) fn start(data_dir: &Path, store: Arc<EmbeddedStore>) -> io::Result<Self> {
        let path = data_dir.join(CONTROL_SOCKET);
        // The directory is ours alone (the store holds its lock): what is there is a leftover.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let thread = std::thread::Builder::new().name("control".into()).spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                if let Err(error) = serve(stream, &store) {
                    tracing::warn!("a request on the control socket failed: {error}");
                }
            }
        })?;
        Ok(Self { path, stopping, thread: Some(thread) })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // Wakes the thread from accepting; if nobody listens any more it has ended already.
        let _ = UnixStream::connect(&self.path);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

fn serve(mut stream: UnixStream, store: &EmbeddedStore) -> io::Result<()> {
    stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    stream.set_write_timeout(Some(REQUEST_TIMEOUT))?;
    let mut request = String::new();
    BufReader::new((&stream).take(REQUEST_MAX_BYTES)).read_line(&mut request)?;
    let answer = match request.trim_end_matches('\n').split_once(' ') {
        Some(("backup", path)) if Path::new(path).is_absolute() => match store.backup_to(Path::new(path)) {
            Ok(report) => {
                tracing::info!(path, documents = report.documents, "backup written");
                format!("ok {} {}", report.documents, report.bytes)
            }
            Err(error) => format!("error {error}"),
        },
        None if request.is_empty() => return Ok(()),
        _ => "error not a request this server knows".to_owned(),
    };
    writeln!(stream, "{}", answer.replace('\n', " "))
}

/// Asks the server of a data directory for a backup. `None`: no server listens there.
///
/// # Errors
/// What the server answered, or why it did not.
pub fn request_backup(data_dir: &Path, dest: &Path) -> Option<Result<(u64, u64), String>> {
    let mut stream = UnixStream::connect(data_dir.join(CONTROL_SOCKET)).ok()?;
    let mut ask = || -> io::Result<String> {
        let dest = std::path::absolute(dest)?;
        let dest = dest.to_str().ok_or_else(|| io::Error::other("the path is not UTF-8"))?.to_owned();
        stream.set_read_timeout(Some(BACKUP_TIMEOUT))?;
        writeln!(stream, "backup {dest}")?;
        let mut answer = String::new();
        BufReader::new(&stream).read_line(&mut answer)?;
        Ok(answer)
    };
    Some(ask().map_err(|error| format!("the running server did not answer: {error}")).and_then(|answer| {
        let mut words = answer.trim_end().splitn(2, ' ');
        match (words.next(), words.next()) {
            (Some("ok"), Some(numbers)) => {
                let mut numbers = numbers.split(' ').filter_map(|number| number.parse().ok());
                Ok((numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)))
            }
            (Some("error"), Some(what)) => Err(what.to_owned()),
            _ => Err("the running server gave no answer".to_owned()),
        }
    }))
}
